"""From a request to something a broker can do: permission, form, instruments, market; and what the ledger keeps of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from provider_sandbox.snaptrade import errors, trading_checks, trading_forms
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.snaptrade.gate import SignedCall
from provider_sandbox.snaptrade.numbers import text
from provider_sandbox.snaptrade.store import Connection
from provider_sandbox.snaptrade.trading_chaos import Chaos
from provider_sandbox.snaptrade.trading_forms import Asked, AskedLeg
from provider_sandbox.snaptrade.trading_ledger import Placement
from provider_sandbox.snaptrade.trading_model import Ticket, TradeOrder
from provider_sandbox.snaptrade.trading_wire import record, records
from provider_sandbox.world import Security

_PACE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Intent:
    """A request the broker has understood: `act` does it (or raises why not), `answer` renders what came of it."""

    connection: Connection
    account_key: str
    ticket: Ticket
    act: Callable[[Chaos], TradeOrder]
    answer: Callable[[TradeOrder], Any]


def claimed(row: Placement, call: SignedCall) -> None:
    """Write down what a request says of itself, before anything is known to be true."""
    row.user = call.admitted_user.user_id if call.admitted_user else None
    row.client = call.client.client_id
    account = call.request.path_params.get("accountId") or call.member("account_id")
    row.account = account if isinstance(account, str) else None
    for name, member in (("client_order_id", "client_order_id"), ("symbol", "symbol")):
        value = call.member(member)
        setattr(row, name, value if isinstance(value, str) else None)


def tradable_account(
    face: SnapTradeFace, call: SignedCall, account_id: str, row: Placement | None
) -> tuple[Connection, str]:
    """The caller's account and its connection, if orders can be placed through it."""
    connection, seen = face.find_account(call, account_id)
    key = seen.account.key
    if row is not None:
        row.account, row.account_key, row.connection = account_id, key, connection.id
    trading_checks.may_trade(connection, face.institution(connection), face.state.world.accounts[key])
    face.trading.tick(key)
    return connection, key


def finder(face: SnapTradeFace) -> Callable[[AskedLeg], Security | None]:
    """Return the look-up of instruments."""
    world, instruments = face.state.world, face.trading.instruments

    def find(leg: AskedLeg) -> Security | None:
        if leg.universal_symbol_id is not None:
            return instruments.by_id(world, leg.universal_symbol_id)
        return instruments.by_symbol(world, leg.symbol or "")

    return find


def ticket_of(face: SnapTradeFace, key: str, asked: Asked) -> Ticket:
    """Return the ticket of a form, or raise what the broker says to it."""
    conditions = face.trading.conditions_for(key)
    ticket = trading_checks.ticket(asked, finder(face), conditions, face.now())
    trading_checks.market_takes(ticket, conditions)
    return ticket


def described(row: Placement, ticket: Ticket, face: SnapTradeFace) -> None:
    """Write down what is to be traded."""
    securities = face.state.world.securities
    row.symbol = "/".join(securities[leg.security_key].symbol or leg.security_key for leg in ticket.legs)
    row.side = "/".join(leg.action for leg in ticket.legs)
    row.quantity = "/".join(text(leg.quantity) or "" for leg in ticket.legs)
    row.order_type, row.limit_price = ticket.order_type, text(ticket.limit)


def _new_order(
    face: SnapTradeFace,
    row: Placement,
    connection: Connection,
    key: str,
    ticket: Ticket,
    *,
    answer: Callable[[TradeOrder], Any],
    at_once: bool = True,
) -> Intent:
    described(row, ticket, face)
    check_pace(face, row, key)

    def act(chaos: Chaos) -> TradeOrder:
        desk, world = face.trading, face.state.world
        open_orders = desk.book.open_in(key)
        account = world.accounts[key]
        trading_checks.affordable(account, ticket, open_orders, world, desk.conditions_for(key))
        return desk.submit(
            key,
            ticket,
            connection=connection.id,
            request_id=row.request_id,
            invisible_seconds=chaos.invisible_seconds,
            at_once=at_once,
            rejected_after=chaos.seconds if chaos.kind == "reject_later" else None,
        )

    return Intent(connection, key, ticket, act, answer)


def check_pace(face: SnapTradeFace, row: Placement, key: str) -> None:
    """Note a second order within a second on one account; refuse it where the conditions say so."""
    last = face.trading.last_accepted.get(key)
    row.too_fast = last is not None and face.now() - last < _PACE
    if row.too_fast and face.trading.conditions_for(key).pace:
        raise errors.throttled(1)


def place(face: SnapTradeFace, call: SignedCall, row: Placement) -> Intent:
    """`POST /trade/place`."""
    connection, key = tradable_account(face, call, call.required("account_id"), row)
    ticket = ticket_of(face, key, trading_forms.place(call.body))
    return _new_order(face, row, connection, key, ticket, answer=_one_record(face))


