"""Routes about link tokens."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from provider_sandbox.plaid import fields
from provider_sandbox.plaid.api_institutions import countries
from provider_sandbox.plaid.ask import Ask, Handler
from provider_sandbox.plaid.errors import PlaidError
from provider_sandbox.plaid.links import DEFAULT_HOSTED_LIFE, HOSTED_LIFE, NEW_ITEM_LIFE, UPDATE_LIFE
from provider_sandbox.plaid.vocabulary import LANGUAGES, PRODUCTS
from provider_sandbox.plaid.wire import timestamp
from provider_sandbox.traffic import note

_ARRAYS = ("products", "required_if_supported_products", "optional_products", "additional_consented_products")
_LONGEST_HOSTED_LIFE = 21 * 24 * 3600


async def create(ask: Ask) -> dict[str, Any]:
    """A link token for a new Item or, with an access token, for update mode; `hosted_link` adds a page."""
    body = ask.body
    fields.require(body, ["client_name", "language", "country_codes"])
    products = _products(body)
    item_id = _update_target(ask, products)
    hosted = _hosted(body)
    webhook = fields.optional_text(body, "webhook")
    link = ask.face.links.add(
        _life(hosted, update=item_id is not None),
        client_name=fields.text(body, "client_name"),
        client_user_id=_user(ask),
        language=_language(body),
        country_codes=countries(body),
        products=(*products["products"], *products["required_if_supported_products"]),
        consented=(*products["optional_products"], *products["additional_consented_products"]),
        webhook=fields.web_address("webhook", webhook) if webhook else None,
        redirect_uri=fields.optional_text(body, "redirect_uri"),
        institution_id=_institution(ask),
        item_id=item_id,
        account_filters=_account_filters(body),
        hosted=hosted is not None,
        completion_redirect_uri=fields.optional_text(hosted or {}, "completion_redirect_uri"),
    )
    answer = {"link_token": link.token, "expiration": timestamp(link.expires_at)}
    if link.hosted:
        base = ask.face.config.public_url or str(ask.request.base_url).rstrip("/")
        answer["hosted_link_url"] = f"{base}/hosted/{link.handle}"
    return answer


async def get(ask: Ask) -> dict[str, Any]:
    """What the token was created with and how its sessions went."""
    link = ask.face.links.by_token(fields.text(ask.body, "link_token"))
    note(ask.request, user=link.client_user_id)
    return link.encode(ask.face.now())


def _products(body: fields.Body) -> dict[str, tuple[str, ...]]:
    given = {name: fields.texts(body, name) for name in _ARRAYS}
    everything = [product for products in given.values() for product in products]
    if unknown := [product for product in everything if product not in PRODUCTS]:
        raise PlaidError(
            "INVALID_PRODUCT", f"client is not authorized to access the following products: {unknown}"
        )
    if len(set(everything)) != len(everything):
        raise fields.invalid("products", "must not overlap with the other product arrays")
    return given


def _update_target(ask: Ask, products: Mapping[str, tuple[str, ...]]) -> str | None:
    if ask.body.get("access_token") is None:
        if not products["products"]:
            raise fields.invalid("products", "must hold at least one product")
        return None
    if products["products"]:
        raise fields.invalid("products", "must be omitted in update mode")
    return ask.item().item_id


def _user(ask: Ask) -> str | None:
    if ask.body.get("user") is None:
        fields.require(ask.body, ["user_id"])
        user = fields.optional_text(ask.body, "user_id")
    else:
        user = fields.text(fields.options(ask.body, "user"), "client_user_id")
    note(ask.request, user=user)
    return user


def _language(body: fields.Body) -> str:
    language = fields.text(body, "language")
    if language not in LANGUAGES:
        raise fields.invalid("language", "is not a supported language")
    return language


def _institution(ask: Ask) -> str | None:
    data = (
        fields.options(ask.body, "institution_data") if ask.body.get("institution_data") is not None else {}
    )
    wanted = fields.optional_text(data, "institution_id") or fields.optional_text(ask.body, "institution_id")
    if wanted is not None and ask.face.state.world.by_plaid_id(wanted) is None:
        raise PlaidError("INVALID_INSTITUTION")
    return wanted


def _hosted(body: fields.Body) -> fields.Body | None:
    return None if body.get("hosted_link") is None else fields.options(body, "hosted_link")


def _life(hosted: fields.Body | None, *, update: bool) -> timedelta:
    if hosted is None:
        return UPDATE_LIFE if update else NEW_ITEM_LIFE
    if hosted.get("url_lifetime_seconds") is not None:
        seconds = fields.optional_integer(hosted, "url_lifetime_seconds", 0, low=1, high=_LONGEST_HOSTED_LIFE)
        return timedelta(seconds=seconds)
    return HOSTED_LIFE.get(fields.optional_text(hosted, "delivery_method") or "", DEFAULT_HOSTED_LIFE)


def _account_filters(body: fields.Body) -> dict[str, tuple[str, ...]]:
    if body.get("account_filters") is None:
        return {}
    filters = fields.options(body, "account_filters")
    return {
        kind: fields.required_texts(fields.options(filters, kind), "account_subtypes") for kind in filters
    }


ROUTES: dict[str, Handler] = {"/link/token/create": create, "/link/token/get": get}
