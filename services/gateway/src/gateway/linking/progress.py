"""How a link session stands, and the claim that it is finished."""

from datetime import datetime, timedelta
from uuid import UUID

import structlog

from contracts.errors import ErrorCode
from contracts.linking import LinkProgress
from contracts.messages import LinkCompleted
from contracts.statuses import LINK_MOVES, LinkStatus, may_move
from gateway import commands
from gateway.context import Gateway
from gateway.linking import outcomes, sessions
from gateway.linking.sessions import LinkSession
from gateway.refusals import not_found, refusal
from service_kit.api_errors import ApiError

log = structlog.get_logger(__name__)

CHECK_EVERY = timedelta(seconds=3)
"""The provider is asked about one session at most this often, however many ask us."""
GRACE = timedelta(seconds=10)
"""A session just completed stays so for this long while its connector has not heard of it yet."""
LATE_PROOF = timedelta(hours=1)
"""How long after a sad ending its connector is still asked whether it ended well after all."""
OPEN = frozenset({LinkStatus.PENDING, LinkStatus.COMPLETING})
LINK_SESSION = "link session"


async def current(gateway: Gateway, user_id: str, session_id: UUID) -> LinkSession:
    """The session as it stands now: what we stored, brought up to date by its connector where that answers.

    Raises:
        ApiError: 404, none of the user's.
    """
    now = gateway.clock.now()
    async with gateway.database.transaction(user_id) as conn:
        session = await sessions.get(conn, user_id, session_id)
        if session is None:
            raise not_found(LINK_SESSION)
        if not _worth_asking(session, now):
            return session
        ask_provider = await sessions.take_turn(conn, session, now, CHECK_EVERY)
    heard = await _ask(gateway, session, ask_provider=ask_provider)
    return await _settled(gateway, session, judged(session, heard, gateway.clock.now()))


async def complete(
    gateway: Gateway, user_id: str, session_id: UUID, hint: str | None, request_id: str
) -> LinkSession:
    """Take note that someone says the session is finished; its connector looks for itself. Repeating is harmless.

    Raises:
        ApiError: 404 none of the user's; 410 it ran out of time; 409 it failed, was given up, or the login is
            linked already.
    """
    session = await _stored(gateway, user_id, session_id)
    if session.status is LinkStatus.PENDING and session.expires_at <= gateway.clock.now():
        # Perhaps it was finished in time and only the app is late.
        session = await current(gateway, user_id, session_id)
    if session.status is LinkStatus.PENDING:
        return await _completing(gateway, session, hint, request_id)
    if session.status is LinkStatus.EXPIRED:
        raise refusal(ErrorCode.LINK_SESSION_EXPIRED)
    if session.duplicate is not None:
        raise already_linked(session.duplicate)
    if session.status in {LinkStatus.FAILED, LinkStatus.ABANDONED}:
        raise refusal(ErrorCode.LINK_FAILED, details={"status": session.status, "reason": session.reason})
    return session


def repair_at(connection_id: UUID) -> str:
    """Where a connection is repaired."""
    return f"/v1/connections/{connection_id}/reconnect"


def already_linked(connection_id: UUID) -> ApiError:
    """The refusal of a login that is linked already: its connection can be repaired instead."""
    details = {"duplicate_of": str(connection_id), "repair": repair_at(connection_id)}
    return refusal(ErrorCode.ALREADY_LINKED, details=details)


def judged(session: LinkSession, heard: LinkProgress | None, now: datetime) -> LinkProgress:
    """What a session becomes by what its connector says; pure.

    The provider's page may expire long before the session does, so a bare ``expired`` counts only when our
    own time is up. No news, or a move that is not allowed, leaves the session as it is; one that somebody said was
    finished, and of which nothing came, ends an hour after its time.
    """
    stays = _known_of(session)
    late = session.expires_at <= now
    if heard is not None and heard.status is LinkStatus.EXPIRED and heard.reason is None and not late:
        heard = None
    if heard is not None and heard.status is LinkStatus.PENDING and session.status is LinkStatus.COMPLETING:
        heard = None if now - session.updated_at < GRACE else heard
    if heard is None or not may_move(LINK_MOVES, session.status, heard.status):
        heard = stays
    unheard = (
        heard.status is session.status is LinkStatus.COMPLETING and now - session.expires_at >= LATE_PROOF
    )
    if unheard or (heard.status is session.status is LinkStatus.PENDING and late):
        return LinkProgress(status=LinkStatus.EXPIRED, reason=heard.reason, connection_ids=[])
    return heard