def trade(face: SnapTradeFace, call: SignedCall, row: Placement) -> Intent:
    """`POST /trade/{tradeId}`: what was checked within the last five minutes, once."""
    trade_id = call.path("tradeId")
    preview = face.trading.previews.get(trade_id)
    if preview is None or (preview.client_id, preview.user_id) != (call.user.client_id, call.user.user_id):
        raise errors.not_found()
    connection, key = tradable_account(face, call, preview.account_id, row)
    described(row, preview.ticket, face)
    if face.now() >= preview.expires:
        raise errors.invalid("This trade has expired. Please check the order impact again.")
    wait = call.member("wait_to_confirm")
    if wait is not None and not isinstance(wait, bool):
        raise errors.invalid("wait_to_confirm: Must be a valid boolean.")
    trading_checks.market_takes(preview.ticket, face.trading.conditions_for(key))
    intent = _new_order(
        face, row, connection, key, preview.ticket, answer=_one_record(face), at_once=wait is not False
    )

    def act(chaos: Chaos) -> TradeOrder:
        if face.trading.previews.get(trade_id) is None:
            raise errors.invalid("This trade has already been placed.")
        order = intent.act(chaos)
        del face.trading.previews[trade_id]
        return order

    return replace(intent, act=act)


def options(face: SnapTradeFace, call: SignedCall, row: Placement) -> Intent:
    """`POST /accounts/{accountId}/trading/options`."""
    connection, key = tradable_account(face, call, call.path("accountId"), row)
    ticket = ticket_of(face, key, trading_forms.combination(call.body))

    def answer(order: TradeOrder) -> Any:
        return {"brokerage_order_id": order.id, "orders": records(order, face.state.world.securities)}

    return _new_order(face, row, connection, key, ticket, answer=answer)


def simple(face: SnapTradeFace, call: SignedCall, row: Placement) -> Intent:
    """`POST /accounts/{accountId}/trading/simple`."""
    connection, key = tradable_account(face, call, call.path("accountId"), row)
    ticket = ticket_of(face, key, trading_forms.simple(call.body))
    return _new_order(
        face, row, connection, key, ticket, answer=lambda order: {"brokerage_order_id": order.id}
    )


def replacing(face: SnapTradeFace, call: SignedCall, row: Placement) -> Intent:
    """`POST /accounts/{accountId}/trading/replace`: the old order ends as REPLACED, the new one has a new id."""
    connection, key = tradable_account(face, call, call.path("accountId"), row)
    old = named_order(face, call, key)
    row.replaces = old.id
    asked = _like(face, old, trading_forms.replacement(call.body), call)
    ticket = ticket_of(face, key, asked)
    described(row, ticket, face)

    def act(chaos: Chaos) -> TradeOrder:
        desk, world = face.trading, face.state.world
        current = desk.book.get(old.id) or old
        desk.replaceable(current)
        others = [order for order in desk.book.open_in(key) if order.id != old.id]
        trading_checks.affordable(world.accounts[key], ticket, others, world, desk.conditions_for(key))
        if desk.conditions_for(key).replace != "same_id":
            desk.end(current, "REPLACED")
        return desk.submit(
            key,
            ticket,
            connection=connection.id,
            request_id=row.request_id,
            invisible_seconds=chaos.invisible_seconds,
            replaces=current,
        )

    return Intent(connection, key, ticket, act, _one_record(face))


def _like(face: SnapTradeFace, old: TradeOrder, asked: Asked, call: SignedCall) -> Asked:
    """The replacement trades the same instrument the same way."""
    if len(old.ticket.legs) > 1:
        raise errors.invalid("Orders with several legs cannot be replaced.")
    leg = old.ticket.legs[0]
    given = asked.legs[0]
    if given.action != leg.action:
        raise errors.invalid("action: The action of an order cannot be changed.")
    units = given.quantity if call.member("units") is not None else leg.left
    symbol = face.state.world.securities[leg.security_key].symbol
    return replace(asked, legs=(replace(given, quantity=units, symbol=symbol),))


def cancelling(face: SnapTradeFace, call: SignedCall, row: Placement) -> Intent:
    """`POST /accounts/{accountId}/trading/cancel`."""
    connection, key = tradable_account(face, call, call.path("accountId"), row)
    order = named_order(face, call, key)
    described(row, order.ticket, face)

    def answer(done: TradeOrder) -> Any:
        raw = {"order_id": done.id, "status": done.status}
        return {"brokerage_order_id": done.id, "raw_response": raw}

    def act(_: Chaos) -> TradeOrder:
        return face.trading.cancel(face.trading.book.get(order.id) or order)

    return Intent(connection, key, order.ticket, act, answer)


def named_order(face: SnapTradeFace, call: SignedCall, key: str) -> TradeOrder:
    """The order the body names, of this account; 400 when there is none."""
    order = face.trading.book.get(call.required("brokerage_order_id"), key)
    if order is None:
        raise errors.invalid("brokerage_order_id: Order could not be found.")
    return order


def _one_record(face: SnapTradeFace) -> Callable[[TradeOrder], Any]:
    return lambda order: record(order, order.ticket.legs[0], face.state.world.securities)
