import asyncio
import json

import pytest

from service_kit.http_protocol import BoundedHeads
from service_kit.http_server import HttpServer

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def connection(monkeypatch):
    monkeypatch.setattr(BoundedHeads, "head_seconds", 0.2)
    server = HttpServer(app, "127.0.0.1", 0)
    await server.start()
    running = asyncio.create_task(server.run())
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    yield reader, writer
    writer.close()
    await server.stop()
    await running


async def test_a_connection_that_says_nothing_is_closed(connection):
    reader, _ = connection
    assert await reader.read() == b""


async def test_a_head_that_trickles_in_is_given_up(connection):
    reader, writer = connection
    writer.write(HEAD)
    assert await reader.read() == b""


async def test_a_second_head_on_the_same_connection_is_bounded_too(connection):
    reader, writer = connection
    writer.write(HEAD + b"\r\n")
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    writer.write(HEAD)
    assert await reader.read() == b""


async def test_an_idle_connection_is_kept_between_requests(connection):
    reader, writer = connection
    for _ in range(2):
        writer.write(HEAD + b"\r\n")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.4)


@pytest.mark.parametrize(
    "request_",
    [
        b"CANARY\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_what_is_no_http_request_has_the_error_body_too(connection, request_):
    reader, writer = connection
    writer.write(request_)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert f"content-length: {len(body)}".encode() in head
    error = json.loads(body)["error"]
    assert error["code"] == "BAD_REQUEST"
    assert f"x-request-id: {error['requestId']}".encode() in head
    assert b"CANARY" not in body


async def test_a_head_without_end_is_given_up(connection, monkeypatch):
    monkeypatch.setattr(BoundedHeads, "head_seconds", 60)
    reader, writer = connection
    writer.write(HEAD)
    for _ in range(70):
        writer.write(b"X-More: " + b"x" * 1000 + b"\r\n")
    try:
        rest = await reader.read()
    except ConnectionResetError:  # closed while we were still writing
        rest = b""
    assert rest == b""
