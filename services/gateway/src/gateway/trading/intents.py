"""The table ``gateway.order_intents``: every order that was let through, and how it stands."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString
from uuid import NAMESPACE_URL, UUID, uuid5

from psycopg.rows import dict_row
from psycopg.types.json import Json

from contracts.trading import OrderRequest
from gateway.trading import previews
from gateway.trading.states import State
from persistence.database import Connection

_NAMES = uuid5(NAMESPACE_URL, "https://onefolio.invalid/orders")
LEFT_AFTER = timedelta(minutes=2)
"""An order that nobody has moved for so long was left by a process that died."""
_COLUMNS: LiteralString = """user_id, intent_id, preview_id, account_id, external_id, connection_id, provider, request,
    fingerprint, asked, notional, currency, day, client_order_id, key, state, moves, baseline, broker_order_ids,
    replaces_intent_id, replaces_broker_order_id, filled_quantity, average_price, cancel_requested_at, error_code, error,
    provider_request_id, answer_status, answer, created_at, submitted_at, settled_at, next_look_at, looks, updated_at"""


@dataclass(frozen=True, slots=True)
class Intent:
    """One order on its way.

    ``asked`` is a digest of the request under ``key``; ``baseline`` are the broker's order ids from before it was sent;
    ``answer`` is what its request was, or would have been, answered with.
    """

    user_id: str
    intent_id: UUID
    preview_id: UUID | None
    account_id: UUID
    external_id: str
    connection_id: UUID
    provider: str
    order: OrderRequest
    fingerprint: str
    asked: str
    notional: Decimal | None
    currency: str
    day: date
    client_order_id: UUID
    key: str
    state: State
    created_at: datetime
    updated_at: datetime
    moves: int = 0
    baseline: tuple[str, ...] | None = None
    broker_order_ids: tuple[str, ...] = ()
    replaces_intent_id: UUID | None = None
    replaces_broker_order_id: str | None = None
    filled_quantity: Decimal | None = None
    average_price: Decimal | None = None
    cancel_requested_at: datetime | None = None
    error_code: str | None = None
    error: str | None = None
    provider_request_id: str | None = None
    answer_status: int | None = None
    answer: dict[str, Any] | None = None
    submitted_at: datetime | None = None
    settled_at: datetime | None = None
    next_look_at: datetime | None = None
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """An order that somebody should look at; ``next_look_at`` is what whoever takes it compares."""

    user_id: str
    intent_id: UUID
    next_look_at: datetime


def client_order_id(intent_id: UUID) -> UUID:
    """The id that the provider is given: of one intent always the same."""
    return uuid5(_NAMES, str(intent_id))


def stem(broker_order_id: str) -> str:
    """The broker's own id; a leg of several has the instrument's key behind a ``#``."""
    return broker_order_id.partition("#")[0]


def stems(broker_order_ids: Any) -> tuple[str, ...]:
    """The broker's own ids, each once, in their order."""
    return tuple(dict.fromkeys(stem(one) for one in broker_order_ids))


async def insert(conn: Connection, intent: Intent) -> bool:
    """Keep a new order; False where its key or its preview was taken by another at the same moment."""
    cursor = await conn.execute(
        """INSERT INTO gateway.order_intents (user_id, intent_id, preview_id, account_id, external_id, connection_id,
            provider, symbol, side, request, fingerprint, asked, notional, currency, day, client_order_id, key, state,
            replaces_intent_id, replaces_broker_order_id, created_at, next_look_at, updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT DO NOTHING""",
        (
            intent.user_id, intent.intent_id, intent.preview_id, intent.account_id, intent.external_id,
            intent.connection_id, intent.provider, intent.order.symbol, intent.order.side.value,
            Json(previews.stored(intent.order)), intent.fingerprint, intent.asked, intent.notional, intent.currency,
            intent.day, intent.client_order_id, intent.key, intent.state.value, intent.replaces_intent_id,
            intent.replaces_broker_order_id, intent.created_at, intent.created_at + LEFT_AFTER, intent.updated_at,
        ),
    )  # fmt: skip
    return cursor.rowcount == 1


async def find(conn: Connection, user_id: str, intent_id: UUID, *, lock: bool = False) -> Intent | None:
    """One order of the user's; ``lock`` keeps others from it until the commit."""
    tail: LiteralString = " FOR UPDATE" if lock else ""
    where: LiteralString = "WHERE user_id = %s AND intent_id = %s"
    return await _one(conn, where, (user_id, intent_id), tail)


async def by_key(conn: Connection, user_id: str, key: str) -> Intent | None:
    """The order that a key of the user's stands for."""
    return await _one(conn, "WHERE user_id = %s AND key = %s", (user_id, key))


async def by_preview(conn: Connection, user_id: str, preview_id: UUID) -> Intent | None:
    """The order that was made of a preview."""
    return await _one(conn, "WHERE user_id = %s AND preview_id = %s", (user_id, preview_id))


async def of_account(conn: Connection, user_id: str, account_id: UUID, since: datetime) -> list[Intent]:
    """The account's orders that were sent, or may have been, and are not over since before a moment."""
    where: LiteralString = """WHERE user_id = %s AND account_id = %s
        AND (settled_at IS NULL OR settled_at > %s OR state <> 'REJECTED' AND submitted_at > %s)"""
    return await _all(conn, where, (user_id, account_id, since, since))


