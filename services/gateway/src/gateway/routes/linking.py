"""Linking: begin a session, watch it, say that it is finished."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from contracts.errors import ErrorCode
from contracts.statuses import LinkStatus
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.linking import progress
from gateway.linking.ask import Ask
from gateway.linking.begin import Started, begin
from gateway.linking.sessions import LinkSession as Session
from gateway.reads.pages import known_id
from gateway.refusals import refusal
from gateway.routes.answers import refusals
from gateway.schemas.institutions import LinkCapabilities
from gateway.schemas.linking import CompleteBody, LinkBody, LinkSession, StartedLink
from gateway.schemas.values import PathId
from service_kit.web import request_id_of

router = APIRouter(tags=["linking"])

ALREADY: dict[int | str, dict[str, Any]] = {
    200: {"model": LinkSession, "description": "It was completed already."}
}
BEGIN_REFUSALS = refusals(
    ErrorCode.NOT_FOUND,
    ErrorCode.UNKNOWN_INSTITUTION,
    ErrorCode.PROVIDER_DISABLED,
    ErrorCode.PROVIDER_NOT_SUPPORTED,
    ErrorCode.TRADING_NOT_SUPPORTED,
    ErrorCode.REDIRECT_NOT_ALLOWED,
    ErrorCode.CONFLICT,
    ErrorCode.CONNECTION_GONE,
    ErrorCode.SNAPTRADE_NOT_REGISTERED,
    ErrorCode.SNAPTRADE_USER_MISMATCH,
    ErrorCode.SIGNATURE_INVALID,
    ErrorCode.RATE_LIMITED,
    ErrorCode.PROVIDER_CREDENTIALS_INVALID,
    ErrorCode.PROVIDER_REFUSED,
    ErrorCode.PROVIDER_PROTOCOL,
    ErrorCode.PROVIDER_UNAVAILABLE,
    ErrorCode.INSTITUTION_UNAVAILABLE,
)


@router.post(
    "/v1/link",
    summary="Begin to link an institution.",
    status_code=201,
    response_model=StartedLink,
    responses=BEGIN_REFUSALS,
)
async def begin_link(caller: Caller, parts: Parts, request: Request, body: LinkBody) -> Response:
    """Choose the provider, say why, and answer the page to send the user to.

    An institution nobody listed works too. With `reconnect_connection_id` a connection is repaired through its
    own provider, and `institution` may be left out.
    """
    if body.institution is None and body.reconnect_connection_id is None:
        wrong = {"location": ["body", "institution"], "type": "missing", "message": "Field required"}
        raise refusal(ErrorCode.VALIDATION_FAILED, details={"errors": [wrong]})
    ask = Ask(
        institution=body.institution,
        need_trading=body.need_trading,
        provider=body.provider,
        redirect_uri=body.redirect_uri,
        reconnect_connection_id=body.reconnect_connection_id,
    )
    return started(await begin(parts, caller, ask, request_id_of(request)))


@router.get(
    "/v1/link/{session_id}",
    summary="See how a link session stands.",
    response_model=LinkSession,
    responses=refusals(ErrorCode.NOT_FOUND),
)
async def read_link(caller: Caller, parts: Parts, session_id: PathId) -> Response:
    """The session as it stands now; poll it while the user is away. The page's address is not repeated."""
    session = await progress.current(parts, caller.user_id, known_id(session_id, progress.LINK_SESSION))
    return _shown(session)


@router.post(
    "/v1/link/{session_id}/complete",
    summary="Say that the user finished.",
    status_code=202,
    response_model=LinkSession,
    responses=ALREADY
    | refusals(
        ErrorCode.NOT_FOUND, ErrorCode.LINK_FAILED, ErrorCode.ALREADY_LINKED, ErrorCode.LINK_SESSION_EXPIRED
    ),
)
async def complete_link(
    caller: Caller,
    parts: Parts,
    request: Request,
    session_id: PathId,
    body: Annotated[CompleteBody | None, Body()] = None,
) -> Response:
    """Have the connector look how the session ended and take over the connection. Repeating it is harmless."""
    hint = body.connection_id if body else None
    session = await progress.complete(
        parts,
        caller.user_id,
        known_id(session_id, progress.LINK_SESSION),
        hint,
        request_id_of(request),
    )
    return _shown(session, 200 if session.status is LinkStatus.COMPLETED else 202)


def started(begun: Started) -> Response:
    """The answer to a session that has begun."""
    shown = StartedLink(
        **shown_session(begun.session).model_dump(),
        url=begun.page.url,
        url_expires_at=begun.page.expires_at,
        link_token=begun.page.link_token,
    )
    location = {"Location": f"/v1/link/{begun.session.id}"}
    return Response(shown.model_dump_json(), 201, location, "application/json")


def shown_session(session: Session) -> LinkSession:
    """A session as users see it."""
    return LinkSession(
        id=session.id,
        status=session.status,
        reason=session.reason,
        provider=session.provider,
        institution=session.institution,
        institution_name=session.institution_name,
        capabilities=LinkCapabilities(trading=session.trading_expected),
        reasons=session.reasons,
        policy_version=session.policy_version,
        redirect_uri=session.redirect_uri,
        reconnect_connection_id=session.reconnect_connection_id,
        connection_ids=[UUID(one) for one in session.connection_ids],
        code=ErrorCode.ALREADY_LINKED if session.duplicate else None,
        duplicate_of=session.duplicate,
        repair=progress.repair_at(session.duplicate) if session.duplicate else None,
        created_at=session.created_at,
        expires_at=session.expires_at,
    )


def _shown(session: Session, status: int = 200) -> Response:
    return Response(shown_session(session).model_dump_json(), status, media_type="application/json")
