"""The one place where the gateway is put together."""

from collections.abc import Awaitable, Callable
from importlib.resources import files

import httpx

from gateway.api import create_api
from gateway.auth.caller import Authenticator
from gateway.auth.keys import IssuerKeys, KeySource, SharedSecret
from gateway.auth.tokens import DEVELOPMENT_ISSUER
from gateway.clients.connectors import Connectors, HttpConnectors, http_connectors
from gateway.clients.placing import HttpPlacing, Placing, http_placing
from gateway.clients.trading import TradingReads, http_trading_reads
from gateway.commands import SCHEMA
from gateway.context import Gateway
from gateway.ledger.measures import ChargeMeasures
from gateway.ledger.settlement import Settlements
from gateway.linking.measures import LinkMeasures
from gateway.rates.port import RateSource
from gateway.relay import Publisher
from gateway.routing.choose import Policy
from gateway.routing.coverage import Coverage, read
from gateway.settings import SESSION, GatewaySettings
from gateway.stream.streams import Streams
from gateway.trading.market_data import MarketData
from gateway.trading.place import Counter
from gateway.trading.settle import Desk, OrderMeasures
from gateway.trading.watch import Watch
from gateway.upkeep.loop import Upkeep
from gateway.upkeep.tasks import tasks
from messaging.bus import Bus, MessageTooLargeError, UnroutableError
from messaging.measures import EventMetrics
from messaging.topology import PROVIDERS, onefolio
from persistence.database import Database
from persistence.relay import OutboxRelay
from service_kit.clock import Clock, SystemClock
from service_kit.health import Health
from service_kit.http_client import Limits, outbound_client
from service_kit.metrics import Metrics
from service_kit.run import Service, Step

NAME = "gateway"
JWKS_LIMITS = Limits(connect=2.0, read=3.0, total=5.0, response_bytes=256 * 1024)


def build(
    settings: GatewaySettings,
    *,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
    database: Database | None = None,
    bus: Bus | None = None,
    connectors: Connectors | None = None,
    trading: TradingReads | None = None,
    placing: Placing | None = None,
    rates: RateSource | None = None,
    issuer_transport: httpx.AsyncBaseTransport | None = None,
) -> Service:
    """Build the gateway; nothing connects before it runs.

    What is given (by tests) is used as it is and stays open; the rest is made from the settings.
    """
    clock, metrics = clock or SystemClock(), metrics or Metrics(NAME)
    stops: list[Step] = []
    own_database = database or Database(
        settings.database_url.get_secret_value(),
        application_name=NAME,
        max_size=settings.database_pool,
        settings=dict(SESSION),
    )
    publisher = Publisher(
        bus,
        settings.amqp_url.get_secret_value(),
        onefolio(dict.fromkeys((*PROVIDERS, *settings.connectors))),
    )
    relay = OutboxRelay(
        own_database,
        SCHEMA,
        publisher.publish,
        unroutable=(UnroutableError, MessageTooLargeError),
        metrics=metrics,
    )
    health = Health()
    health.add("database", own_database.ready)
    health.add("broker", publisher.ready)
    app = create_api(settings, health, metrics)
    app.state.authenticator = _authenticator(settings, clock, metrics, stops, issuer_transport)
    gateway = _gateway(
        settings,
        own_database,
        connectors=connectors or _connectors(settings, clock, metrics, stops),
        market=MarketData(trading or _trading_reads(settings, clock, metrics, stops), clock),
        clock=clock,
        metrics=metrics,
        wake=relay.wake,
        rates=rates or settings.rates,
    )
    app.state.gateway = gateway
    desk = Desk(gateway, placing or _placing(settings, clock, metrics, stops), OrderMeasures(metrics))
    app.state.orders = counter = Counter(desk)
    watch = Watch(desk)
    settlements = Settlements(own_database, publisher.bus, gateway.charges, EventMetrics(metrics), clock)
    upkeep = Upkeep(own_database, tasks(gateway), clock)
    streams = Streams(
        publisher.bus,
        own_database,
        clock=clock,
        metrics=metrics,
        health=health,
        most=settings.streams_per_user,
    )
    app.state.streams = streams
    stops.append(publisher.close)
    if database is None:
        stops.append(own_database.close)
    return Service(
        name=NAME,
        app=app,
        health=health,
        on_start=[own_database.open] if database is None else [],
        background=[
            publisher.connect,
            relay.run,
            settlements.run,
            streams.run,
            watch.run,
            *([upkeep.run] if settings.upkeep_enabled else []),
        ],
        on_drain=[counter.drain, watch.stop, settlements.stop, streams.stop, upkeep.stop, relay.stop],
        on_stop=stops,
    )


def coverage() -> Coverage:
    """The reviewed coverage file."""
    return read(files("gateway.routing").joinpath("coverage.toml").read_text(encoding="utf-8"))


def _gateway(
    settings: GatewaySettings,
    database: Database,
    *,
    connectors: Connectors,
    market: MarketData,
    clock: Clock,
    metrics: Metrics,
    wake: Callable[[], None],
    rates: RateSource,
) -> Gateway:
    known = coverage()
    return Gateway(
        settings=settings,
        database=database,
        connectors=connectors,
        market=market,
        clock=clock,
        coverage=known,
        policy=Policy(enabled=settings.enabled_providers, admin_only=settings.admin_only_providers),
        measures=LinkMeasures(metrics, known),
        charges=ChargeMeasures(metrics, settings.connectors),
        wake=wake,
        rates=rates,
    )


def _connectors(
    settings: GatewaySettings, clock: Clock, metrics: Metrics, stops: list[Step]
) -> HttpConnectors:
    made = http_connectors(settings, settings.connectors, metrics, clock)
    stops.append(made.aclose)
    return made


def _trading_reads(
    settings: GatewaySettings, clock: Clock, metrics: Metrics, stops: list[Step]
) -> TradingReads:
    made = http_trading_reads(settings, settings.connectors, metrics, clock)
    stops.append(made.aclose)
    return made


def _placing(settings: GatewaySettings, clock: Clock, metrics: Metrics, stops: list[Step]) -> HttpPlacing:
    made = http_placing(settings, settings.connectors, metrics, clock)
    stops.append(made.aclose)
    return made


def _authenticator(
    settings: GatewaySettings,
    clock: Clock,
    metrics: Metrics,
    stops: list[Callable[[], Awaitable[object]]],
    transport: httpx.AsyncBaseTransport | None,
) -> Authenticator:
    keys: KeySource
    if settings.jwt_secret is not None:
        keys, issuer = SharedSecret(settings.jwt_secret.get_secret_value()), DEVELOPMENT_ISSUER
    else:
        url = httpx.URL(settings.jwks_url)
        base = str(url.copy_with(raw_path=b"/"))
        http = outbound_client("issuer", base, metrics, limits=JWKS_LIMITS, transport=transport)
        stops.append(http.aclose)
        keys, issuer = IssuerKeys(http, url.raw_path.decode(), clock), settings.oidc_issuer or ""
    return Authenticator(keys, issuer=issuer, audience=settings.jwt_audience, clock=clock)
