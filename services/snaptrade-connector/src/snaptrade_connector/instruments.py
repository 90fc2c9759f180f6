"""SnapTrade's instruments in our terms. Pure.

One instrument is the same bytes at every sync and in every account, so the bytes are the key of a bounded
memory: decoding and keying happen once per instrument, not once per position.
"""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import lru_cache

import msgspec

from contracts.instruments import (
    Instrument,
    InstrumentKind,
    OptionTerms,
    crypto_key,
    occ_symbol,
    security_key,
    ticker,
)
from snaptrade_connector import wire
from snaptrade_connector.units import currency_code, day

PROVIDER = "snaptrade"
REMEMBERED = 16_384
MULTIPLIER_MAX = 10**9
ONE = Decimal(1)

KINDS: dict[str, InstrumentKind] = {
    "stock": InstrumentKind.STOCK,
    "adr": InstrumentKind.ADR,
    "etf": InstrumentKind.ETF,
    "mutualfund": InstrumentKind.MUTUAL_FUND,
    "cef": InstrumentKind.CLOSED_END_FUND,
    "bond": InstrumentKind.BOND,
    "crypto": InstrumentKind.CRYPTO,
    "option": InstrumentKind.OPTION,
    "future": InstrumentKind.FUTURE,
    "future_option": InstrumentKind.FUTURE_OPTION,
    "cfd": InstrumentKind.CFD,
    "tokenized_asset": InstrumentKind.TOKENIZED_ASSET,
    "other": InstrumentKind.OTHER,
}
"""A kind that is not here reads as ``other``."""

DERIVATIVES = frozenset({InstrumentKind.OPTION, InstrumentKind.FUTURE, InstrumentKind.FUTURE_OPTION})
"""Their multiplier is the provider's, and unknown where it gives none."""

_MICS = {
    "NASDAQ": "XNAS",
    "NYSE": "XNYS",
    "AMEX": "XASE",
    "ARCA": "ARCX",
    "BATS": "BATS",
    "TSX": "XTSE",
    "TSXV": "XTSX",
}
_MIC = re.compile(r"[A-Z][A-Z0-9]{3}")
_CUSIP = re.compile(r"[0-9]{3}[0-9A-Z]{5}[0-9]")
_ISIN = re.compile(r"[A-Z]{2}[0-9A-Z]{9}[0-9]")
_DECODER = msgspec.json.Decoder(wire.Instrument)


@lru_cache(maxsize=REMEMBERED)
def instrument(raw: bytes) -> Instrument:
    """The instrument in a position.

    Raises:
        msgspec.ValidationError: it has neither kind nor id, or a member of another type.
    """
    return from_wire(_DECODER.decode(raw))


@lru_cache(maxsize=REMEMBERED)
def money_market(raw: bytes) -> Instrument:
    """The instrument in a position flagged ``cash_equivalent``: a fund is a money-market fund then."""
    found = instrument(raw)
    if found.kind is InstrumentKind.MUTUAL_FUND:
        return msgspec.structs.replace(found, kind=InstrumentKind.MONEY_MARKET)
    return found


def from_wire(found: wire.Instrument) -> Instrument:
    """Key an instrument and keep every identifier it came with."""
    kind = KINDS.get(found.kind, InstrumentKind.OTHER)
    figi = found.figi_instrument or wire.Figi()
    isin, cusip = _identifiers(kind, found)
    ends = day(found.expiration_date)
    underlying = found.underlying or wire.Underlying()
    currency = found.currency or underlying.currency
    key = _KEYS.get(kind, _security)(found)
    option = kind in {InstrumentKind.OPTION, InstrumentKind.FUTURE_OPTION}
    return Instrument(
        key=key,
        kind=kind,
        symbol=found.symbol,
        name=found.description,
        currency=currency_code(currency) if currency else None,
        mic=_mic(found.exchange),
        figi=figi.figi_code or None,
        figi_share_class=figi.figi_share_class or None,
        isin=isin,
        cusip=cusip,
        provider_security_id=found.id,
        multiplier=_multiplier(kind, found.multiplier),
        option=_terms(found, underlying, ends) if option else None,
        maturity=None if option else ends,
    )


