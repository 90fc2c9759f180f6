"""What users see of trading: every number with where it comes from. Pure."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from contracts.errors import MEANING, ErrorCode
from contracts.money import amount
from contracts.trading import OrderImpact, OrderRequest, Quote, SymbolMatch
from gateway.trading.guards import PREVIEWING
from gateway.trading.values import Facts, Finding, Limits, Priced, Source

UNAVAILABLE: dict[str, Any] = {"amount": None, "currency": None, "source": Source.UNAVAILABLE.value}


def plain(number: Decimal | None) -> str | None:
    """A number as text, without an exponent and without zeros at the end."""
    return None if number is None else f"{number.normalize():f}"


def figure(value: Decimal | None, currency: str, source: Source) -> dict[str, Any]:
    """A number with its source; an unknown one is unavailable, never zero."""
    if value is None:
        return dict(UNAVAILABLE)
    return {"amount": plain(amount(value)), "currency": currency, "source": source.value}


def figures(facts: Facts, order: OrderRequest, priced: Priced, impact: OrderImpact | None) -> dict[str, Any]:
    """The money of a preview."""
    currency = order.currency
    money = facts.balances.get(currency)
    cost = figure(priced.cost, currency, priced.source)
    fees = dict(UNAVAILABLE)
    if impact is not None and impact.fees is not None:
        fees = figure(impact.fees.amount, impact.fees.currency, Source.BROKER)
    return {
        "price": figure(priced.price, currency, Source.ESTIMATE),
        "notional": figure(priced.notional, currency, priced.source),
        "cost": cost,
        "fees": fees,
        "total": _total(cost, fees),
        "remaining_cash": _remaining(facts, priced, impact),
        "cash": figure(None if money is None else money.cash, currency, Source.BROKER),
        "buying_power": figure(None if money is None else money.buying_power, currency, Source.BROKER),
    }


def _total(cost: dict[str, Any], fees: dict[str, Any]) -> dict[str, Any]:
    """Cost and fees together, as good as the worse of them; without the fees there is no total."""
    if cost["amount"] is None or fees["amount"] is None or cost["currency"] != fees["currency"]:
        return dict(UNAVAILABLE)
    both = {cost["source"], fees["source"]}
    source = Source.BROKER if both == {Source.BROKER.value} else Source.ESTIMATE
    return figure(Decimal(cost["amount"]) + Decimal(fees["amount"]), cost["currency"], source)


def _remaining(facts: Facts, priced: Priced, impact: OrderImpact | None) -> dict[str, Any]:
    if impact is not None and impact.remaining_cash is not None:
        left = impact.remaining_cash
        return figure(left.amount, left.currency, Source.BROKER)
    money = facts.balances.get(priced.currency)
    if money is None or money.cash is None or priced.cost is None:
        return dict(UNAVAILABLE)
    # Fees nobody told us are not in it; a warning says so.
    fees = impact.fees if impact is not None else None
    known = fees.amount if fees is not None and fees.currency == priced.currency else Decimal(0)
    return figure(money.cash - priced.cost - known, priced.currency, Source.ESTIMATE)


def order(request: OrderRequest) -> dict[str, Any]:
    """The canonical order."""
    return {
        "symbol": request.symbol,
        "side": request.side.value,
        "order_type": request.order_type.value,
        "time_in_force": request.time_in_force.value,
        "quantity": plain(request.quantity),
        "notional": plain(request.notional),
        "limit_price": plain(request.limit_price),
        "stop_price": plain(request.stop_price),
        "extended_hours": request.extended_hours,
        "expires_on": None if request.expires_on is None else request.expires_on.isoformat(),
        "legs": [
            {
                "symbol": leg.symbol,
                "side": leg.side.value,
                "quantity": plain(leg.quantity),
                "kind": leg.kind,
            }
            for leg in request.legs
        ],
        "price_effect": request.price_effect,
        "provider_symbol_id": request.provider_symbol_id,
        "currency": request.currency,
    }


def quote(found: Quote | None) -> dict[str, Any] | None:
    """A quote; its prices are the broker's."""
    if found is None:
        return None
    return {
        "symbol": found.symbol,
        "bid": plain(found.bid),
        "ask": plain(found.ask),
        "last": plain(found.last),
        "bid_size": plain(found.bid_size),
        "ask_size": plain(found.ask_size),
        "currency": found.currency,
        "as_of": _moment(found.as_of),
    }


def guards(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Each guard, and whether it passed without a word."""
    warned = {finding.guard: finding.code for finding in findings}
    names = [(one.__name__, {"hours": "market_hours"}.get(one.__name__, one.__name__)) for one in PREVIEWING]
    return [
        {"guard": shown, "result": "warning" if name in warned else "passed", "code": warned.get(name)}
        for name, shown in names
    ]


def warnings(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Everything the user should read before placing."""
    return [
        {"code": one.code, "message": one.message, "details": dict(one.details)}
        for one in findings
        if not one.refuses
    ]


def symbol(match: SymbolMatch) -> dict[str, Any]:
    """One result of a search; `fractional` and `tradable` are null where the broker does not say."""
    found = match.instrument
    return {
        "symbol": found.key,
        "name": found.name,
        "kind": found.kind.value,
        "currency": found.currency,
        "mic": found.mic,
        "provider_symbol_id": match.provider_symbol_id,
        "tradable": match.tradable,
        "fractional": match.fractional,
    }


def reasons(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Why an account cannot trade, and what helps."""
    return [
        {
            "code": one.code,
            "reason": one.details.get("reason"),
            "message": one.message,
            "action": _help(one),
        }
        for one in findings
    ]


def held_to(facts: Facts, limits: Limits) -> dict[str, Any]:
    """The limits of a user, and what is used of the day's."""
    return {
        "max_order_notional": plain(limits.max_order_notional),
        "max_day_notional": plain(limits.max_day_notional),
        "price_collar": plain(limits.collar),
        "ordered_today": [
            {"amount": plain(used), "currency": currency}
            for currency, used in sorted(facts.ordered_today.items())
        ],
    }


def _help(finding: Finding) -> str:
    if finding.details.get("reason") == "read_only_connection":
        return "Reconnect with trading."
    return MEANING[ErrorCode(finding.code)].action


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
