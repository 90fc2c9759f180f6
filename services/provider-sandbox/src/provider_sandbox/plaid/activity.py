"""An account's investment history: made up from what it held, and what control wrote; the same at every call. Pure."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from provider_sandbox.plaid.books import Book, Trade, made_index
from provider_sandbox.plaid.holdings import shares, wire_value
from provider_sandbox.plaid.securities import security_id
from provider_sandbox.plaid.wire import currency_codes, opaque_id, timestamp
from provider_sandbox.world import Account, Security, World

DAYS_APART = 6
HISTORY_DAYS = 700


class Line(NamedTuple):
    """One transaction before it is encoded: its day, and its index when made up or else the trade."""

    on: date
    account_id: str
    account: Account
    made: int | None
    trade: Trade | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One transaction ready for the wire and the key of the security it concerns."""

    transaction: dict[str, Any]
    security_key: str | None


def lines(book: Book, account: Account, account_id: str, anchor: date) -> Iterator[Line]:
    """An account's transactions, unsorted and cheap; deposit accounts have none."""
    if account.family != "investment":
        return
    for index, on in enumerate(_days(account.activities, anchor)):
        if index not in book.struck:
            yield Line(on, account_id, account, index, None)
    for trade in book.trades.values():
        yield Line(trade.on, account_id, account, None, trade)


def encode(world: World, book: Book, line: Line) -> Entry:
    """One transaction as the wire has it."""
    if line.trade is not None:
        return _written(world, line.trade, line.account_id)
    index = line.made or 0
    common = {
        "investment_transaction_id": transaction_id(line.account_id, f"#{index}"),
        "account_id": line.account_id,
        "date": line.on.isoformat(),
    }
    return _made(world, book, line.account, index, common)


def transaction_id(account_id: str, name: str) -> str:
    """Plaid's id of a transaction."""
    index = made_index(name)
    return opaque_id(
        "investment transaction", account_id, str(index) if index is not None else f"written {name}"
    )


@lru_cache(maxsize=64)
def _days(count: int, anchor: date) -> tuple[date, ...]:
    ago = (2 + (index * DAYS_APART) % HISTORY_DAYS for index in range(count))
    return tuple(anchor - timedelta(days=days) for days in ago)


def _made(world: World, book: Book, account: Account, index: int, common: dict[str, Any]) -> Entry:
    kind, turn = index % 4, index // 4
    if not book.securities or kind == 3:
        return _cash(common, account, "ACH DEPOSIT", "deposit", Decimal(-500 - 10 * (index % 7)))
    security = world.securities[book.securities[turn % len(book.securities)]]
    if kind == 0:
        return _trade(common, security, Decimal(1 + turn % 5), "buy")
    if kind == 1:
        return _income(common, security, Decimal("-12.50") - turn % 9)
    return _trade(common, security, -Decimal(1 + turn % 3), "sell")


def _price(key: str) -> Decimal:
    """What was paid in the made-up past: the same whatever the security costs today."""
    return Decimal(1000 + zlib.crc32(key.encode()) % 49_000) / 100


def _trade(common: dict[str, Any], security: Security, quantity: Decimal, kind: str) -> Entry:
    price = _price(security.key)
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


def _written(world: World, trade: Trade, account_id: str) -> Entry:
    security = world.securities[trade.security] if trade.security else None
    figures = {
        "investment_transaction_id": transaction_id(account_id, trade.name),
        "account_id": account_id,
        "date": trade.on.isoformat(),
        "name": trade.text,
        "security_id": security_id(security.key) if security else None,
        "quantity": shares(security, trade.quantity) if security else trade.quantity,
        "amount": trade.amount,
        "price": trade.price,
        "fees": trade.fees,
        "type": trade.type,
        "subtype": trade.subtype,
    }
    entry = _complete({}, figures, trade.currency, trade.security)
    named = transaction_id(account_id, trade.cancels) if trade.cancels else None
    when = timestamp(trade.at) if trade.at else None
    return Entry(
        {**entry.transaction, "cancel_transaction_id": named, "transaction_datetime": when}, trade.security
    )


def _nothing_traded(amount: Decimal) -> dict[str, Any]:
    return {"quantity": Decimal(0), "amount": amount, "price": Decimal(0), "fees": None}


def _complete(common: dict[str, Any], figures: dict[str, Any], currency: str, key: str | None) -> Entry:
    rest = {"transaction_datetime": None, "cancel_transaction_id": None, **currency_codes(currency)}
    return Entry({**common, **figures, **rest}, key)
