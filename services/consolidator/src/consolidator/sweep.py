"""What time alone brings: sources that grew too old or recovered, snapshots kept no longer, runs that never ended."""

import asyncio
from datetime import timedelta

import psycopg
import structlog

from consolidator.apply import Applier
from contracts.errors import ErrorCode
from persistence.database import Database, DatabaseUnavailable
from persistence.failures import LOCKED
from service_kit.clock import Clock

log = structlog.get_logger(__name__)

EVERY = 60.0
USERS = 100
"""Looked at per transaction."""
RUN_AGE = timedelta(hours=2)
"""A sync run that has not said for so long that it ended will not say so any more."""
OVERDUE = """UPDATE portfolio.sync_log SET status = 'failed', error_code = %(code)s, finished_at = %(now)s,
        error = 'the run never said that it ended'
    WHERE status = 'started' AND started_at < %(begun)s"""
SNAPSHOTS = 5_000
"""Accounts whose old snapshots are let go per transaction."""
DUE = """SELECT user_id FROM (
    SELECT a.user_id FROM portfolio.snapshots s
    JOIN portfolio.accounts a ON a.user_id = s.user_id AND a.account_id = s.account_id
    JOIN portfolio.real_accounts r ON r.user_id = a.user_id AND r.real_account_id = a.real_account_id
    WHERE s.state = 'current' AND s.as_of <= %(aged)s AND NOT r.stale
        AND (r.counted_account_id = a.account_id OR EXISTS (
            SELECT FROM json_array_elements(r.excluded) AS e(one)
            WHERE e.one->>0 = a.account_id::text AND NOT starts_with(e.one->>1, 'unhealthy:')))
    UNION SELECT r.user_id FROM portfolio.real_accounts r WHERE r.due_at <= %(now)s) AS due
    ORDER BY random() LIMIT %(users)s"""
# At random, so that users that cannot be looked at do not keep the others from it.
# Of each account everything before the newest snapshot that is old enough, but nothing that a quarantine is
# still judged by. That newest one is the base: what would come before it is too late to matter. Folding must be
# able to begin with it, so it was counted: neither newer than what is counted now, nor rejected, nor of a
# quarantine, after whose end trust began anew.
LET_GO = """WITH bases AS (
        SELECT s.user_id, s.account_id, max(s.version) FILTER (WHERE c.sound) AS version
        FROM portfolio.sightings s
        JOIN portfolio.snapshots n ON n.user_id = s.user_id AND n.account_id = s.account_id
            AND n.state = 'current' AND n.version >= s.version
        LEFT JOIN (SELECT DISTINCT user_id, account_id, version FROM portfolio.snapshot_judgements
            WHERE verdict = 'reject') j ON j.user_id = s.user_id AND j.account_id = s.account_id
            AND j.version = s.version
        CROSS JOIN LATERAL (SELECT j.version IS NULL
            AND s.synced_at >= coalesce(n.trusted_since, '-infinity') AS sound) c
        WHERE s.synced_at < %(kept)s AND NOT EXISTS (SELECT FROM portfolio.snapshots q
            WHERE q.user_id = s.user_id AND q.account_id = s.account_id AND q.state = 'quarantined')
        GROUP BY s.user_id, s.account_id
        HAVING min(s.version) < max(s.version) FILTER (WHERE c.sound)
        ORDER BY s.user_id LIMIT %(snapshots)s),
    gone AS (
        DELETE FROM portfolio.sightings s USING bases b
        WHERE s.user_id = b.user_id AND s.account_id = b.account_id AND s.version < b.version
        RETURNING s.user_id),
    marked AS (
        UPDATE portfolio.sightings s SET base = true FROM bases b
        WHERE s.user_id = b.user_id AND s.account_id = b.account_id AND s.version = b.version)
    SELECT count(*) FROM gone"""


class Sweep:
    """Fails over from sources that grew too old and back to those that recovered; lets old snapshots go.

    Several processes may sweep at once: whoever comes second finds nothing to do.
    """

    def __init__(
        self,
        database: Database,
        applier: Applier,
        clock: Clock,
        *,
        max_age: timedelta,
        retention: timedelta,
        every: float = EVERY,
    ) -> None:
        self._database = database
        self._applier = applier
        self._clock = clock
        self._max_age = max_age
        self._retention = retention
        self._every = every

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            more = False
            try:
                more = await self.once() == USERS
                # Each account that is thinned out loses one snapshot at least: so many may not have been all.
                more |= await self.let_go() >= SNAPSHOTS
                await self.give_up()
            except (DatabaseUnavailable, psycopg.Error) as error:
                # A statement or a lock that took too long is no reason to stop applying messages.
                log.warning(
                    "sweep.interrupted", error=type(error).__name__, sqlstate=getattr(error, "sqlstate", None)
                )
            await asyncio.sleep(0 if more else self._every)

    async def once(self) -> int:
        """Look at some of the users that need it; returns how many could be."""
        now = self._clock.now()
        values = {"aged": now - self._max_age, "now": now, "users": USERS}
        async with self._database.transaction() as conn:
            users = [row[0] for row in await (await conn.execute(DUE, values)).fetchall()]
        looked_at = await self._look_again(users) if users else 0
        if looked_at:
            log.info("sweep.looked_again", users=looked_at)
        return looked_at

    async def _look_again(self, users: list[str]) -> int:
        """Look at these users together, else at each alone; returns how many that worked for."""
        try:
            await self._applier.touch(users)
        except Exception as error:
            if isinstance(error, DatabaseUnavailable) and error.sqlstate != LOCKED:
                raise
            # One user's trouble must not take the others with it.
            if len(users) > 1:
                return sum([await self._look_again([user]) for user in users])
            log.exception("sweep.user_failed")
            return 0
        return len(users)

    async def let_go(self) -> int:
        """Forget superseded snapshots that are older than the retention; returns how many there were."""
        values = {"kept": self._clock.now() - self._retention, "snapshots": SNAPSHOTS}
        async with self._database.transaction() as conn:
            row = await (await conn.execute(LET_GO, values)).fetchone()
        return row[0] if row else 0

    async def give_up(self) -> int:
        """Call sync runs failed that never ended; returns how many. One that ends after all says so itself."""
        now = self._clock.now()
        values = {"now": now, "begun": now - RUN_AGE, "code": ErrorCode.TIMEOUT.value}
        async with self._database.transaction() as conn:
            given_up = (await conn.execute(OVERDUE, values)).rowcount
        if given_up:
            log.warning("sweep.runs_given_up", runs=given_up)
        return given_up
