"""Declare the topology; an existing object with other arguments is fatal and named."""

from aio_pika.abc import AbstractChannel, AbstractQueue
from aio_pika.exceptions import ChannelPreconditionFailed

from messaging.rabbit_errors import drift
from messaging.topology import QueueDeclaration, Topology


async def declare(channel: AbstractChannel, topology: Topology, prefix: str = "") -> None:
    """Declare every exchange, queue and binding; what exists already stays as it is.

    Raises:
        TopologyDriftError: an object exists with other arguments; the channel is closed then.
    """
    for name in topology.exchanges:
        try:
            await channel.declare_exchange(prefix + name, "topic", durable=True)
        except ChannelPreconditionFailed as error:
            raise drift(error, name) from error
    for declaration in topology.declarations(prefix):
        await declare_queue(channel, declaration)


async def declare_queue(channel: AbstractChannel, declaration: QueueDeclaration) -> AbstractQueue:
    """Declare one queue with its bindings; on a robust channel it is declared again after a reconnect."""
    try:
        queue = await channel.declare_queue(declaration.name, durable=True, arguments=declaration.arguments)
    except ChannelPreconditionFailed as error:
        raise drift(error, declaration.name) from error
    for binding in declaration.bindings:
        await queue.bind(binding.exchange, binding.pattern)
    return queue
