"""Entries as instruments: the provider-neutral key by which they join what providers report. Pure."""

import re
import unicodedata
from datetime import date
from decimal import Decimal
from hashlib import blake2b

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
from gateway.manual.entries import Entry, EntryError
from gateway.manual.identifiers import identifier
from gateway.manual.units import exact_quantity, unit

PROVIDER = "manual"
KINDS = {
    kind.value: kind
    for kind in (
        InstrumentKind.STOCK,
        InstrumentKind.ETF,
        InstrumentKind.ADR,
        InstrumentKind.MUTUAL_FUND,
        InstrumentKind.CLOSED_END_FUND,
        InstrumentKind.MONEY_MARKET,
        InstrumentKind.BOND,
        InstrumentKind.OPTION,
        InstrumentKind.CRYPTO,
        InstrumentKind.CASH,
        InstrumentKind.OTHER,
    )
}
"""What can be entered; futures and contracts for difference cannot be valued from what a person types."""
SHARES_PER_CONTRACT = Decimal(100)
MULTIPLIER_MAX = Decimal(10**9)
LONGEST_SLUG = 100
_COIN = re.compile(r"[A-Z0-9]{1,20}")
_FUND = re.compile(r"[A-Z]{4}X")
_KEYED = re.compile(r"(FIGI|ISIN|CUSIP):(.*)")
_SHORT_OPTION = re.compile(r"-?([A-Z0-9.]{1,6}?)([0-9]{6})([CP])([0-9]{1,5}(?:\.[0-9]{1,3})?)")
_SPELLED_OPTION = re.compile(
    r"([A-Z0-9.]{1,6}) ([0-9]{2})/([0-9]{2})/20([0-9]{2}) ([0-9]{1,5}(?:\.[0-9]{1,3})?) ([CP])"
)
_NOT_SLUG = re.compile(r"[^\w]+")


def instrument(entry: Entry, currency: str) -> Instrument:
    """The instrument an entry is about; ``currency`` is the entry's, in whole units.

    Raises:
        EntryError: symbol, type or an identifier cannot be read, or nothing says what it is.
    """
    symbol = _upper(entry.symbol)
    kind = _kind(entry.type, symbol)
    if entry.multiplier is not None and kind is not InstrumentKind.OPTION:
        raise EntryError("multiplier", "not_an_option", "Only options have a multiplier.")
    match kind:
        case InstrumentKind.CASH:
            return _cash(symbol, currency)
        case InstrumentKind.CRYPTO:
            return _coin(symbol, entry.name, currency)
        case InstrumentKind.OPTION:
            return _option(symbol, entry, currency)
        case _:
            return _security(symbol, kind, entry, currency)


def option_symbol(text: str) -> str | None:
    """The OCC symbol of an option as brokers spell it (``-AAPL270115C260``, ``AAPL 01/15/2027 260.00 C``)."""
    wanted = " ".join(text.strip().upper().split())
    if known := occ_symbol(wanted):
        return known
    if short := _SHORT_OPTION.fullmatch(wanted):
        root, day, right, strike = short.groups()
    elif spelled := _SPELLED_OPTION.fullmatch(wanted):
        root, month, of_month, year, strike, right = spelled.groups()
        day = f"{year}{month}{of_month}"
    else:
        return None
    return occ_symbol(f"{root}{day}{right}{int(Decimal(strike) * 1000):08d}")


def _upper(symbol: str | None) -> str | None:
    """The symbol in upper case; before, for a look-alike such as a long s would become the letter it is not."""
    if not symbol:
        return None
    plain = symbol.strip()
    if not plain.isascii():
        raise EntryError("symbol", "bad_symbol", "A symbol is written in plain letters and digits.")
    return plain.upper()


def _kind(given: str | None, symbol: str | None) -> InstrumentKind:
    if given:
        kind = KINDS.get(given.strip().lower())
        if kind is None:
            raise EntryError("type", "bad_type", f"A type is one of {', '.join(KINDS)}.")
        return kind
    if symbol is None:
        return InstrumentKind.OTHER
    for prefix, kind in (("CUR:", InstrumentKind.CASH), ("CRYPTO:", InstrumentKind.CRYPTO)):
        if symbol.startswith(prefix):
            return kind
    if option_symbol(symbol):
        return InstrumentKind.OPTION
    return InstrumentKind.MUTUAL_FUND if _FUND.fullmatch(symbol) else InstrumentKind.STOCK


