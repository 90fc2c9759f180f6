"""Consolidation on demand: ask for it, and look how far it is."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from contracts.decisions import ConsolidationRequested
from contracts.errors import ErrorCode
from contracts.ids import portfolio_id
from gateway import commands
from gateway.context import Gateway
from gateway.decisions import named, once, wait
from gateway.decisions.decider import Decider
from gateway.reads import consolidations
from gateway.reads.consolidations import Found
from gateway.reads.portfolios import is_default, portfolio_in
from gateway.refusals import refusal
from persistence.database import Connection

ACTION = "consolidation.requested"
RETENTION = timedelta(days=30)
TOO_NEW = "The portfolio has not been summed for the first time yet."


async def consolidate(gateway: Gateway, who: Decider, wanted: str | None) -> tuple[Found, bool]:
    """Have a portfolio summed anew (all of the user's where none is named), and wait a moment for the result.

    Returns:
        How far it is, and whether the key had asked for it before.

    Raises:
        ApiError: 404, no such portfolio; 409, it is so new that the consolidator has not heard of it; 422, the key
            came with another request before.
    """
    portfolios = [] if wanted is None else [await _known(gateway, who.user_id, wanted)]
    now = gateway.clock.now()
    async with gateway.database.transaction(who.user_id) as conn:
        fresh = uuid4()
        earlier = await once.made_before(
            conn, who, ACTION, {"portfolios": portfolios}, object_id=fresh, now=now
        )
        if earlier is None:
            await _ask(conn, who, fresh, portfolios, now)
    gateway.wake()
    request_id = earlier or fresh
    look = partial(_finished, gateway, who.user_id, request_id)
    found = await wait.until(look, wait.LONGER_PATIENCE)
    return found or await state(gateway, who.user_id, request_id), earlier is not None


async def state(gateway: Gateway, user_id: str, request_id: UUID) -> Found:
    """How far a consolidation is.

    Raises:
        ApiError: 404, none of the user's.
    """
    async with gateway.database.transaction(user_id) as conn:
        return await consolidations.one(conn, user_id, request_id)


async def _known(gateway: Gateway, user_id: str, wanted: str) -> str:
    """The id of a portfolio that will be summed when asked for; a new one is waited for."""
    look = partial(_looked_for, gateway, user_id, wanted)
    found = await look() or await wait.until(look, wait.PATIENCE)
    if found is None:
        raise refusal(ErrorCode.CONFLICT, TOO_NEW, headers={"Retry-After": "1"})
    return found


async def _looked_for(gateway: Gateway, user_id: str, wanted: str) -> str | None:
    async with gateway.database.transaction(user_id) as conn:
        found = await portfolio_in(conn, user_id, wanted)
        return found if is_default(user_id, found) or found in await named.known(conn, user_id) else None


async def _ask(
    conn: Connection, who: Decider, request_id: UUID, portfolios: Sequence[str], now: datetime
) -> None:
    """Keep what was asked for, the fact and the audit row."""
    everything = [portfolio_id(who.user_id), *await named.known(conn, who.user_id)]
    await conn.execute(
        "DELETE FROM gateway.consolidation_requests WHERE user_id = %s AND requested_at < %s",
        (who.user_id, now - RETENTION),
    )
    await conn.execute(
        """INSERT INTO gateway.consolidation_requests (user_id, request_id, portfolio_ids, requested_by, requested_at)
        VALUES (%s, %s, %s, %s, %s)""",
        (who.user_id, request_id, Jsonb(list(portfolios) or everything), who.by, now),
    )
    fact = ConsolidationRequested(
        user_id=who.user_id,
        request_id=str(request_id),
        portfolio_ids=list(portfolios),
        requested_by=who.by,
        requested_at=now,
    )
    await commands.send_event(conn, fact, now)
    details = {"portfolio_ids": fact.portfolio_ids, "by": who.by}
    await commands.note(
        conn, who.user_id, ACTION, request_id, details=details, request_id=who.request_id, now=now
    )


async def _finished(gateway: Gateway, user_id: str, request_id: UUID) -> Found | None:
    found = await state(gateway, user_id, request_id)
    return found if found.finished else None
