"""The Plaid connector's process."""

import connector_kit
from connector_kit.limits import Gate
from plaid_connector.adapter import PlaidAdapter
from plaid_connector.client import PlaidClient, headers
from plaid_connector.errors import PROVIDER
from plaid_connector.limits import table
from plaid_connector.settings import PlaidSettings
from service_kit.http_client import Limits, outbound_client
from service_kit.metrics import Metrics
from service_kit.run import Service, run
from service_kit.settings import load

BOUNDS = Limits(read=60.0, total=180.0)
"""Plaid answers in seconds, but what makes it ask an institution can take minutes; those calls wait longer."""


SIDE_BY_SIDE = 16
"""Calls at once: a paid refresh holds its place for seconds, and others must not wait for it."""


def adapter(settings: PlaidSettings, metrics: Metrics, gate: Gate | None = None) -> PlaidAdapter:
    """The adapter over a real connection to Plaid, whose calls pass through the gate."""
    passed = gate or Gate(PROVIDER, side_by_side=SIDE_BY_SIDE)
    http = outbound_client(
        PROVIDER,
        settings.base_url,
        metrics,
        limits=BOUNDS,
        headers=headers(settings.client_id, settings.secret.get_secret_value()),
        transport=passed.transport(),
    )
    return PlaidAdapter(PlaidClient(http, table(settings.base_url)), settings)


def build(settings: PlaidSettings) -> Service:
    """The whole service; nothing connects until it starts."""
    metrics = Metrics(f"{PROVIDER}-connector")
    gate = Gate(PROVIDER, side_by_side=SIDE_BY_SIDE)
    return connector_kit.build(adapter(settings, metrics, gate), settings, metrics=metrics, gate=gate)


def main() -> None:
    """Run until told to stop."""
    settings = load(PlaidSettings)
    run(build(settings), settings)
