"""What deliveries mean."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.signals import Meaning, WebhookDelivery
from snaptrade_connector.webhook import MEANINGS, NOTHING_READ, UNREADABLE, signals

from .conftest import shared


def said(body: str):
    delivery = WebhookDelivery(
        delivery_id="d",
        provider="snaptrade",
        kind="k",
        received_at=datetime(2026, 11, 21, tzinfo=UTC),
        body=body,
    )
    (signal,) = signals(delivery)
    return signal


def event(event_type: str, **members):
    return said(json.dumps({"eventType": event_type, **members}))


@pytest.mark.parametrize(("event_type", "meaning"), MEANINGS.items())
def test_every_event_names_whom_it_concerns(event_type, meaning):
    signal = event(event_type, userId="u", brokerageAuthorizationId="c", accountId="a", webhookSecret="s")
    assert signal.meaning is meaning
    assert signal.external_user_id == "u"
    assert signal.external_connection_id == "c"
    assert signal.external_account_id == "a"
    assert signal.reason == event_type


def test_a_sync_whose_every_part_failed_brings_nothing_to_read():
    names = ("total_value", "positions", "balances", "orders")
    parts = {name: {"success": False, "error": name} for name in names}
    signal = event("ACCOUNT_HOLDINGS_UPDATED", details=parts)
    assert (signal.meaning, signal.reason) == (Meaning.IGNORED, NOTHING_READ)


@pytest.mark.parametrize(
    "details",
    [{"positions": {"success": False}, "balances": {"success": True}}, {}, None, [], {"positions": "odd"}],
)
def test_a_sync_that_read_something_or_does_not_say_is_worth_a_look(details):
    assert event("ACCOUNT_HOLDINGS_UPDATED", details=details).meaning is Meaning.DATA_READY


def test_an_oauth_delivery_names_its_connection_differently():
    signal = event("CONNECTION_BROKEN", connectionId="c-9", schemaVersion="oauth_v1")
    assert signal.external_connection_id == "c-9"
    assert signal.meaning is Meaning.NEEDS_REPAIR


def test_an_event_nobody_knows_is_ignored_by_name():
    signal = event("SOMETHING_NEW" * 20)
    assert signal.meaning is Meaning.IGNORED
    assert signal.reason is not None
    assert len(signal.reason) <= 80


@given(st.text(max_size=200))
def test_no_body_whatever_is_an_error(body):
    assert said(body).meaning in set(Meaning)


def test_a_deeply_nested_body_is_unreadable_not_fatal():
    assert said('{"eventType":' + "[" * 100_000).reason == UNREADABLE


def test_the_reference_deliveries_are_understood():
    vectors = json.loads(shared("snaptrade-webhook-vectors.json").read_text(encoding="utf-8"))["vectors"]
    meanings = {vector["name"]: said(vector["raw_body"]).meaning for vector in vectors}
    assert meanings["connection-added"] is Meaning.LINK_FINISHED
    assert meanings["holdings-updated"] is Meaning.DATA_READY


@pytest.mark.parametrize(
    ("event_type", "streams"),
    [
        ("ACCOUNT_TRANSACTIONS_INITIAL_UPDATE", ["transactions"]),
        ("ACCOUNT_TRANSACTIONS_UPDATED", ["transactions"]),
        ("ACCOUNT_HOLDINGS_UPDATED", ["holdings", "orders"]),
        ("TRADE_DETECTION", ["orders", "holdings"]),
        ("TRADE_UPDATE", ["orders", "holdings"]),
        ("CONNECTION_UPDATED", []),
        ("NEW_ACCOUNT_AVAILABLE", []),
        ("ACCOUNT_REMOVED", []),
    ],
)
def test_an_event_says_which_streams_have_news(event_type, streams):
    assert event(event_type).streams == streams


@pytest.mark.parametrize(
    ("good", "streams"),
    [
        (["orders"], ["orders"]),
        (["balances"], ["holdings"]),
        (["positions", "orders"], ["holdings", "orders"]),
        (["something_new"], []),
    ],
)
def test_only_what_a_sync_really_read_is_news(good, streams):
    names = {"total_value", "positions", "balances", "orders", *good}
    details = {name: {"success": name in good, "error": None} for name in names}
    signal = event("ACCOUNT_HOLDINGS_UPDATED", details=details)
    assert (signal.meaning, signal.streams) == (Meaning.DATA_READY, streams)
