"""RabbitMQ passes the suite of every bus, and survives what only brokers do."""

import asyncio
import importlib.util
import socket
from pathlib import Path

import aio_pika
import pytest

from messaging.bus import BrokerUnreachableError, NotConfirmedError
from messaging.consume import EachConsumer
from messaging.rabbit import RabbitBus
from messaging.rabbit_errors import TopologyDriftError
from messaging.testing import with_prefix
from messaging.topology import onefolio

spec = importlib.util.spec_from_file_location(
    "messaging_bus_suite", Path(__file__).with_name("messaging_bus_suite.py")
)
suite = importlib.util.module_from_spec(spec)
spec.loader.exec_module(suite)
event, topology, until, Consuming = suite.event, suite.topology, suite.until, suite.Consuming


@pytest.fixture
async def make_bus(amqp_vhost_url):
    made = []

    async def make(shape, url=amqp_vhost_url):
        made.append(await RabbitBus.open(url, shape, "tests"))
        return made[-1]

    yield make
    for bus in made:
        await bus.close()


@pytest.mark.servers
class TestRabbitBus(suite.BusSuite):
    async def test_declaring_twice_changes_nothing(self, make_bus):
        await make_bus(onefolio())
        await make_bus(onefolio())

    async def test_a_queue_with_other_arguments_fails_loudly(self, make_bus):
        await make_bus(topology())
        with pytest.raises(TopologyDriftError, match=r"queue 'work'.*'x-max-length'.*'7'"):
            await make_bus(topology(max_length=7))

    async def test_consuming_and_publishing_go_on_after_the_connections_were_closed(self, make_bus, servers):
        bus = await make_bus(topology())
        seen = []

        async def handle(delivery):
            seen.append(suite.number(delivery))

        async with Consuming(EachConsumer(bus, "work", lambda one: one, handle)):
            await bus.publish(event(1))
            await until(lambda: seen == [1])
            await asyncio.to_thread(close_connections, servers, bus)
            for n in range(2, 6):
                await publish_until_confirmed(bus, n)
            await until(lambda: set(seen) == {1, 2, 3, 4, 5})

    async def test_a_message_in_work_when_the_connection_dies_comes_again(self, make_bus, servers):
        bus = await make_bus(topology())
        seen, release = [], asyncio.Event()

        async def handle(delivery):
            seen.append(delivery.redelivered)
            await release.wait()

        async with Consuming(EachConsumer(bus, "work", lambda one: one, handle)):
            await bus.publish(event(1))
            await until(lambda: seen)
            await asyncio.to_thread(close_connections, servers, bus)
            release.set()
            await until(lambda: len(seen) == 2)
        assert seen == [False, True]

    async def test_a_deleted_queue_comes_back_with_its_consumer(self, make_bus, amqp_vhost_url):
        bus = await make_bus(topology())
        seen = []

        async def handle(delivery):
            seen.append(suite.number(delivery))

        async with Consuming(EachConsumer(bus, "work", lambda one: one, handle)):
            await bus.publish(event(1))
            await until(lambda: seen == [1])
            connection = await aio_pika.connect(amqp_vhost_url)
            await (await connection.channel()).queue_delete("work")
            await connection.close()
            await publish_until_confirmed(bus, 2)
            await until(lambda: 2 in seen)

    async def test_a_message_given_out_too_often_is_parked_by_the_broker(self, make_bus):
        bus = await make_bus(topology(delivery_limit=2))
        await bus.publish(event(1))
        for _ in range(3):
            looking = await bus.fetch("work", 1)
            held = await looking.next()
            await looking.requeue([held])
            await looking.close()
        (parked,) = await suite.until_parked(bus)
        assert parked.event_id == "event-1"
        assert "its consumers ended" in parked.reason

    async def test_names_can_carry_a_prefix(self, make_bus, amqp_vhost_url):
        plain = await make_bus(topology())
        apart = await make_bus(topology(), with_prefix(amqp_vhost_url, "one."))
        seen = []

        async def handle(delivery):
            seen.append((delivery.exchange, suite.number(delivery)))

        async with Consuming(EachConsumer(apart, "work", lambda one: one, handle)):
            await plain.publish(event(1))
            await apart.publish(event(2))
            await until(lambda: seen)
        assert seen == [("onefolio.events", 2)]
        assert await self.left(plain) == 1

    async def test_an_open_bus_is_writable(self, make_bus):
        bus = await make_bus(topology())
        assert await bus.writable()

    async def test_two_concurrent_publishes_of_one_event_keep_their_own_results(self, make_bus):
        bus = await make_bus(topology())
        lost = event(1, key="elsewhere")
        results = await bus.publish_many([event(1), lost] * 20)
        assert [result is None for result in results] == [True, False] * 20


async def test_a_broker_that_is_not_there_has_a_clear_error():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(BrokerUnreachableError, match=f"127.0.0.1:{port}") as raised:
        await RabbitBus.open(f"amqp://me:hidden@127.0.0.1:{port}/", topology(), "tests", wait=0.1)
    assert "hidden" not in str(raised.value)


async def test_wrong_credentials_are_refused_at_once(amqp_vhost_url):
    wrong = amqp_vhost_url.replace("onefolio:", "nobody:", 1)
    if wrong == amqp_vhost_url:
        pytest.skip("the broker's user is not ours to misspell")
    with pytest.raises(BrokerUnreachableError, match="refuses"):
        await RabbitBus.open(wrong, topology(), "tests", wait=30)


def close_connections(servers, bus):
    vhost = bus._publishing.url.path.removeprefix("/")
    try:
        servers.rabbitmqctl("close_all_connections", "--vhost", vhost, "test")
    except Exception as error:
        if type(error).__name__ != "NoAdminAccessError":
            raise
        pytest.skip(str(error))


async def publish_until_confirmed(bus, number):
    async with asyncio.timeout(20):
        while True:
            try:
                await bus.publish(event(number))
            except (NotConfirmedError, suite.UnroutableError):
                await asyncio.sleep(0.2)
            else:
                return
