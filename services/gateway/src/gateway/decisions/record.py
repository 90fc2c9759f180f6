"""The table ``gateway.decisions``: what was said last of each subject, applied yet or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row

from persistence.database import Connection

TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision."""

    decision_id: UUID
    subject: str
    verdict: str
    decided_by: str
    decided_at: datetime


async def keep(conn: Connection, user_id: str, decision: Decision) -> None:
    """Keep a new decision."""
    await conn.execute(
        """INSERT INTO gateway.decisions (user_id, decision_id, subject, verdict, decided_by, decided_at)
        VALUES (%s, %s, %s, %s, %s, %s)""",
        (
            user_id,
            decision.decision_id,
            decision.subject,
            decision.verdict,
            decision.decided_by,
            decision.decided_at,
        ),
    )


async def newest(conn: Connection, user_id: str, subject: str) -> Decision | None:
    """The last decision of a subject."""
    async with conn.cursor(row_factory=class_row(Decision)) as cursor:
        await cursor.execute(
            """SELECT decision_id, subject, verdict, decided_by, decided_at FROM gateway.decisions
            WHERE user_id = %s AND subject = %s ORDER BY decided_at DESC, decision_id DESC LIMIT 1""",
            (user_id, subject),
        )
        return await cursor.fetchone()


def moment(now: datetime, earlier: Sequence[datetime | None]) -> datetime:
    """When a new decision is taken: now, and after every earlier one whatever the clocks of processes say."""
    return max([now, *(one + TICK for one in earlier if one is not None)])
