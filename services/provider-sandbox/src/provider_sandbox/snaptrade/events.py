"""SnapTrade's webhook events: bodies, signature header, typical order."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from provider_sandbox.snaptrade.signing import sign


def event(
    client_id: str, user_id: str, event_type: str, at: datetime, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """Return an event with the common members; `eventTimestamp` is the time of the event, not of the delivery."""
    return {
        "webhookId": str(uuid4()),
        "clientId": client_id,
        "eventTimestamp": at.astimezone(UTC).isoformat(timespec="microseconds"),
        "userId": user_id,
        "eventType": event_type,
        "webhookSecret": "deprecated",
        **extra,
    }


def encode(payload: Mapping[str, Any]) -> bytes:
    """Return the bytes on the wire, which are not the canonical text that is signed."""
    return json.dumps(payload).encode()


def headers(consumer_key: str, payload: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of a delivery."""
    return {"Content-Type": "application/json", "Signature": sign(consumer_key, payload)}


def sync_details(*, succeeded: bool = True) -> dict[str, Any]:
    """Return the `details` of ACCOUNT_HOLDINGS_UPDATED."""
    error = None if succeeded else "Brokerage could not be reached"
    parts = ("total_value", "positions", "balances", "orders")
    return {"details": {part: {"success": succeeded, "error": error} for part in parts}}
