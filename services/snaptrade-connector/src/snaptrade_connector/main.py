"""The SnapTrade connector as a process."""

from datetime import timedelta

from connector_kit.build import build
from connector_kit.limits import Gate
from service_kit.metrics import Metrics
from service_kit.run import Service, run
from service_kit.settings import load
from snaptrade_connector.adapter import SnapTradeConnector
from snaptrade_connector.client import Rates, connect
from snaptrade_connector.errors import PROVIDER
from snaptrade_connector.settings import SnapTradeSettings
from snaptrade_connector.signing import SnapTradeAuth


def service(settings: SnapTradeSettings) -> Service:
    """Wire the adapter to the engine that drives it."""
    metrics = Metrics(f"{PROVIDER}-connector")
    auth = SnapTradeAuth(settings.client_id, settings.consumer_key.get_secret_value())
    gate = Gate(PROVIDER, side_by_side=settings.side_by_side)
    rates = Rates(settings.rate_limit, settings.account_rate_limit if settings.key_type == "personal" else 0)
    client = connect(str(settings.base_url), auth, metrics, gate, rates)
    every = timedelta(seconds=settings.activities_every_seconds)
    connector = SnapTradeConnector(client, settings.key_type, page=settings.page, activities_every=every)
    return build(connector, settings, metrics=metrics, gate=gate)


def main() -> None:
    """Run until told to stop."""
    settings = load(SnapTradeSettings)
    run(service(settings), settings)


if __name__ == "__main__":
    main()
