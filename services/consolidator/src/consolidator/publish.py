"""What the consolidator tells the others: messages for the outbox, in the transaction of what they tell of."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from consolidator.book import Book
from consolidator.conclude import breaks
from consolidator.domain.checks import BREAK
from consolidator.domain.consolidate import Consolidated
from consolidator.domain.identity import Verdict
from consolidator.domain.numbers import EXACT, ZERO, plain
from consolidator.store.positions import PositionChanges
from contracts.messages import (
    AccountBreakFound,
    AccountDecisionNeeded,
    CurrencyTotal,
    Event,
    PositionsConsolidated,
)
from contracts.money import Money

SOURCE = "consolidator"


def consolidated(
    book: Book,
    portfolio: str,
    changes: PositionChanges,
    totals: list[CurrencyTotal],
    now: datetime,
) -> PositionsConsolidated:
    """A portfolio's positions changed."""
    return PositionsConsolidated(
        user_id=book.user_id,
        portfolio_id=portfolio,
        version=book.versions[portfolio],
        positions=len(changes.digests),
        changed=len(changes.new) + len(changes.changed),
        removed=len(changes.gone),
        totals=totals,
        breaks=breaks(book, portfolio),
        consolidated_at=now,
    )


def totals(positions: Iterable[Consolidated]) -> list[CurrencyTotal]:
    """What positions are worth in each currency, as far as they are priced."""
    values: dict[str, Decimal] = {}
    incomplete: set[str] = set()
    for one in positions:
        so_far = values.get(one.currency, ZERO)
        values[one.currency] = so_far if one.market_value is None else EXACT.add(so_far, one.market_value)
        if not one.value_complete:
            incomplete.add(one.currency)
    return [
        CurrencyTotal(currency=currency, market_value=plain(value), complete=currency not in incomplete)
        for currency, value in sorted(values.items())
    ]


def findings(before: Book, after: Book) -> list[Event]:
    """Breaks and grey pairs that were not known before."""
    return [*_breaks(before, after), *_grey_pairs(before, after)]


def _breaks(before: Book, after: Book) -> list[Event]:
    found: list[Event] = []
    for real_account_id, check in after.checks.items():
        known = before.checks.get(real_account_id)
        if check.outcome != BREAK or (
            known and (known.outcome, known.difference) == (BREAK, check.difference)
        ):
            continue
        if check.expected is None or check.difference is None or check.currency is None:
            continue
        found.append(
            AccountBreakFound(
                user_id=after.user_id,
                real_account_id=real_account_id,
                account_id=check.account_id,
                expected=Money(amount=check.expected, currency=check.currency),
                difference=Money(amount=check.difference, currency=check.currency),
            )
        )
    return found


def _grey_pairs(before: Book, after: Book) -> list[Event]:
    return [
        AccountDecisionNeeded(
            user_id=after.user_id,
            account_ids=list(pair),
            score=link.score,
            reasons=list(link.reasons),
        )
        for pair, link in after.links.items()
        if link.verdict is Verdict.NEEDS_DECISION
        and (pair not in before.links or before.links[pair].verdict is not Verdict.NEEDS_DECISION)
    ]
