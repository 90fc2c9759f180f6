"""Transactions page by page: none lost and none twice, wherever a run ends."""

import asyncio
import tracemalloc
import uuid
from datetime import date

import psycopg
import pytest

from connector_kit import connections
from connector_kit.conformance_activity import Ledger
from connector_kit.finish import finish
from connector_kit.hold import CLAIM_FOR
from connector_kit.schedule import Scheduler
from connector_kit.sync import run, sync
from connector_kit.testing import FakeConnection, trade_of
from contracts.connectors import AccountTransactions
from contracts.errors import ErrorCode, RepairNeededError, TransientError
from contracts.holdings import HoldingsSnapshot
from contracts.statuses import SyncStatus
from contracts.transactions import TransactionsBatch
from messaging.bus import NotConfirmedError

PAGES, PAGE = 6, 4


@pytest.fixture
def admin(migrated_database):
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def bank(adapter) -> FakeConnection:
    adapter.page_size = PAGE
    bank = FakeConnection("item-1", "t", marked=True)
    for number in range(1, PAGES * PAGE - 1):
        bank.trade("acc-1", number)
    # One is taken back, and what is genuinely the same but for its id happens twice.
    bank.activities += [("acc-1", "t-3"), ("acc-1", trade_of("acc-1", 1000))]
    return bank


@pytest.fixture
async def linked(engine, bus, begun, bank) -> str:
    await begun("s1", "u1", bank)
    (connection,) = (await finish(engine, "s1", user_id="u1")).fresh
    bus.sent.clear()
    return connection


def ledger_of(bus) -> Ledger:
    """What the consumer has: of what two runs say, the later run's word counts, whenever it came."""
    ledger = Ledger()
    for batch in sorted(bus.of(TransactionsBatch), key=lambda one: one.clocks.version):
        part = AccountTransactions(
            account_id=batch.account_id, transactions=batch.transactions, removed=batch.removed
        )
        ledger.apply(part, batch.clocks.version)
    return ledger


def told(bus) -> list[str]:
    return sorted(one.external_id for one in ledger_of(bus).transactions.values())


def there(bank: FakeConnection) -> list[str]:
    gone = {what for _, what in bank.activities if isinstance(what, str)}
    return sorted(
        what.external_id
        for _, what in bank.activities
        if not isinstance(what, str) and what.external_id not in gone
    )


async def test_a_history_is_read_to_its_end_and_only_what_is_new_afterwards(
    engine, adapter, bus, bank, linked
):
    end = await sync(engine, linked, trigger="link")
    assert (end.status, end.transactions) == (SyncStatus.COMPLETED, PAGES * PAGE - 1)
    assert (end.covers_from, end.covers_through) == (date(2026, 1, 22), date(2026, 4, 11))
    assert told(bus) == there(bank)
    assert {batch.run_id for batch in bus.of(TransactionsBatch)} == {end.run_id}
    bus.sent.clear()
    bank.trade("acc-1", 2000)
    end = await sync(engine, linked, trigger="schedule")
    assert (end.kind, end.transactions, told(bus)) == ("incremental", 1, ["t-2000"])
    asked = adapter.asked.count("transactions")
    await sync(engine, linked, trigger="manual")
    assert adapter.asked.count("transactions") == asked


async def test_holdings_are_published_before_the_history(engine, bus, linked):
    await sync(engine, linked, trigger="link")
    kinds = [type(event) for event in bus.sent]
    assert kinds.index(HoldingsSnapshot) < kinds.index(TransactionsBatch)


@pytest.mark.parametrize("page", range(PAGES))
@pytest.mark.parametrize("where", ["before the page is confirmed", "before the cursor is kept", "after it"])
async def test_a_crash_between_any_two_pages_loses_and_doubles_nothing(
    engine, bus, bank, linked, monkeypatch, where, page
):
    seen = 0

    def crash_in(module: str, name: str, moment: str) -> None:
        from importlib import import_module  # noqa: PLC0415  only here

        real = getattr(import_module(module), name)

        async def crashing(*args: object) -> object:
            nonlocal seen
            mine = name == "publish" or any(note.stream == "transactions" for note in args[2])
            seen += mine
            if mine and seen == page + 1 and moment == "before":
                raise KeyboardInterrupt
            result = await real(*args)
            if mine and seen == page + 1:
                raise KeyboardInterrupt
            return result

        patch.setattr(f"{module}.{name}", crashing)

    with monkeypatch.context() as patch:
        if where == "before the page is confirmed":
            crash_in("connector_kit.activity", "publish", "before")
        else:
            crash_in(
                "connector_kit.streams", "save", "before" if where == "before the cursor is kept" else "after"
            )
        with pytest.raises(KeyboardInterrupt):
            await sync(engine, linked, trigger="link")
    end = await sync(engine, linked, trigger="schedule")
    assert end.status is SyncStatus.COMPLETED
    assert told(bus) == there(bank)


async def test_a_page_the_broker_refuses_is_told_again(engine, bus, bank, linked, monkeypatch):
    real, seen = bus.publish_many, 0

    async def refusing(messages):
        nonlocal seen
        if any("transactions" in message.type for message in messages):
            seen += 1
            if seen == 3:
                return [NotConfirmedError("refused") for _ in messages]
        return await real(messages)

    monkeypatch.setattr(bus, "publish_many", refusing)
    with pytest.raises(NotConfirmedError):
        await sync(engine, linked, trigger="link")
    await sync(engine, linked, trigger="link")
    assert told(bus) == there(bank)
    assert len(bus.of(TransactionsBatch)) == PAGES


