"""What every use case of a connector works with."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from connector_kit.measures import ConnectorMetrics
from connector_kit.settings import ConnectorSettings
from contracts.connectors import InvestmentsConnector
from messaging.bus import Bus
from persistence.database import Database
from persistence.secrets import SecretStore
from service_kit.clock import Clock


@dataclass(frozen=True, slots=True)
class Engine:
    """One adapter and everything the engine drives it with; ``sleep`` and ``chance`` are the world's."""

    adapter: InvestmentsConnector
    settings: ConnectorSettings
    database: Database
    bus: Bus
    secrets: SecretStore
    clock: Clock
    metrics: ConnectorMetrics
    sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)
    chance: Callable[[], float] = field(default=random.random)

    @property
    def provider(self) -> str:
        """The provider's slug."""
        return self.adapter.provider
