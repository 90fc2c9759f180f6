"""Reference data: symbols, brokerages, institutions, instruments, exchanges."""

from typing import Any

from provider_sandbox.snaptrade import brokerages, errors, reference
from provider_sandbox.snaptrade.endpoint import Endpoint
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.snaptrade.gate import SignedCall
from provider_sandbox.snaptrade.identifiers import stable_id
from provider_sandbox.world import Security

MOST_RESULTS = 20


def _searchable(face: SnapTradeFace) -> list[Security]:
    return [s for s in face.state.world.securities.values() if s.kind in reference.SEARCHABLE and s.symbol]


def _search(face: SnapTradeFace, substring: Any) -> list[dict[str, Any]]:
    wanted = str(substring or "").lower()
    found = [s for s in _searchable(face) if wanted in (s.symbol or "").lower() or wanted in s.name.lower()]
    return [reference.universal_symbol(security) for security in found[:MOST_RESULTS]]


def search_symbols(face: SnapTradeFace, call: SignedCall) -> list[dict[str, Any]]:
    """`POST /symbols`: tickers and names that contain the substring, at most 20."""
    return _search(face, call.member("substring"))


def search_account_symbols(face: SnapTradeFace, call: SignedCall) -> list[dict[str, Any]]:
    """`POST /accounts/{accountId}/symbols`."""
    face.find_account(call, call.path("accountId"))
    return _search(face, call.member("substring"))


def one_symbol(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /symbols/{query}`: by ticker with suffix, or by universal symbol id."""
    query = call.path("query")
    for security in _searchable(face):
        if query.upper() == (security.symbol or "").upper() or query == stable_id("security", security.key):
            return reference.universal_symbol(security)
    raise errors.not_found()


def list_brokerages(face: SnapTradeFace, _: SignedCall) -> list[dict[str, Any]]:
    """`GET /brokerages`."""
    return [brokerages.brokerage(i, realtime=face.realtime) for i in brokerages.known(face.state.world)]


def list_institutions(face: SnapTradeFace, _: SignedCall) -> list[dict[str, Any]]:
    """`GET /institutions`, unsigned."""
    return [brokerages.institution_entry(i) for i in brokerages.known(face.state.world)]


def list_authorization_types(face: SnapTradeFace, call: SignedCall) -> list[dict[str, Any]]:
    """`GET /brokerageAuthorizationTypes`."""
    wanted = frozenset(filter(None, call.query("brokerage").upper().split(",")))
    found = [i for i in brokerages.known(face.state.world) if not wanted or i.snaptrade_slug in wanted]
    return [entry for institution in found for entry in brokerages.authorization_types(institution)]


def list_instruments(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /brokerages/{slug}/instruments`: empty where trading is not supported."""
    institution = face.state.world.by_snaptrade_slug(call.path("slug"))
    if institution is None:
        raise errors.not_found()
    listed = (
        [s for s in _searchable(face) if s.mic is not None] if institution.snaptrade_allows_trading else []
    )
    return {
        "instruments": [
            {
                "symbol": security.symbol,
                "exchange_mic": security.mic,
                "tradeable": security.price is not None,
                "fractionable": None,
                "universal_symbol_id": stable_id("security", security.key),
            }
            for security in listed
        ]
    }


def list_exchanges(_: SnapTradeFace, __: SignedCall) -> list[dict[str, Any]]:
    """`GET /exchanges`."""
    return reference.exchanges()


ENDPOINTS = (
    Endpoint("POST", "/symbols", search_symbols, "client"),
    Endpoint("GET", "/symbols/{query}", one_symbol, "client"),
    Endpoint("POST", "/accounts/{accountId}/symbols", search_account_symbols),
    Endpoint("GET", "/brokerages", list_brokerages, "client"),
    Endpoint("GET", "/institutions", list_institutions, "open"),
    Endpoint("GET", "/brokerageAuthorizationTypes", list_authorization_types, "client"),
    Endpoint("GET", "/brokerages/{slug}/instruments", list_instruments, "client"),
    Endpoint("GET", "/exchanges", list_exchanges, "client"),
)
