"""The stream: each user's own events, in order, resumed without loss or doubles, ended in order."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import msgspec
import psycopg
import pytest
from msgspec import inspect
from pydantic import SecretStr

from contracts.accounts import BalancesSnapshot
from contracts.envelope import decode
from contracts.messages import (
    EVENTS,
    AccountDecisionNeeded,
    ConnectionLinked,
    ConnectionStatusChanged,
    CurrencyTotal,
    PositionsConsolidated,
    SyncStarted,
)
from contracts.orders import OrdersSnapshot
from gateway import api as gateway_api
from gateway.build import build
from gateway.devtoken import mint
from gateway.stream import flowing, reader
from gateway.stream.flowing import Flowing
from gateway.stream.frames import frame, last_seen
from gateway.stream.reader import Pace, Start, follow
from gateway.stream.shown import KINDS, RESET, Event, shown
from gateway.stream.store import after, ends, keep
from gateway.upkeep import retention
from messaging.bus import Outgoing
from messaging.memory import MemoryBus
from messaging.publishing import outgoing_event, publish_event
from messaging.rabbit import RabbitBus
from messaging.topology import GATEWAY_STREAM, onefolio
from persistence import roles
from persistence.database import Database
from service_kit.clock import SystemClock
from service_kit.http_server import HttpServer

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
NAMES = {
    "sync.started", "sync.progressed", "sync.finished", "connection.linked", "connection.status_changed",
    "positions.consolidated", "account.decision_needed", "account.break_found", "refresh.settled",
}  # fmt: skip


def started(number, user="alice"):
    return SyncStarted(
        user_id=user,
        provider="plaid",
        connection_id="0f8b5f0e-5b1d-5d6e-9a53-0c6f0c1f7a01",
        institution="chase",
        run_id=f"run-{number}",
        kind="incremental",
        trigger="schedule",
        started_at=NOW + timedelta(seconds=number),
        version=number,
    )


def fact(message):
    return decode(outgoing_event(message, source="test", time=NOW).body)


def test_users_see_the_events_that_are_promised_and_no_id_of_a_provider():
    assert {kind.name for kind in KINDS.values()} == NAMES
    assert RESET not in NAMES
    assert set(KINDS) <= set(EVENTS.values())
    members = {member for kind in KINDS.values() for member in kind.members}
    assert not [one for one in members if "external" in one or "secret" in one or one in {"user_id", "error"}]
    for cls, kind in KINDS.items():
        assert set(kind.members) <= set(cls.__struct_fields__)


def sample(kind):
    """Some value of a type as messages declare it."""
    match kind:
        case inspect.UnionType():
            return sample(next(one for one in kind.types if not isinstance(one, inspect.NoneType)))
        case inspect.ListType():
            return [sample(kind.item_type)]
        case inspect.StructType():
            return {field.encode_name: sample(field.type) for field in kind.fields}
        case inspect.EnumType():
            return next(iter(kind.cls)).value
        case inspect.DateTimeType():
            return NOW
        case inspect.DateType():
            return NOW.date()
        case inspect.DecimalType():
            return Decimal("1.50")
        case inspect.IntType():
            return 7
        case inspect.BoolType():
            return True
        case _:
            return "alice"


@pytest.mark.parametrize("cls", list(KINDS), ids=lambda cls: cls.__name__)
def test_every_watched_fact_becomes_an_event_of_plain_json(cls):
    message = msgspec.convert(sample(inspect.type_info(cls)), cls)
    event = shown(fact(message))
    assert event.type == KINDS[cls].name
    assert set(event.data) == set(KINDS[cls].members)
    assert json.loads(json.dumps(event.data)) == event.data
    assert event.event_id == outgoing_event(message, source="test", time=NOW).event_id


def test_what_is_shown_is_plain_json_with_decimals_as_text():
    totals = [CurrencyTotal(currency="USD", market_value=Decimal("1E+3"), complete=True)]
    said = PositionsConsolidated(
        user_id="alice", portfolio_id="p", version=2, positions=1, changed=1, removed=0, totals=totals,
        breaks=0, consolidated_at=NOW,
    )  # fmt: skip
    event = shown(fact(said))
    assert event.user_id == "alice"
    assert json.loads(json.dumps(event.data))["totals"] == [
        {"currency": "USD", "market_value": "1000", "complete": True}
    ]
    assert event.data["consolidated_at"] == "2026-11-21T14:30:00+00:00"
    linked = ConnectionLinked(
        user_id="alice", provider="plaid", connection_id="c", external_id="canary-item", institution="chase",
        institution_name="Chase", connection_type="read", link_session_id=None, linked_at=NOW, version=1,
    )  # fmt: skip
    assert "canary" not in json.dumps(shown(fact(linked)).data)


def test_snapshots_are_nobodys_to_watch():
    for cls in (OrdersSnapshot, BalancesSnapshot):
        assert cls not in KINDS


def test_an_event_whose_text_has_line_breaks_is_still_one_event():
    assert frame(7, "x", '{"a":\n1}') == b'id: 7\nevent: x\ndata: {"a":\ndata: 1}\n\n'


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (None, None),
        ("", None),
        (" 12 ", 12),
        ("0", 0),
        ("-1", -1),
        ("x", -1),
        ("1e3", -1),
        ("9" * 30, -1),
        ("١٢", -1),
    ],
)
def test_the_last_id_is_a_number_or_unknown(text, number):
    assert last_seen(text) == number


# Keeping


@pytest.fixture
async def database(migrated_database):
    made = Database(migrated_database.url(roles.GATEWAY), max_size=6)
    await made.open()
    yield made
    await made.close()


def event(number, user="alice"):
    return Event(user, f"event-{user}-{number}", "sync.started", {"n": number})


async def test_an_event_that_comes_again_is_kept_once_and_users_are_apart(database):
    await keep(database, [event(1), event(2), event(1), event(1, "bob")], NOW)
    await keep(database, [event(2), event(3)], NOW)
    found = await after(database, "alice", 0, 100)
    assert [json.loads(one.data)["n"] for one in found] == [1, 2, 3]
    assert len(await after(database, "bob", 0, 100)) == 1
    assert (await ends(database, "alice")).newest == found[-1].id


async def test_numbers_become_visible_in_order_whatever_writers_race(database, migrated_database):
    """A reader that follows while eight writers race sees every event once, numbers only growing."""
    other = Database(migrated_database.url(roles.GATEWAY), max_size=6)
    await other.open()
    seen, position = [], 0
    try:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for writer in range(8):
                batches = [[event(writer * 100 + n)] for n in range(10)]
                group.create_task(write(other, batches))
            while len(seen) < 80:
                found = await after(database, "alice", position, 7)
                seen += [one.id for one in found]
                position = seen[-1] if seen else 0
                await asyncio.sleep(0)
    finally:
        await other.close()
    assert seen == sorted(set(seen))


async def write(database, batches):
    for batch in batches:
        await keep(database, batch, NOW)


async def test_what_is_forgotten_moves_the_mark_by_which_old_readers_are_known(database, settings):
    await keep(database, [event(1), event(1, "bob")], NOW - timedelta(hours=25))
    await keep(database, [event(2)], NOW)
    old = (await after(database, "alice", 0, 1))[0].id
    assert await retention.purge(database, settings, NOW) == 2
    known = await ends(database, "alice")
    assert (known.knows(old), known.knows(known.newest), known.knows(known.newest + 1)) == (
        False,
        True,
        False,
    )
    assert [one.id for one in await after(database, "alice", known.oldest, 9)] == [known.newest]


# Over HTTP


@dataclass
class Live:
    """A gateway that serves on a port, and the bus it consumes."""

    service: object
    bus: object
    http: httpx.AsyncClient
    settings: object

    @property
    def streams(self):
        return self.service.app.state.streams

    async def say(self, *messages):
        for message in messages:
            await publish_event(self.bus, message, source="test", time=NOW)

    @asynccontextmanager
    async def watching(self, user="alice", **options):
        token = mint(self.settings.jwt_secret.get_secret_value(), user, now=SystemClock().now())
        headers = {"Authorization": f"Bearer {token}"} | options.pop("headers", {})
        async with self.http.stream("GET", "/v1/stream", headers=headers, **options) as answer:
            yield Watching(answer)


class Watching:
    """A reader of a stream."""

    def __init__(self, answer):
        self.answer = answer
        self.last = None
        self._lines = answer.aiter_lines()

    async def block(self):
        """The next block of lines as a dictionary; a comment is under the empty name. None at the end."""
        found = {}
        async with asyncio.timeout(20):
            async for line in self._lines:
                if not line and found:
                    self.last = found.get("id", self.last)
                    return found
                name, _, value = line.partition(":")
                if line:
                    found[name] = value.strip()
        return None

    async def runs(self, count):
        """The run ids of the next events."""
        seen = []
        while len(seen) < count:
            block = await self.block()
            assert block is not None, "the stream ended"
            if "event" in block:
                seen.append(json.loads(block["data"])["run_id"])
        return seen


@asynccontextmanager
async def living(settings, connectors, bus):
    service = build(settings, connectors=connectors, **({} if bus is None else {"bus": bus}))
    for step in service.on_start:
        await step()
    server = HttpServer(service.app, "127.0.0.1", 0)
    await server.start()
    tasks = [asyncio.ensure_future(step()) for step in (server.run, *service.background)]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=20) as http:
            yield Live(service, bus, http, settings)
    finally:
        service.health.drain()
        await server.stop()
        for step in service.on_drain:
            await step()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for step in service.on_stop:
            await step()


@pytest.fixture
def live_settings(make_settings, migrated_database):
    return make_settings(database_url=SecretStr(migrated_database.url(roles.GATEWAY)))


@pytest.fixture
async def live(live_settings, connectors):
    bus = MemoryBus(onefolio())
    async with living(live_settings, connectors, bus) as made:
        yield made
    await bus.close()


async def test_each_user_sees_their_own_events_as_they_happen(live):
    async with live.watching("alice") as alice, live.watching("bob") as bob:
        assert alice.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert (alice.answer.headers["cache-control"], alice.answer.headers["x-accel-buffering"]) == (
            "no-store", "no",
        )  # fmt: skip
        assert (await alice.block())["retry"] == "3000"
        await live.say(started(1), started(2, "bob"), started(3))
        assert await alice.runs(2) == ["run-1", "run-3"]
        assert await bob.runs(1) == ["run-2"]


@pytest.mark.parametrize("how", ["header", "query"])
async def test_a_stream_goes_on_behind_the_last_event_without_loss_or_doubles(live, how):
    async with live.watching() as alice:
        await alice.block()
        await live.say(*(started(n) for n in range(5)))
        assert await alice.runs(2) == ["run-0", "run-1"]
        last = alice.last
    await live.say(*(started(n) for n in range(5, 250)), started(3))
    options = {"headers": {"Last-Event-ID": last}} if how == "header" else {"params": {"last_event_id": last}}
    async with live.watching(**options) as alice:
        assert await alice.runs(248) == [f"run-{n}" for n in range(2, 250)]
        await live.say(started(250))
        assert await alice.runs(1) == ["run-250"]


async def test_what_happens_between_two_streams_is_seen_by_the_second_even_if_the_first_saw_nothing(live):
    async with live.watching() as alice:
        first = await alice.block()
    await live.say(started(1))
    async with live.watching(headers={"Last-Event-ID": first["id"]}) as alice:
        assert await alice.runs(1) == ["run-1"]


async def test_who_begins_without_an_id_sees_only_what_comes(live):
    async with live.watching() as alice:
        await live.say(started(1))
        await alice.runs(1)
    async with live.watching() as alice:
        assert await alice.block() == {"retry": "3000", "id": alice.last}
        await live.say(started(2))
        assert await alice.runs(1) == ["run-2"]


async def test_a_reader_that_was_away_too_long_or_knows_an_id_of_nothing_is_told_to_read_anew(
    live, migrated_database
):
    async with live.watching() as alice:
        await live.say(started(1), started(2))
        await alice.runs(1)
        seen = alice.last
        await alice.runs(1)
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as conn:
        conn.execute("DELETE FROM gateway.stream_events")
    for last, reason in ((seen, "too_old"), ("999999999", "unknown"), ("garbage", "unknown")):
        async with live.watching(headers={"Last-Event-ID": last}) as alice:
            await alice.block()
            reset = await alice.block()
            assert (reset["event"], json.loads(reset["data"])) == ("reset", {"reason": reason})
            position = reset["id"]
    await live.say(started(3))
    async with live.watching(headers={"Last-Event-ID": position}) as alice:
        assert await alice.runs(1) == ["run-3"]


async def test_who_saw_nothing_for_a_day_missed_nothing_and_need_not_read_anew(live, migrated_database):
    async with live.watching("alice") as alice:
        await live.say(started(1))
        await alice.runs(1)
        last = alice.last
    async with live.watching("bob") as bob:
        await live.say(started(2, "bob"), started(3, "bob"))
        await bob.runs(2)
    # She comes back within the day, and again after what others saw meanwhile was forgotten.
    async with live.watching("alice", headers={"Last-Event-ID": last}) as alice:
        last = (await alice.block())["id"]
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as conn:
        conn.execute("DELETE FROM gateway.stream_events")
    async with live.watching("alice", headers={"Last-Event-ID": last}) as alice:
        await alice.block()
        await live.say(started(4))
        assert await alice.runs(1) == ["run-4"]


async def test_another_users_id_opens_nothing_of_theirs(live):
    async with live.watching("bob") as bob:
        await live.say(started(1, "bob"), started(2, "bob"))
        await bob.runs(1)
        theirs = bob.last
    async with live.watching("alice", headers={"Last-Event-ID": theirs}) as alice:
        await live.say(started(3))
        assert await alice.runs(1) == ["run-3"]


async def test_a_user_has_a_bounded_number_of_open_streams_and_closing_one_makes_room(live):
    live.streams.most = 2
    async with live.watching() as one, live.watching() as two:
        await one.block()
        await two.block()
        async with live.watching() as three:
            await three.answer.aread()
            error = three.answer.json()["error"]
            assert (three.answer.status_code, error["code"]) == (429, "RATE_LIMITED")
            assert error["details"] == {"reason": "open_streams", "limit": 2}
            assert int(three.answer.headers["retry-after"]) > 0
        async with live.watching("bob") as bob:
            assert bob.answer.status_code == 200
    async with asyncio.timeout(20):
        while True:
            async with live.watching() as again:
                if again.answer.status_code == 200:
                    return
            await asyncio.sleep(0.02)


async def test_nobody_watches_without_a_token(live):
    assert (await live.http.get("/v1/stream")).status_code == 401


async def test_streams_end_in_order_when_the_process_drains(live):
    async with live.watching() as alice:
        await alice.block()
        live.service.health.drain()
        assert await alice.block() is None


async def test_deadlines_of_handlers_and_bodies_do_not_cut_a_stream(live_settings, connectors, monkeypatch):
    monkeypatch.setattr(gateway_api, "HANDLER_SECONDS", 0.2)
    monkeypatch.setattr(gateway_api, "LONGER", 0.2)
    bus = MemoryBus(onefolio())
    async with living(live_settings, connectors, bus) as live:
        live.streams.pace = Pace(heartbeat=0.1)
        async with live.watching() as alice:
            await alice.block()
            for _ in range(6):
                assert await alice.block() == {"": "still here"}
            await live.say(started(1))
            assert await alice.runs(1) == ["run-1"]
    await bus.close()


async def test_a_stream_that_has_lived_long_enough_ends_in_order(live):
    live.streams.pace = Pace(heartbeat=0.05, lifetime=0.1)
    async with live.watching() as alice:
        while await alice.block() is not None:
            pass


async def test_events_that_another_instance_kept_arrive_too(live, live_settings, connectors):
    elsewhere = MemoryBus(onefolio())
    async with living(live_settings, connectors, elsewhere) as other, live.watching() as alice:
        await alice.block()
        await other.say(started(1))
        assert await alice.runs(1) == ["run-1"]
    await elsewhere.close()


async def test_a_lost_ear_is_found_again_and_nothing_is_missed(live, migrated_database):
    async with live.watching() as alice:
        await alice.block()
        with psycopg.connect(migrated_database.admin_url, autocommit=True) as conn:
            async with asyncio.timeout(20):
                while not conn.execute(DEAFEN).fetchall():  # noqa: ASYNC110 - any state of a test
                    await asyncio.sleep(0.02)
        await live.say(started(1))
        assert await alice.runs(1) == ["run-1"]


DEAFEN = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE '%gateway_stream%' AND query LIKE 'LISTEN%'"""


