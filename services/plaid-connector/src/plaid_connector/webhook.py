"""What a Plaid webhook means in our terms. Pure; a webhook only ever means "go and read again".

Source: Plaid webhooks reference (HOLDINGS, INVESTMENTS_TRANSACTIONS, ITEM, LINK, TRANSACTIONS).
"""

import msgspec

from contracts.signals import Meaning, Signal, WebhookDelivery
from plaid_connector.wire import PlaidError, Wire


class Notice(Wire):
    """The members of a webhook body that matter here."""

    webhook_type: str = ""
    webhook_code: str = ""
    item_id: str | None = None
    link_token: str | None = None
    account_id: str | None = None
    status: str | None = None
    reason: str | None = None
    error: PlaidError | None = None


MEANINGS: dict[tuple[str, str], Meaning] = {
    ("HOLDINGS", "DEFAULT_UPDATE"): Meaning.DATA_READY,
    ("INVESTMENTS_TRANSACTIONS", "DEFAULT_UPDATE"): Meaning.DATA_READY,
    ("INVESTMENTS_TRANSACTIONS", "HISTORICAL_UPDATE"): Meaning.DATA_READY,
    ("TRANSACTIONS", "SYNC_UPDATES_AVAILABLE"): Meaning.DATA_READY,
    ("ITEM", "LOGIN_REPAIRED"): Meaning.REPAIRED,
    ("ITEM", "PENDING_DISCONNECT"): Meaning.EXPIRING,
    ("ITEM", "PENDING_EXPIRATION"): Meaning.EXPIRING,
    ("ITEM", "NEW_ACCOUNTS_AVAILABLE"): Meaning.DATA_READY,
    ("ITEM", "USER_PERMISSION_REVOKED"): Meaning.REVOKED,
    ("ITEM", "USER_ACCOUNT_REVOKED"): Meaning.DATA_READY,
    ("LINK", "ITEM_ADD_RESULT"): Meaning.LINK_FINISHED,
    ("LINK", "SESSION_FINISHED"): Meaning.LINK_FINISHED,
}
"""Every pair that is not here is ignored; ``ITEM/ERROR`` is decided by its error code."""

_ERRORS = {
    "ITEM_LOGIN_REQUIRED": Meaning.NEEDS_REPAIR,
    "USER_PERMISSION_REVOKED": Meaning.REVOKED,
    "ITEM_NOT_FOUND": Meaning.REVOKED,
}
_NOTICE = msgspec.json.Decoder(Notice)


def signals(delivery: WebhookDelivery) -> list[Signal]:
    """What a delivery says; a body that cannot be read, and a type we do not know, are ignored."""
    try:
        notice = _NOTICE.decode(delivery.body)
    except (msgspec.DecodeError, RecursionError):
        return [Signal(meaning=Meaning.IGNORED, reason="the body could not be read")]
    kind, code = notice.webhook_type, notice.webhook_code
    meaning = MEANINGS.get((kind, code), Meaning.IGNORED)
    if (kind, code) == ("ITEM", "ERROR"):
        meaning = _ERRORS.get(notice.error.error_code if notice.error else "", Meaning.IGNORED)
    return [
        Signal(
            meaning=meaning,
            external_connection_id=notice.item_id,
            external_account_id=notice.account_id,
            session_token=notice.link_token,
            reason=_reason(notice),
        )
    ]


def _reason(notice: Notice) -> str:
    detail = notice.error.error_code if notice.error else notice.reason or notice.status
    return f"{notice.webhook_type}/{notice.webhook_code}" + (f" {detail}" if detail else "")
