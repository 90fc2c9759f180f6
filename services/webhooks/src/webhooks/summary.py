"""What a row says of its delivery at a glance. Pure."""

from collections.abc import Mapping
from typing import Any

from webhooks.blanking import blanked
from webhooks.delivery import plain

VALUE_LIMIT = 120
MEMBERS = (
    "eventType",
    "userId",
    "accountId",
    "connectionId",
    "brokerageId",
    "brokerageAuthorizationId",
    "connectionAttemptedResult",
    "webhook_type",
    "webhook_code",
    "item_id",
    "account_id",
    "link_session_id",
    "environment",
    "status",
    "reason",
)
"""Ids and codes; never amounts, never credentials."""


def summary_of(document: Mapping[str, Any]) -> dict[str, str]:
    """The members that say what it is about, as bounded texts."""
    found = {name: document[name] for name in MEMBERS if isinstance(document.get(name), str)}
    error = document.get("error")
    if isinstance(error, dict) and isinstance(error.get("error_code"), str):
        found["error_code"] = error["error_code"]
    return {name: _clean(value) for name, value in found.items()}


def _clean(value: str) -> str:
    text = plain(value, VALUE_LIMIT)
    # A token in a member where none belongs.
    return text if blanked(f'"{text}"') == f'"{text}"' else "[removed]"
