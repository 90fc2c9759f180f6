"""Control routes of the Plaid face, under `/_control/plaid`: keys, webhooks, broken Items, limits, institution habits."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, HTTPException

from provider_sandbox.faults import Fault
from provider_sandbox.plaid import bodies, catalogue
from provider_sandbox.plaid.control_bulk import add_bulk_route
from provider_sandbox.plaid.control_history import add_history_routes
from provider_sandbox.plaid.errors import MEANING, PlaidError
from provider_sandbox.plaid.face import PlaidFace
from provider_sandbox.plaid.items import Item
from provider_sandbox.plaid.orders import (
    BreakOrder,
    ConsentOrder,
    DisorderOrder,
    ErrorOrder,
    HoldingOrder,
    LimitOrder,
    PullOrder,
    QuirkOrder,
    SpellingOrder,
    SurpriseOrder,
    WebhookOrder,
)
from provider_sandbox.plaid.surprises import Surprises
from provider_sandbox.plaid.wire import new_request_id
from provider_sandbox.state import State
from provider_sandbox.webhook_delivery import WebhookDelivery
from provider_sandbox.webhook_policy import Disorder
from provider_sandbox.world import Holding


def control_router(state: State) -> APIRouter:
    """Routes for the control API; they find the face in the state when called."""
    router = APIRouter(prefix="/_control/plaid", tags=["plaid"])
    _add_webhook_routes(router, state)
    _add_item_routes(router, state)
    _add_pull_routes(router, state)
    _add_scenario_routes(router, state)
    add_history_routes(router, state)
    add_bulk_route(router, state)
    return router


def _face(state: State) -> PlaidFace:
    face = state.faces.get(PlaidFace.provider)
    if not isinstance(face, PlaidFace):
        raise HTTPException(409, "the Plaid face is not running")
    return face


def _item(state: State, item_id: str) -> Item:
    item = _face(state).items.by_id(item_id)
    if item is None:
        raise HTTPException(404, f"no item {item_id}")
    return item


def _known_code(code: str) -> str:
    if code not in MEANING:
        raise HTTPException(422, f"{code} is not an error code this face knows")
    return code


def _body(face: PlaidFace, item: Item, order: WebhookOrder) -> bodies.WebhookBody:
    build = catalogue.ALL.get((order.webhook_type, order.webhook_code))
    name = {"webhook_type": order.webhook_type, "webhook_code": order.webhook_code}
    unknown = {**name, "item_id": item.item_id, "environment": bodies.ENVIRONMENT}
    return (build(item, face.in_a_week()) if build else unknown) | order.fields


def _add_webhook_routes(router: APIRouter, state: State) -> None:
    @router.post("/keys/rotate")
    async def rotate() -> dict[str, Any]:
        """Expire the signing key and sign with a new one."""
        keys = _face(state).keys
        expired = keys.current.kid
        return {"expired": expired, "current": keys.rotate().kid}

    @router.post("/items/{item_id}/webhooks")
    async def fire(item_id: str, order: WebhookOrder) -> dict[str, Any]:
        """Send any webhook to an Item's URL, signed with the current or the last expired key."""
        face, item = _face(state), _item(state, item_id)
        body = _body(face, item, order)
        if not order.expired_key:
            return {"sent": await face.notify(item, body)}
        expired = face.keys.last_expired()
        if expired is None:
            raise HTTPException(409, "no key has expired yet")
        return {"sent": await face.send(item.webhook, body, kid=expired)}

    @router.put("/webhooks/disorder")
    async def disturb(order: DisorderOrder) -> dict[str, Any]:
        """Double, lose, delay or reorder the webhooks of every provider sent from now on."""
        if not isinstance(state.webhooks, WebhookDelivery):
            raise HTTPException(409, "webhooks are not being delivered")
        state.webhooks.disturb(Disorder(**order.model_dump()))
        return order.model_dump()

    @router.put("/webhooks/session-status")
    async def spell(order: SpellingOrder) -> dict[str, Any]:
        """Spell SESSION_FINISHED.status in upper or lower case."""
        _face(state).shouting_status = order.spelling == "upper"
        return order.model_dump()


