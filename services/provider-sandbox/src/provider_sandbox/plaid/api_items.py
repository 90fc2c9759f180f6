"""Routes about Items: exchange, status, removal, webhook address, token rotation."""

from typing import Any

from provider_sandbox.plaid import bodies, fields
from provider_sandbox.plaid.ask import Ask, Handler
from provider_sandbox.plaid.errors import PlaidError
from provider_sandbox.traffic import note

_REASONS = {
    "FRAUD_FIRST_PARTY",
    "FRAUD_FALSE_IDENTITY",
    "FRAUD_ABUSE",
    "FRAUD_OTHER",
    "CONNECTION_IS_NON_FUNCTIONAL",
    "OTHER",
}


async def exchange(ask: Ask) -> dict[str, Any]:
    """Trade a public token for an access token, once."""
    item = ask.face.items.exchange(fields.text(ask.body, "public_token"))
    note(ask.request, connection=item.item_id, user=item.user)
    return {"access_token": item.access_token, "item_id": item.item_id}


async def get(ask: Ask) -> dict[str, Any]:
    """The Item with its error and the times of its last updates."""
    item = ask.item()
    if not item.error:
        ask.face.look(item)
    return {"item": item.encode_in_full(), "status": item.encode_status()}


async def remove(ask: Ask) -> dict[str, Any]:
    """End the Item; its token answers ITEM_NOT_FOUND from now on."""
    reason = fields.optional_text(ask.body, "reason_code")
    if reason is not None and reason not in _REASONS:
        raise fields.invalid("reason_code", "is not a known reason")
    ask.item().removed = True
    return {}


async def update_webhook(ask: Ask) -> dict[str, Any]:
    """Set or clear the webhook URL and acknowledge it at the new one."""
    item = ask.item()
    url = fields.optional_text(ask.body, "webhook") or None
    item.webhook = fields.web_address("webhook", url) if url else None
    if url:
        await ask.face.notify(item, bodies.webhook_update_acknowledged(item.item_id, url))
    return {"item": item.encode()}


async def invalidate(ask: Ask) -> dict[str, Any]:
    """Rotate the access token."""
    return {"new_access_token": ask.face.items.new_access_token(ask.item())}


async def verification_key(ask: Ask) -> dict[str, Any]:
    """The public key a webhook names in its JWT header."""
    key_id = ask.body.get("key_id")
    if not isinstance(key_id, str) or not key_id:
        raise PlaidError("MISSING_FIELDS", "the following required fields are missing: key_id")
    return {"key": ask.face.keys.find(key_id).jwk()}


ROUTES: dict[str, Handler] = {
    "/item/public_token/exchange": exchange,
    "/item/get": get,
    "/item/remove": remove,
    "/item/webhook/update": update_webhook,
    "/item/access_token/invalidate": invalidate,
    "/webhook_verification_key/get": verification_key,
}
