"""What can be read of trading: previews, quotes, order details, and the lists of orders with the placed ones in them."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from provider_sandbox.snaptrade import account_routes, errors, trading_checks, trading_forms, trading_wire
from provider_sandbox.snaptrade.connection_routes import old_account
from provider_sandbox.snaptrade.endpoint import Endpoint
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.snaptrade.gate import SignedCall
from provider_sandbox.snaptrade.identifiers import stable_id
from provider_sandbox.snaptrade.numbers import number
from provider_sandbox.snaptrade.reference import currency, universal_symbol
from provider_sandbox.snaptrade.store import Connection
from provider_sandbox.snaptrade.trading_intake import ticket_of, tradable_account
from provider_sandbox.snaptrade.trading_model import EXECUTED, OPEN, Preview, Ticket, TradeOrder

_LIFETIME, _RECENT = timedelta(minutes=5), timedelta(days=1)
_MOST_SYMBOLS, _MOST_DAYS = 10, 90
_CENT = Decimal("0.01")
Row = dict[str, Any]


# Previews


def impact(face: SnapTradeFace, call: SignedCall) -> Row:
    """`POST /trade/impact`: what an order would cost; its trade can be placed once within five minutes."""
    account_id = call.required("account_id")
    connection, key = tradable_account(face, call, account_id, None)
    conditions = face.trading.conditions_for(key)
    if not conditions.impact:
        raise errors.invalid("This brokerage does not support checking the impact of an order.")
    ticket = ticket_of(face, key, trading_forms.impact(call.body))
    world = face.state.world
    trading_checks.affordable(world.accounts[key], ticket, face.trading.book.open_in(key), world, conditions)
    trade_id = str(uuid4())
    user, expires = call.user, face.now() + _LIFETIME
    face.trading.previews[trade_id] = Preview(user.client_id, user.user_id, account_id, key, ticket, expires)
    return _impact_body(face, connection, key, ticket, trade_id)


def _impact_body(face: SnapTradeFace, connection: Connection, key: str, ticket: Ticket, trade_id: str) -> Row:
    world, conditions = face.state.world, face.trading.conditions_for(key)
    account, account_id = world.accounts[key], connection.accounts[key]
    code, cost = next(iter(trading_checks.cost(ticket, world, conditions).items()))
    left = trading_checks.available(account, [], world, code) - cost if not account.margin else None
    cash = account.cash.get(code, Decimal(0)) - cost if left is None else left
    remaining = number(cash.quantize(_CENT))
    known = conditions.commission_known
    shown = old_account(face, connection, key)
    simple = {n: shown[n] for n in ("id", "name", "number", "institution_account_id", "sync_status")}
    return {
        "trade": _trade(face, ticket, account_id, trade_id),
        "trade_impacts": [
            {
                "account": account_id,
                "currency": stable_id("currency", code),
                "remaining_cash": remaining,
                "estimated_commission": number(conditions.commission) if known else None,
                "forex_fees": None,
            }
        ],
        "combined_remaining_balance": {"account": simple, "currency": currency(code), "cash": remaining},
    }


def _trade(face: SnapTradeFace, ticket: Ticket, account_id: str, trade_id: str) -> Row:
    leg = ticket.legs[0]
    security = face.state.world.securities[leg.security_key]
    return {
        "id": trade_id,
        "account": account_id,
        "order_type": ticket.order_type,
        "time_in_force": ticket.time_in_force,
        "symbol": {
            "universal_symbol_id": stable_id("security", security.key),
            "currency": currency(security.currency),
            "local_id": security.key,
            "description": security.name,
            "symbol": security.symbol,
            "brokerage_symbol_id": stable_id("brokerage symbol", security.key),
        },
        "action": leg.action,
        "units": number(leg.quantity),
        "price": None if ticket.limit is None else number(ticket.limit),
    }


def options_impact(face: SnapTradeFace, call: SignedCall) -> Row:
    """`POST /accounts/{accountId}/trading/options/impact`: three strings."""
    _, key = tradable_account(face, call, call.path("accountId"), None)
    conditions, world = face.trading.conditions_for(key), face.state.world
    if not conditions.impact:
        raise errors.invalid("This brokerage does not support checking the impact of an order.")
    ticket = ticket_of(face, key, trading_forms.combination(call.body))
    trading_checks.affordable(world.accounts[key], ticket, face.trading.book.open_in(key), world, conditions)
    fees = trading_checks.fees(ticket, conditions)
    change = next(iter(trading_checks.cost(ticket, world, conditions).values())) - fees
    direction = "EVEN" if change == 0 else "DEBIT" if change > 0 else "CREDIT"
    return {
        "estimated_cash_change": str(abs(change).quantize(_CENT)),
        "cash_change_direction": direction,
        "estimated_fee_total": str(fees.quantize(_CENT)),
    }


# Quotes


def quotes(face: SnapTradeFace, call: SignedCall) -> list[Row]:
    """`GET /accounts/{accountId}/quotes`: at most ten, by id or by ticker; unknown ones are left out."""
    face.find_account(call, call.path("accountId"))
    names = [name.strip() for name in call.query("symbols").split(",") if name.strip()]
    if not names or len(names) > _MOST_SYMBOLS:
        raise errors.invalid(f"symbols: Between 1 and {_MOST_SYMBOLS} symbols are required.")
    look_up = face.trading.instruments
    find = look_up.by_symbol if call.query("use_ticker").lower() == "true" else look_up.by_id
    found = [find(face.state.world, name) for name in names]
    return [_quote(security) for security in found if security is not None and security.kind != "option"]


def _quote(security: Any) -> Row:
    shown: Row = {"symbol": universal_symbol(security)}
    if security.price is not None:
        half = max((security.price / 10_000).quantize(_CENT), _CENT)
        shown |= {
            "last_trade_price": number(security.price),
            "bid_price": number(max(security.price - half, _CENT)),
            "ask_price": number(security.price + half),
            "bid_size": 200,
            "ask_size": 300,
        }
    return shown


def retired_option_quotes(face: SnapTradeFace, call: SignedCall) -> None:
    """`GET /accounts/{accountId}/quotes/options`: gone for everybody."""
    face.find_account(call, call.path("accountId"))
    raise errors.retired()


# Orders


def _own(call: SignedCall) -> tuple[Connection, str] | None:
    """The caller's account of the path, without counting a request."""
    wanted = call.path("accountId")
    for connection in call.user.connections.values():
        for key, account_id in connection.accounts.items():
            if account_id == wanted:
                return connection, key
    return None


