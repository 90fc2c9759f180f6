"""Paid refreshes: at most one call under a charge, and everybody hears what became of it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from connector_kit import breaker, connections, refresh, refreshes
from connector_kit.commands import dispatch
from connector_kit.due import holdings_mark
from connector_kit.finish import finish
from connector_kit.sync import sync
from connector_kit.testing import FakeAdapter
from contracts.accounts import AccountType, ProviderAccount
from contracts.envelope import decode, encode
from contracts.errors import ErrorCode, GoneError, OutcomeUnknownError, RefusedError, TransientError
from contracts.ids import connection_id
from contracts.messages import RefreshOutcome, RefreshSettled, SyncConnection, SyncFinished
from messaging.bus import NotConfirmedError
from messaging.policy import PermanentError

CONNECTION = connection_id("fake", "u1", "item-1")


class Refreshing(FakeAdapter):
    """A provider with a refresh that costs money, and an invoice."""

    def __init__(self) -> None:
        super().__init__()
        self.invoice = 0

    async def refresh(self, _connection) -> None:
        """Take it, unless told otherwise; a lost answer is charged all the same."""
        try:
            self._ask("refresh")
        except OutcomeUnknownError:
            self.invoice += 1
            raise
        self.invoice += 1


@pytest.fixture
def adapter() -> Refreshing:
    return Refreshing()


@pytest.fixture
def without_refresh():
    """An adapter that serves nothing but the least."""

    class Least:
        provider = "fake"

    return Least()


@pytest.fixture
def admin(migrated_database):
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def linked(engine, bus, begun) -> str:
    await begun()
    await finish(engine, "s1", user_id="u1")
    await sync(engine, CONNECTION, trigger="link")
    bus.sent.clear()
    return CONNECTION


@pytest.fixture
def deliver(engine, linked):
    """Delivers the command again and again; each delivery has another idempotency id's fate behind it."""

    async def once(identity: str = "c1", charge: str = "charge-1", **more) -> None:
        values = {"user_id": "u1", "connection_id": CONNECTION, "kinds": ["holdings"], "trigger": "manual"}
        command = SyncConnection(**(values | more), idempotency_id=identity, charge_id=charge)
        _, body = encode(command, source="test", time=datetime.now(UTC))
        await dispatch(engine, decode(body))

    return once


def told(bus) -> list[RefreshOutcome]:
    return [event.outcome for event in bus.of(RefreshSettled)]


def row(admin, column: str) -> object:
    return admin.execute(f"SELECT {column} FROM sync.refreshes").fetchone()[0]


async def test_a_refresh_is_ordered_told_and_read(adapter, bus, deliver, admin):
    await deliver()
    assert adapter.invoice == 1
    (event,) = bus.of(RefreshSettled)
    assert (event.charge_id, event.outcome, event.connection_id) == ("charge-1", "accepted", CONNECTION)
    assert len(bus.of(SyncFinished)) == 1
    assert row(admin, "told") is True
    wanted = admin.execute(
        "SELECT wanted_at > clock_timestamp() + interval '30 s' FROM sync.sync_state"
    ).fetchone()
    assert wanted == (True,)


async def test_five_deliveries_are_one_call_and_one_event(adapter, bus, deliver):
    for _ in range(5):
        await deliver()
    assert adapter.invoice == 1
    assert told(bus) == ["accepted"]


async def test_one_charge_in_five_commands_at_once_is_one_call(adapter, bus, deliver):
    await asyncio.gather(*(deliver(identity=f"c{n}") for n in range(5)))
    assert adapter.invoice == 1
    assert set(told(bus)) == {"accepted"}


async def test_two_charges_are_two_calls(adapter, deliver):
    await deliver("c1", "charge-1")
    await deliver("c2", "charge-2")
    assert adapter.invoice == 2


@pytest.mark.parametrize(
    "error",
    [
        TransientError("down", code=ErrorCode.PROVIDER_UNAVAILABLE, provider="fake"),
        RefusedError("no", code=ErrorCode.PROVIDER_REFUSED, provider="fake"),
        GoneError("gone", code=ErrorCode.CONNECTION_GONE, provider="fake"),
    ],
)
async def test_what_the_provider_did_not_take_is_not_charged_and_not_tried_again(
    adapter, bus, deliver, error
):
    adapter.failures["refresh"] = [error]
    for number in range(3):
        await deliver(f"c{number}")
    assert adapter.asked.count("refresh") == 1
    (event,) = bus.of(RefreshSettled)
    assert (event.outcome, event.error_code, event.error) == ("refused", error.code, error.message)


