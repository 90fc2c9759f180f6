"""What SnapTrade's webhooks mean: a table over its event types. Pure.

A delivery only ever means "go and read again": events come in any order, late and twice.
"""

from typing import Any

import msgspec

from contracts.signals import Meaning, Signal, WebhookDelivery
from snaptrade_connector.wire import Webhook

MEANINGS: dict[str, Meaning] = {
    "USER_REGISTERED": Meaning.IGNORED,
    "USER_DELETED": Meaning.REMOVED,
    "CONNECTION_ATTEMPTED": Meaning.IGNORED,
    "CONNECTION_ADDED": Meaning.LINK_FINISHED,
    "CONNECTION_DELETED": Meaning.REMOVED,
    "CONNECTION_BROKEN": Meaning.NEEDS_REPAIR,
    "CONNECTION_FIXED": Meaning.REPAIRED,
    "CONNECTION_UPDATED": Meaning.DATA_READY,
    "CONNECTION_FAILED": Meaning.IGNORED,
    "NEW_ACCOUNT_AVAILABLE": Meaning.DATA_READY,
    "ACCOUNT_REMOVED": Meaning.DATA_READY,
    "ACCOUNT_TRANSACTIONS_INITIAL_UPDATE": Meaning.DATA_READY,
    "ACCOUNT_TRANSACTIONS_UPDATED": Meaning.DATA_READY,
    "ACCOUNT_HOLDINGS_UPDATED": Meaning.DATA_READY,
    "TRADE_DETECTION": Meaning.DATA_READY,
    "TRADE_UPDATE": Meaning.DATA_READY,
}
"""An event type that is not here is ignored."""

UNREADABLE = "unreadable"
NOTHING_READ = "every part of the sync failed"
_WEBHOOK = msgspec.json.Decoder(Webhook)
_DETAILS = msgspec.json.Decoder(dict[str, Any])


def signals(delivery: WebhookDelivery) -> list[Signal]:
    """What one delivery says; never raises, whatever the body is."""
    try:
        event = _WEBHOOK.decode(delivery.body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return [Signal(meaning=Meaning.IGNORED, reason=UNREADABLE)]
    meaning = MEANINGS.get(event.event_type, Meaning.IGNORED)
    reason = event.connection_attempted_result or event.event_type
    if event.event_type == "ACCOUNT_HOLDINGS_UPDATED" and _all_failed(event.details):
        meaning, reason = Meaning.IGNORED, NOTHING_READ
    signal = Signal(
        meaning=meaning,
        external_connection_id=event.brokerage_authorization_id or event.connection_id,
        external_account_id=event.account_id,
        external_user_id=event.user_id,
        reason=reason[:80],
    )
    return [signal]


def _all_failed(details: msgspec.Raw) -> bool:
    """Whether a holdings sync says of each of its parts that it failed; an empty or odd report does not."""
    try:
        parts = _DETAILS.decode(details)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    told = [part["success"] for part in parts.values() if isinstance(part, dict) and "success" in part]
    return bool(told) and not any(success is True for success in told)
