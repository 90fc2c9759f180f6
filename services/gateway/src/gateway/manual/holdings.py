"""Entries as holdings: what a connector would have said of the same thing. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from contracts.holdings import Holding
from contracts.instruments import Instrument, InstrumentKind
from contracts.money import InexactNumberError, product
from gateway.manual.entries import Entry, EntryError
from gateway.manual.instruments import instrument
from gateway.manual.units import (
    LARGEST_AMOUNT,
    ONE,
    Unit,
    exact_amount,
    exact_quantity,
    unit,
    whole_units,
)

MAX_HOLDINGS = 5_000
FAR_OFF = Decimal(10)
"""A value this many times off price times quantity is no rounding: pence for pounds, or a forgotten multiplier."""
Slot = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """An entry with the holding it means."""

    entry: Entry
    holding: Holding

    @property
    def slot(self) -> Slot:
        """What one account holds at most once: instrument key and currency."""
        return self.holding.instrument.key, self.holding.currency


def line(entry: Entry, account_currency: str) -> Line:
    """The holding an entry means; without a currency it is in the account's.

    Raises:
        EntryError: it means none, or its figures contradict each other.
    """
    in_unit = unit(entry.currency or account_currency)
    of = instrument(entry, in_unit.code)
    held = _cash(entry, of, in_unit) if of.kind is InstrumentKind.CASH else _holding(entry, of, in_unit)
    return Line(entry, held)


def repeated(lines: Sequence[Line]) -> list[tuple[int, int]]:
    """The places of lines that name an instrument and currency a second time, with where it was first."""
    first: dict[Slot, int] = {}
    return [
        (place, first[one.slot])
        for place, one in enumerate(lines)
        if first.setdefault(one.slot, place) != place
    ]


def _cash(entry: Entry, of: Instrument, in_unit: Unit) -> Holding:
    held = exact_amount("quantity", whole_units(entry.quantity, in_unit.divisor))
    if entry.price not in {None, ONE}:
        raise EntryError("price", "contradiction", "Cash has no price other than 1.")
    if entry.market_value is not None and entry.market_value != entry.quantity:
        raise EntryError("market_value", "contradiction", "Cash is worth its quantity.")
    return Holding(
        instrument=of,
        quantity=held,
        currency=in_unit.code,
        price=ONE,
        market_value=held,
        cost_basis=held,
        price_as_of=entry.price_as_of,
    )


def _holding(entry: Entry, of: Instrument, in_unit: Unit) -> Holding:
    count = exact_quantity("quantity", entry.quantity)
    price = _price(entry, in_unit)
    return Holding(
        instrument=of,
        quantity=count,
        currency=in_unit.code,
        price=price,
        market_value=_value(entry, of, count, price, in_unit),
        cost_basis=_cost(entry, of, count, in_unit),
        price_as_of=entry.price_as_of,
        cash_equivalent=of.kind is InstrumentKind.MONEY_MARKET,
    )


def _price(entry: Entry, in_unit: Unit) -> Decimal | None:
    if entry.price is None:
        return None
    if entry.price < 0:
        raise EntryError(
            "price", "out_of_range", "A price is not negative; a short position has a quantity below 0."
        )
    return exact_quantity("price", whole_units(entry.price, in_unit.divisor))


def _value(
    entry: Entry, of: Instrument, count: Decimal, price: Decimal | None, in_unit: Unit
) -> Decimal | None:
    """What it is worth as entered, else price times quantity times multiplier."""
    worked_out = None if price is None else _product("price", price, count, of.multiplier or ONE)
    if entry.market_value is None:
        if price is not None and of.kind is InstrumentKind.BOND:
            raise EntryError(
                "market_value", "missing", "A bond needs its value: prices may be per 100 of face."
            )
        return worked_out
    value = exact_amount("market_value", whole_units(entry.market_value, in_unit.divisor))
    if value * count < 0:
        raise EntryError(
            "market_value",
            "contradiction",
            "The value has the sign of the quantity: both negative when short.",
        )
    if worked_out is not None and of.kind is not InstrumentKind.BOND and _far(value, worked_out):
        raise EntryError(
            "market_value",
            "contradiction",
            "The value is far from price times quantity (times multiplier): one of them is in another unit.",
        )
    return value


def _far(value: Decimal, other: Decimal) -> bool:
    small, large = sorted((abs(value), abs(other)))
    return large - small > ONE and small * FAR_OFF <= large


def _cost(entry: Entry, of: Instrument, count: Decimal, in_unit: Unit) -> Decimal | None:
    if entry.cost_basis is not None:
        if entry.cost_per_unit is not None:
            raise EntryError(
                "cost_per_unit", "contradiction", "Give the total cost or the cost per unit, not both."
            )
        return exact_amount("cost_basis", whole_units(entry.cost_basis, in_unit.divisor))
    if entry.cost_per_unit is None:
        return None
    each = exact_quantity("cost_per_unit", whole_units(entry.cost_per_unit, in_unit.divisor))
    return _product("cost_per_unit", each, count, of.multiplier or ONE)


def _product(field: str, *factors: Decimal) -> Decimal:
    """The product, rounded as amounts are."""
    large = EntryError(field, "out_of_range", "Times the quantity it is larger than any amount kept.")
    try:
        result = product(*factors)
    except InexactNumberError as error:
        raise large from error
    if result.copy_abs() >= LARGEST_AMOUNT:
        raise large
    return result
