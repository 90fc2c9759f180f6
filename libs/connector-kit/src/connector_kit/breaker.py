"""The table ``sync.breakers``: who fails again and again is left alone for a while, an institution or a whole provider.

After ``FAILURES`` failures in a row the breaker opens, for ten seconds first and twice as long each time, up to a
quarter of an hour: a short outage must be over for people soon after it is over at the provider. Then it lets one run through, and what becomes of that decides. Any run that finds the provider in order
closes it. Replicas share it; its times are the database's.
"""

from datetime import datetime, timedelta

import structlog
from psycopg.rows import class_row

from contracts.errors import ErrorCode, TransientError
from contracts.struct import Record
from persistence.database import Connection, Database

log = structlog.get_logger(__name__)

FAILURES = 5
OPEN_FIRST = timedelta(seconds=10)
OPEN_MOST = timedelta(minutes=15)
PROBE_FOR = timedelta(minutes=2)
"""How long a probe may take before another may be sent."""
EVERYBODY = "*"
"""Stands for the provider as a whole."""
PROVIDERS_FAULT = frozenset({ErrorCode.PROVIDER_UNAVAILABLE, ErrorCode.TIMEOUT})
INSTITUTIONS_FAULT = frozenset({ErrorCode.INSTITUTION_UNAVAILABLE})
SAYS_NOTHING = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL})
"""What tells neither that a provider works nor that it does not."""


class Breaker(Record, frozen=True, kw_only=True):
    """How one breaker stands; ``open_until`` is None for one that is closed."""

    institution: str
    failures: int
    failed_at: datetime | None
    open_until: datetime | None
    probed_at: datetime | None
    reason: str | None


async def note(conn: Connection, provider: str, institution: str, code: str | None) -> None:
    """Learn from how a run ended; inside the transaction that records it."""
    if code in SAYS_NOTHING:
        return
    if code in PROVIDERS_FAULT:
        failing = [EVERYBODY, institution]
    elif code in INSTITUTIONS_FAULT:
        failing = [institution]
    else:
        await conn.execute(_CLOSE, (provider, [EVERYBODY, institution]))
        return
    values = {"provider": provider, "reason": code, "limit": FAILURES, "first": OPEN_FIRST, "most": OPEN_MOST}
    for name in failing:
        row = await (await conn.execute(_FAIL, {**values, "institution": name})).fetchone()
        if row is not None and row[0]:
            log.warning(
                "breaker.open", provider=provider, institution=name, reason=code, until=row[1].isoformat()
            )


_CLOSE = """
UPDATE sync.breakers SET failures = 0, open_until = NULL, opened = 0, probed_at = NULL
 WHERE provider = %s AND institution = ANY(%s) AND (failures > 0 OR open_until IS NOT NULL)
"""
# Runs that were on their way when it opened fail as well: that is no news, unless a probe is out.
_FAIL = """
INSERT INTO sync.breakers AS b (provider, institution, failures, failed_at, reason)
VALUES (%(provider)s, %(institution)s, 1, clock_timestamp(), %(reason)s)
ON CONFLICT (provider, institution) DO UPDATE
   SET failures = b.failures + 1, failed_at = clock_timestamp(), reason = EXCLUDED.reason,
       open_until = CASE WHEN b.open_until > clock_timestamp() AND b.probed_at IS NULL THEN b.open_until
                         WHEN b.failures + 1 >= %(limit)s
                         THEN clock_timestamp() + LEAST(%(most)s, %(first)s * power(2, LEAST(b.opened, 10)))
                         ELSE b.open_until END,
       opened = CASE WHEN b.open_until > clock_timestamp() AND b.probed_at IS NULL THEN b.opened
                     WHEN b.failures + 1 >= %(limit)s THEN b.opened + 1
                     ELSE b.opened END,
       probed_at = NULL
RETURNING failures >= %(limit)s, open_until
"""


async def ready_for_a_probe(conn: Connection, provider: str) -> list[str]:
    """Open breakers whose time is over, held by this transaction (of scalar rows): whoever has them may send one run each."""
    cursor = await conn.execute(_READY, (provider,))
    return list(await cursor.fetchall())


_READY = """
SELECT institution FROM sync.breakers
 WHERE provider = %s AND open_until <= clock_timestamp() ORDER BY institution FOR UPDATE SKIP LOCKED
"""


async def probing(conn: Connection, provider: str, institution: str) -> None:
    """Note that a probe is out: nobody sends another for a while."""
    await conn.execute(
        """UPDATE sync.breakers SET probed_at = clock_timestamp(), open_until = clock_timestamp() + %s
            WHERE provider = %s AND institution = %s""",
        (PROBE_FOR, provider, institution),
    )


async def check(database: Database, provider: str, institution: str | None) -> None:
    """Let a person's call pass, or fail at once instead of letting them wait for nothing.

    Raises:
        TransientError: the provider or the institution is known to fail; it says when it is tried again.
    """
    async with database.transaction() as conn:
        cursor = await conn.execute(_WAIT, (provider, [EVERYBODY, institution or EVERYBODY]))
        row = await cursor.fetchone()
    if row is None:
        return
    whole = row[0] == EVERYBODY
    code = ErrorCode.PROVIDER_UNAVAILABLE if whole else ErrorCode.INSTITUTION_UNAVAILABLE
    message = "the provider does not answer" if whole else "the institution does not answer the provider"
    raise TransientError(message, code=code, provider=provider).waiting(max(1.0, row[1].total_seconds()))


_WAIT = """
SELECT institution, open_until - clock_timestamp() FROM sync.breakers
 WHERE provider = %s AND institution = ANY(%s) AND open_until > clock_timestamp()
 ORDER BY institution LIMIT 1
"""


async def listed(database: Database, provider: str) -> list[Breaker]:
    """All breakers that have something to tell."""
    async with database.transaction(rows=class_row(Breaker)) as conn:
        cursor = await conn.execute(_LIST, (provider,))
        return await cursor.fetchall()


_LIST = """
SELECT institution, failures, failed_at, open_until, probed_at, reason FROM sync.breakers
 WHERE provider = %s AND (failures > 0 OR open_until IS NOT NULL) ORDER BY institution
"""
