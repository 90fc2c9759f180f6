"""What the invented people hold, as each provider describes it."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from contracts.instruments import Instrument, InstrumentKind, OptionTerms, cash_key, crypto_key


@dataclass(frozen=True)
class Security:
    """One thing that can be held; ``nameless_at`` names a provider that knows it by its FIGI alone."""

    symbol: str
    kind: InstrumentKind = InstrumentKind.STOCK
    currency: str = "USD"
    price: str = "100"
    figi: str | None = None
    nameless_at: str | None = None
    multiplier: str = "1"

    def described_by(self, provider: str) -> Instrument:
        """The instrument as this provider tells of it: names differ, and sometimes keys."""
        nameless = provider == self.nameless_at
        key = f"FIGI:{self.figi}" if nameless else self._key()
        return Instrument(
            key=key,
            kind=self.kind,
            symbol=None if nameless else self.symbol,
            name=f"{self.symbol} as {provider} writes it",
            currency=self.currency,
            figi=self.figi,
            multiplier=Decimal(self.multiplier),
            option=self._option(),
        )

    def _key(self) -> str:
        return crypto_key(self.symbol) if self.kind is InstrumentKind.CRYPTO else self.symbol

    def _option(self) -> OptionTerms | None:
        if self.kind is not InstrumentKind.OPTION:
            return None
        return OptionTerms(right="call", strike=Decimal(260), expires=date(2027, 1, 15), underlying="AAPL")


SECURITIES = (
    Security("AAPL", price="191.37", figi="BBG000000001"),
    Security("MSFT", price="402.11", figi="BBG000000002"),
    Security("TSLA", price="244.5", figi="BBG000000003"),
    Security("VTI", InstrumentKind.ETF, price="251.0400", figi="BBG000000004"),
    Security("BND", InstrumentKind.ETF, price="72.19"),
    Security("OTHR", price="1E+1"),
    Security("RY.TO", currency="CAD", price="133.333333", figi="BBG000000005"),
    Security("VOD.L", currency="GBP", price="0.7214", figi="BBG000000006"),
    Security("VTTSX", InstrumentKind.MUTUAL_FUND, figi="BBG000000007", nameless_at="plaid"),
    Security("OZZY", price="3.0007", figi="BBG000000008", nameless_at="snaptrade"),
    # Two share classes that one provider reports under one FIGI: they are one thing to us.
    Security("TWIN.A", price="12", figi="BBG000000009"),
    Security("TWIN.B", price="12", figi="BBG000000009"),
    Security("SPAXX", InstrumentKind.MONEY_MARKET, price="1"),
    Security("BTC", InstrumentKind.CRYPTO, price="64000.01"),
    # The FIGI of an option is that of its underlying at some providers: it must join nothing.
    Security(
        "AAPL270115C00260000", InstrumentKind.OPTION, price="7.35", figi="BBG000000001", multiplier="100"
    ),
    Security("T 4 1/8 2033", InstrumentKind.BOND, price="0.9871"),
)
CURRENCIES = ("USD", "USD", "USD", "CAD", "GBP")


def cash(currency: str) -> Instrument:
    """Cash as an instrument."""
    return Instrument(key=cash_key(currency), kind=InstrumentKind.CASH, symbol=currency, currency=currency)
