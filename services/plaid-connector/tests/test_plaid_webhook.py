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


@pytest.mark.parametrize(
    ("kind", "code", "streams"),
    [
        ("HOLDINGS", "DEFAULT_UPDATE", ["holdings"]),
        ("INVESTMENTS_TRANSACTIONS", "DEFAULT_UPDATE", ["transactions"]),
        ("INVESTMENTS_TRANSACTIONS", "HISTORICAL_UPDATE", ["transactions"]),
        ("TRANSACTIONS", "SYNC_UPDATES_AVAILABLE", ["transactions"]),
        ("ITEM", "NEW_ACCOUNTS_AVAILABLE", []),
        ("ITEM", "USER_ACCOUNT_REVOKED", []),
    ],
)
def test_news_says_of_which_streams(kind, code, streams):
    body = {"webhook_type": kind, "webhook_code": code, "item_id": "i", "account_id": "a", "error": None}
    (signal,) = signals(delivery(json.dumps(body)))
    assert (signal.meaning, signal.streams, signal.external_account_id) == (Meaning.DATA_READY, streams, "a")


@pytest.mark.parametrize(
    ("code", "member"),
    [("PENDING_DISCONNECT", "disconnect_time"), ("PENDING_EXPIRATION", "consent_expiration_time")],
)
def test_a_notice_says_until_when_to_repair(code, member):
    body = {"webhook_type": "ITEM", "webhook_code": code, "item_id": "i", member: "2026-11-28T00:00:00Z"}
    (signal,) = signals(delivery(json.dumps(body)))
    assert signal.repair_by == datetime(2026, 11, 28, tzinfo=UTC)
    (unclear,) = signals(delivery(json.dumps(body | {member: "soon"})))
    assert (unclear.meaning, unclear.repair_by) == (Meaning.EXPIRING, None)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        ("USER_SETUP_REQUIRED", Meaning.NEEDS_REPAIR),
        ("PASSWORD_RESET_REQUIRED", Meaning.NEEDS_REPAIR),
        ("ITEM_NOT_FOUND", Meaning.REVOKED),
        ("USER_PERMISSION_REVOKED", Meaning.REVOKED),
        ("INSTITUTION_DOWN", Meaning.DATA_READY),
    ],
)
def test_an_error_beside_data_decides(error, meaning):
    body = {"webhook_type": "HOLDINGS", "webhook_code": "DEFAULT_UPDATE", "error": {"error_code": error}}
    assert [one.meaning for one in signals(delivery(json.dumps(body)))] == [meaning]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("LINK", "EVENTS"),
        ("LINK_DELIVERY", "DELIVERY_STATUS"),
        ("TRANSACTIONS", "INITIAL_UPDATE"),
        ("TRANSACTIONS", "HISTORICAL_UPDATE"),
        ("TRANSACTIONS", "DEFAULT_UPDATE"),
        ("TRANSACTIONS", "TRANSACTIONS_REMOVED"),
        ("TRANSACTIONS", "RECURRING_TRANSACTIONS_UPDATE"),
        ("DASHBOARD_CONFIGURED_ALERT", "INSTITUTION_STATUS_ALERT_TRIGGERED"),
    ],
)
def test_what_asks_for_nothing_is_ignored(kind, code):
    body = {"webhook_type": kind, "webhook_code": code, "item_id": "i"}
    (signal,) = signals(delivery(json.dumps(body)))
    assert (signal.meaning, signal.streams, signal.repair_by) == (Meaning.IGNORED, [], None)


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
