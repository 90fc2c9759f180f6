"""Institutions of the truth as Plaid lists them. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from provider_sandbox.world import Institution, World

SEARCH_LIMIT = 10


def known(world: World) -> list[Institution]:
    """The institutions Plaid knows, in a stable order."""
    return [item for item in world.institutions.values() if item.plaid_id is not None]


def encode(institution: Institution, *, metadata: bool = False) -> dict[str, Any]:
    """An institution; `url`, `primary_color` and `logo` only when optional metadata was asked for.

    Sandbox institutions have no `status`.
    """
    encoded: dict[str, Any] = {
        "institution_id": institution.plaid_id,
        "name": institution.name,
        "products": sorted({*institution.plaid_products, "balance"}),
        "country_codes": list(institution.country_codes),
        "routing_numbers": [],
        "dtc_numbers": [],
        "oauth": institution.oauth,
        "connection_availability": "SUPPORTED",
    }
    optional = {"url": institution.url, "primary_color": None, "logo": None}
    return encoded | optional if metadata else encoded


def supports(institution: Institution, products: Iterable[str], countries: Sequence[str]) -> bool:
    """Whether it offers all the products in one of the countries."""
    offered = {*institution.plaid_products, "balance"}
    return offered.issuperset(products) and not set(countries).isdisjoint(institution.country_codes)


def search(world: World, query: str, products: Iterable[str], countries: Sequence[str]) -> list[Institution]:
    """Institutions whose name contains every word of the query; at most ten."""
    words = query.casefold().split()
    found = [
        item
        for item in known(world)
        if supports(item, products, countries) and all(word in item.name.casefold() for word in words)
    ]
    return found[:SEARCH_LIMIT]
