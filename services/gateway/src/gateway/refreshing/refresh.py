"""Refresh one connection, or all: decide, reserve the charge, write it down and order it, in one transaction."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from contracts.messages import SyncConnection
from gateway import commands
from gateway.context import Gateway
from gateway.decisions import once
from gateway.decisions.decider import Decider
from gateway.guards.budget import Limits, Spent, day_of
from gateway.guards.prices import PriceList
from gateway.guards.refresh import Granted, Verdict, in_time, within_budget
from gateway.guards.settle import ChargeState
from gateway.ledger import charges, spend
from gateway.ledger.charges import REFRESH, Charge
from gateway.manual.refused import only_by_hand
from gateway.refreshing import answers, verdicts
from gateway.refreshing.facts import Known, facts
from gateway.refreshing.verdicts import QUEUED, Decided
from gateway.refusals import not_found
from persistence.database import Connection

ACTION, ALL_ACTION = "refresh.requested", "refresh.all_requested"
TRIGGER = "manual"
ZERO = Decimal(0)


async def refresh_one(
    gateway: Gateway, who: Decider, connection_id: UUID, *, confirmed: bool
) -> tuple[str, bool]:
    """Refresh a connection; the answer as JSON, and whether the key had been answered before.

    Raises:
        ApiError: 404 none of the user's; 429 too soon, or a budget is spent; 409 or 410 no refresh can help; 422
            the key came with another request before. Nothing is kept then, not even the key.
    """
    now = gateway.clock.now()
    asked = {"connection_id": str(connection_id), "confirm_cost": confirmed}
    async with gateway.database.transaction(who.user_id) as conn:
        await spend.users_turn(conn, who.user_id)
        if await once.made_before(conn, who, ACTION, asked, object_id=connection_id, now=now):
            return await answers.first(conn, who, ACTION), True
        found = await facts(conn, who.user_id, [connection_id])
        if not found:
            raise not_found("connection")
        only_by_hand(found[0].provider)
        (decided,) = await _decided(gateway, conn, who, found, now, confirmed=confirmed)
        if decided.status != QUEUED:
            gateway.charges.refreshed(decided.known.provider, decided.result)
            raise verdicts.refused(decided, now)
        body = await _kept(conn, who, ACTION, verdicts.item(decided))
    _told(gateway, [decided])
    return body, False


async def refresh_all(gateway: Gateway, who: Decider, *, confirmed: bool) -> tuple[str, bool]:
    """Refresh every connection of the user that may be; what becomes of each as JSON, and whether the key was known.

    Raises:
        ApiError: 422, the key came with another request before.
    """
    now = gateway.clock.now()
    async with gateway.database.transaction(who.user_id) as conn:
        await spend.users_turn(conn, who.user_id)
        asked = {"confirm_cost": confirmed}
        if await once.made_before(conn, who, ALL_ACTION, asked, object_id=uuid4(), now=now):
            return await answers.first(conn, who, ALL_ACTION), True
        found = [one for one in await facts(conn, who.user_id) if _can_ever(one)]
        decided = await _decided(gateway, conn, who, found, now, confirmed=confirmed)
        body = await _kept(conn, who, ALL_ACTION, verdicts.everything(decided))
    _told(gateway, decided)
    return body, False


def _can_ever(known: Known) -> bool:
    """Whether a list of refreshes speaks of it: what is entered by hand or gone has nothing to refresh."""
    obstacle = known.obstacle({known.provider})
    return obstacle is None or obstacle.reason == "needs_repair"


async def _decided(
    gateway: Gateway,
    conn: Connection,
    who: Decider,
    found: Sequence[Known],
    now: datetime,
    *,
    confirmed: bool,
) -> list[Decided]:
    """Decide about connections, and reserve and order what is granted."""
    prices = gateway.settings.prices
    timely = [_in_time(gateway, one, prices, now, confirmed=confirmed) for one in found]
    limits, spent = Limits(None, None), Spent()
    if any(_costs(one) for one in timely):
        await spend.everybodys_turn(conn, now)
        limits = await spend.limits(conn, who.user_id, gateway.settings.budgets)
        spent = Spent(await charges.spent_today(conn, who.user_id, now), await spend.spent_today(conn, now))
    settled: list[Decided] = []
    for one in timely:
        verdict = one.verdict
        if isinstance(verdict, Granted):
            verdict = within_budget(verdict, one.known.past, one.terms, spent, limits, now=now)
        charge_id = None
        if isinstance(verdict, Granted):
            spent = spent.plus(verdict.price or ZERO)
            charge_id = await _ordered(conn, who, one, verdict, now, confirmed=confirmed)
        settled.append(Decided(one.known, one.terms, verdict, charge_id))
    return settled


def _in_time(gateway: Gateway, known: Known, prices: PriceList, now: datetime, *, confirmed: bool) -> Decided:
    terms = known.terms(prices, now)
    obstacle = known.obstacle(gateway.settings.connectors)
    verdict: Verdict = in_time(terms, known.past, now, confirmed=confirmed)
    return Decided(known, terms, obstacle or verdict)


def _costs(decided: Decided) -> bool:
    return isinstance(decided.verdict, Granted) and decided.verdict.price is not None


async def _ordered(
    conn: Connection, who: Decider, decided: Decided, granted: Granted, now: datetime, *, confirmed: bool
) -> UUID | None:
    """Reserve the charge where the provider will be asked to fetch, order the sync, and note who wanted it."""
    known, charge_id = decided.known, None
    if granted.price is None:
        await _read_again(conn, who.user_id, known.connection_id, now)
    else:
        charge_id = uuid4()
        await charges.insert(conn, _charge(who, decided, charge_id, now, confirmed=confirmed))
        await spend.reserve(conn, day_of(now), known.provider, granted.price)
    command = SyncConnection(
        user_id=who.user_id,
        connection_id=str(known.connection_id),
        kinds=[],
        trigger=TRIGGER,
        idempotency_id=str(charge_id or uuid4()),
        charge_id=None if charge_id is None else str(charge_id),
    )
    await commands.send(conn, known.provider, command, now)
    details = _audit(who, decided, granted, charge_id, confirmed=confirmed)
    await commands.note(
        conn, who.user_id, ACTION, known.connection_id, details=details, request_id=who.request_id, now=now
    )
    return charge_id


def _charge(who: Decider, decided: Decided, charge_id: UUID, now: datetime, *, confirmed: bool) -> Charge:
    known, terms = decided.known, decided.terms
    return Charge(
        user_id=who.user_id,
        charge_id=charge_id,
        provider=known.provider,
        institution=known.institution,
        connection_id=known.connection_id,
        kind=REFRESH,
        state=ChargeState.RESERVED,
        amount=terms.price or ZERO,
        estimated=terms.estimated,
        confirmed=confirmed,
        requested_by=who.by,
        requested_at=now,
        day=day_of(now),
    )


def _audit(
    who: Decider, decided: Decided, granted: Granted, charge_id: UUID | None, *, confirmed: bool
) -> Mapping[str, Any]:
    return {
        "by": who.by,
        "provider": decided.known.provider,
        "institution": decided.known.institution,
        **verdicts.priced(decided.terms),
        "charge_id": None if charge_id is None else str(charge_id),
        "confirm_cost": confirmed,
        "overrode": granted.overrode,
    }


async def _read_again(conn: Connection, user_id: str, connection_id: UUID, now: datetime) -> None:
    await conn.execute(
        """INSERT INTO gateway.free_refreshes (user_id, connection_id, requested_at) VALUES (%s, %s, %s)
        ON CONFLICT (user_id, connection_id) DO UPDATE SET requested_at = EXCLUDED.requested_at""",
        (user_id, connection_id, now),
    )


async def _kept(conn: Connection, who: Decider, action: str, shown: Mapping[str, Any]) -> str:
    body = json.dumps(shown)
    await answers.keep(conn, who, action, body)
    return body


def _told(gateway: Gateway, decided: Sequence[Decided]) -> None:
    gateway.wake()
    for one in decided:
        gateway.charges.refreshed(one.known.provider, one.result)
