"""Control routes of the SnapTrade face: its settings at run time, and any event on demand."""

from collections.abc import Awaitable, Callable
from dataclasses import fields
from math import isfinite
from typing import Any

from starlette.requests import Request

from provider_sandbox.control.reading import BadRequestError, Body, found
from provider_sandbox.control.snaptrade_crowd import crowd_routes
from provider_sandbox.control.snaptrade_history import history_routes
from provider_sandbox.settings import Settings
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.state import State

_PREFIX = "snaptrade_"
_CHANGEABLE = frozenset(
    {
        "webhook_url",
        "plan",
        "refresh_seconds",
        "initial_sync_seconds",
        "legacy_holdings",
        "balance_history",
        "return_rates",
    }
)
_TYPES = {item.name: type(item.default) for item in fields(Settings)}


class SnapTradeControl:
    """The handlers; they find the face in the state when called."""

    def __init__(self, state: State) -> None:
        self._state = state

    def face(self) -> SnapTradeFace:
        """The face that runs now."""
        face = self._state.faces.get(SnapTradeFace.provider)
        if not isinstance(face, SnapTradeFace):
            raise BadRequestError("The SnapTrade face is not running")
        return face

    async def configure(self, request: Request) -> Any:
        """Change settings until the next reset, each named as in `_CHANGEABLE`."""
        body = await Body.of(request)
        for name, value in body.values.items():
            if name not in _CHANGEABLE:
                raise BadRequestError(f"{name} is not one of {', '.join(sorted(_CHANGEABLE))}")
            wanted = _TYPES[_PREFIX + name]
            if not isinstance(value, wanted) and not (wanted is float and type(value) is int):
                raise BadRequestError(f"{name} must be a {wanted.__name__}")
            if isinstance(value, float) and not isfinite(value):
                raise BadRequestError(f"{name} must be finite")
        if body.values.get("plan", "daily") not in {"daily", "realtime"}:
            raise BadRequestError("plan must be daily or realtime")
        self.face().configure(**{_PREFIX + name: value for name, value in body.values.items()})
        return body.values

    async def emit(self, request: Request) -> Any:
        """Send any event about a connection, signed as the real one; `extra` adds members."""
        body, face = await Body.of(request), self.face()
        connection = face.store.connection(body.text("connection_id"))
        if connection is None:
            return found("connection", there=False)
        await face.emit_for(connection, body.text("event_type"), body.mapping("extra"))
        return {"sent": bool(face.settings.snaptrade_webhook_url)}


def snaptrade_routes(state: State) -> list[tuple[str, str, Callable[[Request], Awaitable[Any]]]]:
    """Return method, path and handler of each route."""
    control = SnapTradeControl(state)
    return [
        ("PUT", "/_control/snaptrade", control.configure),
        ("POST", "/_control/snaptrade/events", control.emit),
        *crowd_routes(state, control.face),
        *history_routes(state, control.face),
    ]
