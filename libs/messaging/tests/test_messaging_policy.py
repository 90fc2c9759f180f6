"""The retry policy and what is written on messages that come back."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import BadMessageError, UnknownTypeError
from contracts.messages import ConnectionLinked, PositionsConsolidated, SyncConnection
from messaging.bus import Delivery
from messaging.letters import failed, replayed
from messaging.memory import MemoryBus
from messaging.parking import parked
from messaging.policy import (
    DONE,
    UNKNOWN_RETRIES,
    Ack,
    Delay,
    Park,
    PermanentError,
    Retry,
    TransientError,
    decide,
    outcome_of,
)
from messaging.publishing import outgoing_event, publish_command, publish_event, received
from messaging.topology import GATEWAY_STREAM, TIERS, connector_topology, onefolio
from messaging.topology_document import markdown

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (PermanentError("no"), Park),
        (TransientError("wait"), Retry),
        (BadMessageError("what"), Park),
        (UnknownTypeError("who"), Park),
        (TimeoutError(), Retry),
        (KeyError("bug"), Retry),
        (RecursionError(), Retry),
    ],
)
def test_every_error_has_an_outcome(error, outcome):
    assert type(outcome_of(error)) is outcome


def test_a_service_may_know_more_errors_than_the_policy():
    assert outcome_of(KeyError("x"), lambda error: Park("ours")) == Park("ours")
    assert type(outcome_of(KeyError("x"), lambda error: None)) is Retry


def test_an_unknown_error_goes_through_all_tiers_and_then_parks():
    outcome = outcome_of(KeyError("bug"))
    decisions = [decide(outcome, attempt, TIERS) for attempt in range(1, 7)]
    assert [one.tier.name for one in decisions[:5]] == ["5s", "30s", "2m", "10m", "1h"]
    assert type(decisions[5]) is Park


@given(attempt=st.integers(1, 1000), wait=st.none() | st.floats(0, 1e9))
def test_every_message_is_acknowledged_delayed_or_parked_and_never_for_ever(attempt, wait):
    assert decide(DONE, attempt, TIERS) == Ack()
    decision = decide(Retry("later", wait), attempt, TIERS)
    assert isinstance(decision, Delay | Park)
    if attempt > 30:
        assert isinstance(decision, Park)


@given(attempt=st.integers(1, UNKNOWN_RETRIES), wait=st.floats(0, 3600))
def test_a_known_wait_takes_the_first_tier_long_enough(attempt, wait):
    decision = decide(Retry("later", wait), attempt, TIERS)
    assert isinstance(decision, Delay)
    assert decision.tier.milliseconds >= wait * 1000
    assert all(
        tier.milliseconds < wait * 1000 for tier in TIERS if tier.milliseconds < decision.tier.milliseconds
    )


def test_a_queue_without_tiers_parks_what_it_cannot_do():
    assert isinstance(decide(Retry("later"), 1, ()), Park)


def delivery(**headers):
    return Delivery("work", "onefolio.events", "a.b", b"{}", "id-1", "a.b", attempt=2, headers=headers)


def test_a_message_on_its_way_back_drops_the_brokers_headers_and_keeps_ours():
    one = delivery(**{"x-death": "loop", "x-first-death-queue": "q", "traceparent": "00-1"})
    letter = failed(one, "work.retry.5s", "why", ValueError("bad"), NOW)
    assert (letter.exchange, letter.routing_key) == ("", "work.retry.5s")
    assert not [name for name in letter.headers if name.startswith("x-")]
    assert letter.headers["traceparent"] == "00-1"
    assert (letter.headers["onefolio-exchange"], letter.headers["onefolio-routing-key"]) == (
        "onefolio.events",
        "a.b",
    )
    assert letter.headers["onefolio-attempt"] == 2
    assert letter.headers["onefolio-error"] == "ValueError: bad"


def test_the_first_failure_keeps_its_time():
    first = failed(delivery(), "work.retry.5s", "why", None, NOW)
    again = Delivery("work", "", "work", b"{}", "id-1", "a.b", headers=first.headers)
    second = failed(again, "work.retry.30s", "why", None, NOW + timedelta(hours=1))
    assert parked(Delivery("w", "", "", b"", "1", "t", headers=second.headers), "w").first_failed_at == NOW


def test_a_replayed_message_starts_afresh_at_its_origin():
    broken = failed(delivery(), "work.parked", "why", ValueError("bad"), NOW)
    again = replayed(
        Delivery("work", "onefolio.events", "a.b", b"{}", "id-1", "a.b", headers=broken.headers), "work"
    )
    assert set(again.headers) == {"onefolio-exchange", "onefolio-routing-key"}


@given(st.text(max_size=10_000))
def test_what_is_written_on_a_parked_message_is_bounded(text):
    letter = failed(delivery(), "work.parked", text, ValueError(text), NOW)
    assert len(str(letter.headers["onefolio-reason"])) <= 500
    assert len(str(letter.headers["onefolio-error"])) <= 2000


def test_the_topology_has_a_queue_for_each_provider_with_tiers_and_parking():
    names = {declaration.name for declaration in onefolio().declarations()}
    for queue in ("consolidator", "snaptrade-connector", "plaid-connector"):
        assert {queue, f"{queue}.parked", *(f"{queue}.retry.{tier.name}" for tier in TIERS)} <= names
    assert "acme-connector" in {queue.name for queue in connector_topology("acme").queues}


def test_an_unknown_queue_is_named():
    with pytest.raises(KeyError, match="no work queue 'nobody'"):
        onefolio().queue("nobody")


def test_every_dead_letter_leads_to_a_declared_queue_of_another_name():
    declared = onefolio().declarations("p.")
    names = {declaration.name for declaration in declared}
    for declaration in declared:
        target = declaration.arguments.get("x-dead-letter-routing-key")
        assert target is None or (target in names and target != declaration.name)


def test_the_document_names_every_queue_and_its_arguments():
    page = markdown(onefolio())
    for declaration in onefolio().declarations():
        assert f"`{declaration.name}`" in page
    assert "`x-delivery-limit`: `20`" in page
    assert "connector.plaid.*" in page


LINKED = ConnectionLinked(
    user_id="u1",
    provider="plaid",
    connection_id="c1",
    external_id="e1",
    institution="chase",
    institution_name="Chase",
    connection_type="read",
    link_session_id=None,
    linked_at=NOW,
    version=1,
)


async def test_a_fact_reaches_the_consolidator_and_reads_the_same():
    bus = MemoryBus(onefolio())
    identity = await publish_event(bus, LINKED, source="test", time=NOW, traceparent="00-1")
    subscription = await bus.subscribe("consolidator", 1)
    held = await subscription.next()
    back = received(held.delivery)
    assert back.message == LINKED
    assert back.id == held.delivery.event_id == identity
    assert held.delivery.headers["traceparent"] == "00-1"
    assert outgoing_event(LINKED, source="test", time=NOW).event_id == identity


async def test_a_command_reaches_its_providers_connector():
    bus = MemoryBus(onefolio())
    command = SyncConnection(
        user_id="u1", connection_id="c1", kinds=["holdings"], trigger="user", idempotency_id="i1"
    )
    await publish_command(bus, "plaid", command, source="test", time=NOW)
    held = await (await bus.subscribe("plaid-connector", 1)).next()
    assert received(held.delivery).message == command
    assert await bus.depth("snaptrade-connector") == 0


async def test_what_users_watch_is_kept_until_the_gateway_takes_it_and_is_nobody_elses():
    bus = MemoryBus(onefolio())
    said = PositionsConsolidated(
        user_id="u1",
        portfolio_id="p1",
        version=2,
        positions=1,
        changed=1,
        removed=0,
        totals=[],
        breaks=0,
        consolidated_at=NOW,
    )
    await publish_event(bus, said, source="test", time=NOW)
    stream = await bus.subscribe(GATEWAY_STREAM, 1)
    assert json.loads((await stream.next()).delivery.body)["data"]["version"] == 2
    assert await bus.depth("consolidator") == 0


def test_a_body_that_is_no_envelope_is_a_bad_message():
    with pytest.raises(BadMessageError):
        received(delivery())
