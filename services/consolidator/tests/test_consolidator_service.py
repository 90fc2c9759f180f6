"""The consolidator as it runs: from the bus to positions and back to the bus."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from consolidator.main import build
from consolidator.settings import ConsolidatorSettings
from consolidator.testing import Link, stock
from contracts.envelope import decode
from contracts.messages import Message, PositionsConsolidated
from messaging.bus import Outgoing
from messaging.memory import MemoryBus
from messaging.publishing import outgoing_event
from messaging.topology import CONSOLIDATOR, GATEWAY_STREAM, onefolio
from persistence import roles
from persistence.testing import MigratedDatabase
from service_kit.clock import FakeClock
from service_kit.run import Service

SCHWAB = Link("snaptrade", "charles-schwab")
CHASE = Link("plaid", "chase")
Say = Callable[[Message], Awaitable[None]]


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus(onefolio())


@pytest.fixture
async def service(migrated_database: MigratedDatabase, bus: MemoryBus) -> AsyncIterator[Service]:
    settings = ConsolidatorSettings(
        database_url=migrated_database.url(roles.CONSOLIDATOR),
        amqp_url="amqp://nowhere",
        service_auth_secret="s" * 32,
    )

    async def opening() -> MemoryBus:
        return bus

    service = build(settings, clock=FakeClock(), opening=opening)
    for step in service.on_start:
        await step()
    tasks = [asyncio.create_task(step()) for step in service.background]
    yield service
    for step in service.on_drain:
        await step()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for step in service.on_stop:
        await step()


@pytest.fixture
def say(bus: MemoryBus) -> Say:
    async def said(message: Message) -> None:
        await bus.publish(outgoing_event(message, source="test", time=FakeClock().now()))

    return said


async def test_a_snapshot_on_the_bus_becomes_an_announcement_on_the_bus(service, bus, say) -> None:
    listening = await bus.subscribe(GATEWAY_STREAM, 100)
    await say(SCHWAB.holds(stock("AAPL", 50, 191)))
    held = await asyncio.wait_for(listening.next(), 10)
    message = decode(held.delivery.body).message
    assert isinstance(message, PositionsConsolidated)
    assert (message.version, message.positions, message.totals[0].market_value) == (1, 1, 9550)


async def test_a_message_that_is_none_is_parked_and_its_neighbours_are_applied(service, bus, say) -> None:
    listening = await bus.subscribe(GATEWAY_STREAM, 100)
    await bus.publish(Outgoing("", CONSOLIDATOR, b"not json", "1", "onefolio.holdings.snapshot.v1"))
    await say(SCHWAB.holds(stock("A\0", 1)))
    await say(CHASE.holds(stock("A", 1)))
    message = decode((await asyncio.wait_for(listening.next(), 10)).delivery.body).message
    assert isinstance(message, PositionsConsolidated)
    async with asyncio.timeout(10):
        while await bus.depth(f"{CONSOLIDATOR}.parked") < 2:  # noqa: ASYNC110  the port tells of depths on request only
            await asyncio.sleep(0.01)


async def test_it_is_ready_when_its_database_and_its_broker_answer(service) -> None:
    ready, checks = await service.health.readiness()
    assert (ready, checks) == (True, {"database": "ok", "broker": "ok"})