def _base(face: SnapTradeFace, call: SignedCall, handler: Callable[[SnapTradeFace, SignedCall], Any]) -> Any:
    """What the endpoint answers without trading, asked when time and prices have done their work."""
    own = _own(call)
    if own is not None:
        face.trading.tick(own[1])
    return handler(face, call)


def _with_placed(
    face: SnapTradeFace,
    call: SignedCall,
    rows: list[Row],
    placed: Callable[[Connection, str], Iterable[TradeOrder]],
    render: Callable[[TradeOrder], list[Row]],
) -> list[Row]:
    """What the account shows anyway and what was placed, newest first.

    Made-up past orders follow the holdings, so they are left out where trading changes those: they would change too.
    """
    own = _own(call)
    if own is None:
        return rows
    connection, key = own
    found = [row for order in placed(connection, key) for row in render(order)]
    if connection.type == "trade" or face.trading.book.orders(key):
        made_up = {stable_id("order", f"{key}/{index}") for index in range(10)}
        rows = [row for row in rows if row["brokerage_order_id"] not in made_up]
    return sorted([*found, *rows], key=lambda row: row["time_placed"] or "", reverse=True)


def _synced(face: SnapTradeFace, call: SignedCall) -> Callable[[Connection, str], list[TradeOrder]]:
    """The placed orders of `/orders`: as the last sync saw them, of the wanted state and days."""
    days = min(int(call.query("days") or 30), _MOST_DAYS) if (call.query("days") or "30").isdigit() else 30
    wanted = {"open": OPEN, "executed": EXECUTED}.get(call.query("state"))

    def placed(connection: Connection, key: str) -> list[TradeOrder]:
        seen, now = face.view(connection, key), face.now()
        if face.synced(connection, seen) is None:
            return []
        listed = face.trading.book.listed(key, now, seen.at)
        recent = (o for o in listed if o.placed >= now - timedelta(days=days))
        return [o for o in recent if wanted is None or o.status in wanted]

    return placed


def _live(face: SnapTradeFace, call: SignedCall) -> Callable[[Connection, str], list[TradeOrder]]:
    """The placed orders of `/recentOrders`: of the last day, live, the newest page only."""
    everything = call.query("only_executed").lower() == "false"

    def placed(_: Connection, key: str) -> list[TradeOrder]:
        now = face.now()
        listed = face.trading.book.listed(key, now, now)
        found = [o for o in listed if o.placed >= now - _RECENT and (everything or o.status in EXECUTED)]
        return found[: face.trading.conditions_for(key).recent_page]

    return placed


