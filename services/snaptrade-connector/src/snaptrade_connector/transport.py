"""A lean HTTP/1.1 transport for httpx: keep-alive connections on asyncio, parsed in C, answers read whole.

It exists for speed: reading a large account through httpx' own transport costs several times what decoding it
does. It does what talking to one API needs and no more: no proxies, no HTTP/2, no streaming, no retries.
Answers are bounded in size; an exchange that is cut short closes its connection.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Mapping

import httpx

from snaptrade_connector.connection import Connection

_UNSET = 60.0


class LeanTransport(httpx.AsyncBaseTransport):
    """Sends requests over pooled connections, at most ``connections`` to all origins together.

    Honours the connect, read and pool timeouts of a request; ``read`` bounds the silence between two pieces
    of an answer.
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
        self._idle: dict[tuple[str, str, int], deque[Connection]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and read the whole answer.

        Raises:
            httpx.TransportError: it could not be sent, or not be read to its end in time and size.
        """
        timeouts = request.extensions.get("timeout", {})
        await _take_turn(self._turns, _seconds(timeouts, "pool"), request)
        try:
            connection = self._resting(request.url) or await self._connect(request, timeouts)
            try:
                answer = await connection.exchange(request, _seconds(timeouts, "read"))
            except BaseException:
                connection.close()
                raise
            self._rest(request.url, connection)
            return answer
        finally:
            self._turns.release()

    async def aclose(self) -> None:
        """Close the connections that rest."""
        while self._idle:
            _, resting = self._idle.popitem()
            for connection in resting:
                connection.close()

    def _resting(self, url: httpx.URL) -> Connection | None:
        """The connection used last that is still good; the server may have closed others meanwhile."""
        resting = self._idle.get(_origin(url))
        while resting:
            connection = resting.pop()
            if connection.usable and time.monotonic() - connection.rested_at < self._keepalive:
                return connection
            connection.close()
        return None

    def _rest(self, url: httpx.URL, connection: Connection) -> None:
        if not connection.usable:
            connection.close()
            return
        connection.rested_at = time.monotonic()
        self._idle.setdefault(_origin(url), deque()).append(connection)

    async def _connect(self, request: httpx.Request, timeouts: Mapping[str, float | None]) -> Connection:
        scheme, host, port = _origin(request.url)
        tls = self._tls_context() if scheme == "https" else None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_seconds(timeouts, "connect")):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._response_bytes), host, port, ssl=tls
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time", request=request) from error
        except OSError as error:
            raise httpx.ConnectError("no connection", request=request) from error
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)
        return self._tls


async def _take_turn(turns: asyncio.Semaphore, seconds: float, request: httpx.Request) -> None:
    try:
        async with asyncio.timeout(seconds if turns.locked() else None):
            await turns.acquire()
    except TimeoutError as error:
        raise httpx.PoolTimeout("no free connection in time", request=request) from error


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def _seconds(timeouts: Mapping[str, float | None], name: str) -> float:
    given = timeouts.get(name)
    return _UNSET if given is None else given
