"""Commands and webhooks: repeated, reordered, failing half way."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import psycopg
import pytest

from connector_kit import commands
from connector_kit.commands import HANDLERS, classify, dispatch
from connector_kit.finish import finish
from connector_kit.testing import FakeConnection
from contracts.envelope import decode, encode
from contracts.errors import ErrorCode, RefusedError, TransientError
from contracts.holdings import HoldingsSnapshot
from contracts.ids import connection_id
from contracts.messages import (
    COMMANDS,
    ConnectionLinked,
    ConnectionStatusChanged,
    LinkCompleted,
    RemoveConnection,
    SyncConnection,
)
from contracts.signals import Meaning, Signal, WebhookDelivery
from contracts.statuses import ConnectionStatus
from messaging.bus import NotConfirmedError
from messaging.policy import Park, PermanentError, Retry
from messaging.policy import TransientError as NotNowError
from persistence.database import DatabaseUnavailable
from persistence.secrets import SecretNotFoundError, access_token

CONNECTION = connection_id("fake", "u1", "item-1")
TOKEN = access_token("fake", "u1", "example", "item-1")


@pytest.fixture
def send(engine):
    async def dispatched(command, at: datetime | None = None) -> None:
        _, body = encode(command, source="test", time=at or datetime.now(UTC))
        await dispatch(engine, decode(body))

    return dispatched


@pytest.fixture
def admin(migrated_database):
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def linked(engine, bus, begun, send) -> str:
    await begun()
    await send(LinkCompleted(user_id="u1", link_session_id="s1"))
    bus.sent.clear()
    return CONNECTION


def sync_command(identity: str = "i1", **more) -> SyncConnection:
    values = {"user_id": "u1", "connection_id": CONNECTION, "kinds": ["holdings"], "trigger": "user"}
    return SyncConnection(**(values | more), idempotency_id=identity)


def delivery(*signals: Signal, at: datetime | None = None, provider: str = "fake") -> WebhookDelivery:
    return WebhookDelivery(
        delivery_id="d",
        provider=provider,
        kind="test",
        received_at=at or datetime.now(UTC),
        body=msgspec.json.encode(list(signals)).decode(),
    )


def down() -> TransientError:
    return TransientError("down", code=ErrorCode.PROVIDER_UNAVAILABLE, provider="fake")


def test_every_command_has_its_handler():
    assert set(HANDLERS) == set(COMMANDS.values())


async def test_a_link_completed_twice_is_one_connection_read_once(adapter, bus, begun, send):
    await begun()
    for _ in range(2):
        await send(LinkCompleted(user_id="u1", link_session_id="s1"))
    assert len(bus.of(ConnectionLinked)) == 1
    assert len(bus.of(HoldingsSnapshot)) == 1
    assert adapter.asked.count("exchange") == 1


async def test_a_link_completed_for_somebody_elses_session_is_set_aside(begun, send):
    await begun()
    with pytest.raises(PermanentError):
        await send(LinkCompleted(user_id="mallory", link_session_id="s1"))


async def test_a_session_in_a_dead_process_hands_is_come_back_to(engine, begun, send, admin, bus):
    await begun()
    admin.execute(
        "UPDATE sync.link_intents SET taken_by = 'dead', taken_until = clock_timestamp() + interval '20 s'"
    )
    with pytest.raises(NotNowError):
        await send(LinkCompleted(user_id="u1", link_session_id="s1"))
    admin.execute("UPDATE sync.link_intents SET taken_until = clock_timestamp()")
    await send(LinkCompleted(user_id="u1", link_session_id="s1"))
    assert len(bus.of(ConnectionLinked)) == 1


async def test_a_sync_of_the_same_idempotency_id_happens_once(adapter, linked, send):
    before = adapter.asked.count("state")
    for seconds in (0, 5, 10):
        await send(sync_command(), datetime.now(UTC) + timedelta(seconds=seconds))
    assert adapter.asked.count("state") == before + 1


async def test_a_sync_of_another_users_connection_is_set_aside(linked, send):
    with pytest.raises(PermanentError):
        await send(sync_command(user_id="mallory"))


async def test_a_sync_that_shall_wait_is_planned(adapter, linked, send, admin):
    before = adapter.asked.count("state")
    await send(sync_command(not_before=datetime.now(UTC) + timedelta(hours=1)))
    assert adapter.asked.count("state") == before
    query = """SELECT next_sync_at BETWEEN clock_timestamp() + interval '59 min'
                                       AND clock_timestamp() + interval '61 min' FROM sync.sync_state"""
    assert admin.execute(query).fetchone() == (True,)


async def test_removing_unlinks_then_forgets_the_secret_then_says_so(engine, adapter, bus, linked, send):
    command = RemoveConnection(user_id="u1", connection_id=linked, reason="user")
    await send(command)
    (moved,) = bus.of(ConnectionStatusChanged)
    assert (moved.status, moved.reason) == (ConnectionStatus.REMOVED, "user")
    assert adapter.connections["item-1"].removed
    with pytest.raises(SecretNotFoundError):
        await engine.secrets.get(TOKEN)
    await send(command)
    assert adapter.asked.count("unlink") == 1
    assert len(bus.of(ConnectionStatusChanged)) == 1


async def test_a_failed_unlink_keeps_the_secret_and_is_tried_again(engine, adapter, bus, linked, send, admin):
    adapter.failures["unlink"] = [down()]
    command = RemoveConnection(user_id="u1", connection_id=linked, reason="user")
    with pytest.raises(TransientError):
        await send(command)
    assert await engine.secrets.get(TOKEN)
    assert bus.sent == []
    assert admin.execute("SELECT status, next_sync_at FROM sync.sync_state").fetchone() == ("active", None)
    await send(command)
    assert adapter.connections["item-1"].removed
    assert len(bus.of(ConnectionStatusChanged)) == 1


async def test_a_removal_cut_short_after_the_secret_is_gone_comes_to_its_end(adapter, bus, linked, send):
    bus.refuse = 1
    command = RemoveConnection(user_id="u1", connection_id=linked, reason="user")
    with pytest.raises(NotConfirmedError):
        await send(command)
    await send(command)
    assert adapter.asked.count("unlink") == 1
    assert len(bus.of(ConnectionStatusChanged)) == 1


async def test_a_connection_gone_at_the_provider_counts_as_removed(adapter, bus, linked, send):
    adapter.failures["unlink"] = [adapter.gone("no such item")]
    await send(RemoveConnection(user_id="u1", connection_id=linked, reason="user"))
    assert len(bus.of(ConnectionStatusChanged)) == 1


async def test_another_users_connection_is_not_removed(adapter, linked, send):
    with pytest.raises(PermanentError):
        await send(RemoveConnection(user_id="mallory", connection_id=linked, reason="user"))
    assert "unlink" not in adapter.asked


async def test_nothing_late_brings_a_removed_connection_back(adapter, bus, linked, send):
    await send(RemoveConnection(user_id="u1", connection_id=linked, reason="user"))
    before = len(bus.sent)
    await send(delivery(Signal(meaning=Meaning.DATA_READY, external_connection_id="item-1")))
    with pytest.raises(PermanentError):
        await send(sync_command("later"))
    assert len(bus.sent) == before


async def test_a_storm_of_webhooks_about_one_connection_is_one_sync(adapter, linked, send):
    before = adapter.asked.count("state")
    at = datetime.now(UTC)
    signal = Signal(meaning=Meaning.DATA_READY, external_connection_id="item-1")
    await asyncio.gather(*(send(delivery(signal, signal, at=at)) for _ in range(40)))
    assert adapter.asked.count("state") == before + 1


@pytest.mark.parametrize("order", [("broken", "fixed"), ("fixed", "broken")])
async def test_broken_and_repaired_in_any_order_end_in_the_true_state(order, adapter, linked, send, admin):
    signals = {
        "broken": Signal(meaning=Meaning.NEEDS_REPAIR, external_connection_id="item-1"),
        "fixed": Signal(meaning=Meaning.REPAIRED, external_connection_id="item-1"),
    }
    for truth in (ConnectionStatus.BROKEN, ConnectionStatus.ACTIVE):
        adapter.connections["item-1"].status = truth
        for number, name in enumerate(order):
            await send(delivery(signals[name], at=datetime.now(UTC) + timedelta(seconds=number)))
        assert admin.execute("SELECT status FROM sync.sync_state").fetchone() == (truth,)


async def test_a_broken_connection_is_repaired_by_word_of_the_provider(adapter, bus, linked, send):
    adapter.connections["item-1"].status = ConnectionStatus.BROKEN
    await send(delivery(Signal(meaning=Meaning.NEEDS_REPAIR, external_connection_id="item-1")))
    adapter.connections["item-1"].status = ConnectionStatus.ACTIVE
    await send(delivery(Signal(meaning=Meaning.REPAIRED, external_connection_id="item-1")))
    statuses = [event.status for event in bus.of(ConnectionStatusChanged)]
    assert statuses == [ConnectionStatus.BROKEN, ConnectionStatus.ACTIVE]
    assert len(bus.of(HoldingsSnapshot)) == 1


async def test_a_finished_link_is_found_by_the_digest_of_its_token(bus, begun, send):
    await begun()
    digest = "sha256:8d05d1ba7fd2ac0c2ac4c4cd4e9bfd8f4dfbe1a25e3bc4e4e0d7a5b1c5b4a4c6"
    await send(delivery(Signal(meaning=Meaning.LINK_FINISHED, session_token=digest)))
    assert bus.sent == []
    signal = Signal(meaning=Meaning.LINK_FINISHED, session_token="link-s1")
    await send(delivery(signal, signal))
    assert len(bus.of(ConnectionLinked)) == 1
    assert len(bus.of(HoldingsSnapshot)) == 1


async def test_a_finished_link_is_found_by_the_providers_user(adapter, bus, begun, send):
    adapter.keeps_users = True
    await begun()
    await send(delivery(Signal(meaning=Meaning.LINK_FINISHED, external_user_id="u1")))
    assert len(bus.of(HoldingsSnapshot)) == 1


async def test_news_about_a_user_reads_all_of_their_connections(adapter, bus, begun, engine, send):
    adapter.keeps_users = True
    for number in (1, 2):
        await begun(f"s{number}", "u1", FakeConnection(f"item-{number}", "t"))
        await finish(engine, f"s{number}", user_id="u1")
    await send(delivery(Signal(meaning=Meaning.DATA_READY, external_user_id="u1")))
    assert len(bus.of(HoldingsSnapshot)) == 2


async def test_what_is_unknown_or_ignored_is_counted_and_costs_nothing(adapter, linked, send, engine):
    before = list(adapter.asked)
    await send(
        delivery(
            Signal(meaning=Meaning.IGNORED),
            Signal(meaning=Meaning.EXPIRING, external_connection_id="nobody's"),
            Signal(meaning=Meaning.DATA_READY, external_connection_id="nobody's"),
            Signal(meaning=Meaning.LINK_FINISHED),
        )
    )
    assert adapter.asked == before


async def test_a_delivery_for_another_provider_is_set_aside(send):
    with pytest.raises(PermanentError):
        await send(delivery(provider="other"))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (down().waiting(30.0), Retry),
        (RefusedError("no", code=ErrorCode.PROVIDER_REFUSED, provider="fake"), Park),
        (DatabaseUnavailable("away"), Retry),
        (psycopg.DataError("a NUL in a text"), Park),
        (NotConfirmedError("away"), Retry),
        (ValueError("a defect"), type(None)),
    ],
)
def test_each_error_has_its_outcome(error, outcome):
    assert isinstance(classify(error), outcome)


def test_the_consumer_reads_its_own_queue(engine, bus):
    assert commands.consumer(engine, bus, None, None).queue == "fake-connector"
