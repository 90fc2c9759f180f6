"""The consolidator says that it is not ready while the broker does not serve it."""

from typing import Any, cast

import pytest

from consolidator.broker import Broker
from messaging.bus import BrokerUnreachableError, Bus
from messaging.memory import MemoryBus
from messaging.topology import onefolio


async def test_it_is_ready_only_between_start_and_close() -> None:
    async def opening() -> Bus:
        return MemoryBus(onefolio())

    nothing = cast("Any", None)
    broker = Broker(opening, nothing, batch=10, metrics=nothing, ledger=nothing)
    with pytest.raises(BrokerUnreachableError):
        await broker.ready()
    await broker.start()
    await broker.ready()
    await broker.close()
    with pytest.raises(BrokerUnreachableError):
        await broker.ready()
