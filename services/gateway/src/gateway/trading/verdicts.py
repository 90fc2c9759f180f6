"""What operators say of orders whose fate nobody could find out."""

from uuid import UUID

from contracts.errors import ErrorCode
from gateway.decisions.decider import Decider
from gateway.ledger.operator import as_operator
from gateway.refusals import not_found, refusal
from gateway.trading import intents, settle
from gateway.trading.intents import Intent
from gateway.trading.reconcile import OF_ACCOUNT, taken
from gateway.trading.settle import Change, Desk, Why
from gateway.trading.states import UNVERIFIED, Event
from persistence.database import Connection

ABSENT = "An operator found that the broker does not have the order."


async def owner_of(desk: Desk, intent_id: UUID) -> str:
    """Whose order it is.

    Raises:
        ApiError: 404, there is no such order.
    """
    async with desk.gateway.database.transaction() as conn:
        await as_operator(conn)
        user_id = await intents.owner(conn, intent_id)
    if user_id is None:
        raise not_found("order")
    return user_id


async def resolve(
    desk: Desk, who: Decider, intent_id: UUID, broker_order_id: str | None, reason: str
) -> Intent:
    """Say that the broker has an order, under this id, or (None) that it has not.

    Raises:
        ApiError: 404 there is no such order; 409 its fate is known, or the broker's order is another one of ours.
    """
    event = Event.CONFIRM_ABSENT if broker_order_id is None else Event.CONFIRM_PLACED
    why = Why(who.by, reason, who.request_id, details={"resolved_by": "operator"})
    change = Change(error_code=ErrorCode.ORDER_REJECTED.value, error=ABSENT)
    if broker_order_id is not None:
        change = Change(broker_order_ids=(broker_order_id,))

    async def once() -> list[Intent]:
        async with desk.gateway.database.transaction(who.user_id) as conn:
            intent = await _held(conn, who.user_id, intent_id)
            await _free(conn, intent, broker_order_id)
            return await settle.move(conn, intent, event, why, now=desk.now(), change=change)

    moved = await desk.gateway.database.retrying(once)
    settle.settled(desk, *moved)
    return moved[0]


async def _held(conn: Connection, user_id: str, intent_id: UUID) -> Intent:
    # The account's turn before the row, as whoever finds an order at the broker takes them.
    found = await intents.find(conn, user_id, intent_id)
    if found is not None:
        await intents.of_account_alone(conn, user_id, found.account_id)
    intent = await intents.find(conn, user_id, intent_id, lock=True)
    if intent is None:
        raise not_found("order")
    if intent.state not in UNVERIFIED:
        details = {"order_id": str(intent_id), "state": intent.state.value}
        raise refusal(ErrorCode.CONFLICT, "The fate of this order is known.", details=details)
    return intent


async def _free(conn: Connection, intent: Intent, broker_order_id: str | None) -> None:
    """Check that an order at the broker is not another one of ours."""
    if broker_order_id is None:
        return
    since = intent.created_at - OF_ACCOUNT
    others = await intents.of_account(conn, intent.user_id, intent.account_id, since)
    if taken(intent, others, (broker_order_id,)):
        message = "This order at the broker is another one of the user's."
        raise refusal(ErrorCode.CONFLICT, message, details={"broker_order_id": broker_order_id})
