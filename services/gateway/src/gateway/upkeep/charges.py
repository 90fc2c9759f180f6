"""Reservations nobody has spoken of for a day: kept, counted against their budgets, and shown to admins."""

from datetime import datetime, timedelta
from uuid import UUID

from gateway import commands
from gateway.guards.settle import ChargeState
from gateway.ledger import charges
from gateway.ledger.measures import ChargeMeasures
from gateway.ledger.operator import as_operator
from gateway.ledger.reports import open_by_state
from persistence.database import Database

SILENT_FOR = timedelta(hours=24)
BATCH = 500
NO_WORD = "nobody said within a day what became of it"


async def look_after(database: Database, measures: ChargeMeasures, now: datetime) -> int:
    """Mark reservations without a word as unknown; how many were. None is ever dropped."""
    async with database.transaction() as conn:
        await as_operator(conn)
        cursor = await conn.execute(
            """SELECT user_id, charge_id FROM gateway.provider_charges
            WHERE state = 'reserved' AND requested_at <= %s ORDER BY requested_at LIMIT %s""",
            (now - SILENT_FOR, BATCH),
        )
        silent = await cursor.fetchall()
        measures.unsettled(await open_by_state(conn))
    marked = 0
    for user_id, charge_id in silent:
        marked += await _marked(database, user_id, charge_id, now)
    return marked


async def _marked(database: Database, user_id: str, charge_id: UUID, now: datetime) -> int:
    async with database.transaction(user_id) as conn:
        charge = await charges.hold(conn, user_id, charge_id)
        if charge is None or charge.state is not ChargeState.RESERVED:
            return 0
        await conn.execute(
            "UPDATE gateway.provider_charges SET state = %s, error = %s WHERE user_id = %s AND charge_id = %s",
            (ChargeState.UNKNOWN, NO_WORD, user_id, charge_id),
        )
        await commands.note(
            conn,
            user_id,
            "refresh.unsettled",
            charge_id,
            details={"provider": charge.provider, "amount": str(charge.amount), "currency": charge.currency},
            request_id="upkeep",
            now=now,
        )
    return 1
