"""Mishaps at the worst moment: nothing is lost, nothing is paid for twice, nothing is left behind."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import psycopg
import pytest

from connector_kit import connections, refresh, refreshes
from connector_kit.commands import dispatch
from connector_kit.finish import finish
from connector_kit.hold import CLAIM_FOR
from connector_kit.limits import PAUSE_MOST, pause_of
from connector_kit.policy import RETRY_AFTER_MAX, after_failure
from connector_kit.remove import remove
from connector_kit.schedule import Scheduler, sweep
from connector_kit.sync import run, sync
from connector_kit.testing import FakeAdapter, FakeConnection
from contracts.connectors import AccountRead
from contracts.envelope import decode, encode
from contracts.errors import ErrorCode, OutcomeUnknownError, TransientError
from contracts.ids import connection_id
from contracts.linking import FinishLink, KnownAccount, LinkedConnection, LinkOutcome
from contracts.messages import (
    ConnectionLinked,
    ConnectionStatusChanged,
    RefreshSettled,
    RemoveConnection,
    SyncConnection,
    SyncFinished,
)
from contracts.statuses import ConnectionStatus, LinkStatus
from persistence.secrets import SecretStoreUnavailableError

CONNECTION = connection_id("fake", "u1", "item-1")


@pytest.fixture
def admin(migrated_database):
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def linked(engine, begun) -> str:
    await begun()
    (connection,) = (await finish(engine, "s1", user_id="u1")).fresh
    await sync(engine, connection, trigger="link")
    return connection


async def claimed(engine, connection: str, asked_at: datetime | None = None) -> connections.Claim:
    claim = await connections.claim(
        engine.database, "fake", connection, holder=uuid.uuid4().hex, lease=CLAIM_FOR, asked_at=asked_at
    )
    assert claim is not None
    return claim


def removal() -> RemoveConnection:
    return RemoveConnection(user_id="u1", connection_id=CONNECTION, reason="user")


class TestTheSchedule:
    @pytest.mark.parametrize("rest", ["auto_sync = false", "paused_reason = 'PROVIDER_REFUSED'"])
    async def test_a_wish_whose_run_could_not_publish_is_still_served(self, engine, bus, linked, admin, rest):
        admin.execute(
            f"UPDATE sync.sync_state SET {rest}, wanted_at = clock_timestamp(), next_sync_at = clock_timestamp()"
        )
        bus.refuse = 1000
        scheduler = Scheduler(engine)
        assert await scheduler.tick() == 1
        await scheduler.idle()
        bus.refuse = 0
        admin.execute("UPDATE sync.sync_state SET next_sync_at = clock_timestamp()")
        assert await scheduler.tick() == 1
        await scheduler.idle()
        assert await scheduler.tick() == 0

    async def test_a_repair_during_a_run_is_seen_by_the_next(self, engine, adapter, begun, linked, admin):
        adapter.connections["item-1"].status = ConnectionStatus.BROKEN
        running = await claimed(engine, linked)
        await begun("s2", "u1", reconnect_connection_id=linked)
        adapter.sessions["link-s2"].brings = []
        (fresh,) = (await finish(engine, "s2", user_id="u1")).fresh
        assert await sync(engine, fresh, trigger="link") is None
        await run(engine, running, "schedule")
        adapter.connections["item-1"].status = ConnectionStatus.ACTIVE
        scheduler = Scheduler(engine)
        assert await scheduler.tick() == 1
        await scheduler.idle()
        assert admin.execute("SELECT status FROM sync.sync_state").fetchone() == ("active",)

    async def test_a_link_session_that_meets_a_defect_ends_nobodys_schedule(
        self, engine, adapter, begun, monkeypatch
    ):
        adapter.expires_at = datetime(2020, 1, 1, tzinfo=UTC)
        await begun("s1")
        await begun("s2", "u2", FakeConnection("item-2", "token-2"))
        adapter.failures["finish_link"] = [KeyError("a defect")]
        await sweep(engine)
        assert (await finish(engine, "s2", user_id="u2")).progress.status is LinkStatus.COMPLETED

    async def test_the_first_read_of_a_late_link_keeps_nobody_waiting(
        self, engine, adapter, begun, monkeypatch
    ):
        adapter.expires_at = datetime(2020, 1, 1, tzinfo=UTC)
        await begun()
        reading, go_on, state = asyncio.Event(), asyncio.Event(), adapter.state

        async def slow(*args: object) -> object:
            reading.set()
            await go_on.wait()
            return await state(*args)

        monkeypatch.setattr(adapter, "state", slow)
        scheduler = Scheduler(engine)
        async with asyncio.timeout(10):
            await scheduler.tick()
            await reading.wait()
            await scheduler.tick()
            go_on.set()
            await scheduler.idle()

    @pytest.mark.parametrize("status", [ConnectionStatus.BROKEN, ConnectionStatus.STALE_CACHE])
    async def test_what_needs_a_repair_is_asked_once_a_day_how_it_stands(
        self, engine, adapter, linked, admin, status
    ):
        adapter.connections["item-1"].status = status
        await sync(engine, linked, trigger="schedule")
        query = "SELECT status, next_sync_at > clock_timestamp() + interval '20 h' FROM sync.sync_state"
        assert admin.execute(query).fetchone() == (status.value, True)

    def test_a_provider_that_asks_for_years_is_asked_again_all_the_same(self):
        error = TransientError("later", code=ErrorCode.RATE_LIMITED, provider="fake").waiting(1e9)
        following = after_failure(error, 0, timedelta(hours=1), 0.5)
        assert following.wait is not None
        assert following.wait <= 2 * timedelta(seconds=RETRY_AFTER_MAX)

    @pytest.mark.parametrize("header", ["Retry-After", "X-RateLimit-Reset"])
    def test_no_header_closes_a_gate_for_good(self, header):
        assert pause_of(429, {header: "1e300"}) == PAUSE_MOST


class TestRemoval:
    async def test_its_word_is_newer_than_that_of_a_run_begun_meanwhile(
        self, engine, adapter, bus, linked, monkeypatch
    ):
        unlink = adapter.unlink

        async def slow(access: object) -> None:
            await unlink(access)
            await run(engine, await claimed(engine, linked), "webhook")

        monkeypatch.setattr(adapter, "unlink", slow)
        await remove(engine, removal())
        told = max(bus.of(ConnectionStatusChanged), key=lambda event: event.version)
        assert told.status is ConnectionStatus.REMOVED

    async def test_what_is_linked_again_under_its_old_id_is_kept_up_to_date_again(
        self, engine, begun, linked, admin
    ):
        await remove(engine, removal())
        await begun("s2")
        await finish(engine, "s2", user_id="u1")
        row = admin.execute("SELECT status, auto_sync FROM sync.sync_state").fetchone()
        assert row == ("active", True)

    async def test_a_login_whose_secret_cannot_be_kept_is_removed_at_the_provider(
        self, engine, adapter, begun, monkeypatch
    ):
        await begun()

        async def away(*_args: object) -> None:
            raise SecretStoreUnavailableError("away")

        monkeypatch.setattr(engine.secrets, "put", away)
        with pytest.raises(SecretStoreUnavailableError):
            await finish(engine, "s1", user_id="u1")
        assert adapter.connections["item-1"].removed

    async def test_a_store_that_is_away_for_a_moment_costs_no_login(
        self, engine, adapter, begun, monkeypatch
    ):
        await begun()
        put, tries = engine.secrets.put, 0

        async def moody(*args: object) -> object:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise SecretStoreUnavailableError("away")
            return await put(*args)

        monkeypatch.setattr(engine.secrets, "put", moody)
        assert (await finish(engine, "s1", user_id="u1")).progress.status is LinkStatus.COMPLETED
        assert not adapter.connections["item-1"].removed


class Telling(FakeAdapter):
    """A provider whose sessions say which accounts were chosen, as the mask of one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.exchanging = asyncio.Event()
        self.exchanging.set()

    async def finish_link(self, link: FinishLink) -> AsyncIterator[LinkedConnection | LinkOutcome]:
        await self.exchanging.wait()
        mask = self.sessions[link.session_token or ""].mask
        async for answer in super().finish_link(link):
            if isinstance(answer, LinkedConnection) and mask:
                chosen = KnownAccount(
                    external_connection_id=answer.external_id,
                    institution_ref=answer.institution_ref,
                    name=None,
                    mask=mask,
                    raw_type=None,
                )
                yield msgspec.structs.replace(answer, accounts=[chosen])
            else:
                yield answer