async def test_a_connection_that_is_not_the_users_is_refused_without_a_call(adapter, bus, deliver):
    await deliver(user_id="mallory")
    assert adapter.asked.count("refresh") == 0
    assert [(e.user_id, e.outcome) for e in bus.of(RefreshSettled)] == [("mallory", "refused")]
    assert bus.of(SyncFinished) == []


async def test_a_provider_without_a_refresh_refuses(engine, bus, linked, without_refresh):
    command = SyncConnection(
        user_id="u1", connection_id=CONNECTION, kinds=[], trigger="manual", idempotency_id="i", charge_id="c"
    )
    connection = await connections.find(engine.database, "fake", CONNECTION)
    await refresh.pay(replace(engine, adapter=without_refresh), connection, command)
    assert [event.error_code for event in bus.of(RefreshSettled)] == [ErrorCode.NOT_SUPPORTED]


async def test_without_a_charge_a_foreign_connection_is_parked_as_before(engine, linked):
    command = SyncConnection(
        user_id="mallory", connection_id=CONNECTION, kinds=[], trigger="manual", idempotency_id="i"
    )
    _, body = encode(command, source="test", time=datetime.now(UTC))
    with pytest.raises(PermanentError):
        await dispatch(engine, decode(body))


class Crash(BaseException):
    """The process is gone."""


async def crash(*_args, **_more):
    raise Crash


async def after_the_crash(engine, admin) -> None:
    """The sweep once a call must be over."""
    admin.execute("UPDATE sync.refreshes SET called_at = called_at - interval '4 minutes'")
    await refresh.sweep(engine)
    admin.execute("UPDATE sync.refreshes SET settled_at = settled_at - interval '1 minute'")
    await refresh.sweep(engine)


