"""Thousands of connections due at once, two replicas, one of which is killed; then a cycle in which nothing changed.

People, connections and accounts are made in the sandbox in one go and entered into the tables as a link would have
done; everything after that is the real thing. The sandbox counts what exceeds its limit.
"""

import asyncio
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from contracts import ids
from contracts.messages import ConnectionLinked
from fresh_rig import Rig, Say, rig
from messaging.publishing import outgoing_event
from persistence.database import Database
from persistence.secrets import KeyRing, PostgresSecrets, user_secret

PROVIDER = "snaptrade"
RATE = 9_000
"""Calls a minute that the sandbox allows: less than the processes could make."""
PER_USER, PER_CONNECTION = 3, 2
HOLDINGS = 3
CHUNK = 500
SETTINGS = {
    "SANDBOX_SNAPTRADE_RATE_LIMIT": str(RATE),
    "TRANSACTIONS_ENABLED": "false",
    "HISTORY_ENABLED": "false",
    "SYNC_CONCURRENCY": "16",
    "SNAPTRADE_CONCURRENCY": "16",
    "JOBS_ENABLED": "false",
}
USER = """INSERT INTO sync.provider_users (provider, user_id, state, external_user_id, has_secret, attempt)
    VALUES (%s, %s, 'registered', %s, true, 1)"""
CONNECTION = """INSERT INTO sync.sync_state (connection_id, provider, user_id, external_id, institution,
        institution_name, connection_type, status, fence, frequency_seconds)
    VALUES (%s, %s, %s, %s, %s, %s, 'read', 'active', nextval('sync.versions'), 21600)"""
DUE = "UPDATE sync.sync_state SET next_sync_at = clock_timestamp(), wanted_at = NULL RETURNING clock_timestamp()"
READ = """SELECT count(*) FROM sync.sync_state
    WHERE last_synced_at IS NOT NULL AND started_at >= %s AND lease_holder IS NULL AND failures = 0"""
SPREAD = """SELECT count(*) FROM sync.sync_state GROUP BY date_trunc('minute', next_sync_at) ORDER BY 1 DESC LIMIT 1"""
STORED = """SELECT count(*) FROM portfolio.snapshots WHERE state = 'current'"""
PATIENCE = 1800.0


@dataclass(frozen=True)
class Schedule:
    """What came of it."""

    connections: int
    accounts: int
    seconds: float
    calls: int
    killed_at: int
    stored: int
    busiest_minute: int
    violations: int
    peak: int
    unchanged_calls: int
    unchanged_seconds: float

    @property
    def calls_per_unchanged_account(self) -> float:
        """Provider calls per account and sync in the second cycle."""
        return self.unchanged_calls / self.accounts

    @property
    def lines(self) -> list[str]:
        """For people."""
        return [
            f"{self.connections} connections with {self.accounts} accounts, due at once; two replicas, one killed after",
            f"{self.killed_at} connections and replaced; all read in {self.seconds:.0f} s with {self.calls} calls",
            f"{self.stored} accounts are stored; the busiest minute of the next cycle has {self.busiest_minute} connections",
            f"the sandbox allows {RATE} calls a minute: {self.violations} too many, at most {self.peak} in any 60 s",
            f"second cycle, nothing changed: {self.unchanged_calls} calls in {self.unchanged_seconds:.0f} s",
        ]


