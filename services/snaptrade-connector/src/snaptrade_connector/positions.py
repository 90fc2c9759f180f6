"""SnapTrade's positions as holdings. Pure, and fast where an account has many.

Units here (SnapTrade's are in ``wire``): quantities in shares, contracts, coins or face units, negative for
short ones; prices per share; market value and cost basis of the whole position; nothing in pence.
"""

from collections.abc import Iterable
from decimal import Context, Decimal, localcontext

import msgspec

from contracts.holdings import Holding
from contracts.instruments import Instrument
from contracts.money import InexactNumberError, amount, quantity
from snaptrade_connector import wire
from snaptrade_connector.instruments import ONE, instrument, listing_currency, money_market
from snaptrade_connector.units import (
    HUNDREDTH,
    MINOR_UNITS,
    SHORT_PAIR,
    WHOLE_CURRENCIES,
    currency_code,
    number,
)

GAP_QUANTITY = "a position has no quantity"
GAP_NUMBER = "a number of a position cannot be kept exactly"
_EXACT = Context(prec=100)


class Rows(msgspec.Struct, frozen=True):
    """The holdings that could be read, and why others could not (empty when all could)."""

    holdings: list[Holding]
    gaps: frozenset[str]


def holdings(rows: Iterable[wire.Position], account_currency: str) -> Rows:
    """Positions as holdings, one per instrument and currency.

    A row without units is no known quantity and is left out with a gap; one of zero units is not held.
    ``account_currency`` stands in where neither row nor instrument names one; such a row is unpriced.
    """
    found: list[Holding] = []
    gaps: set[str] = set()
    # Products and sums are exact in 100 digits; what is kept of them is rounded once, by ``amount``.
    with localcontext(_EXACT):
        for row in rows:
            try:
                units, length = number(row.units)
                if units:
                    found.append(_holding(row, units, length, account_currency))
                elif units is None:
                    gaps.add(GAP_QUANTITY)
            except InexactNumberError:
                gaps.add(GAP_NUMBER)
        return Rows(_merged(found), frozenset(gaps))


def _holding(row: wire.Position, units: Decimal, length: int, account_currency: str) -> Holding:
    raw = bytes(row.instrument)
    held = money_market(raw) if row.cash_equivalent else instrument(raw)
    (price, price_length), (cost, cost_length) = number(row.price), number(row.cost_basis)
    currency = row.currency
    if currency not in WHOLE_CURRENCIES or held.multiplier is not ONE or price is None or cost is None:
        return _odd_holding(row, held, units, account_currency)
    value, basis = price * units, cost * units
    return Holding(
        instrument=held,
        quantity=units,
        currency=currency,
        price=price,
        market_value=value if length + price_length <= SHORT_PAIR else amount(value),
        cost_basis=basis if length + cost_length <= SHORT_PAIR else amount(basis),
        cash_equivalent=row.cash_equivalent is True,
    )


def _odd_holding(row: wire.Position, held: Instrument, units: Decimal, account_currency: str) -> Holding:
    """A row with something unknown, a multiplier, or a currency that needs a second look."""
    (price, _), (cost, _) = number(row.price), number(row.cost_basis)
    code = row.currency or listing_currency(bytes(row.instrument))
    price, cost, currency = _in_whole_currency(code, price, cost, account_currency)
    size = None if held.multiplier is None else units * held.multiplier
    return Holding(
        instrument=held,
        quantity=units,
        currency=currency,
        price=price,
        market_value=None if price is None or size is None else amount(price * size),
        cost_basis=None if cost is None or size is None else amount(cost * size),
        cash_equivalent=row.cash_equivalent is True,
    )


def _in_whole_currency(
    code: str | None, price: Decimal | None, cost: Decimal | None, account_currency: str
) -> tuple[Decimal | None, Decimal | None, str]:
    """Price, cost and currency of a row in pence, in odd spelling, or without any currency (then unpriced)."""
    if code is None:
        return None, None, account_currency
    if code in MINOR_UNITS:
        price, cost = (None if value is None else quantity(value * HUNDREDTH) for value in (price, cost))
    return price, cost, currency_code(code)


def _merged(found: list[Holding]) -> list[Holding]:
    """One row per instrument and currency: brokers list the lots of a margin and a cash side apart."""
    if len({holding.instrument.key for holding in found}) == len(found):
        return found
    rows: dict[tuple[str, str], Holding] = {}
    for holding in found:
        key = (holding.instrument.key, holding.currency)
        rows[key] = _sum(rows[key], holding) if key in rows else holding
    return list(rows.values())


def _sum(first: Holding, second: Holding) -> Holding:
    """Two rows of one instrument; a value or cost that one of them lacks is unknown for both together."""
    return msgspec.structs.replace(
        first,
        quantity=first.quantity + second.quantity,
        price=first.price if first.price is not None else second.price,
        market_value=_plus(first.market_value, second.market_value),
        cost_basis=_plus(first.cost_basis, second.cost_basis),
        cash_equivalent=first.cash_equivalent and second.cash_equivalent,
    )


def _plus(first: Decimal | None, second: Decimal | None) -> Decimal | None:
    return None if first is None or second is None else first + second