class TestOneLoginInTwoSessions:
    @pytest.fixture
    def adapter(self) -> Telling:
        return Telling()

    @pytest.fixture
    async def both(self, adapter, begun) -> None:
        for number in (1, 2):
            await begun(f"s{number}", "u1", FakeConnection(f"item-{number}", f"token-{number}"))
            adapter.sessions[f"link-s{number}"].mask = "cc-1"

    async def test_the_second_is_refused_though_the_first_was_never_read(self, engine, adapter, both, bus):
        await finish(engine, "s1", user_id="u1")
        done = await finish(engine, "s2", user_id="u1")
        assert (done.progress.reason, done.progress.duplicate_of) == ("ALREADY_LINKED", CONNECTION)
        assert adapter.asked.count("exchange") == len(bus.of(ConnectionLinked)) == 1

    async def test_both_at_once_are_one_exchange(self, engine, adapter, both):
        adapter.exchanging.clear()
        looks = [asyncio.create_task(finish(engine, name, user_id="u1")) for name in ("s1", "s2")]
        async with asyncio.timeout(10):
            await asyncio.wait(looks, return_when=asyncio.FIRST_COMPLETED)
            adapter.exchanging.set()
            found = await asyncio.gather(*looks)
        assert [one.busy for one in found].count(True) == 1
        for name in ("s1", "s2"):
            await finish(engine, name, user_id="u1")
        assert adapter.asked.count("exchange") == 1

    async def test_what_was_chosen_gives_way_to_what_is_listed(self, engine, both, admin):
        (first,) = (await finish(engine, "s1", user_id="u1")).fresh
        await sync(engine, first, trigger="link")
        assert admin.execute("SELECT external_id FROM sync.accounts").fetchall() == [("acc-1",)]

    async def test_another_users_session_waits_for_nobody(self, engine, adapter, both, begun):
        await begun("s3", "u2", FakeConnection("item-3", "token-3"))
        adapter.exchanging.clear()
        first = asyncio.create_task(finish(engine, "s1", user_id="u1"))
        second = asyncio.create_task(finish(engine, "s3", user_id="u2"))
        await asyncio.sleep(0.05)
        adapter.exchanging.set()
        assert not (await first).busy
        assert not (await second).busy


