"""A deterministic past per account: as many activities as the world says, at most two a day."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from provider_sandbox.snaptrade.identifiers import stable_id
from provider_sandbox.snaptrade.numbers import moment, number
from provider_sandbox.snaptrade.reference import SEARCHABLE, activity_symbol, currency, option_symbol
from provider_sandbox.snaptrade.seen import Seen
from provider_sandbox.world import Security

_CYCLE = ("BUY", "DIVIDEND", "CONTRIBUTION", "BUY", "SELL", "INTEREST", "FEE")
PER_DAY = 2
_CASH_ONLY = {"CONTRIBUTION": Decimal(1000), "INTEREST": Decimal("1.37"), "FEE": Decimal("-2.50")}


def generated_id(account_key: str, number: int, generation: int) -> str:
    """The id of a generated activity; a re-import gives everything another."""
    again = f"/{generation}" if generation else ""
    return stable_id("activity", f"{account_key}/{number}{again}")


def generated(seen: Seen, number: int, day: date) -> dict[str, Any]:
    """The activity of a number (1 is the oldest) in the generated past, without id and institution."""
    usable = _usable(seen)
    index = seen.account.activities - number
    kind = _CYCLE[index % len(_CYCLE)]
    if kind not in _CASH_ONLY and not usable:
        kind = "INTEREST"
    security = None if kind in _CASH_ONLY else usable[index % len(usable)]
    return row(seen, kind, day, security)


def _usable(seen: Seen) -> list[Security]:
    held = [seen.securities[h.security_key] for h in seen.account.holdings]
    return [s for s in held if s.price is not None and (s.kind in SEARCHABLE or s.kind == "option")]


def row(seen: Seen, kind: str, day: date, security: Security | None) -> dict[str, Any]:
    """An activity of a kind on a day, without id and institution."""
    is_option = security is not None and security.kind == "option"
    units, price, amount = _figures(kind, security)
    code = security.settlement_currency if security else seen.account.currency
    traded = kind in {"BUY", "SELL"}
    return {
        "symbol": activity_symbol(security) if security and not is_option else None,
        "currency_universal_symbol": None,
        "option_symbol": option_symbol(security, seen.securities) if security and is_option else None,
        "price": number(price),
        "units": number(units),
        "amount": number(amount),
        "currency": currency(code),
        "type": kind,
        "option_type": f"{kind}_TO_{'OPEN' if kind == 'BUY' else 'CLOSE'}" if is_option and traded else "",
        "description": f"{kind} {security.name}" if security else kind,
        "trade_date": _midnight(day),
        "settlement_date": _midnight(day + timedelta(days=1)),
        "fee": 0,
        "fx_rate": None,
        "external_reference_id": None,
    }


def _figures(kind: str, security: Security | None) -> tuple[Decimal, Decimal, Decimal]:
    """Return units, price and amount with the documented signs."""
    if security is None or security.price is None:
        return Decimal(0), Decimal(0), _CASH_ONLY[kind]
    value = (security.price * security.unit_factor).quantize(Decimal("0.01"))
    if kind == "DIVIDEND":
        return Decimal(0), Decimal(0), (value / 100).quantize(Decimal("0.01"))
    sign = Decimal(1) if kind == "BUY" else Decimal(-1)
    return sign, security.price, -sign * value


def _midnight(day: date) -> str | None:
    return moment(datetime.combine(day, time(), UTC))
