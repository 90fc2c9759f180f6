"""Plaid's link sessions: what is asked for, and how a session's answer is read. Pure."""

from hashlib import sha256
from typing import Any

from contracts.errors import ErrorCode
from contracts.linking import BeginLink, LinkOutcome
from contracts.statuses import LinkStatus
from plaid_connector.settings import PlaidSettings
from plaid_connector.wire import ItemAdded, LinkTokenStatus

_CASH_ACCOUNTS = ["checking", "savings", "cash management", "money market", "cd"]


def digest(token: str) -> str:
    """A token's fingerprint: enough to recognise it, not enough to use it."""
    return sha256(token.encode()).hexdigest()


def link_token_body(link: BeginLink, settings: PlaidSettings) -> dict[str, Any]:
    """The body of ``/link/token/create``: Hosted Link, for a new Item or (update mode) to repair one.

    ``client_user_id`` is a digest: Plaid wants no personal data there, and our user ids are opaque to us too.
    """
    request = link.request
    body: dict[str, Any] = {
        "client_name": settings.client_name,
        "language": settings.language,
        "country_codes": list(settings.country_codes),
        "user": {"client_user_id": digest(request.user_id)[:32]},
        "hosted_link": {"url_lifetime_seconds": settings.link_lifetime_seconds},
    }
    if request.redirect_uri:
        body["hosted_link"]["completion_redirect_uri"] = request.redirect_uri
    if link.reconnect is not None:
        return body | {"access_token": link.reconnect.secret, "update": {"account_selection_enabled": True}}
    if link.webhook_url:
        body["webhook"] = link.webhook_url
    if request.institution_ref and settings.preselect_institution:
        body["institution_data"] = {"institution_id": request.institution_ref}
    return body | {
        "products": list(settings.products),
        "account_filters": {
            "investment": {"account_subtypes": ["all"]},
            "depository": {"account_subtypes": _CASH_ACCOUNTS},
        },
    }


def items_added(status: LinkTokenStatus, done: frozenset[str]) -> list[ItemAdded]:
    """The Items of every session that are not exchanged yet, each once."""
    return [item for token, item in _items(status).items() if digest(token) not in done]


def any_done(status: LinkTokenStatus, done: frozenset[str]) -> bool:
    """Whether an Item of these sessions is exchanged and stored already."""
    return any(digest(token) in done for token in _items(status))


def _items(status: LinkTokenStatus) -> dict[str, ItemAdded]:
    return {
        item.public_token: item
        for session in status.link_sessions
        for item in (session.results.item_add_results if session.results else [])
    }


def outcome(
    status: LinkTokenStatus, *, repairing: bool, duplicate_of: str | None = None, linked: bool = False
) -> LinkOutcome:
    """How the sessions of a link token stand; one success outranks every other attempt.

    In update mode there is nothing to exchange: a session that finished without an exit repaired the Item. A login
    that is ``duplicate_of`` a connection was not exchanged: unless another one was ``linked``, the session failed.
    """
    finished = [session for session in status.link_sessions if session.finished_at]
    if duplicate_of:
        ended = LinkStatus.COMPLETED if linked else LinkStatus.FAILED
        return LinkOutcome(status=ended, reason=ErrorCode.ALREADY_LINKED, duplicate_of=duplicate_of)
    if any(session.results and session.results.item_add_results for session in status.link_sessions):
        return LinkOutcome(status=LinkStatus.COMPLETED)
    if repairing and any(session.exit is None for session in finished):
        return LinkOutcome(status=LinkStatus.COMPLETED)
    exits = [session.exit for session in finished if session.exit]
    if not exits:
        return LinkOutcome(status=LinkStatus.PENDING)
    last = exits[-1]
    if last.error:
        return LinkOutcome(status=LinkStatus.FAILED, reason=last.error.error_code)
    return LinkOutcome(status=LinkStatus.ABANDONED, reason=last.metadata.status if last.metadata else None)
