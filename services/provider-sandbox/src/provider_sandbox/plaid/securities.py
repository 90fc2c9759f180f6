"""A security of the truth as Plaid describes it: identifiers, class, close price and terms. Pure."""

from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

from provider_sandbox.plaid.quirks import Quirk
from provider_sandbox.plaid.wire import currency_codes, opaque_id
from provider_sandbox.world import BondTerms, Kind, OptionTerms, Security

CLASSES: dict[Kind, tuple[str, str | None]] = {
    "stock": ("equity", "common stock"),
    "adr": ("equity", "depositary receipt"),
    "etf": ("etf", "etf"),
    "mutualfund": ("mutual fund", "mutual fund"),
    "cef": ("mutual fund", "mutual fund"),
    "bond": ("fixed income", "bond"),
    "option": ("derivative", "option"),
    "future": ("derivative", "other"),
    "crypto": ("cryptocurrency", "cryptocurrency"),
    "money_market": ("mutual fund", "mutual fund"),
    "other": ("other", "other"),
}
# Plaid documents `cash` as "currency and money-market funds"; this one fund comes in that spelling.
_FUNDS_TYPED_AS_CASH = frozenset({"SPAXX"})
_CURRENCY_NAMES = {"USD": "U S Dollar", "CAD": "Canadian Dollar", "GBP": "British Pound", "EUR": "Euro"}


@cache
def security_id(key: str) -> str:
    """Plaid's id of a security: the same in every Item."""
    return opaque_id("security", key)


def ticker(security: Security) -> str | None:
    """What Plaid puts into `ticker_symbol`: no exchange suffix, OCC without spaces, `CUR:` for crypto."""
    if security.kind == "crypto":
        return f"CUR:{security.key}"
    if security.kind == "bond" or security.raw_symbol is None:
        return None
    return security.raw_symbol.replace(" ", "")


def encode(security: Security, today: date, quirk: Quirk, plaid_institution: str) -> dict[str, Any]:
    """A security as it appears in `securities[]`; ISIN and CUSIP stay null without their licence."""
    type_, subtype = CLASSES[security.kind]
    hidden = security.key in quirk.hidden_tickers
    own_id = security.raw_symbol if hidden else security.institution_security_id
    as_of = security.price_as_of(today).isoformat()
    return {
        **_blank(security_id(security.key), security.name),
        "institution_security_id": own_id,
        "institution_id": plaid_institution if own_id else None,
        "ticker_symbol": None if hidden else ticker(security),
        "is_cash_equivalent": security.kind in {"money_market", "crypto"},
        "type": "cash" if security.key in _FUNDS_TYPED_AS_CASH else type_,
        "subtype": subtype,
        "close_price": security.price,
        "close_price_as_of": as_of if security.price is not None else None,
        "update_datetime": f"{as_of}T22:05:00Z" if security.kind == "crypto" else None,
        **currency_codes(security.currency),
        "market_identifier_code": security.mic,
        "sector": security.sector,
        "figi": security.figi,
        "option_contract": _option(security.option) if security.option else None,
        "fixed_income": _bond(security.bond) if security.bond else None,
    }


def encode_cash(currency: str, today: date, *, prefixed: bool) -> dict[str, Any]:
    """Uninvested cash as a security, ticker `CUR:USD` or `USD`."""
    symbol = f"CUR:{currency}" if prefixed else currency
    return {
        **_blank(security_id(symbol), _CURRENCY_NAMES.get(currency, currency)),
        "ticker_symbol": symbol,
        "is_cash_equivalent": True,
        "type": "cash",
        "subtype": "cash",
        "close_price": Decimal(1),
        "close_price_as_of": today.isoformat(),
        **currency_codes(currency),
    }


def _blank(identity: str, name: str) -> dict[str, Any]:
    empty = (
        "isin cusip sedol institution_security_id institution_id proxy_security_id close_price close_price_as_of "
        "update_datetime market_identifier_code sector industry cfi_code figi option_contract fixed_income"
    )
    return {"security_id": identity, "name": name, **dict.fromkeys(empty.split())}


def _option(terms: OptionTerms) -> dict[str, Any]:
    return {
        "contract_type": terms.option_type.lower(),
        "expiration_date": terms.expiry.isoformat(),
        "strike_price": terms.strike,
        "underlying_security_ticker": terms.underlying,
    }


def _bond(terms: BondTerms) -> dict[str, Any]:
    return {
        "yield_rate": {"percentage": terms.coupon, "type": "coupon"},
        "maturity_date": terms.maturity.isoformat(),
        "issue_date": terms.issued.isoformat(),
        "face_value": terms.face_value,
    }
