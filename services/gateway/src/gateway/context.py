"""What every route works with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from gateway.clients.connectors import Connectors
from gateway.ledger.measures import ChargeMeasures
from gateway.linking.measures import LinkMeasures
from gateway.rates.port import RateSource
from gateway.routing.choose import Policy
from gateway.routing.coverage import Coverage
from gateway.settings import GatewaySettings
from gateway.trading.market_data import MarketData
from persistence.database import Database
from service_kit.clock import Clock


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway's parts; ``wake`` tells the outbox relay that a transaction with commands has committed."""

    settings: GatewaySettings
    database: Database
    connectors: Connectors
    clock: Clock
    coverage: Coverage
    policy: Policy
    measures: LinkMeasures
    charges: ChargeMeasures
    rates: RateSource
    market: MarketData
    wake: Callable[[], None]


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


Parts = Annotated[Gateway, Depends(_gateway)]
"""The gateway's parts, as a route takes them."""
