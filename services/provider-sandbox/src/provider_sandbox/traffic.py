"""The middleware in front of both faces: counts every call, applies latency and faults, changes answers on demand.

Usage: `Traffic(app, state, provider="plaid", routes=app.routes)`. The face reads or completes the call record with
`note(request, user=..., connection=..., billable=...)`.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from provider_sandbox.faults import BEFORE, Fault
from provider_sandbox.spoil import GATEWAY_PAGE, spoil
from provider_sandbox.state import Call, State

_PIECES = 10


class DropConnectionError(ConnectionError):
    """Raised instead of answering where there is no real connection to cut (an app called in process)."""


def note(request: Request, **known: str | None) -> None:
    """Complete the call record with what the face found out: user, connection, account, billable, request_id."""
    call = request.scope.get("sandbox.call")
    if call is not None:
        for name, value in known.items():
            setattr(call, name, value)


def _matched(routes: Sequence[BaseRoute], scope: Scope) -> tuple[str, dict[str, str]]:
    """Return `METHOD /path/{template}` of the route that will serve a request, else the bare path, and its members."""
    for route in routes:
        match, child = route.matches(scope)
        if match is Match.FULL:
            return f"{scope['method']} {getattr(route, 'path', scope['path'])}", child.get("path_params", {})
    return f"{scope['method']} {scope['path']}", {}


class Traffic:
    """ASGI middleware: ledger, latency, faults."""

    def __init__(self, app: ASGIApp, state: State, provider: str, routes: Sequence[BaseRoute]) -> None:
        self._app, self._state, self._provider, self._routes = app, state, provider, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, with whatever control has set for it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        endpoint, path = _matched(self._routes, scope)
        request_id = scope.get("sandbox.request_id")
        call = Call(self._provider, endpoint, self._state.clock(), request_id=request_id)
        scope["sandbox.call"] = call
        self._state.ledger.add(call)
        delay = self._state.faults.latency(self._provider, endpoint)
        if delay:
            await asyncio.sleep(delay)
        connection = None
        if self._state.faults.asks_for_connection(self._provider, endpoint):
            body, receive = await _kept(receive)
            connection = self._state.faces[self._provider].connection_of(path, body)
        fault = self._state.faults.take(self._provider, endpoint, connection)
        if fault is None:
            await self._app(scope, receive, _noting_status(call, send))
            return
        call.fault = fault.kind
        await self._serve_faulty(fault, call, scope, receive, send)

    async def _serve_faulty(
        self, fault: Fault, call: Call, scope: Scope, receive: Receive, send: Send
    ) -> None:
        answer = Answer()
        if fault.kind not in BEFORE or fault.after:
            await self._app(scope, receive, answer.collect)
            call.status = answer.status
        if fault.kind in {"status", "html"} and not fault.after:
            call.status = fault.status
        if fault.kind == "drop":
            await _drop(scope)
        else:
            await _send_faulty(fault, answer, send)


class Answer:
    """A response collected instead of sent."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def collect(self, message: Message) -> None:
        """Take the place of ASGI's `send`."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", []))
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


async def _kept(receive: Receive) -> tuple[bytes, Receive]:
    """Read a request's whole body, and give it back to be received once more."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message["type"] == "http.request" and message.get("more_body", False)
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return body, again


def _noting_status(call: Call, send: Send) -> Send:
    async def forward(message: Message) -> None:
        if message["type"] == "http.response.start":
            call.status = message["status"]
        await send(message)

    return forward


async def _drop(scope: Scope) -> None:
    abort = scope.get("sandbox.abort")
    if abort is None:
        raise DropConnectionError("connection dropped")
    abort()
    await asyncio.sleep(0.01)


async def _send_faulty(fault: Fault, answer: Answer, send: Send) -> None:
    if fault.kind == "html":
        await _send(send, fault.status, [(b"content-type", b"text/html")], GATEWAY_PAGE)
    elif fault.kind == "status":
        body = fault.body if isinstance(fault.body, str) else json.dumps(fault.body or {})
        headers = {"content-type": "application/json", **{k.lower(): v for k, v in fault.headers.items()}}
        await _send(send, fault.status, _raw(headers), body.encode())
    elif fault.kind == "slow_drip":
        await _drip(fault, answer, send)
    else:
        await _send(send, answer.status, answer.headers, spoil(fault, answer.body))


def _raw(headers: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), str(value).encode("latin-1")) for name, value in headers.items()]


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    kept.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": kept})
    await send({"type": "http.response.body", "body": body})


async def _drip(fault: Fault, answer: Answer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    step = max(1, -(-len(answer.body) // _PIECES))
    for start in range(0, len(answer.body), step):
        await asyncio.sleep(fault.seconds / _PIECES)
        await send(
            {"type": "http.response.body", "body": answer.body[start : start + step], "more_body": True}
        )
    await send({"type": "http.response.body", "body": b""})
