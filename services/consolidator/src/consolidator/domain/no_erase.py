"""The no-erase rule: what a new snapshot of an account's holdings may replace.

Versions decide, never clocks or the order of arrival: the snapshots are folded in the order of their versions. One
that comes late is put in its place and the fold is done again.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from consolidator.domain.numbers import EXACT, ZERO
from consolidator.domain.values import ErasePolicy, Gap, Held, Line, Quarantine, Sight

replace = msgspec.structs.replace
NEW = Held()
ACCEPT, REJECT = "accept", "reject"


def fold(sights: Iterable[Sight], verdicts: Mapping[int, str], policy: ErasePolicy) -> Held:
    """What is known after all these complete snapshots of one account, whatever their order.

    Args:
        sights: with their lines, one per version.
        verdicts: what people said of quarantined versions, ``accept`` or ``reject``.
        policy: when a smaller snapshot is believed.
    """
    held = NEW
    for sight in sorted(sights, key=_version):
        held = step(held, sight, verdicts.get(sight.version), policy)
    return held


def step(held: Held, incoming: Sight, verdict: str | None, policy: ErasePolicy) -> Held:
    """What is known after the complete snapshot that follows by version.

    Both sights need their lines when their contents differ.
    """
    current = held.current
    if verdict == REJECT:
        return held
    if current is None:
        return replace(held, current=incoming)
    if incoming.content_hash == current.content_hash:
        return _accepted(held, current, replace(incoming, lines=current.lines), policy)
    if verdict != ACCEPT and erases(current, incoming, policy):
        return _set_aside(held, current, incoming, policy)
    return _accepted(held, current, incoming, policy)


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


def _version(sight: Sight) -> int:
    return sight.version


def _accepted(held: Held, current: Sight, incoming: Sight, policy: ErasePolicy) -> Held:
    """The snapshot is counted; after a quarantine, or after nothing fresh for too long, trust begins anew."""
    anew = held.quarantine is not None or incoming.synced_at - current.as_of >= policy.max_age
    since = incoming.synced_at if anew else held.trusted_since
    return replace(held, current=incoming, quarantine=None, trusted_since=since)


def _set_aside(held: Held, current: Sight, incoming: Sight, policy: ErasePolicy) -> Held:
    """Quarantined, unless it confirms one that was quarantined long enough before it."""
    aside = held.quarantine
    first = aside.first_synced_at if aside else incoming.synced_at
    if aside and incoming.synced_at - first >= policy.confirm_after:
        return _accepted(held, current, incoming, policy)
    return replace(held, quarantine=Quarantine(sight=incoming, first_synced_at=first))


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
