"""The letter box as a process."""

from datetime import timedelta

from messaging.bus import UnroutableError
from persistence.database import Database
from persistence.relay import OutboxRelay
from service_kit.clock import Clock, SystemClock
from service_kit.health import Health
from service_kit.http_client import Limits, outbound_client
from service_kit.metrics import Metrics
from service_kit.run import Service, run
from service_kit.settings import load
from service_kit.web import create_app
from webhooks.publish import Opening, Publisher, rabbit
from webhooks.receive import Receiver, WebhookMetrics
from webhooks.routes import routes
from webhooks.settings import WebhooksSettings
from webhooks.store import Store, WebhookOutbox
from webhooks.verifiers import Verifier
from webhooks.verifiers.plaid import PlaidVerifier
from webhooks.verifiers.plaid_keys import ANSWER_LIMIT, PlaidKeyClient, PlaidKeys, credentials
from webhooks.verifiers.snaptrade import SnapTradeVerifier

NAME = "webhooks"
MAX_BODY = 64 * 1024
HANDLER_SECONDS = 8.0
"""Plaid gives up after ten seconds."""
LOOKUP = Limits(connect=2.0, read=4.0, pool=1.0, total=5.0, connections=4, response_bytes=ANSWER_LIMIT)


def build(
    settings: WebhooksSettings, *, clock: Clock | None = None, opening: Opening | None = None
) -> Service:
    """Wire the letter box; nothing connects before it runs.

    Args:
        settings: of the process.
        clock: tells how old deliveries are.
        opening: opens another bus than the settings' broker.
    """
    metrics, health, clock = Metrics(NAME), Health(), clock or SystemClock()
    url = settings.database_url.get_secret_value()
    database = Database(url, application_name=NAME, min_size=2, max_size=settings.database_pool)
    plaid = _plaid_client(settings, metrics)
    verifiers = _verifiers(settings, plaid, clock)
    publisher = Publisher(opening or rabbit(settings.amqp_url.get_secret_value(), list(verifiers)))
    relay = OutboxRelay(
        database,
        WebhookOutbox(),
        publisher.publish,
        unroutable=(UnroutableError,),
        metrics=metrics,
        retention=timedelta(days=settings.webhook_retention_days),
    )
    receiver = Receiver(verifiers, Store(database), relay.wake, clock, WebhookMetrics(metrics))
    # The broker is no part of it: without one, deliveries are still taken in.
    health.add("database", database.ready)
    app = create_app(
        "Onefolio webhooks",
        settings,
        health,
        metrics,
        max_body_bytes=MAX_BODY,
        handler_seconds=HANDLER_SECONDS,
    )
    app.include_router(routes(receiver))
    return Service(
        name=NAME,
        app=app,
        health=health,
        on_start=[database.open, publisher.start],
        background=[relay.run],
        on_drain=[relay.stop],
        on_stop=[publisher.close, *([plaid.aclose] if plaid else []), database.close],
    )


def _verifiers(settings: WebhooksSettings, plaid: PlaidKeyClient | None, clock: Clock) -> dict[str, Verifier]:
    found: list[Verifier] = []
    if settings.snaptrade_consumer_key:
        keys = [settings.snaptrade_consumer_key, settings.snaptrade_previous_consumer_key]
        given = [key for key in keys if key]
        found.append(SnapTradeVerifier(given, strict=settings.snaptrade_strict_age, clock=clock))
    if plaid:
        found.append(PlaidVerifier(PlaidKeys(plaid, clock=clock), clock=clock))
    return {verifier.provider: verifier for verifier in found}


def _plaid_client(settings: WebhooksSettings, metrics: Metrics) -> PlaidKeyClient | None:
    if not (settings.plaid_client_id and settings.plaid_secret):
        return None
    headers = credentials(settings.plaid_client_id, settings.plaid_secret.get_secret_value())
    return PlaidKeyClient(
        outbound_client("plaid", settings.plaid_base_url, metrics, limits=LOOKUP, headers=headers)
    )


def main() -> None:
    """Run until told to stop."""
    settings = load(WebhooksSettings)
    run(build(settings), settings)


if __name__ == "__main__":
    main()
