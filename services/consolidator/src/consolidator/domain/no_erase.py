"""The no-erase rule: what a new snapshot of an account's holdings may replace.

Versions decide, never clocks or the order of arrival. A snapshot that comes late is judged in its place:
if the stored one looks like an erasure of it, the stored one is set aside.
"""

from decimal import Decimal

import msgspec

from consolidator.domain.numbers import EXACT, ZERO
from consolidator.domain.values import ErasePolicy, Gap, Held, Line, Quarantine, Sight

replace = msgspec.structs.replace


def receive(held: Held, incoming: Sight, policy: ErasePolicy) -> Held:
    """What is known after a complete snapshot arrived.

    Both sights need their lines when their contents differ.
    """
    current = held.current
    if current is None:
        return _requeue(replace(held, current=incoming, quarantine=None), held.quarantine, policy)
    if incoming.version == current.version:
        return held
    if incoming.version < current.version:
        return _late(held, current, incoming, policy)
    if incoming.content_hash == current.content_hash:
        moved = replace(incoming, base_version=_base(current, incoming, policy), lines=current.lines)
        return _requeue(replace(held, current=moved, quarantine=None), held.quarantine, policy)
    if erases(current, incoming, policy):
        return _set_aside(held, incoming, policy)
    accepted = replace(held, current=replace(incoming, base_version=current.version), quarantine=None)
    return _requeue(accepted, held.quarantine, policy)


def note_gap(held: Held, version: int, reason: str) -> Held:
    """What is known after an incomplete snapshot: it proves a problem, never an absence."""
    if held.gap is not None and held.gap.version >= version:
        return held
    return replace(held, gap=Gap(version=version, reason=reason))


def erases(before: Sight, after: Sight, policy: ErasePolicy) -> bool:
    """Whether ``after`` is suddenly empty, or nearly, with nothing to explain it.

    Cash comes from the balances, so its rows stay when the list of positions is empty by mistake: where
    anything else was held, only that is counted.
    """
    if _holds_at_least(after, before.holdings * policy.smallest_share):
        # Enough of all that was held is enough of what was held besides cash: the everyday case, seen at once.
        return False
    held, left = _besides_cash(before), _besides_cash(after)
    if held == 0:
        return before.holdings > 0 and after.holdings == 0
    if left > 0 and left >= held * policy.smallest_share:
        return False
    return not _turned_to_cash(before.lines or (), after.lines or (), policy.cash_tolerance)


def _besides_cash(sight: Sight) -> int:
    return sum(_is_held(line) for line in sight.lines or ())


def _holds_at_least(sight: Sight, wanted: Decimal) -> bool:
    """Whether it holds that many things besides cash, and at least one; looks at no more lines than it must."""
    found = 0
    for line in sight.lines or ():
        found += _is_held(line)
        if found >= wanted and found:
            return True
    return False


def _is_held(line: Line) -> bool:
    return line.ref.kind != "cash" and bool(line.quantity or line.market_value)


def _set_aside(held: Held, incoming: Sight, policy: ErasePolicy) -> Held:
    aside = held.quarantine
    if aside is None:
        kept = Quarantine(sight=incoming, first_synced_at=incoming.synced_at)
        return replace(held, quarantine=kept)
    newest = incoming if incoming.version > aside.sight.version else aside.sight
    first = min(aside.first_synced_at, incoming.synced_at)
    if newest.synced_at - first >= policy.confirm_after:
        base = held.current.version if held.current else 0
        return replace(held, current=replace(newest, base_version=base), quarantine=None)
    return replace(held, quarantine=Quarantine(sight=newest, first_synced_at=first))


def _late(held: Held, current: Sight, incoming: Sight, policy: ErasePolicy) -> Held:
    if incoming.version <= current.base_version:
        return held
    if incoming.content_hash == current.content_hash:
        return replace(held, current=replace(current, base_version=_base(incoming, current, policy)))
    if erases(incoming, current, policy):
        first = replace(incoming, base_version=current.base_version)
        return _set_aside(replace(held, current=first), current, policy)
    return replace(held, current=replace(current, base_version=incoming.version))


def _base(older: Sight, newer: Sight, policy: ErasePolicy) -> int:
    """What ``newer`` was judged against, after ``older`` of the same content.

    Far enough apart, the two confirm each other whatever came before them. Otherwise a fuller snapshot that
    comes late must still find that nothing has confirmed its disappearance.
    """
    if newer.synced_at - older.synced_at >= policy.confirm_after:
        return older.version
    return max(older.base_version, newer.base_version)


def _requeue(held: Held, aside: Quarantine | None, policy: ErasePolicy) -> Held:
    """Judge what was set aside against the snapshot that is now counted."""
    if aside is None or held.current is None or aside.sight.version <= held.current.version:
        return held
    if aside.sight.content_hash != held.current.content_hash and erases(held.current, aside.sight, policy):
        return replace(held, quarantine=aside)
    return replace(held, current=replace(aside.sight, base_version=held.current.version))


def _turned_to_cash(before: tuple[Line, ...], after: tuple[Line, ...], tolerance: Decimal) -> bool:
    """Whether everything that vanished was priced and cash of its currency rose by as much."""
    vanished = _by_currency(before, cash=False)
    left = _by_currency(after, cash=False)
    if not vanished or None in vanished.values() or None in left.values():
        return False
    cash_before, cash_after = _by_currency(before, cash=True), _by_currency(after, cash=True)
    for currency, value in vanished.items():
        gone = EXACT.subtract(value or ZERO, left.get(currency) or ZERO)
        rise = EXACT.subtract(cash_after.get(currency) or ZERO, cash_before.get(currency) or ZERO)
        if gone <= 0 or abs(EXACT.subtract(rise, gone)) > EXACT.multiply(gone, tolerance):
            return False
    return True


def _by_currency(lines: tuple[Line, ...], *, cash: bool) -> dict[str, Decimal | None]:
    """Value per currency of cash, or of everything else; ``None`` where something is unpriced."""
    sums: dict[str, Decimal | None] = {}
    for line in lines:
        if (line.ref.kind == "cash") is not cash:
            continue
        so_far = sums.get(line.currency, ZERO)
        value = line.quantity if cash else line.market_value
        sums[line.currency] = None if so_far is None or value is None else EXACT.add(so_far, value)
    return sums
