"""The consolidator as a process."""

import gc

from consolidator.apply import Applier
from consolidator.broker import Broker, Opening, rabbit
from consolidator.measures import Measures
from consolidator.settings import SESSION, ConsolidatorSettings
from consolidator.sweep import Sweep
from messaging.bus import UnroutableError
from messaging.measures import EventMetrics
from persistence.database import Database
from persistence.ledger import PostgresLedger
from persistence.relay import OutboxRelay
from service_kit.clock import Clock, SystemClock
from service_kit.health import Health
from service_kit.metrics import Metrics
from service_kit.run import Service, run
from service_kit.settings import load
from service_kit.web import create_app

NAME = "consolidator"
SCHEMA = "portfolio"


def build(
    settings: ConsolidatorSettings, *, clock: Clock | None = None, opening: Opening | None = None
) -> Service:
    """Wire the consolidator; nothing connects before it runs.

    Args:
        settings: of the process.
        clock: tells how old sources are.
        opening: opens another bus than the settings' broker.
    """
    metrics, health, clock = Metrics(NAME), Health(), clock or SystemClock()
    database = _database(settings)
    rules = settings.rules
    applier = Applier(database, rules, clock, Measures(metrics))
    broker = Broker(
        opening or rabbit(settings.amqp_url.get_secret_value()),
        applier,
        batch=settings.batch,
        metrics=EventMetrics(metrics),
        ledger=PostgresLedger(database, SCHEMA),
    )
    relay = OutboxRelay(database, SCHEMA, broker.publish, unroutable=(UnroutableError,), metrics=metrics)
    sweep = Sweep(
        database, applier, clock, max_age=rules.sources.max_age, retention=settings.snapshot_retention
    )
    health.add("database", database.ready)
    health.add("broker", broker.ready)
    return Service(
        name=NAME,
        app=create_app("Onefolio consolidator", settings, health, metrics),
        health=health,
        on_start=[database.open, broker.start],
        background=[broker.run, relay.run, sweep.run],
        on_drain=[broker.stop, relay.stop],
        on_stop=[broker.close, database.close],
    )


def _database(settings: ConsolidatorSettings) -> Database:
    return Database(
        settings.database_url.get_secret_value(),
        application_name=NAME,
        min_size=2,
        max_size=settings.database_pool,
        statement_timeout=30.0,
        # Replicas wait for each other's batches where they share a user.
        lock_timeout=20.0,
        settings=dict(SESSION),
    )


def calm_collector() -> None:
    """Let Python look for garbage cycles less often.

    A batch makes a hundred thousand short-lived tuples and not one cycle; with the usual thresholds the
    collector walks them, and all that is remembered between batches, for a fifth of the process's time.
    """
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


def main() -> None:
    """Run until told to stop."""
    settings = load(ConsolidatorSettings)
    calm_collector()
    run(build(settings), settings)


if __name__ == "__main__":
    main()
