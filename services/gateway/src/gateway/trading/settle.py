"""Moving an order: a compare-and-set, and in the same transaction everything that goes with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from psycopg.rows import class_row
from psycopg.types.json import Json

from contracts.messages import SyncConnection
from gateway import commands
from gateway.clients.placing import Placing
from gateway.context import Gateway
from gateway.trading import days, intents, story
from gateway.trading.intents import LEFT_AFTER, Intent
from gateway.trading.states import FINAL, OPEN, UNDER_WAY, Event, State, after
from gateway.trading.story import Step
from persistence.database import Connection
from service_kit.metrics import Metrics

log = structlog.get_logger(__name__)

FIRST_LOOK = timedelta(seconds=5)
SYNC_TRIGGER = "order"
BY_SYSTEM = "system"
_MOVE = """
UPDATE gateway.order_intents SET state = %(to)s, moves = moves + 1, updated_at = %(now)s, looks = 0,
    next_look_at = %(next)s, baseline = coalesce(%(baseline)s::json, baseline),
    broker_order_ids = coalesce(%(ids)s::json, broker_order_ids),
    filled_quantity = coalesce(%(filled)s, filled_quantity), average_price = coalesce(%(price)s, average_price),
    error_code = coalesce(%(code)s, error_code), error = coalesce(%(error)s, error),
    provider_request_id = coalesce(%(provider_request)s, provider_request_id),
    submitted_at = CASE WHEN %(to)s = 'SUBMITTING' THEN %(now)s ELSE submitted_at END,
    settled_at = CASE WHEN %(final)s THEN %(now)s ELSE settled_at END
