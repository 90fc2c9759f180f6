"""People who may trade, made in the sandbox in one go and entered into the tables as links would have done."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from pydantic import SecretStr

from contracts import ids
from contracts.messages import ConnectionLinked
from fresh_rig import Rig
from messaging.publishing import outgoing_event
from persistence.database import Database
from persistence.secrets import KeyRing, PostgresSecrets, user_secret

PROVIDER = "snaptrade"
INSTITUTION = "charles-schwab"
CHUNK = 250
USER = """INSERT INTO sync.provider_users (provider, user_id, state, external_user_id, has_secret, attempt)
    VALUES (%s, %s, 'registered', %s, true, 1)"""
CONNECTION = """INSERT INTO sync.sync_state (connection_id, provider, user_id, external_id, institution,
        institution_name, connection_type, status, fence, frequency_seconds)
    VALUES (%s, %s, %s, %s, %s, %s, %s, 'active', nextval('sync.versions'), 21600)"""
DUE = """UPDATE sync.sync_state SET next_sync_at = clock_timestamp(), wanted_at = NULL WHERE user_id = ANY(%s)"""
STORED = "SELECT count(*) FROM portfolio.snapshots WHERE state = 'current'"
PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Account:
    """One account: ours, the provider's and the sandbox's name of it."""

    user_id: str
    connection_id: str
    account_id: str
    external_id: str
    key: str


@dataclass(frozen=True, slots=True)
class Crowd:
    """Everybody who was made together."""

    connections: tuple[ConnectionLinked, ...]
    accounts: tuple[Account, ...]

    @property
    def users(self) -> list[str]:
        """Their ids."""
        return sorted({one.user_id for one in self.accounts})


async def crowd(
    place: Rig,
    *,
    prefix: str,
    users: int,
    accounts: int,
    holdings: int,
    kind: str = "trade",
    cash: int = 100_000,
) -> Crowd:
    """Make ``users`` with ``accounts`` each, over a connection of a ``kind``, and wait until they are stored.

    Raises:
        TimeoutError: they were not read.
    """
    made = await place.asked(
        "POST",
        "/_control/snaptrade/crowd",
        {
            "users": users,
            "connections": 1,
            "accounts": accounts,
            "holdings": holdings,
            "institutions": [INSTITUTION],
            "type": kind,
            "prefix": prefix,
        },
    )
    found = Crowd(
        tuple(_linked(user["user_id"], one, kind) for user in made["users"] for one in user["connections"]),
        tuple(_accounts(made["users"])),
    )
    for account in found.accounts:
        body = {"currency": "USD", "amount": str(cash), "announce": False}
        await place.asked("PUT", f"/_control/accounts/{account.key}/cash", body)
    synced = {"connections": [one.external_id for one in found.connections], "announce": False}
    await place.asked("POST", "/_control/snaptrade/sync", synced)
    before = _stored(place)
    await _entered(place, made["users"], found.connections)
    place.rows("snaptrade-connector", DUE, found.users)
    wanted = before + len(found.accounts)
    await place.until(
        lambda: _stored(place) >= wanted, f"{len(found.accounts)} accounts to be read", PATIENCE
    )
    return found


def _stored(place: Rig) -> int:
    return int(place.rows("consolidator", STORED)[0][0])


def _accounts(users: list[dict[str, Any]]) -> Iterator[Account]:
    for user in users:
        name = user["user_id"]
        for connection in user["connections"]:
            for one in connection["accounts"]:
                yield Account(
                    user_id=name,
                    connection_id=ids.connection_id(PROVIDER, name, connection["id"]),
                    account_id=ids.account_id(PROVIDER, name, one["id"]),
                    external_id=one["id"],
                    key=one["key"],
                )


async def _entered(
    place: Rig, users: list[dict[str, Any]], connections: tuple[ConnectionLinked, ...]
) -> None:
    """Secrets first, then the connections, then the news of them."""
    environment = place.program("snaptrade-connector").environment
    database = Database(environment["DATABASE_URL"], max_size=4)
    await database.open()
    try:
        secrets = PostgresSecrets(database, KeyRing.parse(environment["SECRETS_MASTER_KEYS"]))
        for start in range(0, len(users), CHUNK):
            await asyncio.gather(
                *(
                    secrets.put(user_secret(PROVIDER, one["user_id"]), SecretStr(one["secret"]))
                    for one in users[start : start + CHUNK]
                )
            )
    finally:
        await database.close()
    with psycopg.connect(environment["DATABASE_URL"]) as conn, conn.cursor() as cursor:
        cursor.executemany(USER, [(PROVIDER, user["user_id"], user["user_id"]) for user in users])
        cursor.executemany(CONNECTION, [_row(one) for one in connections])
    for start in range(0, len(connections), CHUNK):
        chunk = [
            outgoing_event(one, source="check", time=one.linked_at)
            for one in connections[start : start + CHUNK]
        ]
        if problems := [one for one in await place.bus.publish_many(chunk) if one is not None]:
            raise RuntimeError(f"a message could not be published: {problems[0]}")


def _row(one: ConnectionLinked) -> tuple[object, ...]:
    return (
        one.connection_id,
        PROVIDER,
        one.user_id,
        one.external_id,
        one.institution,
        one.institution_name,
        one.connection_type,
    )


def _linked(user: str, connection: dict[str, Any], kind: str) -> ConnectionLinked:
    return ConnectionLinked(
        user_id=user,
        provider=PROVIDER,
        connection_id=ids.connection_id(PROVIDER, user, connection["id"]),
        external_id=connection["id"],
        institution=connection["institution"],
        institution_name=connection["institution"],
        connection_type=kind,
        link_session_id=None,
        linked_at=datetime.now(UTC),
        version=1,
    )
