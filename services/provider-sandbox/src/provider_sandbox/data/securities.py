"""Securities of the sandbox. Prices are fixed, tickers real where that helps a reader, FIGIs invented."""

import hashlib
from datetime import date
from decimal import Decimal

from provider_sandbox.world import BondTerms, FutureTerms, Kind, OptionTerms, Security

FX_TO_USD = {
    "USD": Decimal(1),
    "CAD": Decimal("0.72"),
    "GBP": Decimal("1.32"),
    "EUR": Decimal("1.16"),
}

_FIGI_ALPHABET = "BCDFGHJKLMNPQRSTVWXYZ0123456789"


def figi(key: str) -> str:
    """Return an invented, well-formed FIGI (with a right check digit) that is always the same for a key."""
    digest = hashlib.sha256(key.encode()).digest()
    body = "BBG" + "".join(_FIGI_ALPHABET[byte % len(_FIGI_ALPHABET)] for byte in digest[:8])
    values = [int(char, 36) * (2 if index % 2 else 1) for index, char in enumerate(body)]
    digits = sum(int(digit) for value in values for digit in str(value))
    return f"{body}{-digits % 10}"


def _listed(
    key: str,
    name: str,
    price: str | None,
    *,
    kind: Kind = "stock",
    mic: str | None = "XNAS",
    currency: str = "USD",
    sector: str | None = None,
    isin: str | None = None,
) -> Security:
    suffix = {"XTSE": ".TO", "XLON": ".L"}.get(mic or "", "")
    return Security(
        key=key,
        kind=kind,
        name=name,
        symbol=key + suffix,
        raw_symbol=key,
        currency=currency,
        mic=mic,
        figi=figi(f"{key}/{mic}"),
        figi_share_class=figi(f"{key}/class"),
        isin=isin,
        price=None if price is None else Decimal(price),
        sector=sector,
    )


def _fund(key: str, name: str, price: str, kind: Kind = "mutualfund") -> Security:
    return _listed(key, name, price, kind=kind, mic=None)


def _option(underlying: str, letter: str, strike: str, expiry: date, price: str) -> Security:
    symbol = f"{underlying:<6}{expiry:%y%m%d}{letter}{int(Decimal(strike) * 1000):08d}"
    side = "CALL" if letter == "C" else "PUT"
    return Security(
        key=symbol.replace(" ", ""),
        kind="option",
        name=f"{underlying} {expiry:%b %d %Y} {strike} {side.title()}",
        symbol=symbol,
        raw_symbol=symbol,
        mic="OPRA",
        price=Decimal(price),
        option=OptionTerms(
            "CALL" if letter == "C" else "PUT", Decimal(strike), expiry, Decimal(100), underlying
        ),
    )


def _bond(key: str, name: str, price: str, terms: BondTerms, cusip: str) -> Security:
    return Security(
        key=key,
        kind="bond",
        name=name,
        symbol=name,
        raw_symbol=cusip,
        figi=figi(key),
        isin=f"US{cusip}4",
        cusip=cusip,
        price=Decimal(price),
        bond=terms,
    )


def _crypto(key: str, name: str, price: str) -> Security:
    return Security(
        key=key, kind="crypto", name=name, symbol=key, raw_symbol=key, price=Decimal(price), price_days_old=0
    )


_JAN_2028 = date(2028, 1, 21)

