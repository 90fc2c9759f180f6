"""What guards the tables, the claims and the settings."""

import asyncio
from dataclasses import replace

import psycopg
import pytest
from pydantic import SecretStr, ValidationError

from connector_kit.background import Background
from connector_kit.build import build
from connector_kit.finish import finish
from connector_kit.hold import held
from connector_kit.late_bus import LateBus
from connector_kit.schedule import Scheduler
from connector_kit.settings import ConnectorSettings
from connector_kit.testing import FakeAdapter
from messaging.bus import BrokerUnreachableError
from messaging.memory import MemoryBus
from messaging.topology import connector_topology
from persistence import roles
from persistence.database import DatabaseUnavailable

TABLES = (
    "provider_users",
    "sync_state",
    "link_intents",
    "handled_commands",
    "accounts",
    "streams",
    "refreshes",
    "orphans",
    "secrets",
    "deks",
)
SHOWN_TO_THE_GATEWAY = {"sync_state": 2}
"""Policies that let the gateway see (of some columns) its users' rows, or an operator's transaction all."""


@pytest.mark.parametrize("table", TABLES)
def test_every_table_of_users_forces_row_level_security(migrated_database, table):
    with psycopg.connect(migrated_database.admin_url) as admin:
        row = admin.execute(
            "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass",
            (f"sync.{table}",),
        ).fetchone()
        policies = admin.execute(
            "SELECT roles::text FROM pg_policies WHERE schemaname = 'sync' AND tablename = %s", (table,)
        ).fetchall()
    assert row == (True, True)
    gateways = [(f"{{{roles.GATEWAY}}}",)] * SHOWN_TO_THE_GATEWAY.get(table, 0)
    assert sorted(policies) == sorted([(f"{{{roles.CONNECTOR}}}",), *gateways])


@pytest.mark.parametrize("role", [roles.GATEWAY, roles.CONSOLIDATOR, roles.WEBHOOKS])
def test_no_other_service_reads_what_connectors_keep(migrated_database, role):
    with psycopg.connect(migrated_database.url(role), autocommit=True) as connection:
        for table in TABLES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT * FROM sync.{table}")


async def test_a_claim_is_renewed_while_work_goes_on_and_no_longer():
    renewed, enough = 0, asyncio.Event()

    async def renew() -> bool:
        nonlocal renewed
        renewed += 1
        if renewed == 2:
            raise DatabaseUnavailable("away for a moment")
        if renewed == 4:
            enough.set()
        return True

    async with held(renew, every=0.001):
        async with asyncio.timeout(10):
            await enough.wait()
    count = renewed
    await asyncio.sleep(0.01)
    assert renewed == count


async def test_a_lost_claim_is_not_renewed_any_more():
    asked = 0

    async def lost() -> bool:
        nonlocal asked
        asked += 1
        return False

    async with held(lost, every=0.001):
        await asyncio.sleep(0.02)
    assert asked == 1


async def test_a_schedule_that_is_cut_short_gives_back_its_claims(
    engine, adapter, begun, monkeypatch, migrated_database
):
    await begun()
    await finish(engine, "s1", user_id="u1")
    reading = asyncio.Event()

    async def endless(*_args: object) -> None:
        reading.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(adapter, "state", endless)
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as admin:
        admin.execute("UPDATE sync.sync_state SET next_sync_at = clock_timestamp()")
        scheduler = Scheduler(engine)
        task = asyncio.create_task(scheduler.run())
        await reading.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await scheduler.stop()
        await task
        assert admin.execute("SELECT lease_holder FROM sync.sync_state").fetchone() == (None,)


async def test_a_schedule_survives_a_database_that_is_away(engine, monkeypatch):
    quick = engine.settings.model_copy(update={"scheduler_poll_seconds": 0.001})
    scheduler, ticks = Scheduler(replace(engine, settings=quick)), 0

    async def away() -> int:
        nonlocal ticks
        ticks += 1
        if ticks == 2:
            await scheduler.stop()
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(scheduler, "tick", away)
    await scheduler.run()
    assert ticks == 2


async def test_background_work_is_waited_for_and_its_failure_harms_nobody():
    background, done = Background(), []

    async def fail() -> None:
        raise ValueError("on purpose")

    async def work() -> None:
        await asyncio.sleep(0)
        done.append(True)

    background.begin(fail(), "fail")
    background.begin(work(), "work")
    await background.drain()
    assert done == [True]


async def test_a_late_bus_refuses_until_it_is_open():
    topology = connector_topology("fake")
    memory = MemoryBus(topology)

    async def opening() -> MemoryBus:
        return memory

    bus = LateBus(topology, opening)
    assert not await bus.ready()
    with pytest.raises(BrokerUnreachableError):
        await bus.depth("fake-connector")
    await bus.open()
    assert await bus.ready()
    assert await bus.depth("fake-connector") == 0
    await bus.close()
    assert not await bus.ready()


def settings(**more: object) -> ConnectorSettings:
    values = {"service_auth_secret": "s" * 40, "database_url": "postgresql://x", "amqp_url": "amqp://x"}
    return ConnectorSettings(**(values | more))


def test_the_encrypted_store_needs_its_keys():
    with pytest.raises(ValidationError, match="SECRETS_MASTER_KEYS is needed"):
        settings()
    with pytest.raises(ValidationError, match="key 1 is not base64"):
        settings(secrets_master_keys=SecretStr("k1:short"))
    assert settings(secret_store="aws").secret_store == "aws"


def test_building_connects_to_nothing():
    service = build(
        FakeAdapter(), settings(secrets_master_keys="k:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    )
    assert service.name == "fake-connector"
    assert len(service.background) == 3