def _multiplier(kind: InstrumentKind, given: Decimal | None) -> Decimal | None:
    if kind not in DERIVATIVES:
        return ONE
    return given if given is not None and given.is_finite() and 0 < given <= MULTIPLIER_MAX else None


def _security(found: wire.Instrument) -> str:
    isin, cusip = _identifiers(KINDS.get(found.kind, InstrumentKind.OTHER), found)
    figi = found.figi_instrument or wire.Figi()
    named = found.symbol or found.raw_symbol
    return security_key(
        symbol=None if named in {isin, cusip} else named,
        figi=figi.figi_code,
        isin=isin,
        cusip=cusip,
        provider=PROVIDER,
        security_id=found.id,
    )


def _coin(found: wire.Instrument) -> str:
    symbol = ticker(found.symbol or found.raw_symbol)
    return crypto_key(symbol) if symbol else _contract(found)


def _option(found: wire.Instrument) -> str:
    return occ_symbol(found.symbol or "") or _occ_from_terms(found) or _contract(found)


def _contract(found: wire.Instrument) -> str:
    return f"{PROVIDER}:{found.id}"


_KEYS: dict[InstrumentKind, Callable[[wire.Instrument], str]] = {
    InstrumentKind.CRYPTO: _coin,
    InstrumentKind.OPTION: _option,
    InstrumentKind.CFD: _contract,
    InstrumentKind.TOKENIZED_ASSET: _contract,
}
"""CFDs and tokens repeat the symbol of what they are on without being it: the symbol must not be their key."""


def _occ_from_terms(found: wire.Instrument) -> str | None:
    """The OCC symbol spelled from an option's terms, for brokers whose symbol is their own."""
    expires, strike = day(found.expiration_date), found.strike_price
    root = (found.underlying or wire.Underlying()).raw_symbol
    right = (found.option_type or "")[:1]
    if expires is None or root is None or strike is None or not strike.is_finite():
        return None
    thousandths = strike * 1000
    if not 0 < thousandths < 10**8 or thousandths != int(thousandths):
        return None
    return occ_symbol(f"{root}{expires:%y%m%d}{right}{int(thousandths):08d}")


def _terms(found: wire.Instrument, underlying: wire.Underlying, expires: date | None) -> OptionTerms | None:
    right = (found.option_type or "").lower()
    symbol = ticker(underlying.symbol or underlying.raw_symbol)
    strike = found.strike_price
    if right not in {"call", "put"} or expires is None or symbol is None:
        return None
    if strike is None or not strike.is_finite():
        return None
    return OptionTerms(right=right, strike=strike, expires=expires, underlying=symbol)


def _identifiers(kind: InstrumentKind, found: wire.Instrument) -> tuple[str | None, str | None]:
    """The ISIN and CUSIP that brokers put where a bond would have a ticker."""
    if kind is not InstrumentKind.BOND:
        return None, None
    given = [text for text in (found.symbol, found.raw_symbol) if text]
    isin = next((text for text in given if _ISIN.fullmatch(text)), None)
    return isin, next((text for text in given if _CUSIP.fullmatch(text)), None)


def _mic(exchange: str | None) -> str | None:
    """The market's MIC; SnapTrade gives that or a code of its own."""
    code = (exchange or "").upper()
    return _MICS.get(code) or (code if _MIC.fullmatch(code) else None)


@lru_cache(maxsize=REMEMBERED)
def listing_currency(raw: bytes) -> str | None:
    """The currency code of an instrument or of what it is on, as it was spelled: pence stay pence."""
    found = _DECODER.decode(raw)
    return found.currency or (found.underlying.currency if found.underlying else None)
