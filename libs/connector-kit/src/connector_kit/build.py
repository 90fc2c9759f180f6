"""Wiring: an adapter and its settings become a service. Nothing connects until the service starts."""

import asyncio
from functools import partial
from typing import Protocol, runtime_checkable

from connector_kit import commands, internal_api
from connector_kit.background import Background
from connector_kit.engine import Engine
from connector_kit.jobs import Jobs
from connector_kit.late_bus import LateBus
from connector_kit.limits import Gate, PostgresLimits
from connector_kit.measures import ConnectorMetrics
from connector_kit.schedule import Scheduler
from connector_kit.settings import ConnectorSettings
from contracts.connectors import InvestmentsConnector
from contracts.envelope import Received
from messaging.bus import Bus
from messaging.consume import EachConsumer
from messaging.measures import EventMetrics
from messaging.rabbit import RabbitBus
from messaging.topology import connector_topology
from persistence.database import Database
from persistence.ledger import PostgresLedger
from persistence.secrets import KeyRing, PostgresSecrets, SecretStore
from service_kit.clock import Clock, SystemClock
from service_kit.health import Health
from service_kit.metrics import Metrics
from service_kit.run import Service, Step
from service_kit.web import create_app

HANDLER_SECONDS = 60.0
"""An answer of a provider can take half a minute, and beginning a link may need two."""


@runtime_checkable
class Closing(Protocol):
    """An adapter that has connections to close."""

    async def aclose(self) -> None:
        """Close them."""
        ...


def build(
    adapter: InvestmentsConnector,
    settings: ConnectorSettings,
    *,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
    bus: Bus | None = None,
    database: Database | None = None,
    secrets: SecretStore | None = None,
    gate: Gate | None = None,
) -> Service:
    """Build the service that drives an adapter.

    What is given (by tests, mostly) is used as it is and stays open; what is not is made from the settings,
    opened when the service starts and closed when it ends.

    Args:
        adapter: serves the ports of ``contracts.connectors``; closed at the end if it has ``aclose``.
        settings: the engine's.
        clock: of the engine; leases and schedules live by the database's.
        metrics: the process's, where the adapter's client already counts.
        bus: an open bus.
        database: an open database.
        secrets: a secret store.
        gate: what the adapter's calls pass through; from now on its limits are those of all replicas together.
    """
    name = f"{adapter.provider}-connector"
    metrics = metrics or Metrics(name)
    own_database = database or _database(settings, name)
    own_bus = bus or _bus(settings, adapter.provider)
    store = secrets or _secrets(settings, own_database)
    if gate is not None:
        gate.use(PostgresLimits(own_database, adapter.provider))
    engine = Engine(
        adapter=adapter,
        settings=settings,
        database=own_database,
        bus=own_bus,
        secrets=store,
        clock=clock or SystemClock(),
        metrics=ConnectorMetrics(metrics, adapter.provider),
    )
    health, background = Health(), Background()
    app = create_app(f"Onefolio {name}", settings, health, metrics, handler_seconds=HANDLER_SECONDS)
    internal_api.mount(app, engine, background)
    ledger = PostgresLedger(own_database, "sync")
    consumer = commands.consumer(engine, own_bus, ledger, EventMetrics(metrics))
    scheduler, jobs = Scheduler(engine), Jobs(engine)
    health.add("database", own_database.ready)
    if isinstance(own_bus, LateBus):
        health.add("broker", own_bus.ready)
    return Service(
        name=name,
        app=app,
        health=health,
        on_start=[*_openings(database, own_database, own_bus, store), consumer.start],
        background=[
            consumer.run,
            *([scheduler.run] if settings.scheduler_enabled else []),
            *([jobs.run] if settings.jobs_enabled else []),
        ],
        on_drain=[partial(_drain, scheduler, jobs, consumer, background)],
        on_stop=_closings(adapter, database, own_database, own_bus),
    )


async def _drain(
    scheduler: Scheduler, jobs: Jobs, consumer: EachConsumer[Received], background: Background
) -> None:
    """Take nothing more and finish what runs, all at once: none may use up the others' time."""
    await asyncio.gather(scheduler.stop(), jobs.stop(), consumer.stop(), background.drain())


def _openings(given: Database | None, database: Database, bus: Bus, secrets: SecretStore) -> list[Step]:
    steps: list[Step] = [] if given else [database.open]
    if isinstance(bus, LateBus):
        steps.append(bus.open)
    if isinstance(secrets, PostgresSecrets):
        # Refuse to start without a master key that some secret needs.
        steps.append(secrets.check)
    return steps


def _closings(
    adapter: InvestmentsConnector, given: Database | None, database: Database, bus: Bus
) -> list[Step]:
    steps: list[Step] = [adapter.aclose] if isinstance(adapter, Closing) else []
    if isinstance(bus, LateBus):
        steps.append(bus.close)
    return steps if given else [*steps, database.close]


def _database(settings: ConnectorSettings, name: str) -> Database:
    url = settings.database_url.get_secret_value()
    return Database(url, application_name=name, max_size=settings.database_pool)


def _bus(settings: ConnectorSettings, provider: str) -> LateBus:
    topology = connector_topology(provider)
    url = settings.amqp_url.get_secret_value()
    return LateBus(topology, partial(RabbitBus.open, url, topology, f"{provider}-connector"))


def _secrets(settings: ConnectorSettings, database: Database) -> SecretStore:
    if settings.secret_store == "aws":  # noqa: S105  a kind of store, not a secret
        from persistence.secrets.aws import AwsSecrets, client  # noqa: PLC0415  loads boto3, which few need

        return AwsSecrets(client(settings.aws_region, settings.aws_endpoint_url))
    keys = settings.secrets_master_keys
    return PostgresSecrets(database, KeyRing.parse(keys.get_secret_value() if keys else ""))
