"""Deciding what becomes of a quarantined snapshot."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID, uuid4

from contracts.decisions import SnapshotJudged, SnapshotVerdict
from contracts.errors import ErrorCode
from gateway import commands
from gateway.context import Gateway
from gateway.decisions import once, record, wait
from gateway.decisions.decider import Decider, one_at_a_time
from gateway.decisions.record import Decision
from gateway.reads import quarantine
from gateway.refusals import not_found, refusal
from persistence.database import Connection

ACTION = "snapshot.judged"
NOT_QUARANTINED = "No snapshot of that version is quarantined."


@dataclass(frozen=True, slots=True)
class Judged:
    """A judgement that was given; ``state`` is the snapshot's now, None once it is no longer kept."""

    judgement_id: UUID
    account_id: UUID
    version: int
    verdict: SnapshotVerdict
    state: str | None
    applied: bool
    replayed: bool


async def judge(
    gateway: Gateway, who: Decider, account_id: UUID, version: int, verdict: SnapshotVerdict
) -> Judged:
    """Accept or reject a quarantined snapshot, tell it, and wait a moment until that is applied.

    Raises:
        ApiError: 404, the account is none of the user's; 409, no snapshot of that version is quarantined (any
            more); 422, the key came with another request before.
    """
    now = gateway.clock.now()
    async with gateway.database.transaction(who.user_id) as conn:
        await one_at_a_time(conn, who.user_id)
        if not await quarantine.is_present(conn, who.user_id, account_id):
            raise not_found("account")
        fresh = uuid4()
        asked = {"account": str(account_id), "version": version, "verdict": verdict.value}
        earlier = await once.made_before(conn, who, ACTION, asked, object_id=fresh, now=now)
        if earlier is None:
            judgement = (account_id, version, verdict)
            await _take(conn, who, judgement, fresh, now)
    gateway.wake()
    judgement_id = earlier or fresh
    look = partial(_applied, gateway, who.user_id, judgement_id)
    applied = await wait.until(look, wait.PATIENCE) is not None
    async with gateway.database.transaction(who.user_id) as conn:
        state = await quarantine.state(conn, who.user_id, account_id, version)
    return Judged(
        judgement_id=judgement_id,
        account_id=account_id,
        version=version,
        verdict=verdict,
        state=state,
        applied=applied,
        replayed=earlier is not None,
    )


async def _take(
    conn: Connection,
    who: Decider,
    judgement: tuple[UUID, int, SnapshotVerdict],
    judgement_id: UUID,
    now: datetime,
) -> None:
    """Keep the judgement, the fact and the audit row, or refuse."""
    account_id, version, verdict = judgement
    if await quarantine.state(conn, who.user_id, account_id, version) != quarantine.QUARANTINED:
        raise refusal(ErrorCode.CONFLICT, NOT_QUARANTINED)
    subject = f"snapshot:{account_id}:{version}"
    said = await record.newest(conn, who.user_id, subject)
    known = await quarantine.last_judged(conn, who.user_id, account_id, version)
    at = record.moment(now, [said.decided_at if said else None, known])
    await record.keep(conn, who.user_id, Decision(judgement_id, subject, verdict.value, who.by, at))
    fact = SnapshotJudged(
        user_id=who.user_id,
        judgement_id=str(judgement_id),
        account_id=str(account_id),
        version=version,
        verdict=verdict,
        judged_by=who.by,
        judged_at=at,
    )
    await commands.send_event(conn, fact, now)
    details = {"verdict": verdict.value, "account_id": str(account_id), "version": version, "by": who.by}
    await commands.note(
        conn, who.user_id, ACTION, judgement_id, details=details, request_id=who.request_id, now=now
    )


async def _applied(gateway: Gateway, user_id: str, judgement_id: UUID) -> bool | None:
    async with gateway.database.transaction(user_id) as conn:
        return await quarantine.shows(conn, user_id, judgement_id) or None