async def scheduled(folder: Path, connections: int, say: Say) -> Schedule:
    """Make ``connections``, let them fall due at once, twice."""
    async with rig(folder / "schedule", SETTINGS, say) as place:
        users = -(-connections // PER_USER)
        crowd = await place.asked(
            "POST",
            "/_control/snaptrade/crowd",
            {"users": users, "connections": PER_USER, "accounts": PER_CONNECTION, "holdings": HOLDINGS},
        )
        await _entered(place, crowd["users"])
        total, accounts = users * PER_USER, users * PER_USER * PER_CONNECTION
        say(f"schedule: {total} connections made")
        before, began = await _calls(place), time.monotonic()
        since = place.rows("snaptrade-connector", DUE)[0][0]
        killed_at = await _with_a_death(place, folder, since, total, say)
        await place.until(lambda: _read(place, since) == total, "all to be read", PATIENCE)
        seconds, calls = time.monotonic() - began, await _calls(place) - before
        say(f"schedule: all read in {seconds:.0f} s")
        await place.until(
            lambda: place.rows("consolidator", STORED)[0][0] >= accounts, "all to be stored", PATIENCE
        )
        busiest = place.rows("snaptrade-connector", SPREAD)[0][0]
        before, again = await _calls(place), time.monotonic()
        since = place.rows("snaptrade-connector", DUE)[0][0]
        await place.until(lambda: _read(place, since) == total, "the second cycle", PATIENCE)
        limits = (await place.asked("GET", "/_control/snaptrade/limits"))["customer"]
        return Schedule(
            connections=total,
            accounts=accounts,
            seconds=seconds,
            calls=calls,
            killed_at=killed_at,
            stored=place.rows("consolidator", STORED)[0][0],
            busiest_minute=busiest,
            violations=limits["violations"],
            peak=limits["peak"],
            unchanged_calls=await _calls(place) - before,
            unchanged_seconds=time.monotonic() - again,
        )


async def _with_a_death(place: Rig, folder: Path, since: datetime, total: int, say: Say) -> int:
    """A second replica helps, is killed after a third of the work, and another takes its place."""
    with place.replica("snaptrade-connector", folder / "replica-1.log") as doomed:
        await place.until(lambda: _read(place, since) >= total // 3, "a third of the work", PATIENCE)
        os.kill(doomed.pid, signal.SIGKILL)
        done = _read(place, since)
        say(f"schedule: a replica was killed after {done} connections")
    with place.replica("snaptrade-connector", folder / "replica-2.log"):
        await place.until(lambda: _read(place, since) >= total * 9 // 10, "most of the work", PATIENCE)
    return done


def _read(place: Rig, since: datetime) -> int:
    return int(place.rows("snaptrade-connector", READ, since)[0][0])


async def _calls(place: Rig) -> int:
    counts = (await place.asked("GET", "/_control/calls/counts"))["counts"]
    return sum(Counter(counts.get(PROVIDER, {})).values())


async def _entered(place: Rig, users: list[dict[str, Any]]) -> None:
    """Enter people and connections as links would have: secrets first, then the connection, then the news of it."""
    environment = place.program("snaptrade-connector").environment
    database = Database(environment["DATABASE_URL"], max_size=4)
    await database.open()
    try:
        keys = KeyRing.parse(environment["SECRETS_MASTER_KEYS"])
        secrets = PostgresSecrets(database, keys)
        for start in range(0, len(users), CHUNK):
            await asyncio.gather(
                *(
                    secrets.put(user_secret(PROVIDER, user["user_id"]), SecretStr(user["secret"]))
                    for user in users[start : start + CHUNK]
                )
            )
    finally:
        await database.close()
    linked = [_linked(user["user_id"], one) for user in users for one in user["connections"]]
    with psycopg.connect(environment["DATABASE_URL"]) as conn, conn.cursor() as cursor:
        cursor.executemany(USER, [(PROVIDER, user["user_id"], user["user_id"]) for user in users])
        cursor.executemany(
            CONNECTION,
            [
                (
                    one.connection_id,
                    PROVIDER,
                    one.user_id,
                    one.external_id,
                    one.institution,
                    one.institution_name,
                )
                for one in linked
            ],
        )
    for start in range(0, len(linked), CHUNK):
        chunk = [
            outgoing_event(one, source="check", time=one.linked_at) for one in linked[start : start + CHUNK]
        ]
        if problems := [one for one in await place.bus.publish_many(chunk) if one is not None]:
            raise RuntimeError(f"a message could not be published: {problems[0]}")


def _linked(user: str, connection: dict[str, Any]) -> ConnectionLinked:
    return ConnectionLinked(
        user_id=user,
        provider=PROVIDER,
        connection_id=ids.connection_id(PROVIDER, user, connection["id"]),
        external_id=connection["id"],
        institution=connection["institution"],
        institution_name=connection["institution"],
        connection_type="read",
        link_session_id=None,
        linked_at=datetime.now(UTC),
        version=1,
    )
