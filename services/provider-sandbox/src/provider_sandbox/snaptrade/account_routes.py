"""Accounts, balances, positions, activities and orders."""

from datetime import date, datetime, timedelta
from typing import Any

from provider_sandbox.snaptrade import errors, holdings, orders, performance
from provider_sandbox.snaptrade.connection_routes import new_account, new_accounts, old_account, old_accounts
from provider_sandbox.snaptrade.endpoint import Endpoint
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.snaptrade.gate import SignedCall
from provider_sandbox.snaptrade.numbers import moment, money
from provider_sandbox.snaptrade.seen import Seen
from provider_sandbox.snaptrade.store import Connection
from provider_sandbox.snaptrade.timeline import in_range
from provider_sandbox.traffic import note

PAGE = 1000
_DEFAULT_DAYS, _MOST_DAYS = 30, 90


def all_accounts(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /accounts/all`."""
    found = [new_accounts(face, connection, live=False) for connection in call.user.connections.values()]
    return {"results": [account for group in found for account in group]}


def list_accounts(face: SnapTradeFace, call: SignedCall) -> list[dict[str, Any]]:
    """`GET /accounts`, the deprecated list."""
    found = [old_accounts(face, connection, live=False) for connection in call.user.connections.values()]
    return [account for group in found for account in group]


def _account(face: SnapTradeFace, call: SignedCall) -> tuple[Connection, Seen, datetime | None]:
    connection, seen = face.find_account(call, call.path("accountId"))
    return connection, seen, face.synced(connection, seen)


def one_account(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /accounts/{accountId}`, the deprecated shape."""
    connection, seen, _ = _account(face, call)
    return old_account(face, connection, seen.account.key)


def details(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /accounts/{accountId}/details`."""
    connection, seen, _ = _account(face, call)
    return new_account(face, connection, seen.account.key)


def balances(face: SnapTradeFace, call: SignedCall) -> list[dict[str, Any]]:
    """`GET /accounts/{accountId}/balances`: one row per currency, none before the first sync."""
    _, seen, synced = _account(face, call)
    return holdings.balances(seen) if synced else []


def positions(face: SnapTradeFace, call: SignedCall) -> Any:
    """`GET /accounts/{accountId}/positions/all`: every asset class, an empty list before the first sync."""
    _, seen, synced = _account(face, call)
    if synced is None:
        return {"results": [], "data_freshness": {"as_of": moment(face.now())}}
    return holdings.positions_body(seen, synced)


def retired_holdings(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /accounts/{accountId}/holdings`: 410 unless the customer is an old one; 425 before the first sync."""
    connection, seen, synced = _account(face, call)
    if not face.settings.snaptrade_legacy_holdings:
        raise errors.retired()
    if synced is None:
        raise errors.still_syncing()
    total = money(seen.total, seen.account.currency)
    return {
        "account": old_account(face, connection, seen.account.key),
        "balances": holdings.balances(seen),
        "positions": holdings.old_positions(seen),
        "option_positions": holdings.old_option_positions(seen),
        "orders": [orders.record(order, seen) for order in orders.orders_of(seen, connection.created)],
        "total_value": {"value": total["amount"], "currency": total["currency"]},
    }


def list_activities(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /accounts/{accountId}/activities`: paged by offset and limit, newest first, ends yesterday."""
    connection, seen, synced = _account(face, call)
    offset, limit = _whole(call, "offset", 0, least=0), _whole(call, "limit", PAGE, least=1)
    if limit > PAGE:
        raise errors.invalid(f"limit: Ensure this value is less than or equal to {PAGE}.")
    start, end = _day(call, "startDate"), _day(call, "endDate")
    types = frozenset(filter(None, call.query("type").upper().split(",")))
    history = face.timeline(connection, seen)
    entries = [e for e in history.entries() if in_range(e, start, end)] if synced else []
    if types:
        entries = [e for e in entries if history.type_of(e) in types]
    page = history.rendered(entries[offset : offset + limit])
    return {"data": page, "pagination": {"offset": offset, "limit": limit, "total": len(entries)}}


def _whole(call: SignedCall, name: str, default: int, least: int) -> int:
    value = call.query(name) or str(default)
    if not value.isascii() or not value.isdigit() or int(value) < least:
        raise errors.invalid(f"{name}: A valid integer of at least {least} is required.")
    return int(value)


def _day(call: SignedCall, name: str) -> date | None:
    value = call.query(name)
    try:
        return date.fromisoformat(value) if value else None
    except ValueError as error:
        raise errors.invalid(f"{name}: Date has wrong format. Use YYYY-MM-DD.") from error


def _orders(face: SnapTradeFace, call: SignedCall) -> tuple[list[orders.Order], Seen, datetime]:
    connection, seen, synced = _account(face, call)
    if seen.account.family != "investment":
        raise errors.not_implemented()
    state = call.query("state", "all")
    if state not in {"all", "open", "executed"}:
        raise errors.invalid(f'state: "{state}" is not a valid choice.')
    days = min(_whole(call, "days", _DEFAULT_DAYS, least=1), _MOST_DAYS)
    every = _every_order(face, connection, seen) if synced else []
    return orders.select(every, state, face.now() - timedelta(days=days)), seen, synced or face.now()


def _every_order(face: SnapTradeFace, connection: Connection, seen: Seen) -> list[orders.Order]:
    return [*face.orders_added(seen), *orders.orders_of(seen, connection.created)]


def list_orders(face: SnapTradeFace, call: SignedCall) -> list[dict[str, Any]]:
    """`GET /accounts/{accountId}/orders`."""
    found, seen, _ = _orders(face, call)
    return [orders.record(order, seen) for order in found]


def list_orders_v2(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /accounts/{accountId}/orders/v2`."""
    return {"orders": [orders.record_v2(order) for order in _orders(face, call)[0]]}


def list_orders_all(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /accounts/{accountId}/orders/all`."""
    found, seen, as_of = _orders(face, call)
    return {
        "results": [orders.record_all(o, seen) for o in found],
        "data_freshness": {"as_of": moment(as_of)},
    }


def _recent(face: SnapTradeFace, call: SignedCall) -> tuple[list[orders.Order], Seen]:
    connection, seen, _ = _account(face, call)
    if connection.disabled_at is not None:
        raise errors.disabled()
    note(call.request, billable="recent_orders")
    state = "all" if call.query("only_executed").lower() == "false" else "executed"
    every = _every_order(face, connection, seen)
    return orders.select(every, state, face.now() - timedelta(days=1)), seen


def recent_orders(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /accounts/{accountId}/recentOrders`: the last 24 hours, live."""
    found, seen = _recent(face, call)
    return {"orders": [orders.record(order, seen) for order in found]}


def recent_orders_v2(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /accounts/{accountId}/recentOrders/v2`."""
    return {"orders": [orders.record_v2(order) for order in _recent(face, call)[0]]}


def balance_history(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /accounts/{accountId}/balanceHistory`: a year of daily totals; 403 where the add-on is off."""
    connection, seen, synced = _account(face, call)
    if not face.settings.snaptrade_balance_history:
        raise errors.not_enabled()
    return performance.history(seen, connection.created if synced else None)


def return_rates(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /accounts/{accountId}/returnRates`: deprecated, off for nearly everybody."""
    connection, seen, _ = _account(face, call)
    if not face.settings.snaptrade_return_rates:
        raise errors.not_enabled()
    return performance.rates(seen, connection.created, call.query("timeframes"))


def retired_endpoint(face: SnapTradeFace, call: SignedCall) -> None:
    """`/positions` and `/options` of an account: gone for every newer customer."""
    _account(face, call)
    raise errors.retired()


ENDPOINTS = (
    Endpoint("GET", "/accounts/all", all_accounts),
    Endpoint("GET", "/accounts", list_accounts),
    Endpoint("GET", "/accounts/{accountId}", one_account),
    Endpoint("GET", "/accounts/{accountId}/details", details),
    Endpoint("GET", "/accounts/{accountId}/balances", balances),
    Endpoint("GET", "/accounts/{accountId}/positions/all", positions),
    Endpoint("GET", "/accounts/{accountId}/positions", retired_endpoint),
    Endpoint("GET", "/accounts/{accountId}/options", retired_endpoint),
    Endpoint("GET", "/accounts/{accountId}/holdings", retired_holdings),
    Endpoint("GET", "/accounts/{accountId}/activities", list_activities),
    Endpoint("GET", "/accounts/{accountId}/balanceHistory", balance_history),
    Endpoint("GET", "/accounts/{accountId}/returnRates", return_rates),
    Endpoint("GET", "/accounts/{accountId}/orders", list_orders),
    Endpoint("GET", "/accounts/{accountId}/orders/v2", list_orders_v2),
    Endpoint("GET", "/accounts/{accountId}/orders/all", list_orders_all),
    Endpoint("GET", "/accounts/{accountId}/recentOrders", recent_orders),
    Endpoint("GET", "/accounts/{accountId}/recentOrders/v2", recent_orders_v2),
)
