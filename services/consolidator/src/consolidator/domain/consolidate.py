"""The consolidation rule: sum over real accounts, one source each, never drop one, never count one twice.

The result depends on the given sources alone, not on their order.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal

from consolidator.domain.numbers import EXACT, plain, total
from consolidator.domain.values import InstrumentRef, Line
from contracts.struct import Record


class Duplicate(Record, frozen=True, kw_only=True):
    """Another sight of a real account, with the rule that excluded it."""

    account_id: str
    provider: str
    rule: str
    lines: tuple[Line, ...]


class Counted(Record, frozen=True, kw_only=True):
    """The one counted source of a real account and the duplicates beside it."""

    real_account_id: str
    account_id: str
    provider: str
    priority: int
    stale: bool
    lines: tuple[Line, ...]
    duplicates: tuple[Duplicate, ...] = ()


class Part(Record, frozen=True, kw_only=True):
    """What one counted source contributes; its clocks are joined when it is read, since they move alone."""

    real_account_id: str
    account_id: str
    provider: str
    quantity: Decimal
    market_value: Decimal | None
    cost_basis: Decimal | None
    instrument_id: str
    """The description under which the source knows the instrument."""
    price: Decimal | None
    price_as_of: datetime | None


class Left(Record, frozen=True, kw_only=True):
    """What a duplicate sight showed of the same instrument, and the rule that excluded it."""

    real_account_id: str
    account_id: str
    provider: str
    quantity: Decimal
    market_value: Decimal | None
    cost_basis: Decimal | None
    instrument_id: str
    """The description under which the duplicate knows the instrument."""
    counted_account_id: str
    rule: str


class Consolidated(Record, frozen=True, kw_only=True):
    """One position; ``ref``, price, provider and account are those of its highest-priority contributor."""

    key: str
    currency: str
    ref: InstrumentRef
    quantity: Decimal
    price: Decimal | None
    price_as_of: datetime | None
    market_value: Decimal | None
    value_complete: bool
    cost_basis: Decimal | None
    cost_basis_complete: bool
    provider: str
    account_id: str
    stale: bool
    contributions: tuple[Part, ...]
    excluded: tuple[Left, ...]


Contribution = tuple[Counted, Line]
Sums = tuple[Decimal, Decimal | None, bool, Decimal | None, bool]
"""Quantity, value and whether it is whole, cost basis and whether it is whole."""
Slot = tuple[str, str]
"""Instrument key and currency: what makes two lines one position."""


def consolidate(sources: Iterable[Counted]) -> dict[Slot, Consolidated]:
    """The positions of a portfolio made of these real accounts; those that sum to nothing are left out.

    A plan that gives only a value, with a quantity of zero, is still worth that value.
    """
    ranked = sorted(sources, key=lambda one: (-one.priority, one.account_id))
    alias = same_instruments(_refs(ranked))
    slots: dict[Slot, list[Contribution]] = {}
    for one in ranked:
        for line in one.lines:
            if not line.quantity and not line.market_value:
                # "No cash here" is said by a zero row; it contributes nothing to a position.
                continue
            key = line.ref.key
            slot = (alias.get(key, key) if alias else key, line.currency)
            if slot in slots:
                slots[slot].append((one, line))
            else:
                slots[slot] = [(one, line)]
    left = _left_out(ranked, alias)
    positions = {}
    for slot, parts in slots.items():
        position = _position(slot, parts, left.get(slot, ()))
        if position.quantity or position.market_value:
            positions[slot] = position
    return positions


def _refs(ranked: list[Counted]) -> Iterator[InstrumentRef]:
    for one in ranked:
        for line in one.lines:
            yield line.ref
        for duplicate in one.duplicates:
            for line in duplicate.lines:
                yield line.ref


def same_instruments(refs: Iterable[InstrumentRef]) -> dict[str, str]:
    """The key to use for each key that shares a FIGI with another one; keys that do not are absent.

    The key used is the one a person knows: a ticker before a ``FIGI:`` or ``ISIN:`` key, then by alphabet.
    """
    first: dict[str, str] = {}
    keys_of: dict[str, set[str]] = {}
    for ref in refs:
        if ref.figi is not None and first.setdefault(ref.figi, ref.key) != ref.key:
            keys_of.setdefault(ref.figi, {first[ref.figi]}).add(ref.key)
    groups: list[set[str]] = []
    for keys in keys_of.values():
        touching = [group for group in groups if group & keys]
        groups = [group for group in groups if not group & keys]
        groups.append(keys.union(*touching))
    return {key: min(group, key=_known_first) for group in groups for key in group}


def _known_first(key: str) -> tuple[bool, str]:
    return (":" in key, key)


def _position(slot: Slot, parts: list[Contribution], left: tuple[Left, ...]) -> Consolidated:
    if len(parts) > 1:
        parts.sort(key=_part_rank)
    first, line = parts[0]
    sums = _single(line) if len(parts) == 1 else _sums([other for _, other in parts])
    return Consolidated(
        key=slot[0],
        currency=slot[1],
        ref=line.ref,
        quantity=sums[0],
        price=line.price,
        price_as_of=line.price_as_of,
        market_value=sums[1],
        value_complete=sums[2],
        cost_basis=sums[3],
        cost_basis_complete=sums[4],
        provider=first.provider,
        account_id=first.account_id,
        stale=first.stale if len(parts) == 1 else any(one.stale for one, _ in parts),
        contributions=tuple([_part(one, other) for one, other in parts]),
        excluded=left,
    )


def _single(line: Line) -> Sums:
    value, cost = line.market_value, line.cost_basis
    return line.quantity, value, value is not None, cost, cost is not None


def _sums(lines: list[Line]) -> Sums:
    values = [line.market_value for line in lines]
    costs = [line.cost_basis for line in lines]
    quantity = total(line.quantity for line in lines)
    return quantity, _sum(values), None not in values, _sum(costs), None not in costs


def _part(one: Counted, line: Line) -> Part:
    return Part(
        real_account_id=one.real_account_id,
        account_id=one.account_id,
        provider=one.provider,
        quantity=line.quantity,
        market_value=line.market_value,
        cost_basis=line.cost_basis,
        instrument_id=line.ref.instrument_id,
        price=line.price,
        price_as_of=line.price_as_of,
    )


def _part_rank(part: Contribution) -> tuple[int, float, str, str]:
    """Highest provider priority first, then the fresher price, then ids: a total order."""
    one, line = part
    age = -line.price_as_of.timestamp() if line.price_as_of else 0.0
    return (-one.priority, age, one.account_id, line.ref.instrument_id)


def _sum(values: list[Decimal | None]) -> Decimal | None:
    """The exact sum of the known values; ``None`` when none is known."""
    result: Decimal | None = None
    for value in values:
        if value is not None:
            result = value if result is None else EXACT.add(result, value)
    return None if result is None else plain(result)


def _left_out(ranked: list[Counted], alias: dict[str, str]) -> dict[Slot, tuple[Left, ...]]:
    left: dict[Slot, list[Left]] = {}
    for one in ranked:
        for duplicate in one.duplicates:
            for line in duplicate.lines:
                slot = (alias.get(line.ref.key, line.ref.key), line.currency)
                left.setdefault(slot, []).append(_left(one, duplicate, line))
    return {
        slot: tuple(sorted(rows, key=lambda row: (row.account_id, row.quantity, row.instrument_id)))
        for slot, rows in left.items()
    }


def _left(one: Counted, duplicate: Duplicate, line: Line) -> Left:
    return Left(
        real_account_id=one.real_account_id,
        account_id=duplicate.account_id,
        provider=duplicate.provider,
        quantity=line.quantity,
        market_value=line.market_value,
        cost_basis=line.cost_basis,
        instrument_id=line.ref.instrument_id,
        counted_account_id=one.account_id,
        rule=duplicate.rule,
    )
