"""Small true-to-form values, for tests and documents."""

from datetime import UTC, datetime
from decimal import Decimal

from contracts.clocks import Clocks
from contracts.holdings import Holding, HoldingsSnapshot, content_hash
from contracts.instruments import Instrument, InstrumentKind

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)


def holding(key: str = "AAPL", quantity: Decimal = Decimal("1.50")) -> Holding:
    """An unpriced holding of a stock."""
    return Holding(
        instrument=Instrument(key=key, kind=InstrumentKind.STOCK), quantity=quantity, currency="USD"
    )


def snapshot(*holdings: Holding, version: int = 1) -> HoldingsSnapshot:
    """A complete snapshot of one account."""
    return HoldingsSnapshot(
        user_id="u",
        provider="snaptrade",
        connection_id="c",
        institution="fidelity",
        clocks=Clocks(as_of=NOW, synced_at=NOW, version=version),
        complete=True,
        gap=None,
        account_id="a",
        holdings=list(holdings),
        content_hash=content_hash(list(holdings)),
    )
