"""A small investment history made from what an account holds: the same at every call. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from provider_sandbox.plaid.holdings import shares, wire_value
from provider_sandbox.plaid.securities import security_id
from provider_sandbox.plaid.wire import currency_codes, opaque_id
from provider_sandbox.world import Account, Security, World

DAYS_APART = 6
HISTORY_DAYS = 700


@dataclass(frozen=True, slots=True)
class Entry:
    """One transaction ready for the wire and the key of the security it concerns."""

    transaction: dict[str, Any]
    security_key: str | None


def history(world: World, account: Account, account_id: str, today: date) -> Iterator[Entry]:
    """An account's transactions, newest first; deposit accounts have none."""
    if account.family != "investment":
        return
    for index in range(account.activities):
        on = today - timedelta(days=2 + (index * DAYS_APART) % HISTORY_DAYS)
        identity = opaque_id("investment transaction", account_id, str(index))
        common = {"investment_transaction_id": identity, "account_id": account_id, "date": on.isoformat()}
        yield _entry(world, account, index, common)


def _entry(world: World, account: Account, index: int, common: dict[str, Any]) -> Entry:
    kind, turn = index % 4, index // 4
    if not account.holdings or kind == 3:
        return _cash(common, account, "ACH DEPOSIT", "deposit", Decimal(-500 - 10 * (index % 7)))
    security = world.securities[account.holdings[turn % len(account.holdings)].security_key]
    if kind == 0:
        return _trade(common, security, Decimal(1 + turn % 5), "buy")
    if kind == 1:
        return _income(common, security, Decimal("-12.50") - turn % 9)
    return _trade(common, security, -Decimal(1 + turn % 3), "sell")


def _trade(common: dict[str, Any], security: Security, quantity: Decimal, kind: str) -> Entry:
    price = security.price or Decimal(0)
    verb = "BOUGHT" if kind == "buy" else "SOLD"
    figures = {
        "name": f"{verb} {security.raw_symbol or security.name}",
        "security_id": security_id(security.key),
        "quantity": shares(security, quantity),
        "amount": wire_value(security, quantity, price),
        "price": price,
        "fees": Decimal("0.65") if security.option else Decimal(0),
        "type": kind,
        "subtype": kind,
    }
    return _complete(common, figures, security.currency, security.key)


def _income(common: dict[str, Any], security: Security, amount: Decimal) -> Entry:
    figures = {
        "name": f"DIVIDEND {security.raw_symbol or security.name}",
        "subtype": "dividend",
        "type": "cash",
    }
    figures |= {"security_id": security_id(security.key)}
    return _complete(common, {**figures, **_nothing_traded(amount)}, security.currency, security.key)


def _cash(common: dict[str, Any], account: Account, name: str, subtype: str, amount: Decimal) -> Entry:
    figures = {"name": name, "type": "cash", "subtype": subtype, "security_id": None}
    return _complete(common, {**figures, **_nothing_traded(amount)}, account.currency, None)


def _nothing_traded(amount: Decimal) -> dict[str, Any]:
    return {"quantity": Decimal(0), "amount": amount, "price": Decimal(0), "fees": None}


def _complete(common: dict[str, Any], figures: dict[str, Any], currency: str, key: str | None) -> Entry:
    rest = {"transaction_datetime": None, "cancel_transaction_id": None, **currency_codes(currency)}
    return Entry({**common, **figures, **rest}, key)
