"""What the AMQP client raises, in our words."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    DeliveryError,
    PublishError,
)

from messaging.bus import BrokerUnreachableError, BusError, NotConfirmedError, UnroutableError

_INEQUIVALENT = re.compile(r"inequivalent arg '([^']*)' for (\w+) '([^']*)'.*?: (.*)")


class TopologyDriftError(BusError):
    """A queue or exchange exists with other arguments; it needs a new name or a migration, not a retry."""


def drift(error: ChannelPreconditionFailed, name: str) -> TopologyDriftError:
    """The broker's refusal, naming the object and the argument."""
    text = str(error.args[0]) if error.args else ""
    found = _INEQUIVALENT.search(text)
    if found is None:
        return TopologyDriftError(f"{name} cannot be declared: {text}")
    argument, kind, broker_name, difference = found.groups()
    return TopologyDriftError(f"{kind} {broker_name!r} exists with another {argument!r}: {difference}")


@asynccontextmanager
async def confirming(what: str, limit: float) -> AsyncIterator[None]:
    """Run one publish: every way in which it can stay unconfirmed becomes an error of ours.

    A dying connection cancels the waiting publish, which must not look like a cancellation of the caller's task.
    """
    task = asyncio.current_task()
    try:
        async with asyncio.timeout(limit):
            try:
                yield
            except asyncio.CancelledError as error:
                if task is not None and task.cancelling():
                    raise
                raise NotConfirmedError(f"{what}: the connection was lost before the confirmation") from error
    except PublishError as error:
        raise UnroutableError(f"{what}: no queue is bound for it") from error
    except DeliveryError as error:
        raise NotConfirmedError(f"{what}: refused by the broker, its queue is full") from error
    except ChannelNotFoundEntity as error:
        raise UnroutableError(f"{what}: {error}") from error
    except TimeoutError as error:
        raise NotConfirmedError(f"{what}: no confirmation within {limit:g} s") from error
    except CONNECTION_EXCEPTIONS as error:
        raise NotConfirmedError(f"{what}: {type(error).__name__}: {error}") from error


@asynccontextmanager
async def reaching(what: str, limit: float = 10.0) -> AsyncIterator[None]:
    """Run something that waits for a connection: no longer than `limit` seconds, with errors of ours."""
    try:
        async with asyncio.timeout(limit):
            yield
    except ChannelNotFoundEntity as error:
        raise UnroutableError(f"{what}: {error}") from error
    except (TimeoutError, *CONNECTION_EXCEPTIONS) as error:
        raise BrokerUnreachableError(f"{what}: {type(error).__name__}: {error}") from error
