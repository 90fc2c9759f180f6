"""Brokerages and institutions in SnapTrade's shapes."""

from typing import Any

from provider_sandbox.snaptrade.identifiers import stable_id
from provider_sandbox.world import Institution, World


def known(world: World) -> list[Institution]:
    """The institutions SnapTrade serves."""
    return [item for item in world.institutions.values() if item.snaptrade_slug is not None]


def brokerage_id(institution: Institution) -> str:
    """The id SnapTrade gives a brokerage."""
    return stable_id("brokerage", institution.slug)


def brokerage(institution: Institution, *, realtime: bool) -> dict[str, Any]:
    """Return a `Brokerage`."""
    return {
        "id": brokerage_id(institution),
        "slug": institution.snaptrade_slug,
        "name": institution.name,
        "display_name": institution.name,
        "description": f"{institution.name} in the provider sandbox.",
        "aws_s3_logo_url": f"https://cdn.example.test/{institution.slug}.png",
        "aws_s3_square_logo_url": None,
        "url": institution.url,
        "enabled": True,
        "maintenance_mode": False,
        "is_degraded": False,
        "allows_trading": institution.snaptrade_allows_trading,
        "allows_fractional_units": None,
        "has_reporting": None,
        "is_real_time_connection": realtime,
        "brokerage_type": {"id": stable_id("brokerage type", "traditional"), "name": "Traditional Brokerage"},
        "exchanges": [],
        "open_url": None,
    }


def institution_entry(institution: Institution) -> dict[str, Any]:
    """Return an `Institution` of the public catalogue."""
    scopes = ["READ", "TRADE"] if institution.snaptrade_allows_trading else ["READ"]
    return {
        "slug": institution.snaptrade_slug,
        "name": institution.name,
        "display_name": institution.name,
        "description": None,
        "website": institution.url,
        "logo_url": f"https://cdn.example.test/{institution.slug}.png",
        "square_logo_url": None,
        "release_stage": "GENERALLY_AVAILABLE",
        "is_paper": institution.is_paper,
        "regions": list(institution.country_codes),
        "connection": {"methods": ["OAUTH" if institution.oauth else "CREDENTIALS"], "scopes": scopes},
    }


def authorization_types(institution: Institution) -> list[dict[str, Any]]:
    """Return the authorization types of a brokerage: read, and trade where it allows trading."""
    types = ["read", "trade"] if institution.snaptrade_allows_trading else ["read"]
    reference = {
        "id": brokerage_id(institution),
        "name": institution.name,
        "slug": institution.snaptrade_slug,
    }
    return [
        {
            "id": stable_id("authorization type", f"{institution.slug}/{kind}"),
            "type": kind,
            "auth_type": "OAUTH" if institution.oauth else "SCRAPE",
            "brokerage": reference,
        }
        for kind in types
    ]
