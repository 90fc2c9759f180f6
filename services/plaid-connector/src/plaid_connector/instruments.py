"""Plaid securities as neutral instruments. Pure."""

import re
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import msgspec

from contracts.instruments import (
    Instrument,
    InstrumentKind,
    OptionTerms,
    cash_key,
    crypto_key,
    occ_symbol,
    security_key,
    ticker,
)
from plaid_connector.units import currency
from plaid_connector.wire import OptionContract, Security

PROVIDER = "plaid"
REMEMBERED = 16_384
"""Securities kept read; the one used longest ago makes room."""
SHARES_PER_CONTRACT = Decimal(100)
"""Plaid counts options in shares and does not say the multiplier; listed contracts stand for 100."""
SHARES_PER_MINI = Decimal(10)
"""Mini options stand for 10; a 7 at the end of the root is the sign that exchanges give them."""
OCC_TAIL = 15
"""Expiry, right and strike at the end of every OCC symbol."""

_DECODER = msgspec.json.Decoder(Security)
_KINDS = {
    "equity": InstrumentKind.STOCK,
    "etf": InstrumentKind.ETF,
    "mutual fund": InstrumentKind.MUTUAL_FUND,
    "fixed income": InstrumentKind.BOND,
    "cryptocurrency": InstrumentKind.CRYPTO,
}
_LISTED = {"equity", "etf", "mutual fund"}
_PLAIN_TICKER = re.compile(r"[A-Z]{1,5}([.\-/][A-Z]{1,2})?")
_FUND_TICKER = re.compile(r"[A-Z]{4}X")
_CURRENCY = re.compile(r"(?:CUR:)?([A-Z]{3})")
# Exchange suffixes of the provider-neutral form; US listings have none.
_SUFFIX = {
    "XTSE": ".TO",
    "XTSX": ".V",
    "NEOE": ".NE",
    "XCNQ": ".CN",
    "XLON": ".L",
    "XETR": ".DE",
    "XPAR": ".PA",
    "XAMS": ".AS",
    "XSWX": ".SW",
    "XHKG": ".HK",
    "XASX": ".AX",
    "XTKS": ".T",
}


class Known(NamedTuple):
    """A security that was read: ``cash_currency`` says that it is cash itself.

    ``face_value`` is what one bond repays, where Plaid says it.
    """

    security_id: str
    cash_currency: str | None
    instrument: Instrument
    face_value: Decimal | None


@lru_cache(maxsize=REMEMBERED)
def known(raw: bytes) -> Known:
    """The security in an answer.

    Raises:
        msgspec.ValidationError: it has no id, or a member of another type.
        ValueError: its terms cannot be read.
    """
    security = _DECODER.decode(raw)
    code = cash_currency(security)
    terms = security.fixed_income
    return Known(
        security.security_id,
        code,
        cash(code) if code else instrument(security),
        terms.face_value if terms else None,
    )


def cash_currency(security: Security) -> str | None:
    """The currency when the security is cash itself, else ``None``.

    Cash is ``CUR:USD``, a bare ``USD``, or a cash row with subtype ``cash``. A money-market fund typed
    ``cash`` has another ticker and stays a holding of its own; crypto is never cash, though Plaid flags
    some of it as an equivalent.
    """
    if security.type != "cash":
        return None
    found = _CURRENCY.fullmatch((security.ticker_symbol or "").upper())
    if found:
        return found.group(1)
    return security.iso_currency_code if security.subtype == "cash" else None


def instrument(security: Security) -> Instrument:
    """The neutral instrument of any security but cash."""
    kind = _kind(security)
    option = _contract(security) if kind is InstrumentKind.OPTION else None
    key = _key(security, kind)
    given = security.iso_currency_code or security.unofficial_currency_code
    return Instrument(
        key=key,
        kind=kind,
        symbol=security.ticker_symbol,
        name=security.name,
        currency=currency(security.iso_currency_code, security.unofficial_currency_code).code
        if given
        else None,
        mic=None if kind is InstrumentKind.CRYPTO else security.market_identifier_code,
        figi=security.figi,
        isin=security.isin,
        cusip=security.cusip,
        provider_security_id=security.security_id,
        multiplier=_shares(key) if option else Decimal(1),
        option=_terms(option) if option else None,
        maturity=_day(security.fixed_income.maturity_date) if security.fixed_income else None,
    )


