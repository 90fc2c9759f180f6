"""Control routes of trading at the SnapTrade face: conditions, chaos, orders by hand, and the ledger of placements."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any

from starlette.requests import Request

from provider_sandbox.control.reading import BadRequestError, Body, UnknownError, count
from provider_sandbox.snaptrade.errors import SnapTradeError
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.snaptrade.numbers import text
from provider_sandbox.snaptrade.trading_chaos import (
    KINDS,
    PLACING_AND_REPLACING,
    SHAPES,
    Chances,
    Chaos,
    Rule,
)
from provider_sandbox.snaptrade.trading_conditions import MEANING, Conditions
from provider_sandbox.snaptrade.trading_desk import Desk
from provider_sandbox.snaptrade.trading_forms import simple
from provider_sandbox.snaptrade.trading_intake import ticket_of
from provider_sandbox.snaptrade.trading_ledger import FILTERS, counts
from provider_sandbox.snaptrade.trading_model import Status, TradeOrder
from provider_sandbox.state import State

_KINDS = PLACING_AND_REPLACING | {"cancel"}
_ENDS: dict[str, Status] = {"cancel": "CANCELED", "expire": "EXPIRED", "reject": "REJECTED"}
_PAGE = 10_000


def prices_moved(state: State) -> None:
    """Let orders meet the prices that control has just changed."""
    face = state.faces.get(SnapTradeFace.provider)
    if isinstance(face, SnapTradeFace):
        face.trading.tick()


class TradingControl:
    """The handlers; they find the face in the state when called."""

    def __init__(self, state: State) -> None:
        self._state = state

    def _face(self) -> SnapTradeFace:
        face = self._state.faces.get(SnapTradeFace.provider)
        if not isinstance(face, SnapTradeFace):
            raise BadRequestError("The SnapTrade face is not running")
        return face

    def _desk(self) -> Desk:
        return self._face().trading

    def _account(self, name: str) -> str:
        """The world's key of an account given by that key or by an id of SnapTrade's."""
        if name in self._state.world.accounts:
            return name
        for connection in self._face().store.connections():
            for key, account_id in connection.accounts.items():
                if account_id == name:
                    return key
        raise UnknownError("No such account")

    # Conditions

    async def conditions(self, _: Request) -> Any:
        """Show the conditions, those of single accounts, and what each name means."""
        desk = self._desk()
        return {
            "conditions": _plain(desk.conditions),
            "accounts": {key: _plain(special) for key, special in desk.special.items()},
            "meaning": MEANING,
        }

    async def set_conditions(self, request: Request) -> Any:
        """Change conditions for everyone; single accounts keep their own."""
        desk, body = self._desk(), await Body.of(request)
        desk.conditions = _changed(desk.conditions, body)
        desk.tick()
        return _plain(desk.conditions)

    async def set_account(self, request: Request) -> Any:
        """Change conditions for one account, starting from those of everyone."""
        desk, key = self._desk(), self._account(request.path_params["account"])
        desk.special[key] = _changed(desk.conditions_for(key), await Body.of(request))
        desk.tick(key)
        return _plain(desk.special[key])

    # Chaos

    async def chaos(self, _: Request) -> Any:
        """List the rules in force and the random mode."""
        source = self._desk().chaos
        rules = [{**asdict(rule), "kinds": sorted(rule.kinds)} for rule in source.rules]
        return {"rules": rules, "random": None if source.chances is None else asdict(source.chances)}

    async def add_chaos(self, request: Request) -> Any:
        """Put a rule in force, after those already there."""
        body = await Body.of(request)
        account = body.values.get("account")
        kinds = frozenset(body.values.get("endpoints") or PLACING_AND_REPLACING)
        if not kinds <= _KINDS:
            raise BadRequestError(f"endpoints are some of {', '.join(sorted(_KINDS))}")
        times = count(body, "times") if "times" in body.values else 1
        key = None if account is None else self._account(str(account))
        self._desk().chaos.rules.append(Rule(_read_chaos(body), key, kinds, times))
        return await self.chaos(request)

    async def clear_chaos(self, request: Request) -> Any:
        """Remove every rule and the random mode."""
        self._desk().chaos.clear()
        return await self.chaos(request)

    async def gamble(self, request: Request) -> Any:
        """Switch the random mode on, from its seed."""
        body = await Body.of(request)
        probabilities = {str(k): v for k, v in body.mapping("probabilities").items()}
        wrong = [k for k, v in probabilities.items() if k not in KINDS or not _is_share(v)]
        if wrong or sum(probabilities.values()) > 1 + 1e-9:
            raise BadRequestError(f"probabilities: kinds are {', '.join(KINDS)}; the sum is at most 1")
        chances = Chances(
            seed=int(body.number("seed", 0)),
            probabilities=probabilities,
            foreign=body.number("foreign", 0.0),
            invisible=body.number("invisible", 0.0),
            seconds=_bounds(body, "seconds"),
            invisible_seconds=_bounds(body, "invisible_seconds"),
        )
        self._desk().chaos.gamble(chances)
        return await self.chaos(request)

    # Orders

    async def orders(self, request: Request) -> Any:
        """List every order the brokers have, foreign ones too; query item `account`."""
        account = request.query_params.get("account")
        key = None if account is None else self._account(account)
        desk = self._desk()
        desk.tick(key)
        return {"orders": [self._shown(order) for order in desk.book.orders(key)]}

    async def foreign(self, request: Request) -> Any:
        """Place an order that is not the client's: `account`, `order` as the body of `trading/simple`; nothing is checked."""
        body = await Body.of(request)
        key = self._account(body.text("account"))
        try:
            ticket = ticket_of(self._face(), key, simple(body.mapping("order")))
        except SnapTradeError as error:
            raise BadRequestError(error.detail) from error
        return self._shown(self._desk().submit(key, ticket, connection=None))

    async def act(self, request: Request) -> Any:
        """Fill (`quantity`, `price`), cancel, expire or reject an order as the broker would."""
        desk, body = self._desk(), await Body.of(request)
        order = desk.book.get(request.path_params["order_id"])
        if order is None:
            raise UnknownError("No such order")
        action = request.path_params["action"]
        if not order.is_open or action not in {"fill", *_ENDS}:
            raise BadRequestError(
                f"An order in status {order.status} takes none, an open one fill, {', '.join(_ENDS)}"
            )
        if action == "fill":
            return self._shown(desk.fill(order, body.decimal("quantity"), body.decimal("price")))
        return self._shown(desk.end(order, _ENDS[action]))

    async def end_of_day(self, _: Request) -> Any:
        """Expire every open Day order."""
        return {"expired": self._desk().end_of_day()}

    def _shown(self, order: TradeOrder) -> dict[str, Any]:
        securities, ticket = self._state.world.securities, order.ticket
        return {
            "broker_order_id": order.id,
            "account_key": order.account_key,
            "ours": order.connection is not None,
            "request_id": order.request_id,
            "status": order.status,
            "replaces": order.replaces,
            "placed": order.placed.isoformat(),
            "updated": order.updated.isoformat(),
            "visible": order.visible.isoformat(),
            "order_type": ticket.order_type,
            "time_in_force": ticket.time_in_force,
            "limit": text(ticket.limit),
            "stop": text(ticket.stop),
            "legs": [
                {
                    "symbol": securities[leg.security_key].symbol,
                    "side": leg.action,
                    "quantity": text(leg.quantity),
                    "filled": text(leg.filled),
                    "price": text(leg.price),
                }
                for leg in ticket.legs
            ],
        }

    # The ledger

    async def placements(self, request: Request) -> Any:
        """List placements, oldest first, filtered by query items, with their counts."""
        query = request.query_params
        wanted = {name: query[name] for name in FILTERS if name in query}
        accepted = {None: None, "true": True, "false": False}.get(query.get("accepted"))
        after, limit = _whole(query.get("after"), 0), _whole(query.get("limit"), _PAGE)
        desk = self._desk()
        rows = desk.placements.select(wanted, accepted=accepted, after=after)
        return {"placements": [self._row(desk, r.as_json()) for r in rows[:limit]], "counts": counts(rows)}

    async def placement_counts(self, _: Request) -> Any:
        """Count placements, without listing them."""
        return counts(self._desk().placements.all())

    @staticmethod
    def _row(desk: Desk, row: dict[str, Any]) -> dict[str, Any]:
        order = desk.book.get(row["broker_order_id"] or "")
        return row | {"order_status": None if order is None else order.status}