def _add_item_routes(router: APIRouter, state: State) -> None:
    @router.get("/items")
    async def items() -> list[dict[str, Any]]:
        """Every Item with its accounts."""
        return _face(state).connections()

    @router.post("/items/{item_id}/break")
    async def break_item(item_id: str, order: BreakOrder) -> dict[str, Any]:
        """Put an Item into an error and send ITEM/ERROR."""
        item = _item(state, item_id)
        await _face(state).fail(item, _known_code(order.code))
        return {"item_id": item_id, "error": item.error}

    @router.post("/items/{item_id}/repair")
    async def repair(item_id: str) -> dict[str, Any]:
        """Clear the Item's error and send LOGIN_REPAIRED."""
        await _face(state).repair(_item(state, item_id))
        return {"item_id": item_id, "error": None}

    @router.post("/items/{item_id}/churn")
    async def churn(item_id: str) -> dict[str, Any]:
        """Give every account of the Item another account_id."""
        item = _item(state, item_id)
        item.generation += 1
        return {"item_id": item_id, "account_ids": list(item.account_ids())}

    @router.post("/items/{item_id}/holdings")
    async def change_holding(item_id: str, order: HoldingOrder) -> dict[str, Any]:
        """Set a position of one of the Item's accounts and send HOLDINGS/DEFAULT_UPDATE to all who show it."""
        if order.account not in _item(state, item_id).account_keys:
            raise HTTPException(404, f"the item has no account {order.account}")
        if order.security not in state.world.securities:
            raise HTTPException(404, f"no security {order.security}")
        if order.quantity:
            state.world.set_holding(
                order.account, Holding(order.security, order.quantity, order.average_cost)
            )
        else:
            state.world.remove_holding(order.account, order.security)
        return {"announced": await _face(state).account_changed(order.account)}


def _add_pull_routes(router: APIRouter, state: State) -> None:
    @router.put("/items/{item_id}/consent")
    async def consent(item_id: str, order: ConsentOrder) -> dict[str, Any]:
        """Say when the user's consent to an Item ends."""
        _item(state, item_id).consent_ends = order.ends_at
        return {"item_id": item_id, "consent_ends": order.ends_at}

    @router.post("/pull")
    async def pull(order: PullOrder) -> dict[str, Any]:
        """Read the institutions, as happens every night: the times of the last success move, and nothing is sent."""
        face = _face(state)
        chosen = list(face.items) if order.items is None else [_item(state, one) for one in order.items]
        read = [item for item in chosen if not item.removed and not item.error]
        for item in read:
            face.pull(item)
        return {"pulled": len(read)}


def _add_scenario_routes(router: APIRouter, state: State) -> None:
    @router.post("/errors")
    async def answer_with_error(order: ErrorOrder) -> dict[str, Any]:
        """Answer an endpoint (`/investments/holdings/get`, or `*`) with an error code instead of working."""
        failure = PlaidError(_known_code(order.code))
        body = failure.body(new_request_id())
        state.faults.add(Fault("plaid", order.endpoint, "status", order.times, failure.status, body))
        return {"status": failure.status, "body": body}

    @router.put("/limits")
    async def limit(order: LimitOrder) -> dict[str, Any]:
        """Replace the rate limits of an endpoint and start counting anew."""
        limits = _face(state).limits
        limits.override(order.endpoint, order.per_item, order.per_client)
        return asdict(limits.limits[order.endpoint])

    @router.get("/limits")
    async def violations() -> dict[str, Any]:
        """Count the calls beyond a limit that Plaid publishes, or control has set."""
        counted = _face(state).limits.violations
        return {"violations": counted.total(), "endpoints": dict(counted)}

    @router.put("/surprises")
    async def surprise(order: SurpriseOrder) -> dict[str, Any]:
        """Add unknown fields to every answer, or leave optional ones out."""
        _face(state).surprises = Surprises(**order.model_dump())
        return order.model_dump()

    @router.put("/quirks/{slug}")
    async def change_quirk(slug: str, order: QuirkOrder) -> dict[str, Any]:
        """Change how an institution's data looks."""
        if slug not in state.world.institutions:
            raise HTTPException(404, f"no institution {slug}")
        return asdict(_face(state).set_quirk(slug, **order.model_dump(exclude_none=True)))