def _legs(face: SnapTradeFace) -> Callable[[TradeOrder], list[Row]]:
    return lambda order: trading_wire.records(order, face.state.world.securities)


def _v2(face: SnapTradeFace) -> Callable[[TradeOrder], list[Row]]:
    return lambda order: [trading_wire.record_v2(order, face.state.world.securities)]


def list_orders(face: SnapTradeFace, call: SignedCall) -> list[Row]:
    """`GET /accounts/{accountId}/orders`."""
    rows = _base(face, call, account_routes.list_orders)
    return _with_placed(face, call, rows, _synced(face, call), _legs(face))


def list_orders_v2(face: SnapTradeFace, call: SignedCall) -> Row:
    """`GET /accounts/{accountId}/orders/v2`."""
    body = _base(face, call, account_routes.list_orders_v2)
    return {"orders": _with_placed(face, call, body["orders"], _synced(face, call), _v2(face))}


def list_orders_all(face: SnapTradeFace, call: SignedCall) -> Row:
    """`GET /accounts/{accountId}/orders/all`."""
    body, securities = _base(face, call, account_routes.list_orders_all), face.state.world.securities
    rendered = _with_placed(
        face, call, body["results"], _synced(face, call), lambda o: [trading_wire.record_all(o, securities)]
    )
    return {**body, "results": rendered}


def recent_orders(face: SnapTradeFace, call: SignedCall) -> Row:
    """`GET /accounts/{accountId}/recentOrders`."""
    body = _base(face, call, account_routes.recent_orders)
    return {"orders": _with_placed(face, call, body["orders"], _live(face, call), _legs(face))}


def recent_orders_v2(face: SnapTradeFace, call: SignedCall) -> Row:
    """`GET /accounts/{accountId}/recentOrders/v2`."""
    body = _base(face, call, account_routes.recent_orders_v2)
    return {"orders": _with_placed(face, call, body["orders"], _live(face, call), _v2(face))}


def _placed_here(face: SnapTradeFace, call: SignedCall, order_id: str) -> TradeOrder:
    connection, seen = face.find_account(call, call.path("accountId"))
    if connection.disabled_at is not None:
        raise errors.disabled()
    face.trading.tick(seen.account.key)
    order = face.trading.book.get(order_id, seen.account.key)
    if order is None or order.connection is None:
        raise errors.not_found()
    return order


def details(face: SnapTradeFace, call: SignedCall) -> Row:
    """`POST /accounts/{accountId}/orders/details`: single-leg orders placed through SnapTrade only, live."""
    order = _placed_here(face, call, call.required("brokerage_order_id"))
    if len(order.ticket.legs) > 1:
        raise errors.not_found()
    return trading_wire.records(order, face.state.world.securities)[0]


def details_v2(face: SnapTradeFace, call: SignedCall) -> Row:
    """`GET /accounts/{accountId}/orders/details/v2/{brokerageOrderId}`: orders placed through SnapTrade only, live."""
    order = _placed_here(face, call, call.path("brokerageOrderId"))
    return trading_wire.record_v2(order, face.state.world.securities)


# They come before the endpoints of the same path that know of no trading, and `/trade/impact` before `/trade/{tradeId}`.
ENDPOINTS = (
    Endpoint("POST", "/trade/impact", impact),
    Endpoint("POST", "/accounts/{accountId}/trading/options/impact", options_impact),
    Endpoint("GET", "/accounts/{accountId}/quotes", quotes),
    Endpoint("GET", "/accounts/{accountId}/quotes/options", retired_option_quotes),
    Endpoint("GET", "/accounts/{accountId}/orders", list_orders),
    Endpoint("GET", "/accounts/{accountId}/orders/v2", list_orders_v2),
    Endpoint("GET", "/accounts/{accountId}/orders/all", list_orders_all),
    Endpoint("GET", "/accounts/{accountId}/recentOrders", recent_orders),
    Endpoint("GET", "/accounts/{accountId}/recentOrders/v2", recent_orders_v2),
    Endpoint("POST", "/accounts/{accountId}/orders/details", details),
    Endpoint("GET", "/accounts/{accountId}/orders/details/v2/{brokerageOrderId}", details_v2),
)
