"""Routes that only Plaid's sandbox has: link without a user, fire a webhook, break an Item."""

from datetime import timedelta
from typing import Any

from provider_sandbox.plaid import fields, institutions
from provider_sandbox.plaid.ask import Ask, Handler
from provider_sandbox.plaid.catalogue import FIREABLE, PRODUCT_OF
from provider_sandbox.plaid.errors import PlaidError
from provider_sandbox.plaid.linking import admit, new_item
from provider_sandbox.plaid.links import LinkToken
from provider_sandbox.world import Institution


async def create_public_token(ask: Ask) -> dict[str, Any]:
    """A public token without Link; `override_username` picks the login."""
    fields.require(ask.body, ["institution_id", "initial_products"])
    products = fields.required_texts(ask.body, "initial_products")
    institution = ask.face.state.world.by_plaid_id(fields.text(ask.body, "institution_id"))
    if institution is None:
        raise PlaidError("INVALID_INSTITUTION")
    if not institutions.supports(institution, products, institution.country_codes):
        raise PlaidError("PRODUCTS_NOT_SUPPORTED")
    options = fields.options(ask.body)
    link = _implied_link(ask, institution, products, fields.optional_text(options, "webhook"))
    username = fields.optional_text(options, "override_username") or _default_user(ask, institution)
    shared = admit(ask.face, link, institution, username)
    if isinstance(shared, str):
        raise PlaidError(shared)
    item = new_item(ask.face, link, institution, username, shared)
    return {"public_token": ask.face.items.offer(item)}


async def fire_webhook(ask: Ask) -> dict[str, Any]:
    """Fire one of the webhooks Plaid's sandbox can fire; without a webhook type the first fitting one."""
    item = ask.item()
    code = fields.text(ask.body, "webhook_code")
    wanted = fields.optional_text(ask.body, "webhook_type")
    kind = next((kind for kind, known in FIREABLE if known == code and wanted in {None, kind}), None)
    if kind is None or (kind in PRODUCT_OF and PRODUCT_OF[kind] not in item.products):
        raise PlaidError("SANDBOX_PRODUCT_NOT_ENABLED")
    if not item.webhook:
        raise PlaidError("SANDBOX_WEBHOOK_INVALID")
    return {"webhook_fired": await ask.face.notify(item, FIREABLE[kind, code](item, ask.face.in_a_week()))}


async def reset_login(ask: Ask) -> dict[str, Any]:
    """Put the Item into ITEM_LOGIN_REQUIRED and send ITEM/ERROR."""
    await ask.face.fail(ask.item())
    return {"reset_login": True}


def _default_user(ask: Ask, institution: Institution) -> str:
    known = ask.face.state.world.login("user_good", institution.slug)
    return "user_good" if known else "demo"


def _implied_link(
    ask: Ask, institution: Institution, products: tuple[str, ...], webhook: str | None
) -> LinkToken:
    return ask.face.links.add(
        timedelta(0),
        client_name="",
        client_user_id=None,
        language="en",
        country_codes=institution.country_codes,
        products=products,
        consented=(),
        webhook=fields.web_address("options.webhook", webhook) if webhook else None,
        redirect_uri=None,
        institution_id=institution.plaid_id,
        item_id=None,
        account_filters={},
        hosted=False,
        completion_redirect_uri=None,
    )


ROUTES: dict[str, Handler] = {
    "/sandbox/public_token/create": create_public_token,
    "/sandbox/item/fire_webhook": fire_webhook,
    "/sandbox/item/reset_login": reset_login,
}
