"""The instrument union of `positions/all`: one shape per kind."""

from collections.abc import Callable, Mapping
from typing import Any

from provider_sandbox.snaptrade.identifiers import stable_id
from provider_sandbox.snaptrade.numbers import text
from provider_sandbox.snaptrade.reference import figi_instrument, ticker
from provider_sandbox.world import Kind, OptionTerms, Security

Securities = Mapping[str, Security]


def instrument(security: Security, securities: Securities) -> dict[str, Any]:
    """Return the `instrument` member of a position; `securities` has every underlying."""
    return _SHAPES.get(security.kind, _plain)(security, securities)


def _head(security: Security, kind: str) -> dict[str, Any]:
    return {"kind": kind, "id": stable_id("security", security.key), "symbol": ticker(security)}


def _place(security: Security) -> dict[str, Any]:
    return {"description": security.name, "currency": security.currency, "exchange": security.mic}


def _plain(security: Security, _: Securities) -> dict[str, Any]:
    kind = "mutualfund" if security.kind == "money_market" else security.kind
    return {
        **_head(security, kind),
        "raw_symbol": security.raw_symbol or ticker(security),
        **_place(security),
        "figi_instrument": figi_instrument(security),
    }


def _crypto(security: Security, securities: Securities) -> dict[str, Any]:
    shown = _plain(security, securities)
    del shown["exchange"]
    return shown


def _option_terms(terms: OptionTerms, securities: Securities) -> dict[str, Any]:
    return {
        "option_type": terms.option_type,
        "strike_price": text(terms.strike),
        "expiration_date": terms.expiry.isoformat(),
        "multiplier": text(terms.multiplier),
        "underlying": instrument(securities[terms.underlying], securities),
    }


def _terms_of(security: Security) -> OptionTerms:
    if security.option is None:
        raise ValueError(security.key)
    return security.option


def _option(security: Security, securities: Securities) -> dict[str, Any]:
    terms = _option_terms(_terms_of(security), securities)
    return {**_head(security, "option"), **terms, "description": security.name}


def _future_option(security: Security, securities: Securities) -> dict[str, Any]:
    terms = _option_terms(_terms_of(security), securities)
    return {**_head(security, "future_option"), **terms, **_place(security)}


def _future(security: Security, _: Securities) -> dict[str, Any]:
    terms = security.future
    if terms is None:
        raise ValueError(security.key)
    return {
        **_head(security, "future"),
        "root_symbol": terms.root,
        "expiration_code": terms.code,
        "expiration_date": terms.expiry.isoformat(),
        "multiplier": text(terms.multiplier),
        "currency": security.currency,
        "exchange": security.mic,
    }


def _underlying(security: Security, securities: Securities) -> dict[str, Any]:
    return instrument(securities[security.underlying or ""], securities)


def _cfd(security: Security, securities: Securities) -> dict[str, Any]:
    return {
        **_head(security, "cfd"),
        "raw_symbol": security.raw_symbol,
        **_place(security),
        "underlying_instrument": _underlying(security, securities),
    }


def _tokenized(security: Security, securities: Securities) -> dict[str, Any]:
    return {
        **_head(security, "tokenized_asset"),
        "description": security.name,
        "underlying_instrument": _underlying(security, securities),
    }


_SHAPES: dict[Kind, Callable[[Security, Securities], dict[str, Any]]] = {
    "crypto": _crypto,
    "option": _option,
    "future": _future,
    "future_option": _future_option,
    "cfd": _cfd,
    "tokenized_asset": _tokenized,
}
