"""The lean transport against servers that behave, misbehave and lie."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Callable
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
from snaptrade_connector.transport import LeanTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Answers the n-th request of each connection with the n-th bytes; None closes, a float waits."""

    def __init__(self, *answers: bytes | float | None, close_after: bool = False) -> None:
        self.answers = answers
        self.close_after = close_after
        self.connections = 0
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
                elif answer is None:
                    return
                else:
                    writer.write(answer)
                    await writer.drain()
            if self.close_after:
                return


@asynccontextmanager
async def serving(server: Server, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls) as listener:
        server.url = f"http{'s' if tls else ''}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield server


@asynccontextmanager
async def lean(**options) -> AsyncIterator[LeanTransport]:
    transport = LeanTransport(**options)
    try:
        yield transport
    finally:
        await transport.aclose()


def request(server: Server, method="GET", content: bytes | None = None, **timeouts) -> httpx.Request:
    waits = {"connect": 2.0, "read": 2.0, "pool": 2.0} | timeouts
    return httpx.Request(method, f"{server.url}/a?b=1", content=content, extensions={"timeout": waits})


async def test_connections_are_used_again():
    async with serving(Server(OK)) as server, lean() as transport:
        for _ in range(3):
            answer = await transport.handle_async_request(request(server))
            assert (answer.status_code, answer.content) == (200, b"{}")
        assert server.connections == 1


