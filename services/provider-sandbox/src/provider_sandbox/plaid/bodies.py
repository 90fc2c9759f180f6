"""The bodies of Plaid's webhooks and the bytes they are sent as. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from provider_sandbox.plaid.errors import PlaidError
from provider_sandbox.plaid.wire import timestamp, to_json

ENVIRONMENT = "sandbox"
WebhookBody = dict[str, Any]


def as_bytes(body: WebhookBody) -> bytes:
    """Pretty-printed with two spaces, as Plaid sends and signs it."""
    return to_json(body, indent=2)


def _item(kind: str, code: str, item_id: str, **extra: Any) -> WebhookBody:
    return {
        "webhook_type": kind,
        "webhook_code": code,
        "item_id": item_id,
        **extra,
        "environment": ENVIRONMENT,
    }


def _link(code: str, token: str, session_id: str, **extra: Any) -> WebhookBody:
    return {
        "webhook_type": "LINK",
        "webhook_code": code,
        "link_session_id": session_id,
        "link_token": token,
        **extra,
        "environment": ENVIRONMENT,
    }


def holdings_update(item_id: str, *, new: int = 0, updated: int = 0) -> WebhookBody:
    """HOLDINGS/DEFAULT_UPDATE: new positions, or changed prices and quantities."""
    return _item(
        "HOLDINGS", "DEFAULT_UPDATE", item_id, error=None, new_holdings=new, updated_holdings=updated
    )


def investment_transactions(
    item_id: str, code: str = "DEFAULT_UPDATE", *, new: int = 0, cancelled: int = 0
) -> WebhookBody:
    """INVESTMENTS_TRANSACTIONS/DEFAULT_UPDATE or HISTORICAL_UPDATE."""
    counts = {"new_investments_transactions": new, "cancelled_investments_transactions": cancelled}
    return _item("INVESTMENTS_TRANSACTIONS", code, item_id, error=None, **counts)


def item_error(item_id: str, code: str) -> WebhookBody:
    """ITEM/ERROR carrying the error; ITEM_LOGIN_REQUIRED is the usual one."""
    return _item("ITEM", "ERROR", item_id, error=PlaidError(code).in_webhook())


def login_repaired(item_id: str) -> WebhookBody:
    """ITEM/LOGIN_REPAIRED: the Item works again."""
    return _item("ITEM", "LOGIN_REPAIRED", item_id)


def pending_disconnect(item_id: str, when: datetime, reason: str) -> WebhookBody:
    """ITEM/PENDING_DISCONNECT: seven days' notice."""
    return _item("ITEM", "PENDING_DISCONNECT", item_id, reason=reason, disconnect_time=timestamp(when))


def pending_expiration(item_id: str, when: datetime) -> WebhookBody:
    """ITEM/PENDING_EXPIRATION, the form for the UK and the EU."""
    return _item("ITEM", "PENDING_EXPIRATION", item_id, consent_expiration_time=timestamp(when))


def new_accounts_available(item_id: str) -> WebhookBody:
    """ITEM/NEW_ACCOUNTS_AVAILABLE."""
    return _item("ITEM", "NEW_ACCOUNTS_AVAILABLE", item_id, error=None)


def user_permission_revoked(item_id: str) -> WebhookBody:
    """ITEM/USER_PERMISSION_REVOKED: the user withdrew everything."""
    error = PlaidError("USER_PERMISSION_REVOKED").in_webhook()
    return _item("ITEM", "USER_PERMISSION_REVOKED", item_id, error=error)


def user_account_revoked(item_id: str, account_id: str) -> WebhookBody:
    """ITEM/USER_ACCOUNT_REVOKED: the user withdrew one account."""
    return _item("ITEM", "USER_ACCOUNT_REVOKED", item_id, account_id=account_id)


def webhook_update_acknowledged(item_id: str, url: str) -> WebhookBody:
    """ITEM/WEBHOOK_UPDATE_ACKNOWLEDGED, sent to the new URL."""
    return _item("ITEM", "WEBHOOK_UPDATE_ACKNOWLEDGED", item_id, new_webhook_url=url, error=None)


def sync_updates_available(item_id: str) -> WebhookBody:
    """TRANSACTIONS/SYNC_UPDATES_AVAILABLE."""
    done = {"initial_update_complete": True, "historical_update_complete": True}
    return _item("TRANSACTIONS", "SYNC_UPDATES_AVAILABLE", item_id, **done)


def recurring_transactions(item_id: str, account_ids: Sequence[str]) -> WebhookBody:
    """TRANSACTIONS/RECURRING_TRANSACTIONS_UPDATE."""
    return _item("TRANSACTIONS", "RECURRING_TRANSACTIONS_UPDATE", item_id, account_ids=list(account_ids))


def item_add_result(token: str, session_id: str, public_token: str) -> WebhookBody:
    """LINK/ITEM_ADD_RESULT: a public token to exchange within 30 minutes; carries no item_id."""
    return _link("ITEM_ADD_RESULT", token, session_id, public_token=public_token)


def session_finished(token: str, session_id: str, status: str, public_tokens: Sequence[str]) -> WebhookBody:
    """LINK/SESSION_FINISHED; an exited session names no tokens."""
    extra = {"public_tokens": list(public_tokens)} if public_tokens else {}
    body = _link("SESSION_FINISHED", token, session_id, **extra)
    return {"webhook_type": "LINK", "webhook_code": "SESSION_FINISHED", "status": status, **body}