async def _stored(gateway: Gateway, user_id: str, session_id: UUID) -> LinkSession:
    async with gateway.database.transaction(user_id) as conn:
        session = await sessions.get(conn, user_id, session_id)
    if session is None:
        raise not_found(LINK_SESSION)
    return session


async def _completing(
    gateway: Gateway, session: LinkSession, hint: str | None, request_id: str
) -> LinkSession:
    now = gateway.clock.now()
    claimed = LinkProgress(status=LinkStatus.COMPLETING, connection_ids=[])
    command = LinkCompleted(user_id=session.user_id, link_session_id=str(session.id), hint=hint)
    async with gateway.database.transaction(session.user_id) as conn:
        moved = await sessions.move(conn, session, claimed, now)
        if moved is None:
            # Somebody else was faster; what they made of it is the answer.
            return await sessions.get(conn, session.user_id, session.id) or session
        await sessions.take_turn(conn, session, now, timedelta(0))
        await commands.send(conn, session.provider, command, now)
        await commands.note(
            conn,
            session.user_id,
            "link.completed",
            session.id,
            details={"hint": hint is not None},
            request_id=request_id,
            now=now,
        )
    gateway.wake()
    return moved


def _worth_asking(session: LinkSession, now: datetime) -> bool:
    if session.status is LinkStatus.COMPLETED:
        return False
    return session.status in OPEN or now - session.updated_at < LATE_PROOF


async def _ask(gateway: Gateway, session: LinkSession, *, ask_provider: bool) -> LinkProgress | None:
    """What the connector knows; None where it cannot say. A page that cannot be refreshed is still a page."""
    ask = gateway.connectors.check if ask_provider and session.status in OPEN else gateway.connectors.progress
    try:
        return await ask(session.provider, str(session.id), session.user_id)
    except ApiError as error:
        log.info("link.progress_unknown", provider=session.provider, code=error.code)
        return None


async def _settled(gateway: Gateway, session: LinkSession, now_known: LinkProgress) -> LinkSession:
    """Store what has become of the session, and count an ending once, whoever else noticed it."""
    ids = list(dict.fromkeys(now_known.connection_ids))
    duplicate_of = now_known.duplicate_of if now_known.status is LinkStatus.FAILED else None
    to = LinkProgress(
        status=now_known.status, reason=now_known.reason, connection_ids=ids, duplicate_of=duplicate_of
    )
    if to == _known_of(session):
        return session
    now = gateway.clock.now()
    async with gateway.database.transaction(session.user_id) as conn:
        moved = await sessions.move(conn, session, to, now)
        if moved is None:
            return await sessions.get(conn, session.user_id, session.id) or session
        ended = moved.status is not session.status and moved.status not in OPEN
        if ended and moved.status in {LinkStatus.COMPLETED, LinkStatus.FAILED} and not moved.duplicate:
            succeeded = moved.status is LinkStatus.COMPLETED
            await outcomes.record(conn, moved.provider, moved.institution, now, succeeded=succeeded)
    if ended:
        gateway.measures.count(moved.provider, moved.institution, moved.status)
    return moved


def _known_of(session: LinkSession) -> LinkProgress:
    """The session as its connector would say it."""
    duplicate_of = session.duplicate_of
    return LinkProgress(
        status=session.status,
        reason=session.reason,
        connection_ids=session.connection_ids,
        duplicate_of=None if duplicate_of is None else str(duplicate_of),
    )
