"""What time alone brings: sources that grew too old or have recovered, and snapshots that are kept no longer."""

import asyncio
from datetime import timedelta

import structlog

from consolidator.apply import Applier
from messaging.policy import TransientError
from persistence.database import Database, DatabaseUnavailable
from service_kit.clock import Clock

log = structlog.get_logger(__name__)

EVERY = 60.0
USERS = 100
"""Looked at per transaction."""
SNAPSHOTS = 5_000
"""Let go per transaction."""
DUE = """SELECT user_id FROM (
    SELECT a.user_id FROM portfolio.snapshots s
    JOIN portfolio.accounts a ON a.user_id = s.user_id AND a.account_id = s.account_id
    JOIN portfolio.real_accounts r ON r.user_id = a.user_id AND r.real_account_id = a.real_account_id
    WHERE s.state = 'current' AND s.as_of <= %(aged)s AND NOT r.stale
        AND (r.counted_account_id = a.account_id OR EXISTS (
            SELECT FROM json_array_elements(r.excluded) AS e(one)
            WHERE e.one->>0 = a.account_id::text AND NOT starts_with(e.one->>1, 'unhealthy:')))
    UNION SELECT r.user_id FROM portfolio.real_accounts r WHERE r.due_at <= %(now)s) AS due
    ORDER BY user_id LIMIT %(users)s"""
# Of each account everything before the newest snapshot that is old enough, but nothing that a quarantine is
# still judged by. That newest one is the base: what would come before it is too late to matter.
LET_GO = """WITH bases AS (
        SELECT s.user_id, s.account_id, max(s.version) AS version
        FROM portfolio.sightings s
        WHERE s.synced_at < %(kept)s AND NOT EXISTS (SELECT FROM portfolio.snapshots q
            WHERE q.user_id = s.user_id AND q.account_id = s.account_id AND q.state = 'quarantined')
        GROUP BY s.user_id, s.account_id HAVING count(*) > 1 ORDER BY s.user_id LIMIT %(snapshots)s),
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
            try:
                looked_at = await self.once()
                await self.let_go()
            except (DatabaseUnavailable, TransientError) as error:
                looked_at = 0
                log.warning("sweep.interrupted", error=str(error))
            await asyncio.sleep(0 if looked_at == USERS else self._every)

    async def once(self) -> int:
        """Look at the first users that need it; returns how many there were."""
        now = self._clock.now()
        values = {"aged": now - self._max_age, "now": now, "users": USERS}
        async with self._database.transaction() as conn:
            users = [row[0] for row in await (await conn.execute(DUE, values)).fetchall()]
        if users:
            await self._applier.touch(users)
            log.info("sweep.looked_again", users=len(users))
        return len(users)

    async def let_go(self) -> int:
        """Forget superseded snapshots that are older than the retention; returns how many there were."""
        values = {"kept": self._clock.now() - self._retention, "snapshots": SNAPSHOTS}
        async with self._database.transaction() as conn:
            row = await (await conn.execute(LET_GO, values)).fetchone()
        return row[0] if row else 0