async def of_account_alone(conn: Connection, user_id: str, account_id: UUID) -> None:
    """Wait until nobody else says of an order of the account which one it is at the broker; until the commit."""
    name = f"gateway.orders:{user_id}:{account_id}"
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))


async def due(conn: Connection, now: datetime, limit: int) -> list[Due]:
    """Orders of all users to look at now, the longest waiting first; the transaction must be an operator's."""
    cursor = await conn.execute(
        """SELECT user_id, intent_id, next_look_at FROM gateway.order_intents
        WHERE next_look_at <= %s AND state IN ('CONFIRMED', 'SUBMITTING', 'UNKNOWN', 'NEEDS_USER', 'ACCEPTED',
            'PARTIALLY_FILLED')
        ORDER BY next_look_at LIMIT %s""",
        (now, limit),
    )
    return [Due(*row) for row in await cursor.fetchall()]


async def take(conn: Connection, seen: Due, until: datetime) -> Intent | None:
    """Take an order to look at it, for as long as others leave it alone; None where somebody was faster."""
    cursor = await conn.execute(
        """UPDATE gateway.order_intents SET next_look_at = %s
        WHERE user_id = %s AND intent_id = %s AND next_look_at = %s""",
        (until, seen.user_id, seen.intent_id, seen.next_look_at),
    )
    return await find(conn, seen.user_id, seen.intent_id) if cursor.rowcount == 1 else None


async def look_again(conn: Connection, intent: Intent, at: datetime, looks: int) -> bool:
    """Say when to look next, unless the order has moved meanwhile."""
    cursor = await conn.execute(
        """UPDATE gateway.order_intents SET next_look_at = %s, looks = %s
        WHERE user_id = %s AND intent_id = %s AND moves = %s""",
        (at, looks, intent.user_id, intent.intent_id, intent.moves),
    )
    return cursor.rowcount == 1


async def unverified(conn: Connection, *, after: tuple[datetime, UUID] | None, limit: int) -> list[Intent]:
    """Orders of all users whose fate is unknown, the oldest first; the transaction must be an operator's."""
    where: LiteralString = """WHERE state IN ('UNKNOWN', 'NEEDS_USER')
        AND (%s::timestamptz IS NULL OR (created_at, intent_id) > (%s, %s))"""
    moment, last = after or (None, None)
    return await _all(conn, where, (moment, moment, last, limit), " ORDER BY created_at, intent_id LIMIT %s")


async def page(
    conn: Connection,
    user_id: str,
    *,
    account_id: UUID | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Intent]:
    """The user's orders, the newest first."""
    where: LiteralString = """WHERE user_id = %s AND (%s::uuid IS NULL OR account_id = %s)
        AND (%s::timestamptz IS NULL OR (created_at, intent_id) < (%s, %s))"""
    moment, last = after or (None, None)
    values = (user_id, account_id, account_id, moment, moment, last, limit)
    return await _all(conn, where, values, " ORDER BY created_at DESC, intent_id DESC LIMIT %s")


async def owner(conn: Connection, intent_id: UUID) -> str | None:
    """Whose order it is; the transaction must be an operator's."""
    cursor = await conn.execute(
        "SELECT user_id FROM gateway.order_intents WHERE intent_id = %s", (intent_id,)
    )
    row = await cursor.fetchone()
    return None if row is None else str(row[0])


async def heir(conn: Connection, user_id: str, intent_id: UUID) -> UUID | None:
    """The order that took the place of another, or is about to."""
    cursor = await conn.execute(
        """SELECT intent_id FROM gateway.order_intents
        WHERE user_id = %s AND replaces_intent_id = %s AND state <> 'REJECTED' ORDER BY created_at DESC LIMIT 1""",
        (user_id, intent_id),
    )
    row = await cursor.fetchone()
    return None if row is None else UUID(str(row[0]))


async def waiting(conn: Connection) -> dict[str, int]:
    """How many orders of all users are not over, by state; the transaction must be an operator's."""
    cursor = await conn.execute(
        """SELECT state, count(*) FROM gateway.order_intents WHERE state IN ('CONFIRMED', 'SUBMITTING', 'UNKNOWN',
            'NEEDS_USER', 'ACCEPTED', 'PARTIALLY_FILLED') GROUP BY state"""
    )
    return dict(await cursor.fetchall())


def of_row(row: dict[str, Any]) -> Intent:
    """The order in a row."""
    baseline = row.pop("baseline")
    return Intent(
        order=previews.request(row.pop("request")),
        state=State(row.pop("state")),
        baseline=None if baseline is None else tuple(baseline),
        broker_order_ids=tuple(row.pop("broker_order_ids")),
        **row,
    )


async def _one(
    conn: Connection, where: LiteralString, values: tuple[Any, ...], tail: LiteralString = ""
) -> Intent | None:
    found = await _all(conn, where, values, tail)
    return found[0] if found else None


async def _all(
    conn: Connection, where: LiteralString, values: tuple[Any, ...], tail: LiteralString = ""
) -> list[Intent]:
    query: LiteralString = "SELECT " + _COLUMNS + " FROM gateway.order_intents " + where + tail  # noqa: S608 - literals of this module
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, values)
        return [of_row(row) for row in await cursor.fetchall()]
