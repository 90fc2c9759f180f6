"""What providers bill by the month: a charge for each connected user, or each connection, and calendar month (UTC)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID, uuid5

from gateway.guards.budget import day_of
from gateway.guards.prices import Basis, PriceList, Subscription
from gateway.guards.settle import ChargeState
from gateway.ledger import charges
from gateway.ledger.charges import SUBSCRIPTION, Charge
from gateway.ledger.measures import ChargeMeasures
from gateway.ledger.operator import as_operator
from persistence.database import Connection, Database

_NAMES = UUID("5b2f6b0e-6d0c-5d6c-9c1b-0c2f8f1f7a10")
BY = "upkeep"


@dataclass(frozen=True, slots=True)
class Billed:
    """A connection that exists at its provider."""

    provider: str
    user_id: str
    connection_id: str


def month_of(moment: datetime) -> date:
    """The first day of a moment's month (UTC)."""
    return day_of(moment).replace(day=1)


def due(found: Iterable[Billed], prices: PriceList, now: datetime) -> dict[UUID, Charge]:
    """The charges of this month, by id; asking twice gives the same ids. Pure."""
    made: dict[UUID, Charge] = {}
    for one in found:
        terms = prices.subscriptions.get(one.provider)
        if terms is not None:
            charge = _charge(one, terms, now)
            made[charge.charge_id] = charge
    return made


async def write(database: Database, prices: PriceList, measures: ChargeMeasures, now: datetime) -> int:
    """Write the charges of this month that are not there yet; how many were."""
    async with database.transaction() as conn:
        await as_operator(conn)
        wanted = due(await billed(conn), prices, now)
        cursor = await conn.execute(
            "SELECT charge_id FROM gateway.provider_charges WHERE kind = %s AND day >= %s",
            (SUBSCRIPTION, month_of(now)),
        )
        there = {row[0] for row in await cursor.fetchall()}
    written = 0
    for charge_id, charge in wanted.items():
        if charge_id not in there:
            written += await _written(database, charge, measures)
    return written


async def billed(conn: Connection) -> list[Billed]:
    """Every connection that exists at its provider, of all users; the transaction must be an operator's."""
    cursor = await conn.execute("SELECT provider, user_id, connection_id FROM sync.v_billed")
    return [Billed(*row) for row in await cursor.fetchall()]


def counts(found: Iterable[Billed], prices: PriceList) -> Mapping[str, int]:
    """Provider → how many users or connections it bills. Pure."""
    seen: dict[str, set[str]] = {provider: set() for provider in prices.subscriptions}
    for one in found:
        if (terms := prices.subscriptions.get(one.provider)) is not None:
            seen[one.provider].add(one.user_id if terms.basis is Basis.USER else one.connection_id)
    return {provider: len(names) for provider, names in seen.items()}


async def _written(database: Database, charge: Charge, measures: ChargeMeasures) -> int:
    async with database.transaction(charge.user_id) as conn:
        new = await charges.insert(conn, charge)
    if new:
        measures.charged(charge.provider, charge.kind, charge.amount)
    return int(new)


def _charge(one: Billed, terms: Subscription, now: datetime) -> Charge:
    by_user = terms.basis is Basis.USER
    month = month_of(now)
    subject = one.user_id if by_user else one.connection_id
    name = f"{one.provider}\n{one.user_id}\n{subject}\n{month.isoformat()}"
    return Charge(
        user_id=one.user_id,
        charge_id=uuid5(_NAMES, name),
        provider=one.provider,
        institution=None,
        connection_id=None if by_user else UUID(one.connection_id),
        kind=SUBSCRIPTION,
        state=ChargeState.CHARGED,
        amount=terms.price,
        estimated=terms.estimated,
        confirmed=False,
        requested_by=BY,
        requested_at=now,
        day=day_of(now),
    )