async def test_a_crash_before_the_call_costs_nothing_and_ends_refused(
    engine, adapter, bus, deliver, admin, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(adapter, "refresh", crash)
        with pytest.raises(Crash):
            await deliver()
    for _ in range(4):
        await deliver()
    assert adapter.invoice == 0
    await after_the_crash(engine, admin)
    assert told(bus) == ["unknown"]
    admin.execute("UPDATE sync.refreshes SET called_at = called_at - interval '20 minutes'")
    await after_the_crash(engine, admin)
    assert told(bus) == ["unknown", "refused"]
    assert adapter.invoice == 0


async def test_a_crash_after_the_call_is_found_out_by_what_the_provider_has(
    engine, adapter, bus, deliver, admin, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(refreshes, "settle", crash)
        with pytest.raises(Crash):
            await deliver()
    for _ in range(4):
        await deliver()
    assert adapter.invoice == 1
    await after_the_crash(engine, admin)
    admin.execute("UPDATE sync.sync_state SET last_as_of = clock_timestamp()")
    await after_the_crash(engine, admin)
    assert told(bus) == ["unknown", "accepted"]
    await after_the_crash(engine, admin)
    assert told(bus) == ["unknown", "accepted"]
    assert adapter.invoice == 1


async def test_a_lost_answer_is_unknown_and_never_asked_again(engine, adapter, bus, deliver, admin):
    lost = OutcomeUnknownError("no answer", code=ErrorCode.TIMEOUT, provider="fake")
    adapter.failures["refresh"] = [lost]
    for number in range(5):
        await deliver(f"c{number}")
    assert adapter.invoice == 1
    assert told(bus) == ["unknown"]
    assert row(admin, "state") == "unknown"


async def test_an_open_breaker_refuses_without_a_call(engine, adapter, bus, deliver):
    async with engine.database.transaction() as conn:
        for _ in range(breaker.FAILURES):
            await breaker.note(conn, "fake", "example", ErrorCode.INSTITUTION_UNAVAILABLE)
    await deliver()
    assert adapter.invoice == 0
    assert [e.error_code for e in bus.of(RefreshSettled)] == [ErrorCode.INSTITUTION_UNAVAILABLE]


async def test_a_defect_in_the_call_is_unknown(adapter, bus, deliver):
    adapter.failures["refresh"] = [KeyError("on purpose")]
    await deliver()
    assert told(bus) == ["unknown"]


async def test_a_call_that_never_answers_is_given_up(adapter, bus, deliver, monkeypatch):
    async def endless(_connection) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(adapter, "refresh", endless)
    monkeypatch.setattr(refresh, "CALL_SECONDS", 0.01)
    await deliver()
    assert told(bus) == ["unknown"]


async def test_what_could_not_be_told_is_told_by_the_next_delivery(adapter, bus, deliver):
    bus.refuse = 1
    with pytest.raises(NotConfirmedError):
        await deliver()
    assert told(bus) == []
    await deliver()
    assert told(bus) == ["accepted"]
    assert adapter.invoice == 1


async def test_what_could_not_be_told_is_told_by_the_sweep(engine, bus, deliver, admin):
    bus.refuse = 1
    with pytest.raises(NotConfirmedError):
        await deliver()
    await refresh.sweep(engine)
    assert told(bus) == []
    admin.execute("UPDATE sync.refreshes SET settled_at = settled_at - interval '1 minute'")
    await refresh.sweep(engine)
    await refresh.sweep(engine)
    assert told(bus) == ["accepted"]


async def test_an_old_as_of_is_no_evidence(engine, adapter, bus, deliver, admin):
    adapter.failures["refresh"] = [OutcomeUnknownError("?", code=ErrorCode.TIMEOUT, provider="fake")]
    await deliver()
    before = datetime.now(UTC) - timedelta(hours=1)
    admin.execute("UPDATE sync.sync_state SET last_as_of = %s", (before,))
    await refresh.sweep(engine)
    assert row(admin, "state") == "unknown"
    admin.execute("UPDATE sync.sync_state SET last_as_of = clock_timestamp()")
    await refresh.sweep(engine)
    assert row(admin, "state") == "accepted"


async def test_what_the_provider_says_of_each_account_is_evidence(engine, adapter, bus, deliver, admin):
    adapter.failures["refresh"] = [OutcomeUnknownError("?", code=ErrorCode.TIMEOUT, provider="fake")]
    await deliver()
    account = ProviderAccount(
        account_id="a",
        external_id="a",
        name="a",
        type=AccountType.BROKERAGE,
        raw_type="x",
        currency="USD",
        holdings_as_of=datetime.now(UTC),
    )
    admin.execute(
        "UPDATE sync.sync_state SET last_as_of = NULL; UPDATE sync.streams SET mark = 'not_supported'"
    )
    await refresh.sweep(engine)
    assert row(admin, "state") == "unknown"
    mark = holdings_mark(account)
    admin.execute("UPDATE sync.streams SET mark = %s WHERE stream = 'holdings'", (mark,))
    await refresh.sweep(engine)
    assert row(admin, "state") == "accepted"


async def test_who_could_not_be_read_since_is_read_before_it_is_judged(engine, adapter, deliver, admin):
    adapter.failures["refresh"] = [OutcomeUnknownError("?", code=ErrorCode.TIMEOUT, provider="fake")]
    await deliver()
    admin.execute(
        "UPDATE sync.refreshes SET called_at = called_at - interval '20 minutes';"
        "UPDATE sync.sync_state SET last_synced_at = clock_timestamp() - interval '1 hour', last_as_of = NULL,"
        " wanted_at = NULL, next_sync_at = clock_timestamp() + interval '1 hour'"
    )
    await refresh.sweep(engine)
    assert row(admin, "state") == "unknown"
    assert admin.execute("SELECT next_sync_at <= clock_timestamp() FROM sync.sync_state").fetchone() == (
        True,
    )
    admin.execute("UPDATE sync.refreshes SET called_at = called_at - interval '25 hours'")
    await refresh.sweep(engine)
    assert row(admin, "state") == "refused"


async def test_a_settled_refresh_stays_as_it_is(engine, deliver):
    await deliver()
    for outcome in RefreshOutcome:
        assert await refreshes.settle(engine.database, "charge-1", refreshes.Settlement(outcome)) is None
