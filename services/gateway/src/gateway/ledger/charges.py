"""The table ``gateway.provider_charges``. Every function works inside the caller's transaction, as the user."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from psycopg.rows import class_row

from contracts.messages import RefreshSettled
from gateway.guards.budget import day_of
from gateway.guards.prices import CURRENCY
from gateway.guards.settle import ChargeState
from persistence.database import Connection

REFRESH, SUBSCRIPTION = "refresh", "subscription"


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge as it is first written."""

    user_id: str
    charge_id: UUID
    provider: str
    institution: str | None
    connection_id: UUID | None
    kind: str
    state: ChargeState
    amount: Decimal
    estimated: bool
    confirmed: bool
    requested_by: str
    requested_at: datetime
    day: date


@dataclass(frozen=True, slots=True)
class Open:
    """A charge, as far as settling it goes."""

    charge_id: UUID
    provider: str
    connection_id: UUID | None
    kind: str
    state: ChargeState
    amount: Decimal
    currency: str
    day: date

    def __post_init__(self) -> None:
        # PostgreSQL hands over text; everything above speaks in the enum.
        object.__setattr__(self, "state", ChargeState(self.state))


async def insert(conn: Connection, charge: Charge) -> bool:
    """Keep a charge; False where one of that id is there already."""
    kept = await conn.execute(
        """INSERT INTO gateway.provider_charges (user_id, charge_id, provider, institution, connection_id, kind,
            state, amount, currency, estimated, confirmed, requested_by, requested_at, day, settled_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
        (
            charge.user_id,
            charge.charge_id,
            charge.provider,
            charge.institution,
            charge.connection_id,
            charge.kind,
            charge.state,
            charge.amount,
            CURRENCY,
            charge.estimated,
            charge.confirmed,
            charge.requested_by,
            charge.requested_at,
            charge.day,
            charge.requested_at if charge.state is ChargeState.CHARGED else None,
        ),
    )
    return kept.rowcount == 1


async def hold(conn: Connection, user_id: str, charge_id: UUID) -> Open | None:
    """A charge, locked until the transaction ends."""
    async with conn.cursor(row_factory=class_row(Open)) as cursor:
        await cursor.execute(
            """SELECT charge_id, provider, connection_id, kind, state, amount, currency, day
            FROM gateway.provider_charges WHERE user_id = %s AND charge_id = %s FOR UPDATE""",
            (user_id, charge_id),
        )
        return await cursor.fetchone()


async def move(conn: Connection, told: RefreshSettled, to: ChargeState) -> None:
    """Bring a charge that is held to the state that was told."""
    await conn.execute(
        """UPDATE gateway.provider_charges SET state = %s, settled_at = %s, error_code = %s, error = %s
        WHERE user_id = %s AND charge_id = %s""",
        (to, told.settled_at, told.error_code, told.error, told.user_id, told.charge_id),
    )


async def spent_today(conn: Connection, user_id: str, now: datetime) -> Decimal:
    """What the user's refreshes have cost, or may still cost, on the day of a moment."""
    cursor = await conn.execute(
        """SELECT coalesce(sum(amount), 0) FROM gateway.provider_charges
        WHERE user_id = %s AND day = %s AND kind = %s AND currency = %s AND state <> %s""",
        (user_id, day_of(now), REFRESH, CURRENCY, ChargeState.RELEASED),
    )
    row = await cursor.fetchone()
    return Decimal(row[0]) if row else Decimal(0)
