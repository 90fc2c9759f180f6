"""The Plaid connector's process."""

import connector_kit
from connector_kit.limits import Gate
from plaid_connector.adapter import PlaidAdapter
from plaid_connector.client import PlaidClient, headers
from plaid_connector.errors import PROVIDER
from plaid_connector.settings import PlaidSettings
from service_kit.http_client import Limits, outbound_client
from service_kit.metrics import Metrics
from service_kit.run import Service, run
from service_kit.settings import load

BOUNDS = Limits(read=60.0, total=90.0)
"""Plaid answers in seconds, but its first fetch at an institution can take half a minute and more."""


def adapter(settings: PlaidSettings, metrics: Metrics) -> PlaidAdapter:
    """The adapter over a real connection to Plaid."""
    http = outbound_client(
        PROVIDER,
        settings.base_url,
        metrics,
        limits=BOUNDS,
        headers=headers(settings.client_id, settings.secret.get_secret_value()),
        transport=Gate(PROVIDER).transport(),
    )
    return PlaidAdapter(PlaidClient(http), settings)


def build(settings: PlaidSettings) -> Service:
    """The whole service; nothing connects until it starts."""
    metrics = Metrics(f"{PROVIDER}-connector")
    return connector_kit.build(adapter(settings, metrics), settings, metrics=metrics)


def main() -> None:
    """Run until told to stop."""
    settings = load(PlaidSettings)
    run(build(settings), settings)