async def test_a_body_is_sent_with_its_length():
    async with serving(Server(OK)) as server, lean() as transport:
        await transport.handle_async_request(request(server, "POST", b'{"a":1}'))
    (sent,) = server.requests
    assert sent.startswith(b"POST /a?b=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Content-Length: 7\r\n" in sent
    assert sent.endswith(b'\r\n\r\n{"a":1}')


async def test_each_of_many_calls_at_once_gets_its_own_answer_within_the_limit():
    async with serving(Server(0.02, OK)) as server, lean(connections=3) as transport:
        answers = await asyncio.gather(*(transport.handle_async_request(request(server)) for _ in range(9)))
        assert [answer.content for answer in answers] == [b"{}"] * 9
        assert server.connections == 3


async def test_waiting_for_a_free_connection_has_an_end():
    async with serving(Server(1.0, OK)) as server, lean(connections=1) as transport:
        slow = asyncio.create_task(transport.handle_async_request(request(server)))
        await asyncio.sleep(0)
        with pytest.raises(httpx.PoolTimeout):
            await transport.handle_async_request(request(server, pool=0.05))
        slow.cancel()


async def test_a_chunked_answer_is_put_together():
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with serving(Server(chunked[:60], 0.02, chunked[60:])) as server, lean() as transport:
        assert (await transport.handle_async_request(request(server))).content == b"abcde"
        assert (await transport.handle_async_request(request(server))).content == b"abcde"
        assert server.connections == 1


async def test_an_interim_answer_is_passed_over():
    async with serving(Server(b"HTTP/1.1 100 Continue\r\n\r\n", 0.02, OK)) as server, lean() as transport:
        assert (await transport.handle_async_request(request(server))).status_code == 200


async def test_an_answer_that_ends_with_the_connection_is_whole():
    async with (
        serving(Server(b"HTTP/1.0 200 OK\r\n\r\nall of it", close_after=True)) as server,
        lean() as transport,
    ):
        assert (await transport.handle_async_request(request(server))).content == b"all of it"


async def test_a_connection_the_server_wants_closed_is_not_used_again():
    last = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with serving(Server(last, close_after=True)) as server, lean() as transport:
        for _ in range(2):
            assert (await transport.handle_async_request(request(server))).status_code == 200
        assert server.connections == 2


async def test_a_connection_the_server_closed_in_silence_is_not_used_again():
    async with serving(Server(OK, close_after=True)) as server, lean() as transport:
        for _ in range(3):
            assert (await transport.handle_async_request(request(server))).status_code == 200
            await asyncio.sleep(0.02)
        assert server.connections == 3


async def test_a_connection_that_rested_too_long_is_not_used_again():
    async with serving(Server(OK)) as server, lean(keepalive=0.0) as transport:
        for _ in range(2):
            await transport.handle_async_request(request(server))
        assert server.connections == 2


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ((None,), httpx.ReadError),
        ((CUT, None), httpx.RemoteProtocolError),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", None), httpx.RemoteProtocolError),
        ((b"HTTP/1.1 200 OK\r\nContent-Le", None), httpx.RemoteProtocolError),
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
    async with serving(Server(*answers)) as server, lean() as transport:
        with pytest.raises(error):
            await transport.handle_async_request(request(server, read=0.1))
        assert not transport._idle


async def test_slow_but_steady_is_no_silence():
    pieces = [piece for i in range(len(CUT)) for piece in (CUT[i : i + 1], 0.004)]
    async with serving(Server(*pieces, b"123456")) as server, lean() as transport:
        answer = await transport.handle_async_request(request(server, read=0.1))
        assert answer.content == b"half123456"


async def test_more_than_we_accept_is_not_read():
    flood = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"x" * 4096 + b"\r\n"
    async with serving(Server(*[flood] * 50)) as server, lean(response_bytes=20_000) as transport:
        with pytest.raises(ResponseTooLarge):
            await transport.handle_async_request(request(server))


async def test_endless_headers_are_not_read():
    lines = [b"X-%d: %s\r\n" % (i, b"y" * 900) for i in range(50)]
    async with (
        serving(Server(b"HTTP/1.1 200 OK\r\n", *lines)) as server,
        lean(response_bytes=20_000) as transport,
    ):
        with pytest.raises((ResponseTooLarge, httpx.RemoteProtocolError)):
            await transport.handle_async_request(request(server))


async def test_an_encoded_answer_is_refused_for_it_could_blow_up():
    body = gzip.compress(b"0" * 10_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with serving(Server(head + body)) as server, lean() as transport:
        with pytest.raises(httpx.RemoteProtocolError):
            await transport.handle_async_request(request(server))


async def test_a_second_answer_to_one_question_never_meets_the_next():
    async with serving(Server(OK + OK.replace(b"{}", b"[]"))) as server, lean() as transport:
        for _ in range(2):
            assert (await transport.handle_async_request(request(server))).content == b"{}"
        assert server.connections == 2


async def test_words_out_of_turn_close_the_connection():
    async with serving(Server(OK, 0.02, OK.replace(b"{}", b"[]"))) as server, lean() as transport:
        for _ in range(2):
            assert (await transport.handle_async_request(request(server))).content == b"{}"
            await asyncio.sleep(0.05)
        assert server.connections == 2


async def test_a_call_that_is_given_up_leaves_no_connection_behind():
    async with serving(Server(0.2, OK)) as server, lean() as transport:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await transport.handle_async_request(request(server))
        assert not transport._idle
        assert (await transport.handle_async_request(request(server))).content == b"{}"


async def test_a_header_cannot_break_out_of_its_line():
    async with serving(Server(OK)) as server, lean() as transport:
        evil = request(server)
        evil.headers["X-Name"] = "a\r\nX-Injected: b"
        with pytest.raises(httpx.LocalProtocolError):
            await transport.handle_async_request(evil)
        assert server.requests == []


async def test_nobody_listening_is_a_connect_error():
    async with serving(Server(OK)) as server:
        gone = request(server)
    async with lean() as transport:
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
        async with lean(tls=trusting) as transport:
            assert (await transport.handle_async_request(request(server))).status_code == 200
        async with lean() as transport:
            with pytest.raises(httpx.ConnectError):
                await transport.handle_async_request(request(server))
        assert len(server.requests) == 1


def test_nothing_is_built_before_it_is_needed():
    make: Callable[[], LeanTransport] = LeanTransport
    assert make()._tls is None