async def test_a_fact_that_cannot_be_kept_is_parked_and_the_others_are_shown(live):
    status = ConnectionStatusChanged(
        user_id="al\x00ice", provider="plaid", connection_id="c", status="broken", reason=None,
        provider_code=None, changed_at=NOW, version=1,
    )  # fmt: skip
    async with live.watching() as alice:
        await alice.block()
        await live.bus.publish(Outgoing("", GATEWAY_STREAM, b"no json", "x", "onefolio.sync.started.v1"))
        await live.say(status, started(1))
        assert await alice.runs(1) == ["run-1"]
    async with asyncio.timeout(20):
        while await live.bus.depth(f"{GATEWAY_STREAM}.parked") < 2:  # noqa: ASYNC110 - the port tells on request only
            await asyncio.sleep(0.01)


async def test_a_fact_nobody_watches_is_taken_and_not_kept(live, database):
    snapshot = msgspec.convert(sample(inspect.type_info(OrdersSnapshot)), OrdersSnapshot)
    needed = AccountDecisionNeeded(user_id="alice", account_ids=["a", "b"], score=Decimal("0.5"), reasons=[])
    await live.say(snapshot, needed)
    async with asyncio.timeout(20):
        while not (found := await after(database, "alice", 0, 9)):  # noqa: ASYNC110 - any state of a test
            await asyncio.sleep(0.01)
    assert [one.type for one in found] == ["account.decision_needed"]


