"""One keep-alive HTTP/1.1 connection on asyncio, its answers parsed in C and read whole."""

import asyncio
from typing import cast

import httptools
import httpx

from service_kit.http_client import ResponseTooLarge

_FINAL = 200
_LENGTH_KNOWN = frozenset({b"content-length", b"transfer-encoding"})


class Connection(asyncio.Protocol):
    """One request at a time; its answer is collected until the parser says it is whole.

    Everything that goes wrong is an ``httpx.TransportError`` for the exchange that is under way; afterwards the
    connection is not usable.
    """

    def __init__(self, response_bytes: int) -> None:
        self._response_bytes = response_bytes
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[httpx.Response] | None = None
        self._reusable = True
        self.rested_at = 0.0

    @property
    def usable(self) -> bool:
        """Whether another request may be sent over it."""
        return self._reusable and self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: httpx.Request, read: float) -> httpx.Response:
        """Send a request and wait for the whole answer.

        Raises:
            httpx.TransportError: no whole answer, or none within ``read`` seconds of silence, or too large a one.
        """
        message = on_the_wire(request)
        loop = asyncio.get_running_loop()
        self._request = request
        self._answer = loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._received = 0
        self._heard = loop.time()
        self._watch = loop.call_at(self._heard + read, self._check_silence, read)
        try:
            cast("asyncio.Transport", self._transport).write(message)
            return await self._answer
        finally:
            self._watch.cancel()
            self._answer = None

    def close(self) -> None:
        """Close without ceremony."""
        self._reusable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop; an answer without a length ends here, any other is cut short."""
        self._reusable = False
        if self._answer is None or self._answer.done():
            return
        named = {name.lower() for name, _ in self._headers}
        if exc is None and self._body and not named & _LENGTH_KNOWN:
            self._finish()
        elif self._received:
            self._fail(httpx.RemoteProtocolError("the answer was cut short", request=self._request))
        else:
            self._fail(httpx.ReadError("the connection was closed before an answer", request=self._request))

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._answer is None or self._answer.done():
            self.close()  # nobody asked
            return
        self._heard = asyncio.get_running_loop().time()
        self._received += len(data)
        if self._received > self._response_bytes:
            text = f"answer larger than {self._response_bytes} bytes"
            self._fail(ResponseTooLarge(text, request=self._request))
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(httpx.RemoteProtocolError("the answer is not HTTP", request=self._request))

    def on_message_begin(self) -> None:
        """Called by the parser; a second answer to one request must not meet the next one."""
        if self._answer is not None and self._answer.done():
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser; an interim answer (1xx) is dropped."""
        if self._parser.get_status_code() < _FINAL:
            self._headers = []
            return
        if not self._parser.should_keep_alive():
            self._reusable = False
        self._finish()

    def _finish(self) -> None:
        if self._answer is None or self._answer.done():
            return
        status = self._parser.get_status_code()
        if any(name.lower() == b"content-encoding" for name, _ in self._headers):
            # Decoding could blow a small answer up without bound; none is asked for.
            self._fail(httpx.RemoteProtocolError("the answer is encoded", request=self._request))
            return
        answer = httpx.Response(
            status, headers=self._headers, content=b"".join(self._body), request=self._request
        )
        self._answer.set_result(answer)

    def _fail(self, error: httpx.TransportError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.close()

    def _check_silence(self, read: float) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._heard >= read:
            self._fail(httpx.ReadTimeout("no answer in time", request=self._request))
        else:
            self._watch = loop.call_at(self._heard + read, self._check_silence, read)


def on_the_wire(request: httpx.Request) -> bytes:
    """The bytes of a request whose body is in memory.

    Raises:
        httpx.LocalProtocolError: a header would break out of its line.
    """
    lines = [request.method.encode("ascii") + b" " + request.url.raw_path + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in request.headers.raw]
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise httpx.LocalProtocolError("a header holds a line break", request=request)
    return b"\r\n".join([*lines, b"", request.content])
