"""The gateway as a process: commands reach the broker, outages are survived, and it leaves in order."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr

from contracts.envelope import decode
from contracts.messages import LinkCompleted
from gateway.build import build
from gateway.devtoken import mint
from gateway.relay import Publisher
from messaging.bus import BrokerUnreachableError
from messaging.memory import MemoryBus
from messaging.rabbit import RabbitBus
from messaging.topology import onefolio
from persistence import roles
from persistence.outbox import OutboxMessage
from service_kit.clock import SystemClock


@asynccontextmanager
async def running(service):
    """The service's life without its HTTP server."""
    for step in service.on_start:
        await step()
    tasks = [asyncio.ensure_future(step()) for step in service.background]
    try:
        yield
    finally:
        for step in service.on_drain:
            await step()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for step in service.on_stop:
            await step()


@pytest.fixture
def process_settings(make_settings, migrated_database, amqp_vhost_url):
    return make_settings(
        database_url=SecretStr(migrated_database.url(roles.GATEWAY)), amqp_url=SecretStr(amqp_vhost_url)
    )


def client(service):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=service.app), base_url="http://gateway")


def bearer(settings):
    token = mint(settings.jwt_secret.get_secret_value(), "alice", now=SystemClock().now())
    return {"Authorization": f"Bearer {token}"}


async def completed(http, headers):
    session = (await http.post("/v1/link", json={"institution": "chase"}, headers=headers)).json()
    done = await http.post(f"/v1/link/{session['id']}/complete", headers=headers)
    assert done.status_code == 202, done.text
    return session["id"]


async def test_a_completed_session_reaches_the_connectors_queue(process_settings, connectors):
    service = build(process_settings, connectors=connectors)
    async with running(service), client(service) as http:
        for _ in range(200):
            if (await http.get("/readyz")).status_code == 200:
                break
            await asyncio.sleep(0.05)
        session = await completed(http, bearer(process_settings))
        url = process_settings.amqp_url.get_secret_value()
        bus = await RabbitBus.open(url, onefolio(), "test")
        try:
            subscription = await bus.subscribe("plaid-connector", 1)
            async with asyncio.timeout(20):
                held = await subscription.next()
            assert decode(held.delivery.body).message == LinkCompleted(
                user_id="alice", link_session_id=session
            )
            await subscription.ack([held])
        finally:
            await bus.close()


async def test_without_a_broker_the_gateway_reads_and_keeps_commands_until_there_is_one(
    process_settings, connectors, settings
):
    service = build(
        process_settings.model_copy(update={"amqp_url": settings.amqp_url}), connectors=connectors
    )
    async with running(service), client(service) as http:
        headers = bearer(process_settings)
        assert (await http.get("/v1/accounts", headers=headers)).status_code == 200
        await completed(http, headers)
        ready = (await http.get("/readyz")).json()
        assert ready["checks"] == {"database": "ok", "broker": "failed"}
    bus = MemoryBus(onefolio())
    later = build(process_settings, connectors=connectors, bus=bus)
    async with running(later):
        subscription = await bus.subscribe("plaid-connector", 1)
        async with asyncio.timeout(20):
            held = await subscription.next()
        assert held.delivery.type == "onefolio.connector.link_completed.v1"
    await bus.close()


async def test_nothing_is_published_before_the_broker_is_reached():
    row = OutboxMessage(1, "e", "x", "k", "t", b"{}", 0)
    with pytest.raises(BrokerUnreachableError):
        await Publisher(None, "amqp://127.0.0.1:1/", onefolio()).publish([row])