async def test_a_provider_that_fails_in_the_middle_is_gone_on_with(engine, adapter, bus, bank, linked):
    real, pages = adapter.transactions, []

    async def failing(*args):
        if len(pages) == 3:
            pages.append("failed")
            raise RepairNeededError("sign in", code=ErrorCode.CONNECTION_BROKEN, provider="fake")
        pages.append("read")
        return await real(*args)

    adapter.transactions = failing
    end = await sync(engine, linked, trigger="link")
    assert (end.status, end.transactions) == (SyncStatus.PARTIAL, 3 * PAGE)
    end = await sync(engine, linked, trigger="schedule")
    assert pages.count("read") == PAGES
    assert told(bus) == there(bank)


async def test_a_run_that_lost_its_lease_stops_and_moves_no_cursor_back(
    engine, adapter, bus, bank, linked, admin
):
    zombie = await claim(engine, linked)
    real, heirs = adapter.transactions, []

    async def overtaken(*args):
        page = await real(*args)
        if not heirs:
            heirs.append("begun")
            admin.execute("UPDATE sync.sync_state SET lease_until = clock_timestamp() - interval '1 second'")
            heirs.append(await run(engine, await claim(engine, linked), "schedule"))
        return page

    adapter.transactions = overtaken
    query = "SELECT cursor, version FROM sync.streams WHERE stream = 'transactions'"
    end = await run(engine, zombie, "schedule")
    assert (end.status, end.transactions) == (SyncStatus.PARTIAL, PAGE)
    assert heirs[1].status is SyncStatus.COMPLETED
    cursor, version = admin.execute(query).fetchone()
    assert (cursor.split()[0], version) == (str(PAGES * PAGE), heirs[1].version)
    assert told(bus) == there(bank)


async def claim(engine, connection: str):
    return await connections.claim(
        engine.database, "fake", connection, holder=uuid.uuid4().hex, lease=CLAIM_FOR, asked_at=None
    )


@pytest.mark.parametrize("auto_sync", [True, False])
async def test_a_history_too_long_for_one_run_is_gone_on_with_at_once(
    engine, bus, bank, linked, admin, monkeypatch, auto_sync
):
    admin.execute("UPDATE sync.sync_state SET auto_sync = %s", (auto_sync,))
    monkeypatch.setattr("connector_kit.activity.SHARE_OF_DEADLINE", 0.0)
    end = await sync(engine, linked, trigger="link")
    assert (end.status, end.transactions, end.error_code) == (SyncStatus.PARTIAL, PAGE, None)
    scheduler, runs = Scheduler(engine), 1
    while await scheduler.tick():
        await scheduler.idle()
        runs += 1
        assert runs <= PAGES
    assert runs == PAGES
    assert told(bus) == there(bank)
    assert (await sync(engine, linked, trigger="schedule")).kind == "check"


async def test_a_cursor_that_stands_still_ends_the_run(engine, adapter, linked, monkeypatch):
    async def stuck(_access, _state, _accounts, cursor, _version):
        from contracts.connectors import TransactionPage  # noqa: PLC0415  only here

        return TransactionPage(parts=[], cursor=cursor or "0", has_more=True)

    monkeypatch.setattr(adapter, "transactions", stuck)
    end = await sync(engine, linked, trigger="link")
    assert (end.status, end.error_code) == (SyncStatus.PARTIAL, "PROVIDER_PROTOCOL")


async def test_transactions_may_be_switched_off(engine, adapter, linked):
    from dataclasses import replace  # noqa: PLC0415  only here

    quiet = replace(
        engine,
        settings=engine.settings.model_copy(update={"transactions_enabled": False, "history_enabled": False}),
    )
    end = await sync(quiet, linked, trigger="link")
    assert end.status is SyncStatus.COMPLETED
    assert {"transactions", "history"}.isdisjoint(adapter.asked)


async def test_a_failure_of_transactions_leaves_the_holdings_read(engine, adapter, bus, linked):
    adapter.failures["transactions"] = [
        TransientError("slow down", code=ErrorCode.RATE_LIMITED, provider="fake").waiting(3600.0)
    ]
    end = await sync(engine, linked, trigger="link")
    assert (end.status, end.error_code) == (SyncStatus.PARTIAL, "RATE_LIMITED")
    assert len(bus.of(HoldingsSnapshot)) == 1
    bus.sent.clear()
    end = await sync(engine, linked, trigger="schedule")
    assert (end.status, end.unchanged) == (SyncStatus.COMPLETED, 1)
    assert bus.of(HoldingsSnapshot) == []


async def test_a_long_history_is_never_in_memory_at_once(engine, adapter, bus, bank, linked, monkeypatch):
    """25,000 transactions on 30 pages; only a page of them is kept."""
    count, bank.activities = 25_000, []
    adapter.page_size = -(-count // 30)
    made: list[int] = []

    class Endless(list):
        def __len__(self) -> int:
            return count

        def __getitem__(self, place):
            made.append(1)
            return [("acc-1", trade_of("acc-1", n)) for n in range(place.start, min(place.stop, count))]

    async def dropping(messages):
        await asyncio.sleep(0)
        return [None for _ in messages]

    bank.activities = Endless()
    monkeypatch.setattr(bus, "publish_many", dropping)
    tracemalloc.start()
    try:
        end = await sync(engine, linked, trigger="link")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (end.transactions, len(made)) == (count, 30)
    assert peak < 20_000_000
