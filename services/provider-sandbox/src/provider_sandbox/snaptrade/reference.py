"""Reference data in SnapTrade's shapes: currencies, exchanges, security types, universal symbols, option symbols."""

from collections.abc import Mapping
from typing import Any

from provider_sandbox.snaptrade.identifiers import stable_id
from provider_sandbox.snaptrade.numbers import number
from provider_sandbox.world import Security

_CURRENCY_NAMES = {
    "USD": "US Dollar",
    "CAD": "Canadian Dollar",
    "GBP": "British Pound",
    "GBX": "British Pence",
    "EUR": "Euro",
}
_NEW_YORK, _HOURS = "America/New_York", ("09:30:00", "16:00:00")
_EXCHANGES: dict[str, tuple[str, str, str, tuple[str, str], str | None]] = {
    "XNAS": ("NASDAQ", "NASDAQ", _NEW_YORK, _HOURS, None),
    "XNYS": ("NYSE", "New York Stock Exchange", _NEW_YORK, _HOURS, None),
    "ARCX": ("ARCA", "NYSE ARCA", _NEW_YORK, _HOURS, None),
    "OPRA": ("OPRA", "Options Price Reporting Authority", _NEW_YORK, _HOURS, None),
    "XCME": ("CME", "Chicago Mercantile Exchange", "America/Chicago", ("08:30:00", "15:15:00"), None),
    "XTSE": ("TSX", "Toronto Stock Exchange", _NEW_YORK, _HOURS, ".TO"),
    "XLON": ("LSE", "London Stock Exchange", "Europe/London", ("08:00:00", "16:30:00"), ".L"),
}
_TYPES = {
    "stock": ("cs", "Common Stock"),
    "adr": ("ad", "ADR"),
    "etf": ("et", "ETF"),
    "mutualfund": ("oef", "Open Ended Fund"),
    "money_market": ("oef", "Open Ended Fund"),
    "cef": ("cef", "Closed End Fund"),
    "bond": ("bnd", "Bond"),
    "crypto": ("crypto", "Cryptocurrency"),
    "other": ("wt", "Warrant"),
}
SEARCHABLE = frozenset(_TYPES)


def currency(code: str) -> dict[str, Any]:
    """Return a currency object."""
    return {"id": stable_id("currency", code), "code": code, "name": _CURRENCY_NAMES.get(code, code)}


def exchange(mic: str) -> dict[str, Any]:
    """Return an exchange object by MIC."""
    code, name, zone, (start, end), suffix = _EXCHANGES[mic]
    return {
        "id": stable_id("exchange", mic),
        "code": code,
        "mic_code": mic,
        "name": name,
        "timezone": zone,
        "start_time": start,
        "close_time": end,
        "suffix": suffix,
    }


def exchanges() -> list[dict[str, Any]]:
    """Return every exchange."""
    return [exchange(mic) for mic in _EXCHANGES]


def figi_instrument(security: Security) -> dict[str, Any] | None:
    """Return the pair of FIGIs, or None without any."""
    if security.figi is None:
        return None
    return {"figi_code": security.figi, "figi_share_class": security.figi_share_class}


def ticker(security: Security) -> str:
    """The symbol SnapTrade shows: the ticker, else the broker's own code, else the name."""
    return security.symbol or security.institution_security_id or security.name


def activity_symbol(security: Security) -> dict[str, Any]:
    """Return the universal symbol as activities carry it."""
    code, description = _TYPES[security.kind]
    shown: dict[str, Any] = {
        "id": stable_id("security", security.key),
        "symbol": ticker(security),
        "raw_symbol": security.raw_symbol or ticker(security),
        "description": security.name,
        "currency": currency(security.currency),
        "type": {
            "id": stable_id("type", code),
            "code": code,
            "description": description,
            "is_supported": True,
        },
        "figi_code": security.figi,
        "figi_instrument": figi_instrument(security),
    }
    if security.mic is not None:
        shown["exchange"] = exchange(security.mic)
    return shown


def universal_symbol(security: Security) -> dict[str, Any]:
    """Return a `UniversalSymbol`."""
    return activity_symbol(security) | {"currencies": [currency(security.currency)]}


def option_symbol(security: Security, securities: Mapping[str, Security]) -> dict[str, Any]:
    """Return an `OptionsSymbol`; raises ValueError for a security without option terms."""
    terms = security.option
    if terms is None:
        raise ValueError(security.key)
    return {
        "id": stable_id("security", security.key),
        "ticker": ticker(security),
        "option_type": terms.option_type,
        "strike_price": number(terms.strike),
        "expiration_date": terms.expiry.isoformat(),
        "is_mini_option": terms.multiplier == 10,
        "underlying_symbol": universal_symbol(securities[terms.underlying]),
    }
