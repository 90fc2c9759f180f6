"""Routes about institutions: list, one, search."""

from typing import Any

from provider_sandbox.plaid import fields, institutions
from provider_sandbox.plaid.ask import Ask, Handler
from provider_sandbox.plaid.errors import PlaidError
from provider_sandbox.plaid.vocabulary import COUNTRIES


def countries(body: fields.Body) -> tuple[str, ...]:
    """The required `country_codes`, all of them known."""
    codes = fields.required_texts(body, "country_codes")
    if unknown := [code for code in codes if code not in COUNTRIES]:
        raise fields.invalid("country_codes", f"holds an unknown country: {unknown[0]}")
    return codes


def _metadata(body: fields.Body) -> bool:
    return fields.flag(_options(body), "include_optional_metadata")


def _options(body: fields.Body) -> fields.Body:
    return {} if body.get("options") is None else fields.options(body)


async def get(ask: Ask) -> dict[str, Any]:
    """A page of all institutions of the countries asked for."""
    fields.require(ask.body, ["count", "offset"])
    count = fields.optional_integer(ask.body, "count", 0, low=1, high=500)
    offset = fields.optional_integer(ask.body, "offset", 0, low=0, high=1_000_000)
    codes = countries(ask.body)
    products = fields.texts(_options(ask.body), "products")
    world = ask.face.state.world
    found = [item for item in institutions.known(world) if institutions.supports(item, products, codes)]
    page = found[offset : offset + count]
    metadata = _metadata(ask.body)
    return {
        "institutions": [institutions.encode(item, metadata=metadata) for item in page],
        "total": len(found),
    }


async def get_by_id(ask: Ask) -> dict[str, Any]:
    """One institution; an unknown id is INVALID_INSTITUTION."""
    identity = fields.text(ask.body, "institution_id")
    codes = countries(ask.body)
    found = ask.face.state.world.by_plaid_id(identity)
    if found is None or not institutions.supports(found, (), codes):
        raise PlaidError("INVALID_INSTITUTION")
    return {"institution": institutions.encode(found, metadata=_metadata(ask.body))}


async def search(ask: Ask) -> dict[str, Any]:
    """At most ten institutions whose name fits the query."""
    query = fields.text(ask.body, "query")
    codes = countries(ask.body)
    products = fields.texts(ask.body, "products")
    found = institutions.search(ask.face.state.world, query, products, codes)
    metadata = _metadata(ask.body)
    return {"institutions": [institutions.encode(item, metadata=metadata) for item in found]}


ROUTES: dict[str, Handler] = {
    "/institutions/get": get,
    "/institutions/get_by_id": get_by_id,
    "/institutions/search": search,
}
