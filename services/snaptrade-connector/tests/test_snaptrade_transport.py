"""The transport over aiohttp against servers that behave, misbehave and lie."""

import asyncio
import gzip
import ssl
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from service_kit.http_client import ResponseTooLarge
from snaptrade_connector.transport import AiohttpTransport

_NOBODY_TRUSTED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Answers each request with all of its bytes; a float waits, None closes, a ConnectionError resets."""

    def __init__(self, *answers: bytes | float | Exception | None, close_after: bool = False) -> None:
        self.answers = answers
        self.close_after = close_after
        self.connections = 0
        self.sent = 0
        self.requests: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ),
                0,
            )
            self.requests.append(head + await reader.readexactly(length))
            for answer in self.answers:
                if isinstance(answer, float):
                    await asyncio.sleep(answer)
                elif isinstance(answer, ConnectionError):
                    writer.transport.abort()
                    raise answer
                elif answer is None:
                    return
                else:
                    writer.write(answer)
                    await writer.drain()
                    self.sent += len(answer)
            if self.close_after:
                return


@asynccontextmanager
async def serving(server: Server, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls) as listener:
        server.url = f"http{'s' if tls else ''}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield server


@asynccontextmanager
async def sending(tls=_NOBODY_TRUSTED, **options) -> AsyncIterator[AiohttpTransport]:
    transport = AiohttpTransport(tls=tls, **options)
    try:
        yield transport
    finally:
        await transport.aclose()


def request(server: Server, method="GET", content: bytes | None = None, **timeouts) -> httpx.Request:
    waits = {"connect": 2.0, "read": 2.0, "pool": 2.0} | timeouts
    return httpx.Request(method, f"{server.url}/a?b=1", content=content, extensions={"timeout": waits})


async def test_connections_are_used_again():
    async with serving(Server(OK)) as server, sending() as transport:
        for _ in range(3):
            answer = await transport.handle_async_request(request(server))
            assert (answer.status_code, answer.content) == (200, b"{}")
        assert server.connections == 1


async def test_a_body_is_sent_with_its_length():
    async with serving(Server(OK)) as server, sending() as transport:
        await transport.handle_async_request(request(server, "POST", b'{"a":1}'))
    (sent,) = server.requests
    assert sent.startswith(b"POST /a?b=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Content-Length: 7\r\n" in sent
    assert sent.endswith(b'\r\n\r\n{"a":1}')


async def test_each_of_many_calls_at_once_gets_its_own_answer_within_the_limit():
    async with serving(Server(0.02, OK)) as server, sending(connections=3) as transport:
        answers = await asyncio.gather(*(transport.handle_async_request(request(server)) for _ in range(9)))
        assert [answer.content for answer in answers] == [b"{}"] * 9
        assert server.connections == 3


async def test_waiting_for_a_free_connection_has_an_end():
    async with serving(Server(1.0, OK)) as server, sending(connections=1) as transport:
        slow = asyncio.create_task(transport.handle_async_request(request(server)))
        await asyncio.sleep(0)
        with pytest.raises(httpx.PoolTimeout):
            await transport.handle_async_request(request(server, pool=0.05))
        slow.cancel()


async def test_a_chunked_answer_is_put_together():
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with serving(Server(chunked[:60], 0.02, chunked[60:])) as server, sending() as transport:
        assert (await transport.handle_async_request(request(server))).content == b"abcde"
        assert (await transport.handle_async_request(request(server))).content == b"abcde"
        assert server.connections == 1


async def test_an_interim_answer_is_passed_over():
    async with serving(Server(b"HTTP/1.1 100 Continue\r\n\r\n", 0.02, OK)) as server, sending() as transport:
        assert (await transport.handle_async_request(request(server))).status_code == 200


async def test_an_answer_that_ends_with_the_connection_is_whole():
    async with (
        serving(Server(b"HTTP/1.0 200 OK\r\n\r\nall of it", close_after=True)) as server,
        sending() as transport,
    ):
        assert (await transport.handle_async_request(request(server))).content == b"all of it"


async def test_a_connection_the_server_wants_closed_is_not_used_again():
    last = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with serving(Server(last, close_after=True)) as server, sending() as transport:
        for _ in range(2):
            assert (await transport.handle_async_request(request(server))).status_code == 200
        assert server.connections == 2


async def test_a_connection_the_server_closed_in_silence_is_not_used_again():
    async with serving(Server(OK, close_after=True)) as server, sending() as transport:
        for _ in range(3):
            assert (await transport.handle_async_request(request(server))).status_code == 200
            await asyncio.sleep(0.02)
        assert server.connections == 3


async def test_a_connection_that_rested_too_long_is_not_used_again():
    async with serving(Server(OK)) as server, sending(keepalive=0.01) as transport:
        for _ in range(2):
            await transport.handle_async_request(request(server))
            await asyncio.sleep(0.05)
        assert server.connections == 2


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ((None,), httpx.ReadError),
        ((CUT, None), httpx.RemoteProtocolError),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", None), httpx.RemoteProtocolError),
        ((b"HTTP/1.1 200 OK\r\nContent-Le", None), httpx.ReadError),
        ((b"SSH-2.0-OpenSSH\r\n\r\n",), httpx.RemoteProtocolError),
        (
            (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",),
            httpx.RemoteProtocolError,
        ),
        ((5.0,), httpx.ReadTimeout),
        ((CUT, 5.0), httpx.ReadTimeout),
    ],
)
async def test_an_answer_that_is_not_whole_is_an_error(answers, error):
    async with serving(Server(*answers)) as server, sending() as transport:
        with pytest.raises(error):
            await transport.handle_async_request(request(server, read=0.1))
        server.answers = (OK,)
        assert (await transport.handle_async_request(request(server))).content == b"{}"
        assert server.connections == 2


async def test_slow_but_steady_is_no_silence():
    pieces = [piece for i in range(len(CUT)) for piece in (CUT[i : i + 1], 0.004)]
    async with serving(Server(*pieces, b"123456")) as server, sending() as transport:
        answer = await transport.handle_async_request(request(server, read=0.1))
        assert answer.content == b"half123456"


async def test_as_much_as_we_accept_is_read_and_not_one_byte_more():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n"
    async with serving(Server(head + b"x" * 20_000)) as server:
        async with sending(response_bytes=20_000) as transport:
            assert len((await transport.handle_async_request(request(server))).content) == 20_000
        async with sending(response_bytes=19_999) as transport:
            with pytest.raises(ResponseTooLarge):
                await transport.handle_async_request(request(server))


async def test_an_answer_without_end_is_given_up_while_it_is_read():
    head, piece = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"10000\r\n%b\r\n" % (b"x" * 65536),
    )
    async with serving(Server(head, *[piece] * 200)) as server, sending(response_bytes=500_000) as transport:
        with pytest.raises(ResponseTooLarge):
            await transport.handle_async_request(request(server))
        assert server.sent < 8_000_000


@pytest.mark.parametrize(
    "lines", [[b"X-%d: y\r\n" % i for i in range(1000)], [b"X: %b\r\n" % (b"y" * 20_000)]]
)
async def test_endless_headers_are_not_read(lines):
    async with serving(Server(b"HTTP/1.1 200 OK\r\n", *lines)) as server, sending() as transport:
        with pytest.raises(httpx.RemoteProtocolError):
            await transport.handle_async_request(request(server))


async def test_an_encoded_answer_is_refused_for_it_could_blow_up():
    body = gzip.compress(b"0" * 10_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with serving(Server(head + body)) as server, sending() as transport:
        with pytest.raises(httpx.RemoteProtocolError):
            await transport.handle_async_request(request(server))


async def test_a_second_answer_to_one_question_never_meets_the_next():
    async with serving(Server(OK + OK.replace(b"{}", b"[]"))) as server, sending() as transport:
        for _ in range(2):
            assert (await transport.handle_async_request(request(server))).content == b"{}"
        assert server.connections == 2


async def test_words_out_of_turn_never_pass_for_the_next_answer():
    async with serving(Server(OK, 0.02, OK.replace(b"{}", b"[]"))) as server, sending() as transport:
        assert (await transport.handle_async_request(request(server))).content == b"{}"
        await asyncio.sleep(0.1)
        with pytest.raises(httpx.ConnectError):
            await transport.handle_async_request(request(server))
        assert len(server.requests) == 1
        assert (await transport.handle_async_request(request(server))).content == b"{}"
        assert server.connections == 2


async def test_a_call_that_is_given_up_leaves_no_connection_behind():
    async with serving(Server(0.2, OK)) as server, sending() as transport:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await transport.handle_async_request(request(server))
        assert (await transport.handle_async_request(request(server))).content == b"{}"
        assert server.connections == 2


async def test_a_turn_is_given_back_whatever_happens():
    async with serving(Server(None)) as server, sending(connections=1) as transport:
        for _ in range(3):
            with pytest.raises(httpx.ReadError):
                await transport.handle_async_request(request(server, pool=0.05))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_a_request_whose_connection_is_lost_is_never_sent_again(method):
    async with serving(Server(OK)) as server, sending() as transport:
        await transport.handle_async_request(request(server))
        server.answers = (None,)
        content = b'{"userId":"jo"}' if method in {"POST", "PUT"} else None
        with pytest.raises(httpx.ReadError):
            await transport.handle_async_request(request(server, method, content))
        await asyncio.sleep(0.05)
        assert [sent.split(b" ")[0] for sent in server.requests] == [b"GET", method.encode()]
        assert server.connections == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_that_meets_a_reset_is_never_sent_again(method):
    async with serving(Server(OK)) as server, sending() as transport:
        await transport.handle_async_request(request(server))
        server.answers = (ConnectionResetError(),)
        with pytest.raises(httpx.ReadError):
            await transport.handle_async_request(request(server, method))
        await asyncio.sleep(0.05)
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "target",
    [
        "/a?b=1%20%2C%2f%2F%3D+%C3%A9%7E~",
        "/a%20b%2Cc/..%2Fd%3F/e?userId=jo%2B%40x%2F1%3F%26%3D&userSecret=s%2F%2B%3D%3D&timestamp=1",
        "/a,b;c=d/e:f@g/$!*'()?x=a,b;c:d@e/f?g&y=$!*'()&&z&=",
        "/%61%2e%2E/%7e?%61=%7e%25%2520",
    ],
)
async def test_the_target_arrives_as_it_was_signed(target):
    async with serving(Server(OK)) as server, sending() as transport:
        asked = httpx.Request("GET", server.url + target)
        await transport.handle_async_request(asked)
    assert server.requests[0].split(b" ")[1] == asked.url.raw_path
    assert asked.url.raw_path.lower() == target.encode().lower()


@pytest.mark.parametrize(("method", "content"), [("GET", None), ("POST", b'{"a":1}'), ("POST", b"")])
async def test_headers_arrive_as_they_were_given_and_no_others(method, content):
    async with serving(Server(OK)) as server, sending() as transport:
        asked = httpx.Request(
            method,
            f"{server.url}/a",
            headers=[("B", "2, 3"), ("A", "1"), ("Signature", "x/+==")],
            content=content,
        )
        await transport.handle_async_request(asked)
    head, body = server.requests[0].split(b"\r\n\r\n")
    assert head.split(b"\r\n")[1:] == [name + b": " + value for name, value in asked.headers.raw]
    assert body == (content or b"")


async def test_a_redirect_is_not_followed_and_a_cookie_not_sent_back():
    moved = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
    async with serving(Server(moved)) as server, sending() as transport:
        for _ in range(2):
            assert (await transport.handle_async_request(request(server))).status_code == 302
    assert len(server.requests) == 2
    assert not any(b"cookie" in sent.lower() or b"/b" in sent for sent in server.requests)


async def test_the_environment_does_not_choose_a_proxy(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with serving(Server(OK)) as server, sending() as transport:
        assert (await transport.handle_async_request(request(server))).status_code == 200


async def test_closing_ends_a_call_that_waits_for_its_answer():
    async with serving(Server(5.0)) as server, sending() as transport:
        call = asyncio.create_task(transport.handle_async_request(request(server)))
        await asyncio.sleep(0.1)
        await transport.aclose()
        with pytest.raises(httpx.TransportError):
            await call


@pytest.mark.parametrize("answer", [None, 5.0, b"SSH-2.0-OpenSSH\r\n\r\n", CUT])
async def test_no_error_holds_the_url(answer):
    async with serving(Server(answer, None)) as server, sending() as transport:
        secret = httpx.Request(
            "GET", f"{server.url}/a?userSecret=s3cret", extensions={"timeout": {"read": 0.05}}
        )
        with pytest.raises(httpx.TransportError) as raised:
            await transport.handle_async_request(secret)
    assert "s3cret" not in "".join(traceback.format_exception(raised.value))


async def test_a_header_cannot_break_out_of_its_line():
    async with serving(Server(OK)) as server, sending() as transport:
        evil = request(server)
        evil.headers["X-Name"] = "a\r\nX-Injected: b"
        with pytest.raises(httpx.LocalProtocolError):
            await transport.handle_async_request(evil)
        assert server.requests == []


async def test_nobody_listening_is_a_connect_error():
    async with serving(Server(OK)) as server:
        gone = request(server)
    async with sending() as transport:
        with pytest.raises(httpx.ConnectError):
            await transport.handle_async_request(gone)


def certificate(folder) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a trusting client's context for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(Encoding.PEM)
    file = folder / "server.pem"
    file.write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=pem.decode())


async def test_tls_is_spoken_and_strangers_are_not_trusted(tmp_path):
    server_side, trusting = certificate(tmp_path)
    async with serving(Server(OK), server_side) as server:
        async with sending(tls=trusting) as transport:
            assert (await transport.handle_async_request(request(server))).status_code == 200
        async with sending(tls=None) as transport:
            with pytest.raises(httpx.ConnectError):
                await transport.handle_async_request(request(server))
        assert len(server.requests) == 1


async def test_a_session_is_opened_in_the_loop_that_uses_it_and_again_after_closing():
    transport = AiohttpTransport(tls=_NOBODY_TRUSTED)
    await transport.aclose()
    for _ in range(2):
        async with serving(Server(OK)) as server:
            assert (await transport.handle_async_request(request(server))).status_code == 200
            await transport.aclose()
            await transport.aclose()