def _plain(conditions: Conditions) -> dict[str, Any]:
    return {
        n: v if isinstance(v, bool | int | float | str) else str(v) for n, v in asdict(conditions).items()
    }


def _changed(conditions: Conditions, body: Body) -> Conditions:
    try:
        return conditions.changed(body.values)
    except ValueError as error:
        raise BadRequestError(str(error)) from error


def _read_chaos(body: Body) -> Chaos:
    kind, shape = body.text("kind", "none"), body.text("shape", "truncated")
    if kind not in KINDS or shape not in SHAPES:
        raise BadRequestError(f"kind is one of {', '.join(KINDS)}; shape one of {', '.join(SHAPES)}")
    usual = Chaos()
    return replace(
        usual,
        kind=kind,  # type: ignore[arg-type]  # one of the literal's own values
        shape=shape,  # type: ignore[arg-type]  # one of the literal's own values
        seconds=body.number("seconds", usual.seconds),
        invisible_seconds=body.number("invisible_seconds", 0.0),
        foreign=body.flag("foreign", default=False),
        status=int(body.number("status", usual.status)),
        code=body.text("code", usual.code),
        detail=body.text("detail", usual.detail),
    )


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _bounds(body: Body, name: str) -> tuple[float, float]:
    value = body.values.get(name, [0.05, 1.0])
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(v, int | float) for v in value):
        raise BadRequestError(f"{name} must be a list of the least and the most")
    return float(value[0]), float(value[1])


def _whole(value: str | None, default: int) -> int:
    if value is not None and not (value.isascii() and value.isdigit()):
        raise BadRequestError("after and limit must be whole numbers")
    return default if value is None else int(value)


def trading_routes(state: State) -> list[tuple[str, str, Callable[[Request], Awaitable[Any]]]]:
    """Return method, path and handler of each route."""
    control = TradingControl(state)
    return [
        ("GET", "/_control/trading", control.conditions),
        ("PUT", "/_control/trading", control.set_conditions),
        ("PUT", "/_control/trading/accounts/{account:path}", control.set_account),
        ("GET", "/_control/trading/chaos", control.chaos),
        ("POST", "/_control/trading/chaos", control.add_chaos),
        ("DELETE", "/_control/trading/chaos", control.clear_chaos),
        ("PUT", "/_control/trading/random", control.gamble),
        ("GET", "/_control/trading/orders", control.orders),
        ("POST", "/_control/trading/orders", control.foreign),
        ("POST", "/_control/trading/orders/{order_id}/{action}", control.act),
        ("POST", "/_control/trading/end-of-day", control.end_of_day),
        ("GET", "/_control/placements", control.placements),
        ("GET", "/_control/placements/counts", control.placement_counts),
    ]
