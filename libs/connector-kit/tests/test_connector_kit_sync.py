"""Sync runs: what is published, what is recorded, and who may run."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from connector_kit import connections
from connector_kit.finish import finish
from connector_kit.hold import CLAIM_FOR
from connector_kit.schedule import Scheduler, sweep
from connector_kit.sync import run, sync
from connector_kit.testing import FakeConnection
from contracts.accounts import AccountsSnapshot, BalancesSnapshot
from contracts.errors import ErrorCode, GoneError, RefusedError, RepairNeededError, TransientError
from contracts.holdings import HoldingsSnapshot
from contracts.messages import ConnectionStatusChanged, SyncFinished, SyncStarted
from contracts.statuses import ConnectionStatus, LinkStatus, SyncStatus
from messaging.bus import NotConfirmedError


@pytest.fixture
def admin(migrated_database):
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def linked(engine, bus, begun) -> str:
    await begun()
    done = await finish(engine, "s1", user_id="u1")
    bus.sent.clear()
    return done.fresh[0]


def down(wait: float | None = None) -> TransientError:
    return TransientError("down", code=ErrorCode.PROVIDER_UNAVAILABLE, provider="fake").waiting(wait)


def make_due(admin) -> None:
    admin.execute("UPDATE sync.sync_state SET next_sync_at = clock_timestamp() - interval '1 second'")


async def claim(engine, connection_id: str):
    return await connections.claim(
        engine.database, "fake", connection_id, holder=uuid.uuid4().hex, lease=CLAIM_FOR, asked_at=None
    )


async def test_a_run_publishes_everything_under_one_version(engine, bus, linked):
    end = await sync(engine, linked, trigger="link")
    assert end.status is SyncStatus.COMPLETED
    # State, accounts, holdings, orders (which it has not), transactions, history.
    assert (end.kind, end.accounts, end.holdings, end.provider_calls) == ("initial", 1, 2, 6)
    for kind in (SyncStarted, AccountsSnapshot, BalancesSnapshot, HoldingsSnapshot, SyncFinished):
        assert len(bus.of(kind)) == 1
    assert {event.clocks.version for event in bus.sent[1:-1]} == {end.version}
    (started,) = bus.of(SyncStarted)
    assert (started.run_id, started.kind, started.version) == (end.run_id, end.kind, end.version)
    assert isinstance(bus.sent[-1], SyncFinished)
    (holdings,) = bus.of(HoldingsSnapshot)
    assert holdings.complete
    assert {row.instrument.key: row.quantity for row in holdings.holdings} == {
        "AAPL": Decimal(10),
        "CUR:USD": Decimal("250.5"),
    }


async def test_of_two_replicas_one_claims_the_connection(engine, adapter, linked):
    results = await asyncio.gather(*(sync(engine, linked, trigger="user") for _ in range(5)))
    assert sum(end is not None for end in results) == 1
    assert adapter.asked.count("state") == 1


async def test_a_zombie_publishes_a_lower_version_and_records_nothing(engine, adapter, bus, linked, admin):
    adapter.connections["item-1"].fetched_at = None
    zombie = await claim(engine, linked)
    admin.execute("UPDATE sync.sync_state SET lease_until = clock_timestamp() - interval '1 second'")
    heir = await claim(engine, linked)
    await run(engine, heir, "schedule")
    row = admin.execute("SELECT next_sync_at, last_synced_at FROM sync.sync_state").fetchone()
    await run(engine, zombie, "schedule")
    newer, older = (snapshot.clocks.version for snapshot in bus.of(HoldingsSnapshot))
    assert older < newer
    assert admin.execute("SELECT next_sync_at, last_synced_at FROM sync.sync_state").fetchone() == row


async def test_a_live_lease_is_renewed(engine, linked, admin):
    claimed = await claim(engine, linked)
    query = "SELECT lease_until FROM sync.sync_state"
    (before,) = admin.execute(query).fetchone()
    assert await connections.renew(engine.database, claimed, CLAIM_FOR)
    assert admin.execute(query).fetchone()[0] > before


async def test_a_failed_account_leaves_the_others_right_and_replaces_nothing(engine, adapter, bus, begun):
    accounts = {name: {"AAPL": Decimal(1)} for name in ("a1", "a2", "a3")}
    await begun("s1", "u1", FakeConnection("item-1", "t", accounts=accounts))
    (connection,) = (await finish(engine, "s1", user_id="u1")).fresh
    adapter.failures["holdings:a2"] = [down() for _ in range(9)]
    end = await sync(engine, connection, trigger="user")
    assert end.status is SyncStatus.PARTIAL
    assert end.error_code == "PROVIDER_UNAVAILABLE"
    assert [one.complete for one in bus.of(HoldingsSnapshot)] == [True, True, False]


async def test_a_read_that_fails_once_is_read_again_without_repeating_the_others(engine, adapter, bus, begun):
    accounts = {name: {"AAPL": Decimal(1)} for name in ("a1", "a2", "a3")}
    await begun("s1", "u1", FakeConnection("item-1", "t", accounts=accounts))
    (connection,) = (await finish(engine, "s1", user_id="u1")).fresh
    adapter.failures["holdings:a2"] = [down()]
    adapter.failures["state"] = [down(), down()]
    end = await sync(engine, connection, trigger="user")
    assert end.status is SyncStatus.COMPLETED
    assert len(bus.of(HoldingsSnapshot)) == 3


async def test_an_account_that_is_gone_does_not_revoke_the_connection(engine, adapter, linked, admin):
    adapter.failures["holdings:acc-1"] = [
        GoneError("no such account", code=ErrorCode.CONNECTION_GONE, provider="fake")
    ]
    end = await sync(engine, linked, trigger="user")
    assert end.status is SyncStatus.FAILED
    assert admin.execute("SELECT status FROM sync.sync_state").fetchone() == ("active",)


async def test_a_broken_connection_is_said_once_and_no_longer_polled(engine, adapter, bus, linked, admin):
    adapter.connections["item-1"].status = ConnectionStatus.BROKEN
    end = await sync(engine, linked, trigger="schedule")
    assert (end.status, end.error_code) == (SyncStatus.FAILED, "CONNECTION_BROKEN")
    await sync(engine, linked, trigger="schedule")
    (moved,) = bus.of(ConnectionStatusChanged)
    assert (moved.status, moved.reason) == (ConnectionStatus.BROKEN, "LOGIN_REQUIRED")
    assert bus.of(HoldingsSnapshot) == []
    query = "SELECT next_sync_at > clock_timestamp() + interval '20 hours' FROM sync.sync_state"
    assert admin.execute(query).fetchone() == (True,)


async def test_an_error_that_needs_repair_breaks_the_connection_and_a_repair_mends_it(
    engine, adapter, bus, linked, admin
):
    adapter.failures["holdings"] = [
        RepairNeededError("sign in", code=ErrorCode.CONNECTION_BROKEN, provider="fake", provider_code="LOGIN")
    ]
    await sync(engine, linked, trigger="schedule")
    await sync(engine, linked, trigger="webhook")
    broken, active = bus.of(ConnectionStatusChanged)
    assert (broken.status, broken.provider_code) == (ConnectionStatus.BROKEN, "LOGIN")
    assert active.status is ConnectionStatus.ACTIVE
    assert broken.version < active.version
    assert [one.complete for one in bus.of(HoldingsSnapshot)] == [False, True]


async def test_a_connection_that_is_gone_is_revoked_and_rests(engine, adapter, bus, linked, admin):
    adapter.connections["item-1"].removed = True
    await sync(engine, linked, trigger="schedule")
    (moved,) = bus.of(ConnectionStatusChanged)
    assert moved.status is ConnectionStatus.REVOKED
    assert admin.execute("SELECT next_sync_at FROM sync.sync_state").fetchone() == (None,)


async def test_refusals_pause_the_connection_after_a_while(engine, adapter, linked, admin):
    refusal = RefusedError("no", code=ErrorCode.PROVIDER_REFUSED, provider="fake")
    adapter.failures["state"] = [refusal] * 3
    for _ in range(3):
        await sync(engine, linked, trigger="schedule")
    query = "SELECT paused_reason, failures FROM sync.sync_state"
    assert admin.execute(query).fetchone() == ("PROVIDER_REFUSED", 3)
    make_due(admin)
    assert await Scheduler(engine).tick() == 0
    await sync(engine, linked, trigger="user")
    assert admin.execute(query).fetchone() == (None, 0)


async def test_the_first_fetch_of_a_provider_is_waited_for_without_erasing(engine, bus, begun, admin):
    await begun("s1", "u1", FakeConnection("item-1", "t", data_ready=False, accounts={"a": {}}))
    (connection,) = (await finish(engine, "s1", user_id="u1")).fresh
    end = await sync(engine, connection, trigger="link")
    assert (end.status, end.error_code) == (SyncStatus.PARTIAL, "DATA_NOT_READY")
    assert [snapshot.complete for snapshot in bus.of(HoldingsSnapshot)] == [False]
    query = "SELECT next_sync_at < clock_timestamp() + interval '30 seconds' FROM sync.sync_state"
    assert admin.execute(query).fetchone() == (True,)


async def test_an_unconfirmed_snapshot_gives_the_claim_back(engine, bus, linked, admin):
    bus.refuse = 1
    with pytest.raises(NotConfirmedError):
        await sync(engine, linked, trigger="user")
    assert bus.of(SyncFinished) == []
    asked = datetime.now(UTC)
    assert await sync(engine, linked, trigger="user", asked_at=asked)


async def test_a_run_that_began_after_the_wish_has_served_it(engine, adapter, linked):
    asked = datetime.now(UTC) - timedelta(seconds=5)
    assert await sync(engine, linked, trigger="webhook", asked_at=asked)
    assert await sync(engine, linked, trigger="webhook", asked_at=asked) is None
    assert adapter.asked.count("state") == 1


async def test_a_wish_during_a_run_is_served_by_one_more_run(engine, adapter, linked, admin):
    running = await claim(engine, linked)
    later = datetime.now(UTC) + timedelta(seconds=1)
    for _ in range(10):
        assert await sync(engine, linked, trigger="webhook", asked_at=later) is None
    admin.execute("UPDATE sync.sync_state SET wanted_at = clock_timestamp()")
    await run(engine, running, "schedule")
    scheduler = Scheduler(engine)
    assert await scheduler.tick() == 1
    await scheduler.idle()
    assert await scheduler.tick() == 0
    assert adapter.asked.count("state") == 2


async def test_wishes_close_to_a_run_wait_for_its_distance(engine, adapter, linked, admin):
    await sync(engine, linked, trigger="link")
    spacing, later = timedelta(seconds=60), datetime.now(UTC) + timedelta(seconds=1)
    assert await sync(engine, linked, trigger="webhook", asked_at=later, spacing=spacing) is None
    query = "SELECT next_sync_at <= started_at + interval '60 seconds' FROM sync.sync_state"
    assert admin.execute(query).fetchone() == (True,)


async def test_due_connections_are_read_once_by_any_number_of_replicas(engine, adapter, begun, admin):
    for number in range(6):
        await begun(f"s{number}", "u1", FakeConnection(f"item-{number}", "t"))
        await finish(engine, f"s{number}", user_id="u1")
    # Due for a day: nothing is caught up on.
    admin.execute("UPDATE sync.sync_state SET next_sync_at = clock_timestamp() - interval '1 day'")
    replicas = [Scheduler(engine) for _ in range(3)]
    while sum([await replica.tick() for replica in replicas]):
        await asyncio.gather(*(replica.idle() for replica in replicas))
    assert adapter.asked.count("state") == 6


async def test_a_row_another_replica_is_claiming_is_passed_over(engine, begun, admin):
    for number in range(2):
        await begun(f"s{number}", "u1", FakeConnection(f"item-{number}", "t"))
        await finish(engine, f"s{number}", user_id="u1")
    make_due(admin)
    with admin.transaction():
        admin.execute("SELECT 1 FROM sync.sync_state WHERE external_id = 'item-0' FOR UPDATE")
        scheduler = Scheduler(engine)
        assert await scheduler.tick() == 1
        await scheduler.idle()


async def test_a_connection_without_auto_sync_is_left_alone(engine, linked, admin):
    await sync(engine, linked, trigger="link")
    make_due(admin)
    admin.execute("UPDATE sync.sync_state SET auto_sync = false")
    assert await Scheduler(engine).tick() == 0


async def test_a_crashed_run_is_taken_up_when_its_lease_ends(engine, linked, admin):
    await claim(engine, linked)
    assert await Scheduler(engine).tick() == 0
    admin.execute(
        """UPDATE sync.sync_state SET lease_until = clock_timestamp() - interval '1 second',
                                      next_sync_at = clock_timestamp() - interval '1 second'"""
    )
    scheduler = Scheduler(engine)
    assert await scheduler.tick() == 1
    await scheduler.idle()


@pytest.mark.parametrize("rest", ["auto_sync = false", "paused_reason = 'PROVIDER_REFUSED'"])
async def test_a_run_that_was_asked_for_and_crashed_is_taken_up_though_nothing_runs_by_itself(
    engine, linked, admin, rest
):
    await sync(engine, linked, trigger="link")
    admin.execute(f"UPDATE sync.sync_state SET {rest}")
    asked = datetime.now(UTC)
    await claim(engine, linked)
    # The command comes again: the run it asked for seems to have begun, but its process is dead.
    assert await sync(engine, linked, trigger="user", asked_at=asked) is None
    admin.execute("UPDATE sync.sync_state SET lease_until = clock_timestamp() - interval '1 second'")
    make_due(admin)
    scheduler = Scheduler(engine)
    assert await scheduler.tick() == 1
    await scheduler.idle()
    assert await scheduler.tick() == 0


async def test_a_wish_during_a_run_that_ends_paused_is_still_served(engine, adapter, linked, admin):
    await sync(engine, linked, trigger="link")
    admin.execute("UPDATE sync.sync_state SET failures = 2")
    refusal = RefusedError("no", code=ErrorCode.PROVIDER_REFUSED, provider="fake")
    adapter.failures["state"] = [refusal]
    running = await claim(engine, linked)
    later = datetime.now(UTC) + timedelta(seconds=1)
    assert await sync(engine, linked, trigger="webhook", asked_at=later) is None
    admin.execute("UPDATE sync.sync_state SET wanted_at = clock_timestamp()")
    await run(engine, running, "schedule")
    assert admin.execute("SELECT paused_reason FROM sync.sync_state").fetchone() == ("PROVIDER_REFUSED",)
    scheduler = Scheduler(engine)
    assert await scheduler.tick() == 1
    await scheduler.idle()
    assert await scheduler.tick() == 0


async def test_an_empty_list_of_accounts_proves_nothing(engine, adapter, bus, linked):
    adapter.connections["item-1"].accounts.clear()
    bus.sent.clear()
    end = await sync(engine, linked, trigger="user")
    (listed,) = bus.of(AccountsSnapshot)
    assert (listed.complete, listed.accounts, end.accounts) == (False, [], 0)


async def test_a_run_that_takes_too_long_is_given_up(engine, adapter, linked, monkeypatch):
    async def endless(*_args: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(adapter, "state", endless)
    monkeypatch.setattr("connector_kit.sync.deadline_of", lambda _engine: 0.05)
    end = await sync(engine, linked, trigger="user")
    assert (end.status, end.error_code) == (SyncStatus.FAILED, "TIMEOUT")


async def test_a_session_whose_webhook_was_lost_is_found_when_it_ran_out(engine, adapter, bus, begun):
    adapter.expires_at = datetime(2020, 1, 1, tzinfo=UTC)
    await begun()
    await sweep(engine)
    assert len(bus.of(HoldingsSnapshot)) == 1
    assert (await finish(engine, "s1", user_id="u1")).progress.status is LinkStatus.COMPLETED


async def test_an_account_that_was_listed_and_not_read_is_told_of_and_replaces_nothing(
    engine, adapter, bus, linked
):
    adapter.connections["item-1"].accounts["acc-2"] = {"MSFT": Decimal(3)}
    refused = RefusedError("gone for good", code=ErrorCode.PROVIDER_REFUSED, provider="fake")
    adapter.failures["holdings:acc-1"].append(refused)
    end = await sync(engine, linked, trigger="link")
    assert end.status is SyncStatus.PARTIAL
    by_completeness = {one.complete: one for one in bus.of(HoldingsSnapshot)}
    assert [row.instrument.key for row in by_completeness[True].holdings] == ["MSFT"]
    told = by_completeness[False]
    assert (told.holdings, told.clocks.version) == ([], end.version)
    assert told.gap is not None
    assert ErrorCode.PROVIDER_REFUSED in told.gap
    assert len(bus.of(BalancesSnapshot)) == 1


async def test_nothing_is_told_of_accounts_that_could_not_even_be_listed(engine, adapter, bus, linked):
    adapter.failures["accounts"] += [down(60.0)]
    end = await sync(engine, linked, trigger="link")
    assert end.status is SyncStatus.FAILED
    assert bus.of(HoldingsSnapshot) == []
