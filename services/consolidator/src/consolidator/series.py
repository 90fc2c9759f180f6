"""Series of daily totals: an account's newest one replaces the one before, whole."""

from consolidator.store import activity_tables as tables
from consolidator.store.arrays import Row, columns, time
from consolidator.store.entries import Of
from consolidator.store.rows import json_text
from consolidator.store.saving import Changes
from contracts.accounts import BalanceHistorySnapshot
from persistence.database import Connection as Session

KNOWN = """SELECT p.user_id, p.account_id::text, p.version
    FROM unnest(%s::text[], %s::uuid[]) AS k(user_id, account_id)
    JOIN portfolio.performance p USING (user_id, account_id)"""
GONE = """DELETE FROM portfolio.balance_history t USING unnest(%s::text[], %s::uuid[]) AS a(user_id, account_id)
    WHERE t.user_id = a.user_id AND t.account_id = a.account_id AND NOT EXISTS (
        SELECT FROM unnest(%s::text[], %s::uuid[], %s::date[]) AS v(user_id, account_id, day)
        WHERE v.user_id = t.user_id AND v.account_id = t.account_id AND v.day = t.day)"""
_ACCOUNT = ("text", "uuid")


class Series:
    """The series of one batch of messages."""

    def __init__(self) -> None:
        self._newest: dict[Of, BalanceHistorySnapshot] = {}

    def add(self, event: BalanceHistorySnapshot) -> None:
        """Take in a series; an incomplete one replaces nothing."""
        of = Of(event.user_id, event.account_id)
        known = self._newest.get(of)
        if event.complete and (known is None or known.clocks.version < event.clocks.version):
            self._newest[of] = event

    async def into(self, conn: Session, changes: Changes) -> None:
        """Replace the series that are older, days that are not told any more included."""
        if not self._newest:
            return
        accounts: list[Row] = list(self._newest)
        stored = await (await conn.execute(KNOWN, columns(accounts, _ACCOUNT))).fetchall()
        known = {Of(user_id, account_id): version for user_id, account_id, version in stored}
        news = {of: one for of, one in self._newest.items() if one.clocks.version > known.get(of, -1)}
        points: list[Row] = [row for of, one in news.items() for row in _points(of, one)]
        if replaced := [of for of in news if of in known]:
            days = columns([point[:3] for point in points], (*_ACCOUNT, "date")) if points else ["{}"] * 3
            await conn.execute(GONE, [*columns(replaced, _ACCOUNT), *days])
        changes.put("differing", tables.BALANCE_HISTORY, points)
        changes.put("upsert", tables.PERFORMANCE, [_performance(of, one) for of, one in news.items()])


def _points(of: Of, one: BalanceHistorySnapshot) -> list[Row]:
    """One row a day; of a day that is told twice the last."""
    totals = {point.day: point.total for point in one.points}
    return [(*of, day.isoformat(), str(total)) for day, total in totals.items()]


def _performance(of: Of, one: BalanceHistorySnapshot) -> Row:
    clocks = one.clocks
    returns = json_text(one.returns)
    return (*of, str(clocks.version), one.currency, returns, time(clocks.as_of), time(clocks.synced_at))
