"""What may become of an account and its rows. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace as changed
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import msgspec

from contracts.errors import ErrorCode
from contracts.instruments import InstrumentKind
from gateway.manual.accounts import MASK_KEPT, ManualAccount
from gateway.manual.changes import Alter, Alteration, lines_of
from gateway.manual.entries import Entry, EntryError
from gateway.manual.holdings import MAX_HOLDINGS, Line, line
from gateway.manual.refused import bad_entries, too_many
from gateway.manual.store import Row, kept
from gateway.refusals import not_found, refusal
from gateway.routing.coverage import Coverage
from gateway.routing.names import plausible_slug

HOLDING = "holding"
BODY = ("body",)
_MOVING = frozenset({"quantity", "price", "currency"})
"""What a value depends on."""


def institution(name: str, coverage: Coverage) -> tuple[str, str]:
    """Slug and display name of what somebody calls an institution, as linking understands it.

    Raises:
        ApiError: 404 ``UNKNOWN_INSTITUTION``, it cannot be an institution's name.
    """
    if found := coverage.find(name):
        return found.slug, found.name
    slug = plausible_slug(name)
    if slug is None:
        raise refusal(ErrorCode.UNKNOWN_INSTITUTION)
    return slug, name


def tail(mask: str | None) -> str | None:
    """The last digits of an account number, as many as are kept."""
    return mask[-MASK_KEPT:] if mask else None


def described(changes: Mapping[str, Any]) -> Alter:
    """Another name, type, institution or tail of the number; what it holds stays."""

    def alter(account: ManualAccount, rows: Sequence[Row]) -> Alteration:
        return changed(account, **changes), rows

    return alter


def all_new(entries: Sequence[Entry]) -> Alter:
    """Other holdings in place of all there were."""

    def alter(account: ManualAccount, rows: Sequence[Row]) -> Alteration:
        return account, kept(rows, lines_of(entries, account.currency))

    return alter


def one_more(holding_id: UUID, entry: Entry) -> Alter:
    """One holding more."""
    return partial(_one_more, holding_id, entry)


def other_fields(holding_id: UUID, changes: Mapping[str, Any]) -> Alter:
    """One holding with some fields changed; None takes a field away."""
    return partial(_other_fields, holding_id, changes)


def without(holding_id: UUID) -> Alter:
    """One holding less."""

    def alter(account: ManualAccount, rows: Sequence[Row]) -> Alteration:
        _place(rows, holding_id)
        return account, [row for row in rows if row.holding_id != holding_id]

    return alter


def merged(before: Sequence[Row], lines: Sequence[Line]) -> list[Row]:
    """What was held, with these lines in place of those of the same instrument and currency, and then the new ones."""
    new = {line.slot: line for line in lines}
    stayed = [Row(row.holding_id, new.pop(row.line.slot, row.line)) for row in before]
    return [*stayed, *(Row(uuid4(), line) for line in new.values())]


def _one_more(holding_id: UUID, entry: Entry, account: ManualAccount, rows: Sequence[Row]) -> Alteration:
    if len(rows) >= MAX_HOLDINGS:
        raise too_many("holdings in an account", MAX_HOLDINGS)
    return account, [*rows, Row(holding_id, _line(entry, account, rows))]


def _other_fields(
    holding_id: UUID, changes: Mapping[str, Any], account: ManualAccount, rows: Sequence[Row]
) -> Alteration:
    place = _place(rows, holding_id)
    others = [row for row in rows if row.holding_id != holding_id]
    try:
        entry = revised(rows[place].line, changes)
    except EntryError as error:
        raise bad_entries([(BODY, error)]) from error
    new = Row(holding_id, _line(entry, account, others))
    return account, [*rows[:place], new, *rows[place + 1 :]]


def revised(before: Line, changes: Mapping[str, Any]) -> Entry:
    """The entry with some fields changed. A value entered for another quantity or price is not kept.

    Raises:
        EntryError: the value would be unknown then, though it was known.
    """
    entry, kind = before.entry, before.holding.instrument.kind
    result = msgspec.structs.replace(entry, **changes)
    for field, other in (("cost_basis", "cost_per_unit"), ("cost_per_unit", "cost_basis")):
        if changes.get(field) is not None and other not in changes:
            result = msgspec.structs.replace(result, **{other: None})
    if entry.market_value is None or "market_value" in changes or not _MOVING & changes.keys():
        return result
    if kind is not InstrumentKind.CASH and (result.price is None or kind is InstrumentKind.BOND):
        raise EntryError(
            "market_value", "missing", "Give the new value too: the one entered was for the old figures."
        )
    return msgspec.structs.replace(result, market_value=None)


def _line(entry: Entry, account: ManualAccount, others: Sequence[Row]) -> Line:
    try:
        new = line(entry, account.currency)
    except EntryError as error:
        raise bad_entries([(BODY, error)]) from error
    twin = next((row for row in others if row.line.slot == new.slot), None)
    if twin is not None:
        key, currency = new.slot
        twice = EntryError(
            "symbol", "duplicate", f"{key} in {currency} is holding {twin.holding_id} already."
        )
        raise bad_entries([(BODY, twice)])
    return new


def _place(rows: Sequence[Row], holding_id: UUID) -> int:
    for place, row in enumerate(rows):
        if row.holding_id == holding_id:
            return place
    raise not_found(HOLDING)
