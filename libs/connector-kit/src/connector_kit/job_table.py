"""The table ``sync.jobs``: what is done once a day by whichever replica comes first, under a lease."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from contracts.struct import Record
from persistence.database import Database


@dataclass(frozen=True, slots=True)
class Hold:
    """Who holds, or wants to hold, which job."""

    provider: str
    name: str
    holder: str

    @property
    def values(self) -> dict[str, Any]:
        """Parameters of a statement."""
        return {"provider": self.provider, "name": self.name, "holder": self.holder}


class JobStatus(Record, frozen=True, kw_only=True):
    """How a job stands; ``result`` is what its last run said of itself."""

    name: str
    running: bool
    started_at: datetime | None
    finished_at: datetime | None
    next_at: datetime | None
    result: dict[str, Any] | None


async def claim(database: Database, hold: Hold, lease: timedelta, first_in: timedelta) -> bool:
    """Claim a job that is due; one that was never seen before is due only after ``first_in``."""
    values = {**hold.values, "lease": lease, "first_in": first_in}
    async with database.transaction() as conn:
        await conn.execute(_KNOWN, values)
        return (await conn.execute(_CLAIM, values)).rowcount == 1


_KNOWN = """
INSERT INTO sync.jobs (provider, name, next_at) VALUES (%(provider)s, %(name)s, clock_timestamp() + %(first_in)s)
ON CONFLICT DO NOTHING
"""
_CLAIM = """
UPDATE sync.jobs SET holder = %(holder)s, lease_until = clock_timestamp() + %(lease)s, started_at = clock_timestamp()
 WHERE provider = %(provider)s AND name = %(name)s AND next_at <= clock_timestamp()
   AND (lease_until IS NULL OR lease_until < clock_timestamp())
"""


async def renew(database: Database, hold: Hold, lease: timedelta) -> bool:
    """Hold a job for longer; False when somebody else has it by now."""
    async with database.transaction() as conn:
        cursor = await conn.execute(
            """UPDATE sync.jobs SET lease_until = clock_timestamp() + %(lease)s
                WHERE provider = %(provider)s AND name = %(name)s AND holder = %(holder)s""",
            {**hold.values, "lease": lease},
        )
        return cursor.rowcount == 1


async def finish(database: Database, hold: Hold, result: dict[str, Any], wait: timedelta) -> bool:
    """Record how a job ended and when it is due again; False when somebody else has it by now.

    A wish for another run that came meanwhile is served next.
    """
    values = {**hold.values, "result": Jsonb(result), "wait": wait}
    async with database.transaction() as conn:
        return (await conn.execute(_FINISH, values)).rowcount == 1


_FINISH = """
UPDATE sync.jobs
   SET holder = NULL, lease_until = NULL, finished_at = clock_timestamp(), result = %(result)s,
       next_at = CASE WHEN next_at > started_at THEN next_at ELSE clock_timestamp() + %(wait)s END
 WHERE provider = %(provider)s AND name = %(name)s AND holder = %(holder)s
"""


async def release(database: Database, hold: Hold) -> None:
    """Give a claim back: the job is as due as it was."""
    async with database.transaction() as conn:
        await conn.execute(
            """UPDATE sync.jobs SET holder = NULL, lease_until = NULL
                WHERE provider = %(provider)s AND name = %(name)s AND holder = %(holder)s""",
            hold.values,
        )


async def want(database: Database, provider: str, name: str) -> None:
    """Make a job due now."""
    async with database.transaction() as conn:
        await conn.execute(
            """INSERT INTO sync.jobs (provider, name, next_at) VALUES (%s, %s, clock_timestamp())
               ON CONFLICT (provider, name) DO UPDATE SET next_at = clock_timestamp()""",
            (provider, name),
        )


async def listed(database: Database, provider: str) -> list[JobStatus]:
    """All jobs that were ever seen."""
    async with database.transaction(rows=class_row(JobStatus)) as conn:
        cursor = await conn.execute(
            """SELECT name, COALESCE(lease_until > clock_timestamp(), false) AS running, started_at, finished_at,
                      next_at, result
                 FROM sync.jobs WHERE provider = %s ORDER BY name""",
            (provider,),
        )
        return await cursor.fetchall()
