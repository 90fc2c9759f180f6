"""Looking again at sources that grew too old while no message came."""

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
AGED = """SELECT DISTINCT r.user_id FROM portfolio.real_accounts r
    JOIN portfolio.snapshots s ON s.user_id = r.user_id AND s.account_id = r.counted_account_id
        AND s.state = 'current'
    WHERE NOT r.stale AND s.as_of <= %s ORDER BY r.user_id LIMIT %s"""


class Sweep:
    """Fails over from sources that grew too old, or marks what has no better source as stale.

    Several processes may sweep at once: whoever comes second finds nothing to do.
    """

    def __init__(
        self, database: Database, applier: Applier, clock: Clock, max_age: timedelta, every: float = EVERY
    ) -> None:
        self._database = database
        self._applier = applier
        self._clock = clock
        self._max_age = max_age
        self._every = every

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                looked_at = await self.once()
            except (DatabaseUnavailable, TransientError) as error:
                looked_at = 0
                log.warning("sweep.interrupted", error=str(error))
            await asyncio.sleep(0 if looked_at == USERS else self._every)

    async def once(self) -> int:
        """Look at the first users that need it; returns how many there were."""
        async with self._database.transaction() as conn:
            cursor = await conn.execute(AGED, (self._clock.now() - self._max_age, USERS))
            users = [row[0] for row in await cursor.fetchall()]
        if users:
            await self._applier.touch(users)
            log.info("sweep.looked_again", users=len(users))
        return len(users)