class TestPaidRefreshes:
    @pytest.fixture
    def order(self, engine):
        async def sent(charge: str = "charge-1") -> None:
            command = SyncConnection(
                user_id="u1",
                connection_id=CONNECTION,
                kinds=["holdings"],
                trigger="manual",
                idempotency_id=uuid.uuid4().hex,
                charge_id=charge,
            )
            _, body = encode(command, source="test", time=datetime.now(UTC))
            await dispatch(engine, decode(body))

        return sent

    async def test_a_process_that_froze_before_the_call_does_not_call(
        self, engine, adapter, bus, linked, order, monkeypatch
    ):
        class Frozen:
            def __init__(self) -> None:
                self.jump = 0.0

            def now(self) -> datetime:
                return engine.clock.now()

            def monotonic(self) -> float:
                return engine.clock.monotonic() + self.jump

        clock, begin = Frozen(), refreshes.begin

        async def freezing(*args: object) -> bool:
            begun = await begin(*args)
            clock.jump += 1000
            return begun

        monkeypatch.setattr(refreshes, "begin", freezing)
        late = replace(engine, clock=clock)
        command = SyncConnection(
            user_id="u1",
            connection_id=CONNECTION,
            kinds=["holdings"],
            trigger="manual",
            idempotency_id="late",
            charge_id="charge-1",
        )
        connection = await connections.find(engine.database, "fake", CONNECTION)
        await refresh.pay(late, connection, command)
        assert "refresh" not in adapter.asked
        assert [event.outcome for event in bus.of(RefreshSettled)] == ["refused"]

    async def test_what_the_provider_fetched_is_seen_though_it_is_never_read_whole(
        self, engine, adapter, bus, linked, order, admin, monkeypatch
    ):
        holdings, state = adapter.holdings, adapter.state

        async def partly(*args: object) -> AsyncIterator[AccountRead]:
            async for one in holdings(*args):
                yield msgspec.structs.replace(one, complete=False)

        async def silent(*args: object) -> object:
            return msgspec.structs.replace(await state(*args), data_as_of=None)

        accounts, found = adapter.accounts, adapter.connections["item-1"]

        async def dated(*args: object) -> list[object]:
            listed = await accounts(*args)
            return [msgspec.structs.replace(one, holdings_as_of=found.fetched_at) for one in listed]

        monkeypatch.setattr(adapter, "holdings", partly)
        monkeypatch.setattr(adapter, "state", silent)
        monkeypatch.setattr(adapter, "accounts", dated)
        admin.execute("UPDATE sync.sync_state SET last_as_of = NULL; DELETE FROM sync.streams")
        adapter.failures["refresh:after"] = [
            OutcomeUnknownError("no answer", code=ErrorCode.TIMEOUT, provider="fake")
        ]
        await order()
        found.fetched_at = datetime.now(UTC) + timedelta(seconds=1)
        await sync(engine, linked, trigger="schedule")
        assert bus.of(SyncFinished)[-1].status == "partial"
        await refresh.sweep(engine)
        assert admin.execute("SELECT state FROM sync.refreshes").fetchone() == ("accepted",)
