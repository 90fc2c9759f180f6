"""RabbitMQ as the bus: confirmed, mandatory, persistent; separate connections for publishing and consuming."""

import asyncio
from collections.abc import Sequence
from typing import Self

from aio_pika import RobustConnection
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractRobustConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, AuthenticationError, ProbableAuthenticationError
from aiormq.exceptions import ConnectionNotAllowed
from yarl import URL

from messaging.bus import (
    IN_FLIGHT,
    BrokerUnreachableError,
    BusError,
    Outgoing,
    Subscription,
)
from messaging.rabbit_declare import declare, declare_queue
from messaging.rabbit_errors import confirming, reaching
from messaging.rabbit_subscription import RabbitFetch, RabbitSubscription, close_channel
from messaging.rabbit_wire import to_amqp
from messaging.topology import PREFIX_PARAMETER, Topology

PUBLISH_TIMEOUT = 5.0
HEARTBEAT = 10
RECONNECT_INTERVAL = 1.0
CONNECT_TIMEOUT = 10.0
REFUSALS = (AuthenticationError, ProbableAuthenticationError, ConnectionNotAllowed)


class RabbitBus:
    """A bus on one virtual host. Make it with `RabbitBus.open`."""

    def __init__(
        self,
        topology: Topology,
        *,
        app: str,
        prefix: str,
        publishing: AbstractRobustConnection,
        consuming: AbstractRobustConnection,
        channel: AbstractChannel,
    ) -> None:
        self.topology = topology
        self._app = app
        self._prefix = prefix
        self._publishing = publishing
        self._consuming = consuming
        self._channel = channel
        self._exchanges: dict[str, AbstractExchange] = {}
        self._in_flight = asyncio.Semaphore(IN_FLIGHT)
        self._subscriptions: set[RabbitSubscription] = set()

    @classmethod
    async def open(cls, url: str, topology: Topology, app: str, *, wait: float = 30.0) -> Self:
        """Connect, declare the topology and return the bus.

        Args:
            url: `amqp://user:password@host/vhost`; a `name_prefix` parameter goes before every name on the broker.
            topology: what must exist.
            app: the service's name, shown by the broker and in every message.
            wait: seconds to keep trying while the broker is not there.

        Raises:
            BrokerUnreachableError: no connection within `wait` seconds; the text never holds the password.
            TopologyDriftError: something exists with other arguments.
        """
        address, prefix = _address(url)
        publishing = await _connect(address, f"{app} publishing", wait)
        try:
            await _declared(publishing, topology, prefix)
            consuming = await _connect(address, f"{app} consuming", wait)
            channel = await publishing.channel(publisher_confirms=True, on_return_raises=True)
        except BaseException:
            await publishing.close()
            raise
        return cls(
            topology, app=app, prefix=prefix, publishing=publishing, consuming=consuming, channel=channel
        )

    async def publish(self, message: Outgoing) -> None:
        """Publish and wait for the confirmation."""
        what = f"{message.type} to {message.exchange or 'queue'} {message.routing_key}"
        default = not message.exchange
        key = self._prefix + message.routing_key if default else message.routing_key
        async with self._in_flight, confirming(what, PUBLISH_TIMEOUT):
            exchange = await self._exchange(message.exchange)
            await exchange.publish(to_amqp(message, self._app), key, mandatory=True, timeout=PUBLISH_TIMEOUT)

    async def publish_many(self, messages: Sequence[Outgoing]) -> list[BusError | None]:
        """Publish all, gathering the confirmations."""
        return await asyncio.gather(*(self._attempt(message) for message in messages))

    async def subscribe(self, queue: str, prefetch: int) -> Subscription:
        """Consume a work queue of the topology."""
        declaration = next(
            one for one in self.topology.queue(queue).declarations(self._prefix) if one.bindings
        )
        async with reaching(f"consuming {queue}"):
            channel = await self._consuming.channel(publisher_confirms=False)
            try:
                await channel.set_qos(prefetch_count=prefetch)
                found = await declare_queue(channel, declaration)
                subscription = RabbitSubscription(channel, found, queue, self._prefix)
                await subscription.start()
            except BaseException:
                await close_channel(channel)
                raise
        return self._keep(subscription)

    async def fetch(self, queue: str, limit: int) -> Subscription:
        """Hold what is in a queue now."""
        async with reaching(f"fetching from {queue}"):
            channel = await self._consuming.channel(publisher_confirms=False)
            found = await channel.declare_queue(self._prefix + queue, passive=True)
        return self._keep(RabbitFetch(channel, found, queue, self._prefix, limit))

    async def depth(self, queue: str) -> int:
        """Messages ready in the queue, as the broker last counted."""
        async with reaching(f"counting {queue}"):
            channel = await self._consuming.channel(publisher_confirms=False)
            try:
                found = await channel.declare_queue(self._prefix + queue, passive=True)
                return found.declaration_result.message_count or 0
            finally:
                await close_channel(channel)

    async def writable(self, wait: float = 0.1) -> bool:
        """Whether the broker takes messages now: connected, and not blocked by a memory or disk alarm."""
        transport = self._publishing.transport
        if transport is None or not self._publishing.connected.is_set():
            return False
        try:
            async with asyncio.timeout(wait):
                await transport.connection.ready()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Close subscriptions and their connection, then the publishing one."""
        for subscription in list(self._subscriptions):
            await subscription.close()
        self._subscriptions.clear()
        await self._consuming.close()
        await close_channel(self._channel)
        await self._publishing.close()

    async def _attempt(self, message: Outgoing) -> BusError | None:
        try:
            await self.publish(message)
        except BusError as error:
            return error
        return None

    async def _exchange(self, name: str) -> AbstractExchange:
        if name not in self._exchanges:
            self._exchanges[name] = (
                await self._channel.get_exchange(self._prefix + name, ensure=False)
                if name
                else self._channel.default_exchange
            )
        return self._exchanges[name]

    def _keep(self, subscription: RabbitSubscription) -> RabbitSubscription:
        subscription.on_close = self._subscriptions.discard
        self._subscriptions.add(subscription)
        return subscription


def _address(url: str) -> tuple[URL, str]:
    parsed = URL(url)
    prefix = parsed.query.get(PREFIX_PARAMETER, "")
    return parsed.without_query_params(PREFIX_PARAMETER).update_query(heartbeat=str(HEARTBEAT)), prefix


async def _connect(address: URL, name: str, wait: float) -> AbstractRobustConnection:
    """Connect, trying again while the broker is away; a refusal is not tried again."""
    place = f"{address.host}:{address.port or 5672}"
    clock = asyncio.get_running_loop().time
    deadline = clock() + wait
    while True:
        # One object per try: one that failed its first connection does not recover.
        connection = RobustConnection(
            address, reconnect_interval=RECONNECT_INTERVAL, client_properties={"connection_name": name}
        )
        try:
            await connection.connect(timeout=CONNECT_TIMEOUT)
        except REFUSALS as error:
            await connection.close()
            raise BrokerUnreachableError(
                f"the broker at {place} refuses these credentials or vhost"
            ) from error
        except (TimeoutError, *CONNECTION_EXCEPTIONS) as error:
            await connection.close()
            if clock() + RECONNECT_INTERVAL > deadline:
                raise BrokerUnreachableError(
                    f"no AMQP broker answers at {place} (waited {wait:g} s)"
                ) from error
            await asyncio.sleep(RECONNECT_INTERVAL)
        except BaseException:
            await connection.close()
            raise
        else:
            return connection


async def _declared(connection: AbstractRobustConnection, topology: Topology, prefix: str) -> None:
    channel = await connection.channel(publisher_confirms=False)
    try:
        await declare(channel, topology, prefix)
    finally:
        await close_channel(channel)
