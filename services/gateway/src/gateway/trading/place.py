"""Placing an order: once, and never twice.

The row is the queue. SUBMITTING is committed before the broker is asked, and there is one call: whatever is not a clear
answer leaves the order UNKNOWN, and nobody ever sends it again. A process that dies anywhere leaves a row that others
only look after.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import structlog

from contracts.errors import ErrorCode
from contracts.trading_calls import PlaceCall, ReplaceCall
from gateway.clients.placing import Accepted, Lost, Outcome, Refused, Unsent
from gateway.decisions.decider import Decider
from gateway.refusals import refusal
from gateway.trading import baseline, intents, settle, story, switches
from gateway.trading.claim import SOON, Claimed, Wish, claim
from gateway.trading.intents import Intent
from gateway.trading.settle import Change, Desk, Why
from gateway.trading.states import Event, State
from persistence.database import DatabaseUnavailable
from service_kit.api_errors import ApiError

log = structlog.get_logger(__name__)

T = TypeVar("T")
TOO_LATE = timedelta(seconds=60)
"""A process that slept for so long after it committed must not send any more: others may have looked already."""
NOT_SENT = "nothing was sent"
KEEP_TRYING = (0.1, 0.5, 2.0, 5.0)
"""Seconds between attempts to write down what the broker has answered."""


class Answer:
    """An answer to a request that makes an order: status, JSON text, whether it had been given before, and of what."""

    __slots__ = ("body", "order_id", "replayed", "status")

    def __init__(self, intent: Intent, *, replayed: bool) -> None:
        if intent.answer_status is None or intent.answer is None:
            raise refusal(ErrorCode.REQUEST_IN_PROGRESS, headers=SOON)
        self.status, self.body = intent.answer_status, story.text(intent.answer)
        self.replayed, self.order_id = replayed, str(intent.intent_id)


class Counter:
    """Where orders are placed: each in a task of its own, which goes on when whoever asked has hung up."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._busy: set[asyncio.Task[object]] = set()

    async def place(self, who: Decider, wanted: Wish) -> Answer:
        """Place what was previewed.

        Raises:
            ApiError: it was not let through; 409 ``REQUEST_IN_PROGRESS``, another request with this key is at it.
        """
        return await self.to_the_end(place(self.desk, who, wanted))

    async def to_the_end(self, work: Awaitable[T]) -> T:
        """Do something to its end, even when whoever waits for it goes away."""
        task = asyncio.ensure_future(work)
        self._busy.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait for what is being placed."""
        if self._busy:
            await asyncio.wait(self._busy)

    def _done(self, task: "asyncio.Task[object]") -> None:
        self._busy.discard(task)
        if (
            not task.cancelled()
            and (error := task.exception()) is not None
            and not isinstance(error, ApiError)
        ):
            log.error("order.interrupted", error=type(error).__name__)


async def place(desk: Desk, who: Decider, wanted: Wish) -> Answer:
    """Let an order through and submit it; what its key stands for already is only answered again."""
    return await through(desk, who, await claim(desk, who, wanted))


async def through(desk: Desk, who: Decider, claimed: Claimed) -> Answer:
    """Submit an order that was let through just now.

    Raises:
        ApiError: 409 ``REQUEST_IN_PROGRESS``, it is under way.
    """
    if not claimed.fresh:
        return Answer(claimed.intent, replayed=True)
    return Answer(await submit(desk, claimed.intent, who), replayed=False)


async def submit(desk: Desk, intent: Intent, who: Decider) -> Intent:
    """Send an order that was let through, and write down what came of it."""
    try:
        ready = await _submitting(desk, intent, who)
    except DatabaseUnavailable:
        return await _persistently(lambda: _never_sent(desk, intent, who))
    if ready.state is not State.SUBMITTING:
        return ready
    if desk.now() - (ready.submitted_at or ready.created_at) > TOO_LATE:
        return await _reload(desk, ready)
    outcome = await _sent(desk, ready)
    return await record(desk, ready, outcome, who)


async def record(desk: Desk, intent: Intent, outcome: Outcome, who: Decider) -> Intent:
    """Write down what the one call came to, as long as the database lets us; then how the order stands."""
    event, why, change = _meaning(outcome, who)
    moved = await _persistently(lambda: settle.settle(desk, intent, event, why, change))
    if moved is None and isinstance(outcome, Accepted):
        return await _late(desk, intent, outcome, why)
    return moved or await _reload(desk, intent)


async def _submitting(desk: Desk, intent: Intent, who: Decider) -> Intent:
    """Take the baseline and commit to the submission; an order that cannot be is rejected, and nothing was sent."""
    try:
        ids = await baseline.taken(desk.placing, intent)
    except ApiError as error:
        return await _abandoned(
            desk, intent, who, code=ErrorCode(error.code), message=error.message, reason="no_baseline"
        )
    except Exception:
        log.exception("order.no_baseline", order_id=str(intent.intent_id))
        code, message = (
            ErrorCode.PROVIDER_UNAVAILABLE,
            "The broker's orders could not be read; nothing was sent.",
        )
        return await _abandoned(desk, intent, who, code=code, message=message, reason="no_baseline")
    if await _switched_off(desk, intent):
        message = "Trading is switched off; nothing was sent."
        return await _abandoned(
            desk, intent, who, code=ErrorCode.TRADING_DISABLED, message=message, reason="switched_off"
        )
    change = Change(baseline=ids)
    moved = await settle.settle(desk, intent, Event.SUBMIT, Why(who.by, None, who.request_id), change)
    return moved or await _reload(desk, intent)


async def _switched_off(desk: Desk, intent: Intent) -> bool:
    """Whether a switch was thrown since the order was let through: the broker's list may have taken seconds."""
    enabled = desk.gateway.settings.trading_enabled
    async with desk.gateway.database.transaction(intent.user_id) as conn:
        return await switches.off(conn, intent.user_id, intent.provider, enabled=enabled) is not None


