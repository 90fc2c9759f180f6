"""Control routes for many connections at once: making them, syncing them, and what was charged and exceeded."""

from collections.abc import Awaitable, Callable
from dataclasses import fields
from decimal import Decimal
from typing import Any

from starlette.requests import Request

from provider_sandbox.control.reading import BadRequestError, Body, UnknownError
from provider_sandbox.snaptrade import crowd
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.snaptrade.store import Client, Connection
from provider_sandbox.state import State

_MOST = 200_000
_COUNTS = ("users", "connections", "accounts", "holdings", "activities")


class SnapTradeCrowd:
    """The handlers; each returns a JSON value."""

    def __init__(self, state: State, face: Callable[[], SnapTradeFace]) -> None:
        self._state, self._face = state, face

    async def make(self, request: Request) -> Any:
        """Make users by connections by accounts; the answer has every id and secret. No event is sent."""
        body, face = await Body.of(request), self._face()
        order = _order(body)
        client = self._client(face, body)
        try:
            made = crowd.make(face, client, order)
        except ValueError as error:
            raise BadRequestError(str(error)) from error
        return {"client_id": client.client_id, "users": made}

    async def sync(self, request: Request) -> Any:
        """Sync connections (`connections`: ids, all when absent) as the daily sync does; `announce` tells of it.

        `transactions` tells of new activities too, as the daily check does where there are some.
        """
        body, face = await Body.of(request), self._face()
        wanted = body.values.get("connections")
        if wanted is not None and not isinstance(wanted, list):
            raise BadRequestError("connections must be a list of ids")
        found = _among(face.store.connections(), wanted)
        announce = body.flag("announce", default=True)
        tell_transactions = body.flag("transactions", default=False)
        for connection in found:
            if announce:
                await face.sync(connection)
            else:
                face.look_again(connection)
            if announce and tell_transactions:
                await face.tell_of_transactions(connection)
        return {"synced": len(found)}

    async def invoice(self, _: Request) -> Any:
        """What SnapTrade charges: one line per accepted call that costs, in order, and their sum."""
        prices = {"refresh": Decimal(self._face().settings.snaptrade_refresh_price)}
        lines = [
            {
                "kind": call.billable,
                "connection": call.connection,
                "user": call.user,
                "at": call.at.isoformat(),
                "price": str(prices.get(call.billable or "", Decimal(0))),
            }
            for call in self._state.ledger.calls(SnapTradeFace.provider)
            if call.billable and call.accepted
        ]
        total = sum((Decimal(line["price"] or 0) for line in lines), Decimal(0))
        return {"currency": "USD", "total": str(total), "lines": lines}

    async def limits(self, _: Request) -> Any:
        """How often a rate limit was exceeded since the last reset, and the most requests in one window."""
        return self._face().limits()

    def _client(self, face: SnapTradeFace, body: Body) -> Client:
        commercial = [client for client in face.store.clients.values() if not client.personal]
        named = body.text("client_id", commercial[0].client_id if commercial else "")
        client = face.store.clients.get(named)
        if client is None or client.personal:
            raise UnknownError("No such commercial client")
        return client


def _order(body: Body) -> crowd.CrowdOrder:
    names = {item.name for item in fields(crowd.CrowdOrder)} | {"client_id"}
    if unknown := body.values.keys() - names:
        raise BadRequestError(f"{', '.join(sorted(unknown))} is not one of {', '.join(sorted(names))}")
    counts = {name: body.number(name, 1) for name in _COUNTS if name in body.values}
    if any(value != int(value) or not 0 <= value <= _MOST for value in counts.values()):
        raise BadRequestError(f"counts must be whole numbers up to {_MOST}")
    institutions = body.values.get("institutions") or []
    if not isinstance(institutions, list):
        raise BadRequestError("institutions must be a list of slugs")
    kind = body.text("type", "read")
    return crowd.CrowdOrder(
        **{"users": 1} | {name: int(value) for name, value in counts.items()},
        prefix=body.text("prefix", "crowd"),
        institutions=tuple(str(slug) for slug in institutions),
        type="trade" if kind == "trade" else "read",
    )


def _among(every: list[Connection], wanted: list[Any] | None) -> list[Connection]:
    if wanted is None:
        return every
    known = {connection.id: connection for connection in every}
    if missing := [one for one in wanted if one not in known]:
        raise UnknownError(f"No such connection: {missing[0]}")
    return [known[one] for one in wanted]


def crowd_routes(
    state: State, face: Callable[[], SnapTradeFace]
) -> list[tuple[str, str, Callable[[Request], Awaitable[Any]]]]:
    """Return method, path and handler of each route."""
    handlers = SnapTradeCrowd(state, face)
    return [
        ("POST", "/_control/snaptrade/crowd", handlers.make),
        ("POST", "/_control/snaptrade/sync", handlers.sync),
        ("GET", "/_control/snaptrade/invoice", handlers.invoice),
        ("GET", "/_control/snaptrade/limits", handlers.limits),
    ]
