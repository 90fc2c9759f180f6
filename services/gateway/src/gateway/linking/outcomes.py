"""How linking has gone lately, per provider and institution: nobody's data, for the choice of the next provider."""

from datetime import datetime, timedelta

from gateway.routing.choose import Health
from persistence.database import Connection

WINDOW = timedelta(hours=1)
"""Short, so that an outage of minutes does not send people elsewhere for the rest of the day."""
ENOUGH = 5
"""Fewer outcomes than this say nothing about a provider."""


async def record(
    conn: Connection, provider: str, institution: str, now: datetime, *, succeeded: bool
) -> None:
    """Note how one session ended, where that was the provider's or the institution's doing."""
    await conn.execute(
        "INSERT INTO gateway.link_outcomes (provider, institution, succeeded, at) VALUES (%s, %s, %s, %s)",
        (provider, institution, succeeded, now),
    )


async def recent(
    conn: Connection, now: datetime, institution: str | None = None
) -> dict[str, dict[str, Health]]:
    """Institution → provider → how linking went within the last hour; all institutions, or one."""
    cursor = await conn.execute(
        """SELECT institution, provider, count(*) FILTER (WHERE succeeded), count(*)
        FROM gateway.link_outcomes
        WHERE at > %s AND (%s::text IS NULL OR institution = %s)
        GROUP BY institution, provider""",
        (now - WINDOW, institution, institution),
    )
    found: dict[str, dict[str, Health]] = {}
    for slug, provider, good, total in await cursor.fetchall():
        rate = good / total if total >= ENOUGH else None
        found.setdefault(slug, {})[provider] = Health(success_rate=rate)
    return found