WHERE user_id = %(user)s AND intent_id = %(intent)s AND moves = %(moves)s AND state = %(from)s
"""
_STEP = """
INSERT INTO gateway.order_transitions (user_id, intent_id, move, from_state, to_state, actor, reason, request_id,
    provider_request_id, details, at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


@dataclass(frozen=True, slots=True)
class Why:
    """Who moves an order, and why; ``details`` are shown to who placed it where it is refused."""

    actor: str
    reason: str | None = None
    request_id: str | None = None
    provider_request_id: str | None = None
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What is learned with a move; None leaves what was known."""

    baseline: tuple[str, ...] | None = None
    broker_order_ids: tuple[str, ...] | None = None
    filled_quantity: Decimal | None = None
    average_price: Decimal | None = None
    error_code: str | None = None
    error: str | None = None


NOTHING_ELSE = Change()


class OrderMeasures:
    """Counts what becomes of orders."""

    def __init__(self, metrics: Metrics) -> None:
        self._moved = metrics.counter(
            "onefolio_orders_total", "Orders by the states they came to.", ("state",)
        )
        self._waiting = metrics.gauge(
            "onefolio_orders_waiting", "Orders that are not over, by state.", ("state",)
        )

    def moved(self, state: State) -> None:
        """Count one order that came to a state."""
        self._moved.labels(state.value).inc()

    def waiting(self, counts: Mapping[str, int]) -> None:
        """Show how many orders are not over."""
        for state in State:
            if state not in FINAL:
                self._waiting.labels(state.value).set(counts.get(state.value, 0))


@dataclass(frozen=True, slots=True)
class Desk:
    """What everything around orders works with."""

    gateway: Gateway
    placing: Placing
    measures: OrderMeasures

    def now(self) -> datetime:
        """The gateway's clock."""
        return self.gateway.clock.now()


async def settle(
    desk: Desk, intent: Intent, event: Event, why: Why, change: Change = NOTHING_ELSE
) -> Intent | None:
    """Move an order in a transaction of its own; how it stands then. None where it has moved otherwise meanwhile.

    Raises:
        DatabaseUnavailable: it is not known whether it was moved.
    """
    to = after(intent.state, event)

    async def once() -> tuple[Intent | None, list[Intent]]:
        async with desk.gateway.database.transaction(intent.user_id) as conn:
            moved = await move(conn, intent, event, why, now=desk.now(), change=change)
            if moved:
                return moved[0], moved
            # A commit whose confirmation was lost has been done, and is found here when it is tried again.
            found = await intents.find(conn, intent.user_id, intent.intent_id)
            same = found is not None and found.moves == intent.moves + 1 and found.state is to
            return (found if same else None), []

    found, moved = await desk.gateway.database.retrying(once)
    settled(desk, *moved)
    return found


def settled(desk: Desk, *moved: Intent) -> None:
    """Tell the world of moves, once their transaction has committed."""
    for one in moved:
        desk.measures.moved(one.state)
        log.info("order.moved", order_id=str(one.intent_id), state=one.state.value, provider=one.provider)
    if moved:
        desk.gateway.wake()


async def move(
    conn: Connection,
    intent: Intent,
    event: Event,
    why: Why,
    *,
    now: datetime,
    change: Change = NOTHING_ELSE,
) -> list[Intent]:
    """Move an order inside the caller's transaction, and with it the one it takes the place of, where the broker has it.

    Nothing where it has moved meanwhile, or cannot move so.
    """
    moved = await _moved(conn, intent, event, why, now=now, change=change)
    if moved is None:
        return []
    if moved.state is not State.ACCEPTED or moved.replaces_intent_id is None:
        return [moved]
    old = await intents.find(conn, moved.user_id, moved.replaces_intent_id, lock=True)
    by = Why(why.actor, f"replaced by {moved.intent_id}", why.request_id, why.provider_request_id)
    gone = None if old is None else await _moved(conn, old, Event.REPLACE, by, now=now, change=NOTHING_ELSE)
    return [moved] if gone is None else [moved, gone]


async def _moved(
    conn: Connection, intent: Intent, event: Event, why: Why, *, now: datetime, change: Change
) -> Intent | None:
    """Move an order inside the caller's transaction; None where it has moved meanwhile, or cannot move so.

    With it go the row of the transition and of the audit trail, the answer of its request where this is the end of it,
    the day's notional where nothing was traded, and the command to read the account again after a fill.
    """
    to = after(intent.state, event)
    if to is None:
        return None
    cursor = await conn.execute(_MOVE, _values(intent, to, why, now, change))
    if cursor.rowcount != 1:
        return None
    await write_down(conn, intent, to, why, now, move_number=intent.moves + 1)
    moved = await intents.find(conn, intent.user_id, intent.intent_id)
    if moved is None:
        raise LookupError("an order that was just moved is not there")
    unused = to is State.REPLACED and not intent.filled_quantity
    if intent.notional is not None and (to is State.REJECTED or unused):
        await days.give_back(conn, intent.user_id, intent.day, intent.currency, intent.notional)
    if to in {State.PARTIALLY_FILLED, State.FILLED} or (to in FINAL and intent.state in OPEN):
        await _read_again(conn, moved, now)
    if intent.state in UNDER_WAY and to not in UNDER_WAY:
        moved = await _answer(conn, moved, why)
    return moved


async def write_down(
    conn: Connection, intent: Intent, to: State, why: Why, now: datetime, *, move_number: int
) -> None:
    """Write a step into the order's history and into the audit trail."""
    before = None if move_number == 0 else intent.state.value
    details = None if why.details is None else Json(dict(why.details))
    row = (
        intent.user_id,
        intent.intent_id,
        move_number,
        before,
        to.value,
        why.actor,
        why.reason,
        why.request_id,
    )
    await conn.execute(_STEP, (*row, why.provider_request_id, details, now))
    noted = {
        "by": why.actor,
        "from": before,
        "to": to.value,
        "reason": why.reason,
        "provider": intent.provider,
        "account_id": str(intent.account_id),
        "symbol": intent.order.symbol,
        "side": intent.order.side.value,
        "worth": story.plain(intent.notional),
        "currency": intent.currency,
        "provider_request_id": why.provider_request_id,
    }
    await commands.note(
        conn,
        intent.user_id,
        f"order.{to.value.lower()}",
        intent.intent_id,
        details=noted,
        request_id=why.request_id or BY_SYSTEM,
        now=now,
    )


async def steps(conn: Connection, user_id: str, intent_id: UUID) -> list[Step]:
    """Everything that happened to an order, the oldest first."""
    async with conn.cursor(row_factory=class_row(Step)) as cursor:
        await cursor.execute(
            """SELECT move, from_state, to_state, actor, reason, request_id, provider_request_id, details, at
            FROM gateway.order_transitions WHERE user_id = %s AND intent_id = %s ORDER BY move""",
            (user_id, intent_id),
        )
        return await cursor.fetchall()


def _values(intent: Intent, to: State, why: Why, now: datetime, change: Change) -> dict[str, Any]:
    ids = change.broker_order_ids
    return {
        "user": intent.user_id,
        "intent": intent.intent_id,
        "moves": intent.moves,
        "from": intent.state.value,
        "to": to.value,
        "final": to in FINAL,
        "now": now,
        "next": _next_look(to, now),
        "baseline": None if change.baseline is None else Json(list(change.baseline)),
        "ids": None if ids is None else Json(list(intents.stems(ids))),
        "filled": change.filled_quantity,
        "price": change.average_price,
        "code": change.error_code,
        "error": change.error,
        "provider_request": why.provider_request_id,
    }


def _next_look(to: State, now: datetime) -> datetime | None:
    if to in UNDER_WAY:
        return now + LEFT_AFTER
    return now + FIRST_LOOK if to is State.UNKNOWN or to in OPEN else None


async def _answer(conn: Connection, moved: Intent, why: Why) -> Intent:
    """Keep what the request that made the order is answered, now and whenever it is sent again."""
    status, body = story.answered(moved, why.request_id or BY_SYSTEM, why.details)
    await conn.execute(
        "UPDATE gateway.order_intents SET answer_status = %s, answer = %s WHERE user_id = %s AND intent_id = %s",
        (status, Json(body), moved.user_id, moved.intent_id),
    )
    answered = await intents.find(conn, moved.user_id, moved.intent_id)
    return answered or moved


async def _read_again(conn: Connection, moved: Intent, now: datetime) -> None:
    command = SyncConnection(
        user_id=moved.user_id,
        connection_id=str(moved.connection_id),
        kinds=[],
        trigger=SYNC_TRIGGER,
        idempotency_id=f"{moved.intent_id}:{moved.moves}",
    )
    await commands.send(conn, moved.provider, command, now)
