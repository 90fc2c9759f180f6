"""How a connection is kept up to date: automatic reading, its frequency, the end of a pause."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from contracts.errors import ErrorCode
from contracts.messages import ConfigureConnection
from gateway import commands
from gateway.context import Gateway
from gateway.decisions import wait
from gateway.decisions.decider import Decider
from gateway.manual.refused import because, only_by_hand
from gateway.reads import connections
from gateway.reads.connections import KnownConnection
from gateway.refusals import refusal
from persistence.database import Connection

ACTION = "connection.configured"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to change; None leaves it as it is. ``resume`` ends a pause after failures."""

    auto_sync: bool | None = None
    frequency_seconds: int | None = None
    resume: bool = False


async def configure(gateway: Gateway, who: Decider, connection_id: UUID, wish: Wish) -> bool:
    """Have the connector do as wished, and wait a moment; whether it shows already.

    Raises:
        ApiError: 404 none of the user's; 409 entered by hand, or its provider is disabled; 410 removed; 422 too
            often, or too seldom.
    """
    check_frequency(gateway, wish.frequency_seconds)
    now = gateway.clock.now()
    async with gateway.database.transaction(who.user_id) as conn:
        known = await connections.known(conn, who.user_id, connection_id)
        only_by_hand(known.provider)
        if known.removed:
            raise refusal(ErrorCode.CONNECTION_GONE)
        if known.provider not in gateway.settings.connectors:
            raise refusal(ErrorCode.PROVIDER_DISABLED, details={"provider": known.provider})
        await _ordered(conn, who, known, wish, now)
    gateway.wake()
    look = partial(_shows, gateway, who.user_id, connection_id, now)
    return await wait.until(look, wait.PATIENCE) is not None


def check_frequency(gateway: Gateway, seconds: int | None) -> None:
    """Refuse a frequency beyond what this installation allows.

    Raises:
        ApiError: 422, with the bound that was passed.
    """
    if seconds is None:
        return
    floor = gateway.settings.sync_frequency_floor_seconds
    ceiling = gateway.settings.sync_frequency_ceiling_seconds
    if seconds < floor:
        raise _out_of_bounds("too_often", f"At most every {floor} seconds.", {"floor": floor})
    if seconds > ceiling:
        raise _out_of_bounds("too_seldom", f"At least every {ceiling} seconds.", {"ceiling": ceiling})


def _out_of_bounds(reason: str, message: str, bound: Mapping[str, int]) -> Exception:
    wrong = {"location": ["body", "frequency_seconds"], "type": reason, "message": message}
    return because(reason, message, ErrorCode.VALIDATION_FAILED, {"errors": [wrong], **bound})


async def _ordered(conn: Connection, who: Decider, known: KnownConnection, wish: Wish, now: datetime) -> None:
    command = ConfigureConnection(
        user_id=who.user_id,
        connection_id=str(known.connection_id),
        idempotency_id=str(uuid4()),
        asked_at=now,
        auto_sync=wish.auto_sync,
        frequency_seconds=wish.frequency_seconds,
        resume=wish.resume,
    )
    await commands.send(conn, known.provider, command, now)
    details: dict[str, Any] = {
        "by": who.by,
        "auto_sync": wish.auto_sync,
        "frequency_seconds": wish.frequency_seconds,
        "resume": wish.resume,
    }
    await commands.note(
        conn, who.user_id, ACTION, known.connection_id, details=details, request_id=who.request_id, now=now
    )


async def _shows(gateway: Gateway, user_id: str, connection_id: UUID, asked_at: datetime) -> bool | None:
    async with gateway.database.transaction(user_id) as conn:
        cursor = await conn.execute(
            "SELECT configured_at >= %s FROM sync.v_schedule WHERE user_id = %s AND connection_id = %s",
            (asked_at, user_id, str(connection_id)),
        )
        row = await cursor.fetchone()
    return True if row and row[0] else None
