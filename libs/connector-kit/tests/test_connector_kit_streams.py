"""Runs that fetch only what has changed: marks, news, repairs, and notes that nobody may overwrite."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import psycopg
import pytest

from connector_kit import connections, listed, signals, streams
from connector_kit.finish import finish
from connector_kit.hold import CLAIM_FOR
from connector_kit.remove import remove
from connector_kit.streams import WHOLE, Note, Stream
from connector_kit.sync import run, sync
from connector_kit.testing import FakeConnection, order_of
from contracts.accounts import AccountsSnapshot, BalanceHistorySnapshot
from contracts.errors import ErrorCode, RefusedError, TransientError
from contracts.holdings import HoldingsSnapshot
from contracts.messages import ConnectionStatusChanged, RemoveConnection, SyncProgressed
from contracts.orders import OrdersSnapshot
from contracts.signals import Meaning, Signal, WebhookDelivery
from contracts.statuses import ConnectionStatus, SyncStatus
from messaging.bus import NotConfirmedError

ACCOUNTS = ("acc-1", "acc-2", "acc-3")


@pytest.fixture
def admin(migrated_database):
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def bank() -> FakeConnection:
    """Three accounts, whose provider says when it read them and whether anything changed."""
    return FakeConnection(
        "item-1",
        "t",
        marked=True,
        accounts={name: {"AAPL": Decimal(1)} for name in ACCOUNTS},
        orders={name: [order_of(name, 1)] for name in ACCOUNTS},
    )


@pytest.fixture
async def read(engine, bus, begun, bank) -> str:
    """A connection that was read once."""
    await begun("s1", "u1", bank)
    (connection,) = (await finish(engine, "s1", user_id="u1")).fresh
    await sync(engine, connection, trigger="link")
    bus.sent.clear()
    return connection


def down() -> TransientError:
    return TransientError("down", code=ErrorCode.PROVIDER_UNAVAILABLE, provider="fake")


async def claim(engine, connection: str):
    return await connections.claim(
        engine.database, "fake", connection, holder=uuid.uuid4().hex, lease=CLAIM_FOR, asked_at=None
    )


def webhook(*said: Signal) -> WebhookDelivery:
    return WebhookDelivery(
        delivery_id=uuid.uuid4().hex,
        provider="fake",
        kind="k",
        received_at=datetime.now(UTC),
        body=msgspec.json.encode(list(said)).decode(),
    )


def news(**more: object) -> Signal:
    return Signal(meaning=Meaning.DATA_READY, external_connection_id="item-1", **more)


async def test_while_the_connections_mark_stands_one_question_is_asked(engine, adapter, bus, read):
    adapter.asked.clear()
    end = await sync(engine, read, trigger="schedule")
    assert adapter.asked == ["state"]
    assert (end.kind, end.status) == ("check", SyncStatus.COMPLETED)
    assert (end.accounts, end.unchanged, end.provider_calls, end.holdings) == (3, 3, 1, 0)
    assert bus.of(HoldingsSnapshot) == bus.of(AccountsSnapshot) == []


async def test_accounts_that_say_the_same_as_before_are_not_fetched(engine, adapter, bus, bank, read):
    bank.marked = False
    adapter.asked.clear()
    end = await sync(engine, read, trigger="schedule")
    assert adapter.asked == ["state", "accounts", "transactions"]
    assert (end.kind, end.unchanged) == ("incremental", 3)
    assert len(bus.of(AccountsSnapshot)) == 1
    assert bus.of(HoldingsSnapshot) == []


async def test_of_several_accounts_only_the_one_that_changed_is_fetched(
    engine, adapter, bus, bank, read, monkeypatch
):
    listing = adapter.accounts

    async def accounts(connection, state):
        return [
            msgspec.structs.replace(one, holdings_as_of=datetime(2026, 11, 22, tzinfo=UTC))
            if one.external_id == "acc-2"
            else one
            for one in await listing(connection, state)
        ]

    monkeypatch.setattr(adapter, "accounts", accounts)
    bank.marked = False
    end = await sync(engine, read, trigger="schedule")
    (fetched,) = bus.of(HoldingsSnapshot)
    (told,) = bus.of(OrdersSnapshot)
    assert fetched.account_id == told.account_id
    assert (end.unchanged, end.accounts, end.orders) == (2, 3, 1)
    bus.sent.clear()
    assert (await sync(engine, read, trigger="schedule")).unchanged == 3
    assert bus.of(OrdersSnapshot) == []


async def test_whatever_the_provider_says_everything_is_fetched_once_a_day(engine, bus, read, admin):
    admin.execute("UPDATE sync.streams SET read_at = read_at - interval '25 hours'")
    end = await sync(engine, read, trigger="schedule")
    assert (end.kind, end.unchanged) == ("incremental", 0)
    assert len(bus.of(HoldingsSnapshot)) == 3
    assert (await sync(engine, read, trigger="schedule")).kind == "check"


async def test_live_accounts_are_always_fetched(engine, bus, bank, read):
    bank.realtime = True
    await sync(engine, read, trigger="schedule")
    await sync(engine, read, trigger="schedule")
    assert len(bus.of(HoldingsSnapshot)) == 6


async def test_what_a_person_asks_for_is_fetched_though_nothing_moved(engine, bus, read):
    assert (await sync(engine, read, trigger="manual")).unchanged == 0
    assert len(bus.of(HoldingsSnapshot)) == 3


async def test_a_wish_during_a_run_is_not_answered_with_what_was_read_before_it(engine, bus, read, admin):
    running = await claim(engine, read)
    later = datetime.now(UTC) + timedelta(seconds=1)
    assert await sync(engine, read, trigger="manual", asked_at=later) is None
    admin.execute("UPDATE sync.streams SET mark = 'as before' WHERE stream = 'holdings'")
    await run(engine, running, "schedule")
    bus.sent.clear()
    end = await sync(engine, read, trigger="schedule")
    assert (end.kind, len(bus.of(HoldingsSnapshot))) == ("incremental", 3)


async def test_news_about_one_account_fetches_that_one(engine, bus, read):
    await signals.handle(engine, webhook(news(external_account_id="acc-3", streams=["holdings"])))
    (fetched,) = bus.of(HoldingsSnapshot)
    assert fetched.holdings[0].quantity == 1
    assert len(bus.of(OrdersSnapshot)) == 1


async def test_news_about_transactions_fetches_no_holdings(engine, adapter, bus, bank, read):
    bank.trade("acc-1", 1)
    await signals.handle(engine, webhook(news(streams=["transactions"])))
    assert bus.of(HoldingsSnapshot) == []
    assert adapter.asked.count("transactions") == 2


async def test_a_connection_that_works_again_is_fetched_whole(engine, bus, bank, read):
    bank.status = ConnectionStatus.BROKEN
    await sync(engine, read, trigger="schedule")
    bank.status = ConnectionStatus.ACTIVE
    end = await sync(engine, read, trigger="schedule")
    assert (end.unchanged, len(bus.of(HoldingsSnapshot))) == (0, 3)
    assert (await sync(engine, read, trigger="schedule")).kind == "check"


async def test_an_incomplete_read_is_not_noted(engine, adapter, bus, begun, bank):
    bank.data_ready = False
    await begun("s1", "u1", bank)
    (connection,) = (await finish(engine, "s1", user_id="u1")).fresh
    await sync(engine, connection, trigger="link")
    bank.data_ready = True
    bus.sent.clear()
    end = await sync(engine, connection, trigger="schedule")
    assert (end.kind, end.status) == ("initial", SyncStatus.COMPLETED)
    assert [snapshot.complete for snapshot in bus.of(HoldingsSnapshot)] == [True] * 3


async def test_what_the_broker_did_not_confirm_is_not_noted(engine, bus, bank, read):
    bank.fetched_at += timedelta(hours=1)
    bus.refuse = 3
    with pytest.raises(NotConfirmedError):
        await sync(engine, read, trigger="schedule")
    bus.sent.clear()
    end = await sync(engine, read, trigger="schedule")
    assert (end.unchanged, len(bus.of(HoldingsSnapshot))) == (0, 3)


async def test_an_empty_answer_is_asked_for_again_by_the_next_run(engine, bus, bank, read):
    bank.fetched_at += timedelta(hours=1)
    held, bank.accounts["acc-1"] = bank.accounts["acc-1"], {}
    assert (await sync(engine, read, trigger="schedule")).status is SyncStatus.COMPLETED
    bank.accounts["acc-1"] = held
    bus.sent.clear()
    end = await sync(engine, read, trigger="schedule")
    (fetched,) = bus.of(HoldingsSnapshot)
    assert (end.unchanged, len(fetched.holdings)) == (2, 1)
    assert (await sync(engine, read, trigger="schedule")).kind == "check"


async def test_a_failed_account_is_fetched_again_and_the_others_are_not(engine, adapter, bus, bank, read):
    bank.fetched_at += timedelta(hours=1)
    adapter.failures["holdings:acc-2"] = [down() for _ in range(9)]
    assert (await sync(engine, read, trigger="schedule")).status is SyncStatus.PARTIAL
    adapter.failures.clear()
    bus.sent.clear()
    end = await sync(engine, read, trigger="schedule")
    assert (end.status, end.unchanged) == (SyncStatus.COMPLETED, 2)
    assert len(bus.of(HoldingsSnapshot)) == 1


async def test_what_an_institution_does_not_have_is_no_failure_and_not_asked_for_again(
    engine, adapter, bus, bank, begun
):
    bank.orders, bank.history, bank.marked = {}, False, False
    await begun("s1", "u1", bank)
    (connection,) = (await finish(engine, "s1", user_id="u1")).fresh
    end = await sync(engine, connection, trigger="link")
    assert (end.status, end.error_code) == (SyncStatus.COMPLETED, None)
    asked = adapter.asked.count("orders"), adapter.asked.count("history")
    await sync(engine, connection, trigger="manual")
    assert (adapter.asked.count("orders"), adapter.asked.count("history")) == asked == (3, 3)
    assert bus.of(OrdersSnapshot) == bus.of(BalanceHistorySnapshot) == []


@pytest.mark.parametrize("stream", ["orders", "history"])
async def test_what_nothing_depends_on_may_fail_and_is_asked_for_again(
    engine, adapter, bus, bank, begun, stream
):
    await begun("s1", "u1", bank)
    (connection,) = (await finish(engine, "s1", user_id="u1")).fresh
    adapter.failures[stream] = [RefusedError("no", code=ErrorCode.PROVIDER_REFUSED, provider="fake")]
    end = await sync(engine, connection, trigger="link")
    assert (end.status, end.error_code) == (SyncStatus.PARTIAL, "PROVIDER_REFUSED")
    assert len(bus.of(HoldingsSnapshot)) == 3
    asked = adapter.asked.count(stream)
    end = await sync(engine, connection, trigger="schedule")
    assert (end.status, end.unchanged) == (SyncStatus.COMPLETED, 3)
    assert adapter.asked.count(stream) == asked + 1


async def test_a_history_is_published_once_a_day(engine, adapter, bus, read, bank):
    bank.marked = False
    await sync(engine, read, trigger="manual")
    assert adapter.asked.count("history") == 3
    assert bus.of(BalanceHistorySnapshot) == []
    await signals.handle(engine, webhook(news(streams=["history"])))
    assert [len(one.points) for one in bus.of(BalanceHistorySnapshot)] == [2, 2, 2]


async def test_a_notice_is_stored_and_told_once(engine, bus, read, admin):
    ends = datetime(2030, 1, 1, tzinfo=UTC)
    signal = Signal(meaning=Meaning.EXPIRING, external_connection_id="item-1", repair_by=ends)
    for _ in range(2):
        await signals.handle(engine, webhook(signal))
    (told,) = bus.of(ConnectionStatusChanged)
    assert (told.status, told.reason, told.repair_by) == (ConnectionStatus.ACTIVE, "expiring", ends)
    assert admin.execute("SELECT repair_by FROM sync.sync_state").fetchone() == (ends,)
    await signals.handle(engine, webhook(Signal(meaning=Meaning.REPAIRED, external_connection_id="item-1")))
    assert bus.of(ConnectionStatusChanged)[1].repair_by is None
    assert bus.of(ConnectionStatusChanged)[1].version > told.version
    await sync(engine, read, trigger="schedule")
    assert len(bus.of(ConnectionStatusChanged)) == 2


async def test_a_notice_during_a_run_is_told_by_the_next(engine, bus, read, admin):
    ends = datetime(2030, 1, 1, tzinfo=UTC)
    running = await claim(engine, read)
    await connections.expires(engine.database, read, ends)
    await run(engine, running, "schedule")
    assert bus.of(ConnectionStatusChanged) == []
    await sync(engine, read, trigger="schedule")
    (told,) = bus.of(ConnectionStatusChanged)
    assert told.repair_by == ends


async def test_the_providers_own_notice_is_told_and_kept_when_the_status_moves(engine, bus, bank, read):
    bank.repair_by = datetime(2030, 1, 1, tzinfo=UTC)
    await sync(engine, read, trigger="schedule")
    await sync(engine, read, trigger="schedule")
    bank.status = ConnectionStatus.BROKEN
    await sync(engine, read, trigger="schedule")
    told = bus.of(ConnectionStatusChanged)
    assert [(one.status, one.repair_by) for one in told] == [
        (ConnectionStatus.ACTIVE, bank.repair_by),
        (ConnectionStatus.BROKEN, bank.repair_by),
    ]


async def test_what_a_run_found_is_recorded_for_the_schedule(engine, adapter, bank, read, admin):
    query = "SELECT realtime, error_code, last_as_of FROM sync.sync_state"
    assert admin.execute(query).fetchone() == (False, None, bank.fetched_at)
    bank.realtime = True
    adapter.failures["accounts"] = [down() for _ in range(9)]
    await sync(engine, read, trigger="schedule")
    assert admin.execute(query).fetchone()[:2] == (True, "PROVIDER_UNAVAILABLE")


async def test_a_zombie_notes_nothing(engine, read, admin):
    zombie = await claim(engine, read)
    admin.execute("UPDATE sync.sync_state SET lease_until = clock_timestamp() - interval '1 second'")
    heir = await claim(engine, read)
    note = Note(WHOLE, Stream.TRANSACTIONS, cursor="far", read_at=datetime.now(UTC))
    assert await streams.save(engine.database, heir, [note]) == 1
    back = Note(WHOLE, Stream.TRANSACTIONS, cursor="back", read_at=datetime.now(UTC))
    assert await streams.save(engine.database, zombie, [back]) == 0
    kept = await streams.load(engine.database, read)
    assert kept[WHOLE, Stream.TRANSACTIONS].cursor == "far"


async def test_the_accounts_of_a_login_are_known_as_long_as_it_is_linked(engine, bank, read, admin):
    known = await listed.of_user(engine.database, "fake", "u1")
    assert {(one.external_connection_id, one.institution_ref, one.mask) for one in known} == {
        ("item-1", "ins_1", mask) for mask in ("cc-1", "cc-2", "cc-3")
    }
    bank.accounts["a\x00d"] = bank.accounts.pop("acc-3")
    await sync(engine, read, trigger="manual")
    assert "ad" in {one.name for one in await listed.of_user(engine.database, "fake", "u1")}
    del bank.accounts["a\x00d"]
    await sync(engine, read, trigger="manual")
    assert len(await listed.of_user(engine.database, "fake", "u1")) == 2
    query = "SELECT count(DISTINCT account_id) FROM sync.streams WHERE account_id <> ''"
    assert admin.execute(query).fetchone() == (2,)
    assert await listed.of_user(engine.database, "fake", "u2") == []
    await remove(engine, RemoveConnection(user_id="u1", connection_id=read, reason="asked"))
    assert await listed.of_user(engine.database, "fake", "u1") == []
    assert admin.execute("SELECT count(*) FROM sync.streams").fetchone() == (0,)


async def test_an_empty_list_of_accounts_forgets_nothing(engine, bank, read):
    accounts, bank.accounts = bank.accounts, {}
    await sync(engine, read, trigger="manual")
    bank.accounts = accounts
    assert len(await listed.of_user(engine.database, "fake", "u1")) == 3


async def test_only_a_long_run_says_how_far_it_has_come(engine, bus, bank, read, monkeypatch):
    assert bus.of(SyncProgressed) == []
    monkeypatch.setattr("connector_kit.running.TELL_EVERY", 0.0)
    end = await sync(engine, read, trigger="manual")
    told = [(one.stream, one.done, one.total) for one in bus.of(SyncProgressed)]
    assert told[:3] == [("holdings", 1, 3), ("holdings", 2, 3), ("holdings", 3, 3)]
    assert {one.run_id for one in bus.of(SyncProgressed)} == {end.run_id}
