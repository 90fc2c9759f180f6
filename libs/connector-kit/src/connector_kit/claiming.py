"""Claiming what is due: a round for each of some users, whoever was served longest ago first.

Any number of replicas claim at once and never the same connection. A round is one user's: what they have due, and what
of theirs would be due soon, so that questions their connections have in common are asked once. A user with very many
connections gets a round like everybody else, and the next one after everybody else.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from psycopg.rows import class_row, scalar_row

from connector_kit import breaker
from connector_kit.connections import COLUMNS, TAKE, Claim, Connection
from persistence.database import Connection as Conn
from persistence.database import Database

WINDOW = 1000
"""How many of those longest due are looked at; a herd is taken a piece at a time."""
CHOICE = 4
"""Users are drawn from this many times as many as are wanted, so that replicas do not all draw the same."""


@dataclass(frozen=True, slots=True)
class Want:
    """How much a replica can take on: ``rounds`` users, up to ``size`` connections of each."""

    holder: str
    lease: timedelta
    rounds: int
    size: int


async def claim_due(database: Database, provider: str, want: Want) -> list[list[Claim]]:
    """Claim rounds of connections whose time has come.

    A connection that is paused or does not sync by itself is due only for somebody's wish: one that no run has served,
    or one whose run died, which its unreturned lease tells. What a breaker keeps closed is not claimed, but for the
    one run that probes it.
    """
    values = {
        "provider": provider,
        "holder": want.holder,
        "lease": want.lease,
        "rounds": want.rounds,
        "choice": want.rounds * CHOICE,
        "size": want.size,
        "window": WINDOW,
    }
    async with database.transaction(rows=class_row(Connection)) as conn:
        rows = await (await conn.execute(_CLAIM_DUE, values)).fetchall()
        rows += await _probes(conn, provider, values)
    return [[Claim(row, want.holder) for row in one] for one in _by_user(rows)]


async def _probes(conn: Conn, provider: str, values: dict[str, object]) -> list[Connection]:
    """One due connection for each breaker that has been open long enough."""
    conn.row_factory = scalar_row
    ready = await breaker.ready_for_a_probe(conn, provider)
    conn.row_factory = class_row(Connection)
    found: list[Connection] = []
    for institution in ready:
        cursor = await conn.execute(_CLAIM_PROBE, {**values, "institution": institution})
        if probe := await cursor.fetchall():
            await breaker.probing(conn, provider, institution)
            found += probe
    return found


def _by_user(rows: Iterable[Connection]) -> list[list[Connection]]:
    ordered = sorted(rows, key=lambda row: row.user_id)
    return [list(group) for _, group in groupby(ordered, key=lambda row: row.user_id)]


_FREE = "d.provider = %(provider)s AND d.status <> 'removed' AND (d.lease_until IS NULL OR d.lease_until < clock_timestamp())"
_DUE = f"""{_FREE} AND d.next_sync_at <= clock_timestamp()
    AND (d.lease_holder IS NOT NULL OR d.wanted_at > COALESCE(d.started_at, '-infinity')
         OR (d.paused_reason IS NULL AND (d.auto_sync OR d.last_synced_at IS NULL)))"""
# Only what is in order: a wait after a failure and a wish for later are not cut short.
_SOON = f"""{_FREE} AND d.next_sync_at <= clock_timestamp() + make_interval(secs => d.frequency_seconds / 4)
    AND d.lease_holder IS NULL AND d.auto_sync AND d.paused_reason IS NULL AND d.status = 'active' AND d.failures = 0
    AND (d.wanted_at IS NULL OR d.wanted_at <= d.started_at)"""
_PASSABLE = """NOT EXISTS (SELECT 1 FROM sync.breakers b
    WHERE b.provider = d.provider AND b.institution IN (d.institution, '*') AND b.open_until IS NOT NULL)"""
_CLAIM_DUE = f"""
WITH longest AS MATERIALIZED (
    SELECT d.user_id, d.next_sync_at FROM sync.sync_state d
     WHERE {_DUE} AND {_PASSABLE} ORDER BY d.next_sync_at LIMIT %(window)s),
users AS MATERIALIZED (
    SELECT u.user_id, served.at, u.since
      FROM (SELECT user_id, min(next_sync_at) AS since FROM longest GROUP BY user_id) u,
           LATERAL (SELECT max(s.started_at) AS at FROM sync.sync_state s
                     WHERE s.provider = %(provider)s AND s.user_id = u.user_id) served
     ORDER BY served.at NULLS FIRST, u.since LIMIT %(choice)s),
drawn AS MATERIALIZED (
    SELECT user_id FROM users ORDER BY md5(%(holder)s || user_id) LIMIT %(rounds)s),
mine AS MATERIALIZED (
    SELECT one.connection_id FROM drawn, LATERAL (
        SELECT d.connection_id FROM sync.sync_state d
         WHERE d.user_id = drawn.user_id AND (({_DUE}) OR ({_SOON})) AND {_PASSABLE}
         ORDER BY d.next_sync_at LIMIT %(size)s
           FOR UPDATE SKIP LOCKED) one)
UPDATE sync.sync_state s SET {TAKE} FROM mine WHERE s.connection_id = mine.connection_id
RETURNING {COLUMNS}
"""  # noqa: S608 - built from constants of this module
_CLAIM_PROBE = f"""
WITH mine AS MATERIALIZED (
    SELECT d.connection_id FROM sync.sync_state d
     WHERE {_DUE} AND %(institution)s IN (d.institution, '*')
       AND NOT EXISTS (SELECT 1 FROM sync.breakers b WHERE b.provider = d.provider AND b.open_until > clock_timestamp()
             AND b.institution IN (d.institution, '*'))
     ORDER BY d.next_sync_at LIMIT 1
       FOR UPDATE SKIP LOCKED)
UPDATE sync.sync_state s SET {TAKE} FROM mine WHERE s.connection_id = mine.connection_id
RETURNING {COLUMNS}
"""  # noqa: S608 - built from constants of this module
