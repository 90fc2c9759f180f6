"""Deliveries from RabbitMQ: a consumer's, and the present content of a queue."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from aiormq.abc import AbstractChannel as UnderlayChannel

from messaging.bus import Held, QueueDrainedError
from messaging.rabbit_wire import from_amqp

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Token:
    """An AMQP message and the channel it came on; the message itself refuses to name a closed channel."""

    message: AbstractIncomingMessage
    channel: UnderlayChannel

    @property
    def stale(self) -> bool:
        """Whether its channel is gone, and its tag with it."""
        return self.channel.is_closed


class RabbitSubscription:
    """A consumer on a channel of its own.

    The channel and queue objects are kept here: the robust connection only holds weak references to channels.
    """

    def __init__(self, channel: AbstractChannel, queue: AbstractQueue, name: str, prefix: str) -> None:
        self._channel = channel
        self._queue = queue
        self._name = name
        self._prefix = prefix
        self._arrived: asyncio.Queue[Token] = asyncio.Queue()
        self._tag: str | None = None
        self.on_close: Callable[[RabbitSubscription], None] | None = None

    async def start(self) -> None:
        """Ask for deliveries."""
        self._tag = await self._queue.consume(self._on_message)

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        # An exception here would leave the message un-acked for half an hour; only a channel that is gone raises.
        self._arrived.put_nowait(Token(message, message.channel))

    async def next(self) -> Held:
        """Wait for the next delivery of the present channel."""
        while True:
            token = await self._arrived.get()
            if not token.stale:
                return Held(from_amqp(token.message, self._name, self._prefix), token)

    async def ack(self, held: Sequence[Held], *, and_all_before: bool = False) -> None:
        """Acknowledge; after a reconnect old tags are void and their messages come again."""
        tokens = _live(held)
        if and_all_before:
            # One frame per channel: a reconnect in the middle leaves two channels in one batch.
            tokens = list({id(token.channel): token for token in tokens}.values())
        for token in tokens:
            await self._settle(token.message, multiple=and_all_before)

    async def requeue(self, held: Sequence[Held]) -> None:
        """Hand back."""
        for token in _live(held):
            await self._settle(token.message, requeue=True)

    async def pause(self) -> None:
        """Cancel the consumer."""
        if self._tag is not None:
            tag, self._tag = self._tag, None
            try:
                async with asyncio.timeout(5):
                    await self._queue.cancel(tag)
            except (*CONNECTION_EXCEPTIONS, TimeoutError) as error:
                log.info("consumer.cancel_failed", queue=self._name, error=type(error).__name__)

    async def close(self) -> None:
        """Close the channel; the broker puts back what is not acknowledged."""
        await self.pause()
        await close_channel(self._channel)
        if self.on_close is not None:
            self.on_close(self)

    async def _settle(
        self, message: AbstractIncomingMessage, *, multiple: bool = False, requeue: bool = False
    ) -> None:
        try:
            if requeue:
                await message.nack(requeue=True)
            else:
                await message.ack(multiple=multiple)
        except CONNECTION_EXCEPTIONS as error:
            log.info("delivery.settled_too_late", queue=self._name, error=type(error).__name__)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            log.info("delivery.settled_too_late", queue=self._name, error="connection lost")


class RabbitFetch(RabbitSubscription):
    """The messages of a queue as they are now, held until closed."""

    def __init__(
        self, channel: AbstractChannel, queue: AbstractQueue, name: str, prefix: str, limit: int
    ) -> None:
        super().__init__(channel, queue, name, prefix)
        self._left = limit

    async def next(self) -> Held:
        """Get the next one."""
        message = await self._queue.get(no_ack=False, fail=False) if self._left > 0 else None
        if message is None:
            raise QueueDrainedError(f"nothing more in {self._name}")
        self._left -= 1
        return Held(from_amqp(message, self._name, self._prefix), Token(message, message.channel))


async def close_channel(channel: AbstractChannel) -> None:
    """Close a channel, which may be gone already."""
    try:
        async with asyncio.timeout(5):
            await channel.close()
    except (*CONNECTION_EXCEPTIONS, TimeoutError) as error:
        log.info("channel.close_failed", error=type(error).__name__)


def _live(held: Sequence[Held]) -> list[Token]:
    tokens = (cast("Token", one.token) for one in held)
    return [token for token in tokens if not token.stale]
