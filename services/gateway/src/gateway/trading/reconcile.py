"""Orders whose fate is unknown: looked for at the broker, and never sent again."""

from collections.abc import Sequence
from datetime import timedelta

import structlog

from contracts.errors import ErrorCode
from gateway.trading import baseline, intents, settle
from gateway.trading.intents import Intent
from gateway.trading.matching import Certainty, Look, match
from gateway.trading.settle import Change, Desk, Why
from gateway.trading.states import Event, State
from service_kit.api_errors import ApiError

log = structlog.get_logger(__name__)

BY = "reconciler"
LATER = (timedelta(seconds=10), timedelta(seconds=45), timedelta(seconds=240))
"""After the first look, 5 s after the order's fate became unknown: at 15 s, 60 s, and 5 minutes. Then a person is asked."""
BLIND = timedelta(seconds=30)
"""When to look again where the broker's list could not be read: that was no look."""
OF_ACCOUNT = timedelta(days=7)
"""How far back orders of ours are asked whether one at the broker is theirs."""


async def left(desk: Desk, intent: Intent) -> Intent | None:
    """End what a process that died has left: what was never submitted was never sent; of the rest nobody knows."""
    if intent.state is State.CONFIRMED:
        why = Why(BY, "it was never submitted: nothing was sent", details={"sent": False})
        message = "The order was not sent; preview it again to place it."
        change = Change(error_code=ErrorCode.UNAVAILABLE.value, error=message)
        return await settle.settle(desk, intent, Event.ABANDON, why, change)
    why = Why(BY, "no answer was written down")
    return await settle.settle(desk, intent, Event.LOSE, why)


async def look(desk: Desk, intent: Intent) -> Intent | None:
    """Look for an order of unknown fate at its broker; how it stands where that moved it.

    Exactly one that is new and just like it, from the second look on, is it. After the last look a person must say; it
    is never taken for rejected, for what cannot be seen may still be there.
    """
    try:
        at_broker = await baseline.listed(desk.placing, intent)
    except ApiError as error:
        log.warning("order.look_failed", order_id=str(intent.intent_id), code=str(error.code))
        await _again(desk, intent, BLIND, intent.looks)
        return None
    found = match(intent, at_broker, await _others(desk, intent))
    # Somebody else's order just like it may be shown before ours is: one look is not enough to be certain.
    if found.certainty is Certainty.FOUND and intent.looks:
        return await _found(desk, intent, found)
    if intent.looks < len(LATER):
        await _again(desk, intent, LATER[intent.looks], intent.looks + 1)
        return None
    why = Why(BY, f"{found.certainty.value} after {intent.looks + 1} looks ({found.candidates} alike)")
    return await settle.settle(desk, intent, Event.GIVE_UP, why)


async def _found(desk: Desk, intent: Intent, found: Look) -> Intent | None:
    """Take an order for ours, in one transaction with a last check that it is nobody else's."""
    why = Why(BY, "exactly one new order at the broker is like it")
    ids = found.broker_order_ids

    async def once() -> list[Intent]:
        async with desk.gateway.database.transaction(intent.user_id) as conn:
            await intents.of_account_alone(conn, intent.user_id, intent.account_id)
            others = await intents.of_account(
                conn, intent.user_id, intent.account_id, intent.created_at - OF_ACCOUNT
            )
            if taken(intent, others, ids):
                return []
            return await settle.move(
                conn, intent, Event.FIND, why, now=desk.now(), change=Change(broker_order_ids=ids)
            )

    moved = await desk.gateway.database.retrying(once)
    settle.settled(desk, *moved)
    return moved[0] if moved else None


def taken(intent: Intent, others: Sequence[Intent], broker_order_ids: Sequence[str]) -> bool:
    """Whether one of these orders at the broker belongs to another order of ours. Pure."""
    theirs = {
        order_id
        for one in others
        if one.intent_id not in {intent.intent_id, intent.replaces_intent_id}
        for order_id in intents.stems(one.broker_order_ids)
    }
    return bool(theirs & set(intents.stems(broker_order_ids)))


async def _others(desk: Desk, intent: Intent) -> list[Intent]:
    since = intent.created_at - OF_ACCOUNT
    async with desk.gateway.database.transaction(intent.user_id) as conn:
        found = await intents.of_account(conn, intent.user_id, intent.account_id, since)
    return [one for one in found if one.intent_id != intent.intent_id]


async def _again(desk: Desk, intent: Intent, wait: timedelta, looks: int) -> None:
    async with desk.gateway.database.transaction(intent.user_id) as conn:
        await intents.look_again(conn, intent, desk.now() + wait, looks)