def _cash(symbol: str | None, currency: str) -> Instrument:
    named = unit(symbol.removeprefix("CUR:"), "symbol").code if symbol and symbol != "CASH" else currency
    if named != currency:
        raise EntryError("symbol", "currency_mismatch", "Cash of one currency cannot be held in another.")
    return Instrument(
        key=cash_key(currency), kind=InstrumentKind.CASH, symbol=currency, name=currency, currency=currency
    )


def _coin(symbol: str | None, name: str | None, currency: str) -> Instrument:
    key = crypto_key((symbol or "").removeprefix("CRYPTO:"))
    coin = key.removeprefix("CRYPTO:")
    if not _COIN.fullmatch(coin):
        raise EntryError("symbol", "bad_symbol", "A crypto asset needs its symbol, such as CRYPTO:BTC.")
    return Instrument(key=key, kind=InstrumentKind.CRYPTO, symbol=coin, name=name, currency=currency)


def _option(symbol: str | None, entry: Entry, currency: str) -> Instrument:
    key = option_symbol(symbol or "")
    terms = _terms(key) if key else None
    if key is None or terms is None:
        raise EntryError(
            "symbol", "bad_option", "An option needs its OCC symbol, such as AAPL270115C00260000."
        )
    multiplier = SHARES_PER_CONTRACT if entry.multiplier is None else entry.multiplier
    if not 0 < multiplier <= MULTIPLIER_MAX:
        raise EntryError("multiplier", "out_of_range", "A multiplier is above 0 and at most 1000000000.")
    return Instrument(
        key=key,
        kind=InstrumentKind.OPTION,
        symbol=key,
        name=entry.name,
        currency=currency,
        multiplier=exact_quantity("multiplier", multiplier),
        option=terms,
    )


def _terms(key: str) -> OptionTerms | None:
    """What an OCC symbol says: the last fifteen characters are date, right and strike in thousandths."""
    day = key[-15:-9]
    try:
        expires = date(2000 + int(day[:2]), int(day[2:4]), int(day[4:]))
    except ValueError:
        return None
    right = "call" if key[-9] == "C" else "put"
    return OptionTerms(right=right, strike=Decimal(key[-8:]) / 1000, expires=expires, underlying=key[:-15])


def _security(symbol: str | None, kind: InstrumentKind, entry: Entry, currency: str) -> Instrument:
    given = {"figi": entry.figi, "isin": entry.isin, "cusip": entry.cusip}
    if symbol and (keyed := _KEYED.fullmatch(symbol)):
        given[keyed[1].lower()] = keyed[2]
        symbol = None
    known = {field: identifier(field, text) for field, text in given.items()}
    named = _ticker(symbol)
    if named is None and not any(known.values()) and not entry.name:
        raise EntryError("symbol", "missing", "Say what it is: a symbol, a FIGI, ISIN or CUSIP, or a name.")
    own = "" if named or any(known.values()) else _slug(entry.name or "")
    key = security_key(symbol=named, provider=PROVIDER, security_id=own, **known)
    return Instrument(
        key=key,
        kind=kind,
        symbol=named,
        name=entry.name,
        currency=currency,
        figi=known["figi"],
        isin=known["isin"],
        cusip=known["cusip"],
    )


def _ticker(symbol: str | None) -> str | None:
    if symbol is None:
        return None
    named = ticker(symbol)
    if named is None or ":" in named:
        raise EntryError(
            "symbol", "bad_symbol", "A symbol is a ticker with its exchange's suffix, such as AAPL or RY.TO."
        )
    return named


def _slug(name: str) -> str:
    """What a thing without any identifier is known by: its name, so that two accounts' rows of it are one.

    Raises:
        EntryError: the name has no letter or digit in it.
    """
    slug = _NOT_SLUG.sub("-", unicodedata.normalize("NFKC", name).casefold()).strip("-_")
    if not slug:
        raise EntryError("name", "bad_name", "A name that is all there is to know a thing by needs a letter.")
    if len(slug) <= LONGEST_SLUG:
        return slug
    # Long names of one issuer's series often differ in their last word alone.
    return f"{slug[:LONGEST_SLUG]}-{blake2b(slug.encode(), digest_size=8).hexdigest()}"
