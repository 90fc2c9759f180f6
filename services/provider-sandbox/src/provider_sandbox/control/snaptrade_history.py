"""Control routes for what SnapTrade has of an account: activities that come, go and get new ids, and orders."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from starlette.requests import Request

from provider_sandbox.control.reading import BadRequestError, Body, UnknownError
from provider_sandbox.snaptrade import activities
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.snaptrade.orders import STATUSES
from provider_sandbox.snaptrade.seen import look
from provider_sandbox.snaptrade.timeline import Added, Changes
from provider_sandbox.state import State

_MOST = 200_000


class SnapTradeHistory:
    """The handlers; each returns a JSON value."""

    def __init__(self, state: State, face: Callable[[], SnapTradeFace]) -> None:
        self._state, self._face = state, face

    async def put(self, request: Request) -> Any:
        """Give an account a generated past of `count` activities, or (`reimport`) everything new ids; no event."""
        key, body = self._account(request), await Body.of(request)
        if "count" in body.values:
            count = body.number("count", 0)
            if not 0 <= count <= _MOST or count != int(count):
                raise BadRequestError(f"count must be a whole number up to {_MOST}")
            self._state.world.set_history(key, int(count))
            for connection in self._face().store.connections():
                self._count_again(connection.seen, key)
        if body.flag("reimport", default=False):
            self._reimport(key, self._face().changed_history(key))
        return {"account": key, "count": self._state.world.accounts[key].activities}

    async def add(self, request: Request) -> Any:
        """Add rows, each laid over a made-up one; `announce` syncs the account and tells, `at_once` shows them before."""
        key, body = self._account(request), await Body.of(request)
        rows, at_once = body.values.get("rows"), body.flag("at_once", default=False)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise BadRequestError("rows must be a list of objects")
        changes, now = self._face().changed_history(key), self._state.clock()
        made = [self._row(key, row) for row in rows]
        changes.added += [Added(row, None if at_once else now) for row in made]
        told = 0
        if body.flag("announce", default=not at_once):
            told = await self._face().activities_changed(key)
        return {"account": key, "ids": [row.get("id") for row in made], "announced": told}

    async def remove(self, request: Request) -> Any:
        """Take activities back by their `ids`, at once and without an event."""
        key, body = self._account(request), await Body.of(request)
        ids = body.values.get("ids")
        if not isinstance(ids, list):
            raise BadRequestError("ids must be a list")
        self._face().changed_history(key).removed.update({str(one): True for one in ids})
        return {"account": key, "removed": len(ids)}

    async def add_order(self, request: Request) -> Any:
        """Give an account an order; an id that is there already is another leg of that order."""
        key, body = self._account(request), await Body.of(request)
        security, status = body.text("security"), body.text("status", "ACCEPTED")
        if security not in self._state.world.securities:
            raise UnknownError(f"No such security: {security}")
        if status not in STATUSES:
            raise BadRequestError(f"status must be one of {', '.join(sorted(STATUSES))}")
        order = {
            "id": body.text("id", str(uuid4())),
            "security": security,
            "status": status,
            "action": body.text("action", "BUY"),
            "quantity": str(body.decimal("quantity") or Decimal(1)),
            "filled": str(body.decimal("filled") or Decimal(0)),
            "price": str(body.decimal("price") or Decimal(10)),
            "placed": body.text("placed", self._state.clock().isoformat()),
        }
        self._face().changed_history(key).orders.append(order)
        return order

    def _account(self, request: Request) -> str:
        key = str(request.path_params["account"])
        if key not in self._state.world.accounts:
            raise UnknownError(f"No such account: {key}")
        return key

    def _count_again(self, seen: dict[str, Any], key: str) -> None:
        if key in seen:
            seen[key] = look(self._state.world, key, seen[key].at)

    def _reimport(self, key: str, changes: Changes) -> None:
        """Everything gets another id; what was taken back stays away."""
        before, now = changes.generation, changes.generation + 1
        for number in range(1, self._state.world.accounts[key].activities + 1 if changes.removed else 1):
            if activities.generated_id(key, number, before) in changes.removed:
                changes.removed[activities.generated_id(key, number, now)] = True
        changes.generation = now
        kept = [one for one in changes.added if one.row.get("id") not in changes.removed]
        changes.added = [
            Added({**one.row, "id": str(uuid4())} if "id" in one.row else one.row, one.known_at)
            for one in kept
        ]

    def _row(self, key: str, given: dict[str, Any]) -> dict[str, Any]:
        """A row as SnapTrade would show it; `type` and `trade_date` are worth giving, null `id` leaves it out."""
        now = self._state.clock()
        seen = look(self._state.world, key, now)
        yesterday = now.astimezone(UTC).date() - timedelta(days=1)
        kind = str(given.get("type") or "INTEREST")
        made = activities.row(seen, "INTEREST", yesterday, None) | {"type": kind, "description": kind}
        row = {"id": str(uuid4())} | made | {"settlement_date": made["trade_date"]} | given
        if row["id"] is None:
            del row["id"]
        self._check_day(row)
        return row

    def _check_day(self, row: dict[str, Any]) -> None:
        try:
            datetime.fromisoformat(row.get("trade_date") or row["settlement_date"])
        except (ValueError, TypeError) as error:
            raise BadRequestError("trade_date or settlement_date must be an ISO time") from error


def history_routes(
    state: State, face: Callable[[], SnapTradeFace]
) -> list[tuple[str, str, Callable[[Request], Awaitable[Any]]]]:
    """Return method, path and handler of each route."""
    history, base = SnapTradeHistory(state, face), "/_control/snaptrade/accounts/{account:path}"
    return [
        ("PUT", f"{base}/activities", history.put),
        ("POST", f"{base}/activities", history.add),
        ("DELETE", f"{base}/activities", history.remove),
        ("POST", f"{base}/orders", history.add_order),
    ]
