"""Versions come from one sequence: they order what two connections say of one account."""

import asyncio
import uuid
from datetime import timedelta
from importlib import import_module

import psycopg
import pytest

from connector_kit import connections
from connector_kit.connections import Linked, NewConnection
from contracts.linking import LinkedConnection
from persistence import roles

LEASE = timedelta(seconds=20)


def new(name: str) -> NewConnection:
    linked = LinkedConnection(
        external_id=name,
        secret=None,
        institution_ref="ins_1",
        institution_name="Example",
        connection_type="read",
    )
    return NewConnection(
        connection_id=name,
        provider="fake",
        user_id="u1",
        institution="example",
        secret_name=None,
        linked=linked,
        frequency_seconds=3600,
    )


async def recorded(database, name: str) -> Linked:
    return await connections.record(database, new(name))


async def claimed(database, name: str) -> int:
    """Claim a connection, let it go, and say which version the run had."""
    claim = await connections.claim(
        database, "fake", name, holder=uuid.uuid4().hex, lease=LEASE, asked_at=None
    )
    assert claim is not None
    await connections.release(database, claim)
    return claim.version


async def test_versions_of_two_connections_are_one_rising_series(database):
    first = (await recorded(database, "a")).connection.fence
    second = (await recorded(database, "b")).connection.fence
    runs = [await claimed(database, name) for name in ("a", "b", "a", "a", "b")]
    series = [first, second, *runs]
    assert series == sorted(set(series))


async def test_an_account_that_moved_to_a_new_connection_is_newer_there(database):
    await recorded(database, "old")
    for _ in range(5):
        last_of_the_old = await claimed(database, "old")
    await recorded(database, "new")
    assert await claimed(database, "new") > last_of_the_old


async def test_only_the_first_recording_created_the_connection(database):
    assert (await recorded(database, "a")).created
    assert not (await recorded(database, "a")).created
    assert (await recorded(database, "b")).created


async def test_a_reconnect_has_two_versions_of_its_own(database):
    """One for "linked" and one for "active": nobody else may ever get the number between two steps."""
    await recorded(database, "a")
    before = await claimed(database, "b") if (await recorded(database, "b")).created else 0
    again = await recorded(database, "a")
    after = await claimed(database, "b")
    assert before < again.connection.fence - 1 < again.connection.fence < after - 1


async def test_retiring_draws_a_version_too(database):
    await recorded(database, "a")
    await recorded(database, "b")
    before = await claimed(database, "b")
    retired = await connections.retire(database, "a")
    assert retired is not None
    assert before < retired < await claimed(database, "b")


async def test_a_waiting_claim_draws_after_the_one_it_waited_for(database, migrated_database):
    """A number drawn before the row was free would be lower than the fence it replaces."""
    await recorded(database, "a")
    holding = await psycopg.AsyncConnection.connect(migrated_database.admin_url)
    async with holding:
        cursor = await holding.execute(
            """UPDATE sync.sync_state SET fence = nextval('sync.versions')
                WHERE connection_id = 'a' RETURNING fence"""
        )
        waiting = asyncio.create_task(claimed(database, "a"))
        for _ in range(200):
            stuck = await (
                await holding.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            ).fetchone()
            if stuck != (0,):
                break
            await asyncio.sleep(0.01)
        # What happens meanwhile draws numbers as well.
        row = await (
            await holding.execute(
                """UPDATE sync.sync_state SET fence = nextval('sync.versions')
                    WHERE connection_id = 'a' RETURNING fence"""
            )
        ).fetchone()
        await holding.commit()
    assert (await cursor.fetchone()) is not None
    assert row is not None
    assert await waiting > row[0]


@pytest.mark.parametrize("fences", [[], [7], [12, 3]])
def test_the_sequence_starts_above_every_version_there_is(migrated_database, fences):
    with psycopg.connect(migrated_database.admin_url) as admin:
        admin.execute("DROP SEQUENCE sync.versions")
        for number, fence in enumerate(fences):
            admin.execute(
                """INSERT INTO sync.sync_state (connection_id, provider, user_id, external_id, institution,
                       connection_type, status, fence, frequency_seconds)
                   VALUES (%s, 'fake', 'u', %s, 'i', 'read', 'active', %s, 60)""",
                (f"c{number}", f"c{number}", fence),
            )
        # What that migration does; later ones have been applied and cannot be undone.
        migration = import_module("connector_kit.migrations.versions.0002_versions")
        admin.execute(migration.VERSIONS)
        admin.execute(migration.ABOVE_ALL)
        admin.execute(f"GRANT USAGE ON SEQUENCE sync.versions TO {roles.CONNECTOR}")
    with psycopg.connect(migrated_database.url(roles.CONNECTOR)) as connector:
        drawn = connector.execute("SELECT nextval('sync.versions')").fetchone()
    assert drawn is not None
    assert drawn[0] - 1 > max(fences, default=-1)


@pytest.mark.parametrize("role", [roles.GATEWAY, roles.CONSOLIDATOR, roles.WEBHOOKS])
def test_no_other_service_draws_versions(migrated_database, role):
    with (
        psycopg.connect(migrated_database.url(role), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT nextval('sync.versions')")


def test_the_table_still_forces_row_level_security_after_the_migration(migrated_database):
    with psycopg.connect(migrated_database.admin_url) as admin:
        row = admin.execute(
            "SELECT relforcerowsecurity FROM pg_class WHERE oid = 'sync.sync_state'::regclass"
        ).fetchone()
    assert row == (True,)