async def test_what_the_broker_carries_reaches_the_stream(live_settings, connectors, amqp_vhost_url):
    settings = live_settings.model_copy(update={"amqp_url": SecretStr(amqp_vhost_url)})
    sender = await RabbitBus.open(amqp_vhost_url, onefolio(), "test")
    try:
        await publish_event(sender, started(1), source="test", time=NOW)
        async with (
            living(settings, connectors, None) as live,
            live.watching(headers={"Last-Event-ID": "0"}) as alice,
        ):
            assert await alice.runs(1) == ["run-1"]
            await publish_event(sender, started(2), source="test", time=NOW)
            assert await alice.runs(1) == ["run-2"]
    finally:
        await sender.close()


# Slow readers


class Peer:
    """The other end of an answer: takes what it is told to take, and leaves when it is told to."""

    def __init__(self, takes):
        self.takes = takes
        self.sent = []
        self.left = asyncio.Event()

    async def send(self, message):
        if len(self.sent) >= self.takes:
            await asyncio.Event().wait()
        self.sent.append(message)

    async def receive(self):
        await self.left.wait()
        return {"type": "http.disconnect"}


async def test_a_slow_reader_makes_nobody_read_ahead(database):
    await keep(database, [event(n) for n in range(reader.RUN * 3)], NOW)
    asked = []

    class Counting(Database):
        def transaction(self, *args, **options):
            asked.append(1)
            return database.transaction(*args, **options)

    pieces = follow(
        Counting("postgresql://x@127.0.0.1:1/x"), "alice", asyncio.Event(), start=Start(0), pace=Pace()
    )
    peer, done = Peer(takes=5), []
    answer = Flowing(pieces, media_type="text/event-stream", done=lambda: done.append(1))
    serving = asyncio.create_task(answer({}, peer.receive, peer.send))
    async with asyncio.timeout(20):
        while len(peer.sent) < 5:  # noqa: ASYNC110 - any state of a test, with nobody to set an event
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert len(asked) == 1
    peer.left.set()
    await serving
    assert (done, len(peer.sent)) == ([1], 5)


async def test_a_reader_that_takes_nothing_for_long_is_given_up(monkeypatch):
    monkeypatch.setattr(flowing, "STUCK", 0.05)
    closed, done = [], []

    async def pieces():
        try:
            while True:
                yield b"x"
        finally:
            closed.append(1)

    peer = Peer(takes=3)
    await Flowing(pieces(), media_type="text/plain", done=lambda: done.append(1))({}, peer.receive, peer.send)
    assert (closed, done, peer.sent[-1]["more_body"]) == ([1], [1], True)


async def test_a_failure_in_the_middle_leaves_the_answer_without_its_end():
    async def pieces():
        yield b"first"
        raise RuntimeError("broken")

    peer = Peer(takes=10)
    with pytest.raises(RuntimeError, match="broken"):
        await Flowing(pieces(), media_type="text/plain")({}, peer.receive, peer.send)
    assert peer.sent[-1]["more_body"] is True
