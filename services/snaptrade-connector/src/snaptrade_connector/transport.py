"""aiohttp as the transport of httpx requests: it reads a large account faster than httpx' own transport does.

What aiohttp would add by itself is off: redirects, cookies, proxies, decoding, headers nobody gave and, above
all, repetition. Its errors are replaced by httpx' without their text, which can hold a URL and with it a secret.
"""

import asyncio
import ssl

import aiohttp
import httpx
from aiohttp.connector import Connection
from yarl import URL

from service_kit.http_client import ResponseTooLarge

_PIECE = 2**18
"""Bytes aiohttp reads ahead: a large answer arrives in few pieces."""

FRESH = "fresh"
"""The extension of a request that must not go over a connection that was used before."""

_OWN_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

_MEANINGS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ClientConnectionError, httpx.ReadError),
    (ValueError, httpx.LocalProtocolError),
)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends each request once, over at most ``connections`` kept alive, and reads the whole answer.

    Honours the connect, read and pool timeouts of a request; ``read`` bounds the silence between two pieces of an
    answer. A request's extension ``response_bytes`` goes before the transport's own. One with the extension ``fresh``
    goes over a connection of its own, opened for it and closed behind it: one kept alive may be dead already, and then
    nobody knows whether the request arrived. Without ``tls`` it trusts whom httpx trusts.
    """

    def __init__(
        self,
        *,
        connections: int = 16,
        keepalive: float = 30.0,
        response_bytes: int = 8 * 1024 * 1024,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._turns = asyncio.Semaphore(connections)
        self._keepalive = keepalive
        self._response_bytes = response_bytes
        self._tls = tls
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and read the whole answer.

        Raises:
            httpx.TransportError: it could not be sent, or not be read to its end in time and size.
        """
        timeouts = request.extensions.get("timeout", {})
        limits = aiohttp.ClientTimeout(connect=timeouts.get("connect"), sock_read=timeouts.get("read"))
        await self._take_turn(timeouts.get("pool"))
        try:
            return await self._exchange(request, limits)
        except (aiohttp.ClientError, ValueError) as error:
            raise _translated(error) from None
        finally:
            self._turns.release()

    async def aclose(self) -> None:
        """Close the connections; call it when none is in use: aiohttp leaves a half-read answer waiting."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def _take_turn(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds if self._turns.locked() else None):
                await self._turns.acquire()
        except TimeoutError as error:
            raise httpx.PoolTimeout("no free connection in time") from error

    async def _exchange(self, request: httpx.Request, limits: aiohttp.ClientTimeout) -> httpx.Response:
        fresh = bool(request.extensions.get(FRESH))
        if fresh not in self._sessions:
            self._sessions[fresh] = self._opened(fresh=fresh)
        async with self._sessions[fresh].request(
            request.method,
            URL(str(request.url), encoded=True),  # as it was signed
            headers=[(name.decode("ascii"), value.decode("ascii")) for name, value in request.headers.raw],
            data=await request.aread() or None,
            allow_redirects=False,
            timeout=limits,
        ) as answer:
            if answer.status == httpx.codes.SWITCHING_PROTOCOLS or "Content-Encoding" in answer.headers:
                # Neither is asked for; what is decoded could blow up without bound.
                raise httpx.RemoteProtocolError("the answer is encoded or another protocol's")
            most = request.extensions.get("response_bytes", self._response_bytes)
            content = await self._read(answer.content, most)
            return httpx.Response(answer.status, headers=answer.raw_headers, content=content, request=request)

    async def _read(self, stream: aiohttp.StreamReader, most: int) -> bytes:
        pieces, count = [], 0
        async for piece in stream.iter_any():
            count += len(piece)
            if count > most:
                raise ResponseTooLarge(f"answer larger than {most} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def _opened(self, *, fresh: bool) -> aiohttp.ClientSession:
        tls = self._tls or httpx.create_ssl_context(trust_env=False)
        keepalive = None if fresh else self._keepalive
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=0, force_close=fresh, keepalive_timeout=keepalive),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=_OWN_HEADERS,
            read_bufsize=_PIECE,
            request_class=_InTurn,
            middlewares=(_once,),
        )


class _InTurn(aiohttp.ClientRequest):
    """Does not go over a connection on which something waits that nobody asked: it would pass for the answer."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if conn.protocol is None or conn.protocol.should_close:
            raise httpx.ConnectError("the server spoke out of turn; nothing was sent")
        return await super().send(conn)


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """When a connection is lost aiohttp repeats GET, PUT and DELETE, unless the error is none of its own."""
    try:
        return await handler(request)
    except aiohttp.ClientError as error:
        raise _translated(error) from None


def _translated(error: Exception) -> httpx.TransportError:
    found = (ours for theirs, ours in _MEANINGS if isinstance(error, theirs))
    return next(found, httpx.RemoteProtocolError)(type(error).__name__)
