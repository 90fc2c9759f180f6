"""What a Plaid webhook means in our terms. Pure; a webhook only ever means "go and read again".

Source: Plaid webhooks reference (HOLDINGS, INVESTMENTS_TRANSACTIONS, ITEM, LINK, TRANSACTIONS).
"""

from datetime import datetime

import msgspec

from contracts.errors import GoneError, RepairNeededError
from contracts.signals import Meaning, Signal, WebhookDelivery
from plaid_connector.errors import meaning as meaning_of
from plaid_connector.mapping import moment
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
    disconnect_time: str | None = None
    consent_expiration_time: str | None = None
    error: PlaidError | None = None


MEANINGS: dict[tuple[str, str], Meaning] = {
    ("HOLDINGS", "DEFAULT_UPDATE"): Meaning.DATA_READY,
    ("INVESTMENTS_TRANSACTIONS", "DEFAULT_UPDATE"): Meaning.DATA_READY,
    ("INVESTMENTS_TRANSACTIONS", "HISTORICAL_UPDATE"): Meaning.DATA_READY,
    ("ITEM", "LOGIN_REPAIRED"): Meaning.REPAIRED,
    ("ITEM", "NEW_ACCOUNTS_AVAILABLE"): Meaning.DATA_READY,
    ("ITEM", "PENDING_DISCONNECT"): Meaning.EXPIRING,
    ("ITEM", "PENDING_EXPIRATION"): Meaning.EXPIRING,
    ("ITEM", "USER_ACCOUNT_REVOKED"): Meaning.DATA_READY,
    ("ITEM", "USER_PERMISSION_REVOKED"): Meaning.REVOKED,
    ("ITEM", "WEBHOOK_UPDATE_ACKNOWLEDGED"): Meaning.IGNORED,
    ("LINK", "EVENTS"): Meaning.IGNORED,
    ("LINK", "ITEM_ADD_RESULT"): Meaning.LINK_FINISHED,
    ("LINK", "SESSION_FINISHED"): Meaning.LINK_FINISHED,
    # What comes before SYNC_UPDATES_AVAILABLE still does, and says nothing that it does not say.
    ("TRANSACTIONS", "DEFAULT_UPDATE"): Meaning.IGNORED,
    ("TRANSACTIONS", "HISTORICAL_UPDATE"): Meaning.IGNORED,
    ("TRANSACTIONS", "INITIAL_UPDATE"): Meaning.IGNORED,
    ("TRANSACTIONS", "RECURRING_TRANSACTIONS_UPDATE"): Meaning.IGNORED,
    ("TRANSACTIONS", "SYNC_UPDATES_AVAILABLE"): Meaning.DATA_READY,
    ("TRANSACTIONS", "TRANSACTIONS_REMOVED"): Meaning.IGNORED,
}
"""Every pair that is not here is ignored; ``ITEM/ERROR``, and an error beside data, is decided by its error code."""

STREAMS = {
    "HOLDINGS": ["holdings"],
    "INVESTMENTS_TRANSACTIONS": ["transactions"],
    "TRANSACTIONS": ["transactions"],
}
_NOTICE = msgspec.json.Decoder(Notice)


def signals(delivery: WebhookDelivery) -> list[Signal]:
    """What a delivery says; a body that cannot be read, and a type we do not know, are ignored."""
    try:
        notice = _NOTICE.decode(delivery.body)
    except (msgspec.DecodeError, RecursionError):
        return [Signal(meaning=Meaning.IGNORED, reason="the body could not be read")]
    meaning = _meaning(notice)
    ready = meaning is Meaning.DATA_READY
    return [
        Signal(
            meaning=meaning,
            external_connection_id=notice.item_id,
            external_account_id=notice.account_id,
            session_token=notice.link_token,
            reason=_reason(notice),
            streams=STREAMS.get(notice.webhook_type, []) if ready else [],
            repair_by=_repair_by(notice) if meaning is Meaning.EXPIRING else None,
        )
    ]


def _meaning(notice: Notice) -> Meaning:
    pair = (notice.webhook_type, notice.webhook_code)
    found = MEANINGS.get(pair, Meaning.IGNORED)
    if pair == ("ITEM", "ERROR") or (found is Meaning.DATA_READY and notice.error is not None):
        return _of_error(notice.error) or found
    return found


def _of_error(error: PlaidError | None) -> Meaning | None:
    if error is None:
        return None
    kind = meaning_of(error, 400)[0]
    if issubclass(kind, RepairNeededError):
        return Meaning.NEEDS_REPAIR
    return Meaning.REVOKED if issubclass(kind, GoneError) else None


def _repair_by(notice: Notice) -> datetime | None:
    text = notice.disconnect_time or notice.consent_expiration_time
    try:
        return moment(text) if text else None
    except ValueError:
        return None


def _reason(notice: Notice) -> str:
    detail = notice.error.error_code if notice.error else notice.reason or notice.status
    return f"{notice.webhook_type}/{notice.webhook_code}" + (f" {detail}" if detail else "")
