"""Deciding whether two accounts are one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from uuid import UUID, uuid4

from contracts.decisions import IdentityDecided, IdentityVerdict
from contracts.errors import ErrorCode
from gateway import commands
from gateway.context import Gateway
from gateway.decisions import once, record, wait
from gateway.decisions.decider import Decider, one_at_a_time
from gateway.decisions.record import Decision
from gateway.reads import identity
from gateway.reads.identity import Holding, Present
from gateway.refusals import not_found, refusal
from persistence.database import Connection

ACTION = "identity.decided"
NEVER_ONE = "Two accounts of one connection are never one account."
NOTHING_TO_UNDO = "Nothing was decided about these accounts."


class Wish(StrEnum):
    """What somebody says of two accounts."""

    SAME = "same"
    DIFFERENT = "different"
    UNDO = "undo"


VERDICTS = {
    Wish.SAME: IdentityVerdict.SAME,
    Wish.DIFFERENT: IdentityVerdict.DIFFERENT,
    Wish.UNDO: IdentityVerdict.UNDONE,
}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two accounts, in order."""

    first: UUID
    second: UUID

    @property
    def subject(self) -> str:
        """What a decision of the pair is kept under."""
        return f"identity:{self.first}:{self.second}"


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision that was taken, and how the two accounts stand now; ``applied`` once that follows from it."""

    decision_id: UUID
    wish: Wish
    pair: Pair
    real_accounts: Mapping[UUID, UUID | None]
    applied: bool
    replayed: bool


def pair_of(one: UUID, other: UUID) -> Pair:
    """The two accounts, in order.

    Raises:
        ApiError: 422, they are one and the same.
    """
    if one == other:
        wrong = {"location": ["body", "other_account_id"], "type": "pair", "message": "the account itself"}
        raise refusal(ErrorCode.VALIDATION_FAILED, details={"errors": [wrong]})
    return Pair(*sorted((one, other)))


async def decide(gateway: Gateway, who: Decider, pair: Pair, wish: Wish) -> Decided:
    """Take a decision, tell it, and wait a moment until it is applied.

    Raises:
        ApiError: 404, the accounts are not both the user's; 409, they can never be one, or there is nothing to
            undo; 422, the key came with another request before.
    """
    now = gateway.clock.now()
    async with gateway.database.transaction(who.user_id) as conn:
        await one_at_a_time(conn, who.user_id)
        accounts = await _present(conn, who.user_id, pair)
        fresh = uuid4()
        asked = {"accounts": [str(pair.first), str(pair.second)], "verdict": wish.value}
        earlier = await once.made_before(conn, who, ACTION, asked, object_id=fresh, now=now)
        if earlier is None:
            await _take(conn, who, pair, wish, accounts=accounts, decision_id=fresh, now=now)
    gateway.wake()
    decision_id = earlier or fresh
    look = partial(_applied, gateway, who.user_id, decision_id, pair)
    shown = await wait.until(look, wait.PATIENCE)
    now_known = shown if shown is not None else accounts
    return Decided(
        decision_id=decision_id,
        wish=wish,
        pair=pair,
        real_accounts={one: now_known[one].real_account_id for one in (pair.first, pair.second)},
        applied=shown is not None,
        replayed=earlier is not None,
    )


async def _take(
    conn: Connection,
    who: Decider,
    pair: Pair,
    wish: Wish,
    *,
    accounts: Mapping[UUID, Present],
    decision_id: UUID,
    now: datetime,
) -> None:
    """Keep the decision, the fact and the audit row, or refuse."""
    said = await record.newest(conn, who.user_id, pair.subject)
    known = await identity.holding(conn, who.user_id, pair.first, pair.second)
    if wish is Wish.UNDO and not _stands(said, known):
        raise refusal(ErrorCode.CONFLICT, NOTHING_TO_UNDO)
    if wish is Wish.SAME and accounts[pair.first].connection_id == accounts[pair.second].connection_id:
        raise refusal(ErrorCode.CONFLICT, NEVER_ONE)
    at = record.moment(now, [one.decided_at for one in (said, known) if one is not None])
    verdict = VERDICTS[wish]
    await record.keep(conn, who.user_id, Decision(decision_id, pair.subject, verdict.value, who.by, at))
    fact = IdentityDecided(
        user_id=who.user_id,
        decision_id=str(decision_id),
        account_ids=[str(pair.first), str(pair.second)],
        verdict=verdict,
        decided_by=who.by,
        decided_at=at,
    )
    await commands.send_event(conn, fact, now)
    details = {"verdict": verdict.value, "account_ids": fact.account_ids, "by": who.by}
    await commands.note(
        conn, who.user_id, ACTION, decision_id, details=details, request_id=who.request_id, now=now
    )


def _stands(said: Decision | None, known: Holding | None) -> bool:
    """Whether the newest decision, applied yet or not, is one that can be taken back."""
    verdicts = [(one.decided_at, one.verdict) for one in (said, known) if one is not None]
    return bool(verdicts) and max(verdicts)[1] != IdentityVerdict.UNDONE


async def _present(conn: Connection, user_id: str, pair: Pair) -> dict[UUID, Present]:
    found = await identity.present(conn, user_id, [pair.first, pair.second])
    if len(found) < 2:
        raise not_found("account")
    return found


async def _applied(
    gateway: Gateway, user_id: str, decision_id: UUID, pair: Pair
) -> dict[UUID, Present] | None:
    """How the accounts stand once the decision shows; None before."""
    async with gateway.database.transaction(user_id) as conn:
        if not await identity.shows(conn, user_id, decision_id):
            return None
        found = await identity.present(conn, user_id, [pair.first, pair.second])
    return found if len(found) == 2 else None