async def _abandoned(
    desk: Desk, intent: Intent, who: Decider, *, code: ErrorCode, message: str, reason: str
) -> Intent:
    why = Why(who.by, f"{reason}: {NOT_SENT}", who.request_id, details={"sent": False})
    moved = await settle.settle(
        desk, intent, Event.ABANDON, why, Change(error_code=code.value, error=message)
    )
    return moved or await _reload(desk, intent)


async def _never_sent(desk: Desk, intent: Intent, who: Decider) -> Intent:
    """Reject an order whose submission could not be committed for certain: it is we who did not send it."""
    now = await _reload(desk, intent)
    code, message = ErrorCode.UNAVAILABLE, "The order could not be submitted; nothing was sent."
    if now.state is State.CONFIRMED:
        return await _abandoned(desk, now, who, code=code, message=message, reason="not_submitted")
    if now.state is State.SUBMITTING:
        return await record(desk, now, Unsent(code, message), who)
    return now


async def _sent(desk: Desk, intent: Intent) -> Outcome:
    """The one call. It is written nowhere else, and nothing repeats it."""
    try:
        if intent.replaces_broker_order_id is None:
            return await desk.placing.place(intent.provider, _place_call(intent))
        return await desk.placing.replace(
            intent.provider, _replace_call(intent, intent.replaces_broker_order_id)
        )
    except Exception as error:
        log.exception("order.lost", order_id=str(intent.intent_id))
        return Lost(type(error).__name__)


def _place_call(intent: Intent) -> PlaceCall:
    return PlaceCall(
        user_id=intent.user_id,
        connection_id=str(intent.connection_id),
        account_id=str(intent.account_id),
        external_id=intent.external_id,
        order=intent.order,
        client_order_id=str(intent.client_order_id),
    )


def _replace_call(intent: Intent, broker_order_id: str) -> ReplaceCall:
    return ReplaceCall(
        user_id=intent.user_id,
        connection_id=str(intent.connection_id),
        account_id=str(intent.account_id),
        external_id=intent.external_id,
        broker_order_id=broker_order_id,
        order=intent.order,
    )


def _meaning(outcome: Outcome, who: Decider) -> tuple[Event, Why, Change]:
    """What an outcome does to an order that was sent. Pure."""
    match outcome:
        case Accepted(ids, request_id):
            why = Why(who.by, "the broker has it", who.request_id, request_id)
            return Event.ACCEPT, why, Change(broker_order_ids=ids)
        case Refused(code, message, provider_code, request_id):
            details = {"provider_code": provider_code, "provider_request_id": request_id}
            why = Why(who.by, "the broker refused it", who.request_id, request_id, details)
            return Event.REFUSE, why, Change(error_code=code.value, error=message)
        case Unsent(code, message):
            why = Why(who.by, NOT_SENT, who.request_id, details={"sent": False})
            return Event.REFUSE, why, Change(error_code=code.value, error=message)
        case Lost(reason, request_id):
            return Event.LOSE, Why(who.by, reason, who.request_id, request_id), Change()


async def _late(desk: Desk, intent: Intent, accepted: Accepted, why: Why) -> Intent:
    """The broker's answer to an order that others have moved: evidence, unless its place is taken."""
    now = await _reload(desk, intent)
    change = Change(broker_order_ids=accepted.broker_order_ids)
    moved = await settle.settle(desk, now, Event.ACCEPT, why, change)
    if moved is None and not set(now.broker_order_ids) & set(intents.stems(accepted.broker_order_ids)):
        log.error("order.contradicted", order_id=str(intent.intent_id), state=now.state.value)
    return moved or now


async def _persistently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try to write down what is certain; it is worth more than any look later."""
    for pause in KEEP_TRYING:
        try:
            return await attempt()
        except DatabaseUnavailable:
            log.warning("order.not_written_yet")
        await asyncio.sleep(pause)
    return await attempt()


async def _reload(desk: Desk, intent: Intent) -> Intent:
    async with desk.gateway.database.transaction(intent.user_id) as conn:
        found = await intents.find(conn, intent.user_id, intent.intent_id)
    if found is None:
        raise LookupError("an order that was let through is not there")
    return found
