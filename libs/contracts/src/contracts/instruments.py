"""Instruments: what can be held, and the one key by which two providers' rows are the same thing."""

import re
from datetime import date
from decimal import Decimal
from enum import StrEnum

from contracts.struct import Record


class InstrumentKind(StrEnum):
    """What sort of thing an instrument is; a kind a reader does not know reads as ``other``."""

    STOCK = "stock"
    ETF = "etf"
    ADR = "adr"
    MUTUAL_FUND = "mutual_fund"
    CLOSED_END_FUND = "closed_end_fund"
    MONEY_MARKET = "money_market"
    BOND = "bond"
    OPTION = "option"
    FUTURE = "future"
    FUTURE_OPTION = "future_option"
    CRYPTO = "crypto"
    CASH = "cash"
    CFD = "cfd"
    TOKENIZED_ASSET = "tokenized_asset"
    OTHER = "other"

    @classmethod
    def _missing_(cls, _value: object) -> "InstrumentKind":
        return cls.OTHER


class OptionTerms(Record, frozen=True, kw_only=True):
    """The terms of an option; ``strike`` is per share of the underlying."""

    right: str
    """``call`` or ``put``."""
    strike: Decimal
    expires: date
    underlying: str


class Instrument(Record, frozen=True, kw_only=True):
    """One thing that can be held, with every identifier it was seen with.

    ``key`` is how rows are joined: the exchange ticker in the provider-neutral form (``AAPL``,
    ``RY.TO``), the OCC symbol for options, ``CUR:USD`` for cash, ``CRYPTO:BTC`` for crypto; without a
    ticker FIGI, then ISIN, then CUSIP, then ``<provider>:<security id>``. ``multiplier`` is how many
    units of the underlying one unit stands for (100 for most options, 1 for shares); ``None`` when the
    provider does not say, which leaves the holding unpriced.
    """

    key: str
    kind: InstrumentKind
    symbol: str | None = None
    name: str | None = None
    currency: str | None = None
    mic: str | None = None
    figi: str | None = None
    figi_share_class: str | None = None
    isin: str | None = None
    cusip: str | None = None
    provider_security_id: str | None = None
    multiplier: Decimal | None = Decimal(1)
    option: OptionTerms | None = None
    maturity: date | None = None


_TICKER = re.compile(r"[A-Z0-9][A-Z0-9 .:/\-^=+_]{0,63}")
_OCC = re.compile(r"([A-Z0-9.]{1,6}) *([0-9]{6})([CP])([0-9]{8})")


def cash_key(currency: str) -> str:
    """The instrument key of cash in a currency, such as ``CUR:USD``."""
    return f"CUR:{currency.upper()}"


def crypto_key(symbol: str) -> str:
    """The instrument key of a crypto asset, such as ``CRYPTO:BTC``; venue spellings of Bitcoin are one."""
    symbol = symbol.upper().removeprefix("CUR:").split("-", 1)[0]
    return "CRYPTO:" + {"XBT": "BTC", "XXBT": "BTC", "XETH": "ETH", "XDG": "DOGE"}.get(symbol, symbol)


def occ_symbol(text: str) -> str | None:
    """The OCC option symbol in its unpadded form (``AAPL270115C00260000``), or ``None`` if it is not one.

    Providers pad the root to six characters or not at all; both read as the same key.
    """
    found = _OCC.fullmatch(text.strip().upper()) if text.isascii() else None
    return "".join(found.groups()) if found else None


def ticker(text: str | None) -> str | None:
    """A ticker in canonical form, or ``None`` when the text cannot be one.

    Share classes are dotted (``BRK.B``, also from ``BRK-B`` and ``BRK/B``). Text outside the ASCII
    allow-list is refused rather than folded: a look-alike never merges with the real ticker.
    """
    if text is None:
        return None
    symbol = text.strip().upper()
    # Before it is in upper case, some letter beyond ASCII would still be itself.
    if not text.strip().isascii() or not _TICKER.fullmatch(symbol):
        return None
    share_class = re.fullmatch(r"([A-Z]{1,5})[/\-]([A-Z])", symbol)
    return ".".join(share_class.groups()) if share_class else symbol


def security_key(
    *,
    symbol: str | None,
    figi: str | None,
    isin: str | None,
    cusip: str | None,
    provider: str,
    security_id: str,
) -> str:
    """The key of anything that is neither cash, crypto nor an option, by the strongest identifier given."""
    if known := ticker(symbol):
        return known
    for prefix, value in (("FIGI", figi), ("ISIN", isin), ("CUSIP", cusip)):
        if value:
            return f"{prefix}:{value.upper()}"
    return f"{provider}:{security_id}"
