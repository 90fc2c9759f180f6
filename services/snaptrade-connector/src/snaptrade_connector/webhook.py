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

HOLDINGS, ORDERS, TRANSACTIONS = "holdings", "orders", "transactions"
STREAMS: dict[str, list[str]] = {
    "ACCOUNT_TRANSACTIONS_INITIAL_UPDATE": [TRANSACTIONS],
    "ACCOUNT_TRANSACTIONS_UPDATED": [TRANSACTIONS],
    "ACCOUNT_HOLDINGS_UPDATED": [HOLDINGS, ORDERS],
    "TRADE_DETECTION": [ORDERS, HOLDINGS],
    "TRADE_UPDATE": [ORDERS, HOLDINGS],
}
"""What an event has news of; one that is not here may have news of anything."""
PARTS = {"positions": HOLDINGS, "balances": HOLDINGS, "total_value": HOLDINGS, "orders": ORDERS}
"""The parts a holdings sync reports on."""

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
    streams = STREAMS.get(event.event_type, [])
    if event.event_type == "ACCOUNT_HOLDINGS_UPDATED" and (told := _parts(event.details)):
        streams = [stream for stream in streams if stream in {PARTS.get(name) for name in _read(told)}]
        if not _read(told):
            meaning, reason = Meaning.IGNORED, NOTHING_READ
    signal = Signal(
        meaning=meaning,
        external_connection_id=event.brokerage_authorization_id or event.connection_id,
        external_account_id=event.account_id,
        external_user_id=event.user_id,
        reason=reason[:80],
        streams=streams,
    )
    return [signal]


def _parts(details: msgspec.Raw) -> dict[str, bool]:
    """Of each part of a holdings sync whether it was read; empty where the report does not say."""
    try:
        parts = _DETAILS.decode(details)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return {}
    return {
        name: part["success"] is True
        for name, part in parts.items()
        if isinstance(part, dict) and "success" in part
    }


def _read(told: dict[str, bool]) -> list[str]:
    return [name for name, success in told.items() if success]
