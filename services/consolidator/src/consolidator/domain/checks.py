"""The conservation check: holdings must add up to the provider's own total."""

from decimal import Decimal

from consolidator.domain.numbers import EXACT, ZERO, plain
from consolidator.domain.values import CheckPolicy, Line, Worth
from contracts.money import Money
from contracts.struct import Record

OK, BREAK, UNKNOWN = "ok", "break", "unknown"


class Check(Record, frozen=True, kw_only=True):
    """The outcome for one real account; ``difference`` is counted minus expected, where both are known."""

    outcome: str
    reason: str
    account_id: str
    counted: Decimal | None = None
    expected: Decimal | None = None
    difference: Decimal | None = None
    currency: str | None = None


def worth(lines: tuple[Line, ...]) -> Worth:
    """What the lines add up to, cash included."""
    currencies = {line.currency for line in lines}
    value = ZERO
    unpriced = 0
    for line in lines:
        if line.market_value is None:
            unpriced += 1
        else:
            value = EXACT.add(value, line.market_value)
    single = currencies.pop() if len(currencies) == 1 else None
    return Worth(currency=single, value=plain(value), unpriced=unpriced, empty=not lines)


def conserve(
    account_id: str, held: Worth | None, expected: Money | None, *, same_run: bool, policy: CheckPolicy
) -> Check:
    """Compare a counted source's holdings with its provider's total.

    ``same_run`` says whether total and holdings were read in one sync run: figures of different runs that
    disagree prove nothing yet.
    """
    if held is None or expected is None:
        return Check(
            outcome=UNKNOWN, reason="no_holdings" if held is None else "no_total", account_id=account_id
        )
    if held.unpriced:
        return Check(outcome=UNKNOWN, reason="unpriced_holdings", account_id=account_id)
    if not held.empty and held.currency != expected.currency:
        return Check(outcome=UNKNOWN, reason="several_currencies", account_id=account_id)
    target = plain(expected.amount)
    difference = plain(EXACT.subtract(held.value, target))
    outcome, reason = _judge(difference, target, same_run=same_run, policy=policy)
    return Check(
        outcome=outcome,
        reason=reason,
        account_id=account_id,
        counted=held.value,
        expected=target,
        difference=difference,
        currency=expected.currency,
    )


def _judge(difference: Decimal, target: Decimal, *, same_run: bool, policy: CheckPolicy) -> tuple[str, str]:
    tolerance = max(policy.absolute, EXACT.multiply(abs(target), policy.relative))
    if abs(difference) <= tolerance:
        return OK, "within_tolerance"
    return (BREAK, "does_not_add_up") if same_run else (UNKNOWN, "read_at_different_times")
