"""Asking a broker to cancel an order: once in a while, by one call; that it is cancelled shows in its record."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from contracts.errors import ErrorCode
from contracts.trading_calls import CancelCall
from gateway import commands
from gateway.clients.placing import Lost, Outcome, Refused, Unsent
from gateway.decisions.decider import Decider
from gateway.refusals import not_found, refusal
from gateway.trading import intents, story
from gateway.trading.claim import SOON
from gateway.trading.intents import Intent
from gateway.trading.settle import Desk
from gateway.trading.states import FINAL, OPEN, UNDER_WAY
from persistence.database import Connection

log = structlog.get_logger(__name__)

ASKED = timedelta(seconds=30)
"""How long a wish to cancel is taken for the same wish; after that it may be sent again, for it changes nothing twice."""
LOOK = timedelta(seconds=2)


async def cancel(desk: Desk, who: Decider, intent_id: UUID) -> dict[str, Any]:
    """Ask to cancel an order; how it stands, as JSON values.

    Raises:
        ApiError: 404 no such order of the user's; 409 it is closed, being verified or under way, or the broker would not
            cancel it; 503 the wish was not sent.
    """
    intent, fresh = await _wished(desk, who, intent_id)
    if fresh:
        await _answer(desk, who, intent, await _sent(desk, intent))
    return story.shown(intent)


async def must_be_open(conn: Connection, user_id: str, intent_id: UUID) -> Intent:
    """An order of the user's that its broker has and that is not over, kept from others until the commit.

    Raises:
        ApiError: 404 no such order; 409 it is closed, being verified, or under way.
    """
    intent = await intents.find(conn, user_id, intent_id, lock=True)
    if intent is None:
        raise not_found("order")
    details = {"order_id": str(intent_id), "state": intent.state.value}
    if intent.state in FINAL:
        raise refusal(ErrorCode.ORDER_NOT_OPEN, details=details)
    if intent.state in UNDER_WAY:
        raise refusal(ErrorCode.REQUEST_IN_PROGRESS, details=details, headers=SOON)
    if intent.state not in OPEN or not intent.broker_order_ids:
        raise refusal(ErrorCode.ORDER_BEING_VERIFIED, details=details)
    return intent


async def _wished(desk: Desk, who: Decider, intent_id: UUID) -> tuple[Intent, bool]:
    now = desk.now()
    async with desk.gateway.database.transaction(who.user_id) as conn:
        intent = await must_be_open(conn, who.user_id, intent_id)
        asked = intent.cancel_requested_at
        if asked is not None and now - asked < ASKED:
            return intent, False
        await conn.execute(
            """UPDATE gateway.order_intents SET cancel_requested_at = %s, next_look_at = %s, looks = 0
            WHERE user_id = %s AND intent_id = %s""",
            (now, now + LOOK, who.user_id, intent_id),
        )
        await _note(desk, conn, who, intent, action="order.cancel_requested", more={})
        return await intents.find(conn, who.user_id, intent_id) or intent, True


async def _sent(desk: Desk, intent: Intent) -> Outcome:
    """The one call of this wish."""
    call = CancelCall(
        user_id=intent.user_id,
        connection_id=str(intent.connection_id),
        account_id=str(intent.account_id),
        external_id=intent.external_id,
        broker_order_id=intent.broker_order_ids[0],
    )
    try:
        return await desk.placing.cancel(intent.provider, call)
    except Exception as error:
        log.exception("order.cancel_lost", order_id=str(intent.intent_id))
        return Lost(type(error).__name__)


async def _answer(desk: Desk, who: Decider, intent: Intent, outcome: Outcome) -> None:
    """Write down what the broker said; a wish that did not arrive, or was refused, may be repeated at once.

    Raises:
        ApiError: it will not be cancelled by this wish.
    """
    said = {
        "outcome": type(outcome).__name__.lower(),
        "provider_request_id": getattr(outcome, "provider_request_id", None),
    }
    async with desk.gateway.database.transaction(who.user_id) as conn:
        if isinstance(outcome, Refused | Unsent):
            await conn.execute(
                """UPDATE gateway.order_intents SET cancel_requested_at = NULL
                WHERE user_id = %s AND intent_id = %s AND cancel_requested_at = %s""",
                (who.user_id, intent.intent_id, intent.cancel_requested_at),
            )
        await _note(desk, conn, who, intent, action="order.cancel_answered", more=said)
    if isinstance(outcome, Refused | Unsent):
        details = {"order_id": str(intent.intent_id), "sent": isinstance(outcome, Refused)}
        raise refusal(outcome.code, outcome.message, details=details)


async def _note(
    desk: Desk, conn: Connection, who: Decider, intent: Intent, *, action: str, more: dict[str, Any]
) -> None:
    details = {
        "by": who.by,
        "provider": intent.provider,
        "broker_order_ids": list(intent.broker_order_ids),
        **more,
    }
    await commands.note(
        conn,
        who.user_id,
        action,
        intent.intent_id,
        details=details,
        request_id=who.request_id,
        now=desk.now(),
    )