SECURITIES = (
    _listed("AAPL", "Apple Inc.", "268.50", sector="Technology", isin="US0378331005"),
    _listed("MSFT", "Microsoft Corporation", "495.20", sector="Technology"),
    _listed("NVDA", "NVIDIA Corporation", "182.75", sector="Technology"),
    _listed("GOOGL", "Alphabet Inc. Class A", "281.40", sector="Communication Services"),
    _listed("TSLA", "Tesla, Inc.", "402.10", sector="Consumer Cyclical"),
    _listed("JPM", "JPMorgan Chase & Co.", "305.60", mic="XNYS", sector="Financial Services"),
    _listed("GME", "GameStop Corp. Class A", "22.30", mic="XNYS", sector="Consumer Cyclical"),
    _listed("TSM", "Taiwan Semiconductor ADR", "288.90", kind="adr", mic="XNYS", sector="Technology"),
    _listed("RY", "Royal Bank of Canada", "206.35", mic="XTSE", currency="CAD", sector="Financial Services"),
    _listed(
        "VOD", "Vodafone Group plc", "92.40", mic="XLON", currency="GBX", sector="Communication Services"
    ),
    _listed("PHNTM", "Phantom Holdings (trading halted)", None, mic="XNYS"),
    _listed("VTI", "Vanguard Total Stock Market ETF", "328.15", kind="etf", mic="ARCX"),
    _listed("VOO", "Vanguard S&P 500 ETF", "612.40", kind="etf", mic="ARCX"),
    _listed("BND", "Vanguard Total Bond Market ETF", "74.25", kind="etf"),
    _listed("SCHD", "Schwab U.S. Dividend Equity ETF", "27.05", kind="etf", mic="ARCX"),
    _listed("XIC", "iShares Core S&P/TSX Composite ETF", "47.80", kind="etf", mic="XTSE", currency="CAD"),
    _listed("PDI", "PIMCO Dynamic Income Fund", "19.10", kind="cef", mic="XNYS"),
    _fund("FXAIX", "Fidelity 500 Index Fund", "231.40"),
    _fund("VTSAX", "Vanguard Total Stock Market Index Admiral", "158.72"),
    _fund("VBTLX", "Vanguard Total Bond Market Index Admiral", "9.74"),
    _fund("SWVXX", "Schwab Value Advantage Money Fund", "1", "money_market"),
    _fund("SPAXX", "Fidelity Government Money Market Fund", "1", "money_market"),
    _fund("VMFXX", "Vanguard Federal Money Market Fund", "1", "money_market"),
    _option("AAPL", "C", "250", _JAN_2028, "52.30"),
    _option("TSLA", "P", "350", _JAN_2028, "61.75"),
    _bond(
        "UST-4.25-2034",
        "US Treasury 4.25% 11/15/2034",
        "0.985",
        BondTerms(Decimal("4.25"), date(2024, 11, 15), date(2034, 11, 15), Decimal(1000), Decimal(1)),
        "91282ZZZ4",
    ),
    _bond(
        "ACME-5.10-2031",
        "Acme Industries 5.10% 06/01/2031",
        "97.25",
        BondTerms(Decimal("5.10"), date(2021, 6, 1), date(2031, 6, 1), Decimal(1000), Decimal(100)),
        "00999ZZZ6",
    ),
    _crypto("BTC", "Bitcoin", "91500"),
    _crypto("ETH", "Ethereum", "3050"),
    Security(
        key="ES-Z28",
        kind="future",
        name="E-mini S&P 500 Dec 2028",
        symbol="ESZ28",
        raw_symbol="ESZ28",
        mic="XCME",
        price=Decimal("6905.25"),
        future=FutureTerms("ES", "Z28", date(2028, 12, 15), Decimal(50)),
    ),
    Security(
        key="ES-Z28-C7000",
        kind="future_option",
        name="E-mini S&P 500 Dec 2028 7000 Call",
        symbol="./ESZ8 OZ8Z8 281215C7000",
        raw_symbol="./ESZ8 OZ8Z8 281215C7000",
        mic="XCME",
        price=Decimal("151.25"),
        option=OptionTerms("CALL", Decimal(7000), date(2028, 12, 15), Decimal(50), "ES-Z28"),
    ),
    Security(
        key="AAPL-CFD",
        kind="cfd",
        name="Apple Inc. CFD",
        symbol="AAPL",
        raw_symbol="AAPL",
        mic="XNAS",
        price=Decimal("268.50"),
        underlying="AAPL",
    ),
    Security(
        key="AAPL-TOKEN",
        kind="tokenized_asset",
        name="Apple Inc. (tokenized)",
        symbol="AAPL",
        raw_symbol="AAPL",
        price=Decimal("268.50"),
        underlying="AAPL",
    ),
    Security(
        key="EVERGREEN-2055",
        kind="mutualfund",
        name="Evergreen Target Retirement 2055 Trust",
        institution_security_id="TDT2055-K",
        price=Decimal("41.87"),
    ),
    Security(
        key="EVERGREEN-STABLE",
        kind="mutualfund",
        name="Evergreen Stable Value Trust",
        institution_security_id="SVT-1",
    ),
    Security(
        key="ACMEW", kind="other", name="Acme Industries warrant 2030", symbol="ACMEW", raw_symbol="ACMEW"
    ),
)
