"""A webhook means "go and read again", and an unknown one means nothing."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.signals import Meaning, WebhookDelivery
from plaid_connector.webhook import signals


def delivery(body: str) -> WebhookDelivery:
    return WebhookDelivery(
        delivery_id="d", provider="plaid", kind="x", received_at=datetime.now(UTC), body=body
    )


@pytest.mark.parametrize(
    ("kind", "code", "extra", "meaning"),
    [
        ("HOLDINGS", "DEFAULT_UPDATE", {}, Meaning.DATA_READY),
        ("INVESTMENTS_TRANSACTIONS", "HISTORICAL_UPDATE", {}, Meaning.DATA_READY),
        ("ITEM", "ERROR", {"error": {"error_code": "ITEM_LOGIN_REQUIRED"}}, Meaning.NEEDS_REPAIR),
        ("ITEM", "ERROR", {"error": {"error_code": "SOMETHING_ELSE"}}, Meaning.IGNORED),
        ("ITEM", "ERROR", {"error": None}, Meaning.IGNORED),
        ("ITEM", "LOGIN_REPAIRED", {}, Meaning.REPAIRED),
        ("ITEM", "PENDING_DISCONNECT", {"reason": "INSTITUTION_MIGRATION"}, Meaning.EXPIRING),
        ("ITEM", "USER_PERMISSION_REVOKED", {"error": None}, Meaning.REVOKED),
        ("ITEM", "WEBHOOK_UPDATE_ACKNOWLEDGED", {}, Meaning.IGNORED),
        ("A_TYPE", "OF_NEXT_YEAR", {"status": 7}, Meaning.IGNORED),
    ],
)
def test_each_type_has_its_meaning(kind: str, code: str, extra: dict[str, Any], meaning: Meaning) -> None:
    body = {"webhook_type": kind, "webhook_code": code, "item_id": "item-1"} | extra
    (signal,) = signals(delivery(json.dumps(body)))
    assert signal.meaning is meaning


def test_a_finished_link_names_its_session_by_digest() -> None:
    body = {
        "webhook_type": "LINK",
        "webhook_code": "SESSION_FINISHED",
        "link_token": "sha256:ab",
        "status": "SUCCESS",
    }
    (signal,) = signals(delivery(json.dumps(body)))
    assert (signal.meaning, signal.session_token) == (Meaning.LINK_FINISHED, "sha256:ab")


@given(st.text())
def test_no_body_at_all_can_break_the_translation(body: str) -> None:
    assert [signal.meaning for signal in signals(delivery(body))]
