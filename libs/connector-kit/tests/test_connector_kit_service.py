"""A whole connector as a process has it: real database, real broker, commands in, events out."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from connector_kit.build import build
from connector_kit.links import begin
from connector_kit.testing import FakeAdapter, FakeConnection
from contracts.holdings import HoldingsSnapshot
from contracts.messages import (
    ConnectionLinked,
    ConnectionStatusChanged,
    LinkCompleted,
    RemoveConnection,
    SyncFinished,
)
from contracts.statuses import LinkStatus
from messaging.bus import Outgoing
from messaging.parking import Parking
from messaging.publishing import publish_command, received
from messaging.rabbit import RabbitBus
from messaging.topology import CONSOLIDATOR, connector_topology
from persistence import roles
from service_kit.run import Service


async def start(service: Service) -> list[asyncio.Task]:
    for step in service.on_start:
        await step()
    return [asyncio.create_task(step()) for step in service.background]


async def stop(service: Service, tasks: list[asyncio.Task]) -> None:
    for step in service.on_drain:
        await step()
    await asyncio.gather(*tasks)
    for step in service.on_stop:
        await step()


@pytest.fixture
async def broker(amqp_vhost_url):
    opened = await RabbitBus.open(amqp_vhost_url, connector_topology("fake"), "tests")
    yield opened
    await opened.close()


@pytest.fixture
def settings(engine, migrated_database, amqp_vhost_url):
    return engine.settings.model_copy(
        update={
            "database_url": SecretStr(migrated_database.url(roles.CONNECTOR)),
            "amqp_url": SecretStr(amqp_vhost_url),
            "scheduler_poll_seconds": 0.05,
        }
    )


async def events_until(broker, kind: type, count: int = 1) -> list:
    """What the consolidator's queue got, up to the `count`-th event of a kind."""
    subscription = await broker.subscribe(CONSOLIDATOR, 50)
    found = []
    while sum(isinstance(event, kind) for event in found) < count:
        held = await subscription.next()
        found.append(received(held.delivery).message)
        await subscription.ack([held])
    await subscription.close()
    return found


@pytest.mark.servers
async def test_from_a_link_to_holdings_to_removal_through_two_replicas(
    engine, broker, settings, request_link
):
    adapter = FakeAdapter()
    replicas = [build(adapter, settings) for _ in range(2)]
    running = [await start(replica) for replica in replicas]
    assert (await replicas[0].health.readiness())[0]
    await begin(_with(engine, adapter), request_link())
    session = adapter.sessions["link-s1"]
    session.brings, session.status = [FakeConnection("item-1", "token-1")], LinkStatus.COMPLETED
    # The gateway and the webhook both say so, and the broker delivers one of them twice.
    completed = LinkCompleted(user_id="u1", link_session_id="s1")
    for _ in range(3):
        await publish_command(broker, "fake", completed, source="tests", time=datetime.now(UTC))
    events = await events_until(broker, SyncFinished)
    assert sum(isinstance(event, ConnectionLinked) for event in events) == 1
    assert sum(isinstance(event, HoldingsSnapshot) for event in events) == 1
    connection = next(event.connection_id for event in events if isinstance(event, ConnectionLinked))
    remove = RemoveConnection(user_id="u1", connection_id=connection, reason="user")
    await publish_command(broker, "fake", remove, source="tests", time=datetime.now(UTC))
    events = await events_until(broker, ConnectionStatusChanged)
    assert events[-1].status == "removed"
    for replica, tasks in zip(replicas, running, strict=True):
        await stop(replica, tasks)
    assert adapter.asked.count("exchange") == 1
    assert adapter.asked.count("unlink") == 1


@pytest.mark.servers
async def test_a_command_nobody_can_read_is_parked(broker, settings):
    service = build(FakeAdapter(), settings)
    tasks = await start(service)
    await broker.publish(
        Outgoing(
            "onefolio.commands", "connector.fake.sync", b"not a message", "e1", "onefolio.connector.sync.v1"
        )
    )
    end = asyncio.get_running_loop().time() + 20
    while not (found := await Parking(broker, "fake-connector").list()):
        assert asyncio.get_running_loop().time() < end
    assert "BadMessage" in found[0].reason
    await stop(service, tasks)


def _with(engine, adapter):
    return replace(engine, adapter=adapter)
