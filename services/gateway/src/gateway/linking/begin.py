"""Beginning a link: decide the provider, keep the decision, ask the connector for the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never
from uuid import UUID, uuid4

from contracts.errors import ErrorCode
from contracts.linking import LinkProgress, LinkRequest, LinkStart
from contracts.statuses import LinkStatus
from gateway import commands
from gateway.auth.tokens import Principal
from gateway.context import Gateway
from gateway.linking import outcomes, sessions
from gateway.linking.ask import Ask, Choice, after_repair, decide
from gateway.linking.sessions import LinkSession
from gateway.reads import connections
from gateway.redirects import RedirectRefusedError, allowed, is_safe_page
from gateway.refusals import refusal
from gateway.routing.choose import Refusal
from service_kit.api_errors import ApiError

THE_PROVIDERS_DOING = frozenset(
    {
        ErrorCode.PROVIDER_UNAVAILABLE,
        ErrorCode.PROVIDER_PROTOCOL,
        ErrorCode.INSTITUTION_UNAVAILABLE,
        ErrorCode.PROVIDER_REFUSED,
    }
)
"""Failures that count against a provider when the next one is chosen."""


@dataclass(frozen=True, slots=True)
class Started:
    """A session and the page to send the user to; the page is a credential and is kept nowhere."""

    session: LinkSession
    page: LinkStart


async def begin(gateway: Gateway, caller: Principal, ask: Ask, request_id: str) -> Started:
    """Begin a link session.

    Raises:
        ApiError: the redirect address, the institution or the wish is refused; the connection to repair is
            not the user's; or the connector or its provider did not begin it.
    """
    redirect_uri = _redirect(gateway, ask.redirect_uri)
    choice = await _choice(gateway, caller, ask, request_id)
    session = _session(gateway, caller, ask, choice, redirect_uri)
    async with gateway.database.transaction(caller.user_id) as conn:
        await sessions.insert(conn, session, ask.inputs())
        await commands.note(
            conn,
            caller.user_id,
            "link.begun",
            session.id,
            details={"provider": session.provider, "institution": session.institution},
            request_id=request_id,
            now=session.created_at,
        )
    try:
        page = await gateway.connectors.begin(session.provider, _request(session, choice))
        _check_page(gateway, session, page)
    except ApiError as error:
        await _not_started(gateway, session, error)
        raise
    gateway.measures.count(session.provider, session.institution, "started")
    return Started(session, page)


async def _choice(gateway: Gateway, caller: Principal, ask: Ask, request_id: str) -> Choice:
    """Who links this institution; a refusal is noted with its reasons, like every decision."""
    now = gateway.clock.now()
    async with gateway.database.transaction(caller.user_id) as conn:
        if ask.reconnect_connection_id is not None:
            known = await connections.known(conn, caller.user_id, ask.reconnect_connection_id)
            return after_repair(ask, known, gateway.coverage, frozenset(gateway.settings.connectors))
        health = await outcomes.recent(conn, now)
        choice = decide(ask, gateway.coverage, gateway.policy, health, admin=caller.is_admin)
        if choice.decision.refusal is not None:
            await commands.note(
                conn,
                caller.user_id,
                "link.refused",
                None,
                details={
                    "inputs": ask.inputs(),
                    "refusal": choice.decision.refusal,
                    "reasons": list(choice.decision.reasons),
                    "policy_version": choice.decision.policy_version,
                },
                request_id=request_id,
                now=now,
            )
    if choice.decision.refusal is not None:
        gateway.measures.count(ask.provider, choice.slug, "refused")
        details: Mapping[str, Any] = {"institution": choice.slug, "reasons": list(choice.decision.reasons)}
        raise refusal(_code(choice.decision.refusal), details=details)
    return choice


def _session(
    gateway: Gateway, caller: Principal, ask: Ask, choice: Choice, redirect_uri: str | None
) -> LinkSession:
    now = gateway.clock.now()
    return LinkSession(
        user_id=caller.user_id,
        id=uuid4(),
        institution=choice.slug,
        institution_name=choice.name,
        known_institution=choice.known,
        need_trading=choice.need_trading,
        provider=choice.provider,
        reasons=list(choice.decision.reasons),
        policy_version=choice.decision.policy_version,
        redirect_uri=redirect_uri,
        reconnect_connection_id=ask.reconnect_connection_id,
        trading_expected=choice.trading_expected,
        status=LinkStatus.PENDING,
        reason=None,
        connection_ids=[],
        created_at=now,
        expires_at=now + gateway.settings.link_ttl,
        updated_at=now,
    )


def _request(session: LinkSession, choice: Choice) -> LinkRequest:
    reconnect: UUID | None = session.reconnect_connection_id
    return LinkRequest(
        link_session_id=str(session.id),
        user_id=session.user_id,
        institution=session.institution,
        institution_ref=choice.reference,
        need_trading=session.need_trading,
        allow_trading=choice.allow_trading,
        redirect_uri=session.redirect_uri,
        reconnect_connection_id=None if reconnect is None else str(reconnect),
    )


def _redirect(gateway: Gateway, given: str | None) -> str | None:
    if given is None:
        return None
    try:
        return allowed(given, gateway.settings.redirect_allow_list)
    except RedirectRefusedError as error:
        raise refusal(ErrorCode.REDIRECT_NOT_ALLOWED, details={"reason": str(error)}) from error


def _check_page(gateway: Gateway, session: LinkSession, page: LinkStart) -> None:
    """Refuse to send anybody to a page that is not https (loopback while developing)."""
    if not is_safe_page(page.url, production=gateway.settings.production):
        raise refusal(ErrorCode.PROVIDER_PROTOCOL, details={"provider": session.provider})


async def _not_started(gateway: Gateway, session: LinkSession, error: ApiError) -> None:
    """Close a session that never began, and remember whose doing it was."""
    gateway.measures.count(session.provider, session.institution, "not_started")
    now = gateway.clock.now()
    failed = LinkProgress(status=LinkStatus.FAILED, connection_ids=[], reason=error.code)
    async with gateway.database.transaction(session.user_id) as conn:
        await sessions.move(conn, session, failed, now)
        if error.code in THE_PROVIDERS_DOING:
            await outcomes.record(conn, session.provider, session.institution, now, succeeded=False)


def _code(reason: Refusal) -> ErrorCode:
    match reason:
        case Refusal.DISABLED:
            return ErrorCode.PROVIDER_DISABLED
        case Refusal.NOT_SUPPORTED:
            return ErrorCode.PROVIDER_NOT_SUPPORTED
        case Refusal.NO_TRADING:
            return ErrorCode.TRADING_NOT_SUPPORTED
        case _:
            assert_never(reason)