def cash(code: str) -> Instrument:
    """The instrument of cash in a currency."""
    return Instrument(key=cash_key(code), kind=InstrumentKind.CASH, symbol=code, name=code, currency=code)


def _kind(security: Security) -> InstrumentKind:
    if security.type == "derivative":
        return InstrumentKind.OPTION if _contract(security) else InstrumentKind.OTHER
    if security.type == "cash" or (security.type == "mutual fund" and security.is_cash_equivalent):
        return InstrumentKind.MONEY_MARKET
    if security.type == "equity" and (security.subtype or "").startswith("depositary receipt"):
        return InstrumentKind.ADR
    return _KINDS.get(security.type or "", InstrumentKind.OTHER)


def _key(security: Security, kind: InstrumentKind) -> str:
    if kind is InstrumentKind.CRYPTO and security.ticker_symbol:
        return crypto_key(security.ticker_symbol)
    if kind is InstrumentKind.OPTION and (option := _contract(security)):
        return occ_symbol(security.ticker_symbol or "") or _occ(option)
    return security_key(
        symbol=_listed_ticker(security),
        figi=security.figi,
        isin=security.isin,
        cusip=security.cusip,
        provider=PROVIDER,
        security_id=security.security_id,
    )


def _listed_ticker(security: Security) -> str | None:
    """The exchange ticker in neutral form, or ``None`` when Plaid's short code need not be one.

    Plan codes and CUSIP-like codes stand in the same member as tickers. A code counts as a ticker with an
    exchange or a FIGI beside it, or when it is shaped as one.
    """
    symbol = ticker(security.ticker_symbol)
    if symbol is None or (security.type not in _LISTED and security.type != "cash"):
        return None
    shape = _PLAIN_TICKER if security.type in {"equity", "etf"} else _FUND_TICKER
    if not (security.market_identifier_code or security.figi or shape.fullmatch(symbol)):
        return None
    suffix = _SUFFIX.get(security.market_identifier_code or "", "")
    return symbol if symbol.endswith(suffix) else symbol + suffix


def _contract(security: Security) -> OptionContract | None:
    """The terms of an option: as given, else as its OCC symbol spells them."""
    symbol = occ_symbol(security.ticker_symbol or "")
    if security.option_contract or symbol is None:
        return security.option_contract
    day, right, strike = symbol[-OCC_TAIL:-9], symbol[-9], symbol[-8:]
    try:
        expires = date(2000 + int(day[:2]), int(day[2:4]), int(day[4:]))
    except ValueError:
        return None
    return OptionContract(
        contract_type="call" if right == "C" else "put",
        expiration_date=expires.isoformat(),
        strike_price=Decimal(strike) / 1000,
        underlying_security_ticker=symbol[:-OCC_TAIL],
    )


def _shares(key: str) -> Decimal:
    return SHARES_PER_MINI if key[:-OCC_TAIL].endswith("7") else SHARES_PER_CONTRACT


def _terms(option: OptionContract) -> OptionTerms:
    return OptionTerms(
        right=option.contract_type.lower(),
        strike=option.strike_price,
        expires=date.fromisoformat(option.expiration_date),
        underlying=option.underlying_security_ticker,
    )


def _occ(option: OptionContract) -> str:
    expires = date.fromisoformat(option.expiration_date)
    strike = int(option.strike_price * 1000)
    right = option.contract_type[:1].upper()
    return f"{option.underlying_security_ticker.upper()}{expires:%y%m%d}{right}{strike:08d}"


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text[:10]) if text else None
