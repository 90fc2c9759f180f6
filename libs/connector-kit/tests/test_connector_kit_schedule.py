"""The schedule: replicas share what is due, users take turns, and nobody is claimed twice or forgotten."""

import asyncio
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from structlog.testing import capture_logs

from connector_kit import calls, claiming, connections, schedule
from connector_kit.claiming import Want, claim_due
from connector_kit.commands import dispatch
from connector_kit.connections import Found
from connector_kit.policy import Next
from connector_kit.schedule import Scheduler
from contracts.envelope import decode, encode
from contracts.messages import ConfigureConnection
from contracts.statuses import ConnectionStatus
from messaging.policy import PermanentError

LEASE = timedelta(seconds=20)
INSERT = """
INSERT INTO sync.sync_state (connection_id, provider, user_id, external_id, institution, connection_type, status,
    fence, frequency_seconds, next_sync_at, last_synced_at, started_at)
SELECT %(user)s || '-' || n, 'fake', %(user)s, %(user)s || n, %(institution)s, 'read', 'active', nextval('sync.versions'),
       %(frequency)s, clock_timestamp() + %(due)s, clock_timestamp() - interval '6 hours',
       clock_timestamp() - interval '6 hours'
  FROM generate_series(1, %(count)s) n
"""


@pytest.fixture
def admin(migrated_database):
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def have(admin):
    """Gives a user connections that are due since (or in) some seconds."""

    def made(
        user: str, count: int = 1, due: float = -1, institution: str = "example", frequency: int = 3600
    ) -> None:
        values = {"user": user, "count": count, "institution": institution, "frequency": frequency}
        admin.execute(INSERT, {**values, "due": timedelta(seconds=due)})

    return made


def want(rounds: int = 4, size: int = 20) -> Want:
    return Want(uuid.uuid4().hex, LEASE, rounds, size)


async def claimed(database, **more) -> list[list[str]]:
    rounds = await claim_due(database, "fake", want(**more))
    return [[claim.connection.connection_id for claim in one] for one in rounds]


async def finish_all(database, rounds) -> None:
    found = Found(status=ConnectionStatus.ACTIVE, synced_at=datetime.now(UTC))
    for claim in (claim for one in rounds for claim in one):
        assert await connections.save(database, claim, found, Next(wait=timedelta(hours=1)))


async def test_two_replicas_share_what_is_due_and_claim_nothing_twice(database, have):
    for number in range(25):
        have(f"u{number}", 20)
    seen: Counter[str] = Counter()

    async def replica() -> int:
        mine = 0
        while rounds := await claim_due(database, "fake", want(rounds=3, size=7)):
            seen.update(claim.connection.connection_id for one in rounds for claim in one)
            mine += sum(map(len, rounds))
            await finish_all(database, rounds)
        return mine

    shares = await asyncio.gather(replica(), replica(), replica(), replica())
    assert len(seen) == 500
    assert set(seen.values()) == {1}
    assert sum(shares) == 500


async def test_what_a_dying_replica_held_is_claimed_by_another(database, have, admin):
    have("u1", 5)
    have("u2", 5)
    dead = await claimed(database, rounds=1)
    rest = await claimed(database)
    assert sorted(map(len, dead + rest)) == [5, 5]
    assert await claimed(database) == []
    admin.execute(
        "UPDATE sync.sync_state SET lease_until = clock_timestamp(), next_sync_at = clock_timestamp()"
        " WHERE connection_id = ANY(%s)",
        (dead[0],),
    )
    assert sorted((await claimed(database))[0]) == sorted(dead[0])


async def test_one_users_many_connections_do_not_starve_the_others(database, have):
    have("many", 500, due=-3600)
    for number in range(6):
        have(f"single{number}", 1, due=-1)
    served: list[str] = []
    for _ in range(5):
        rounds = await claim_due(database, "fake", want(rounds=2, size=20))
        served += [one[0].connection.user_id for one in rounds]
        assert all(len(one) <= 20 for one in rounds)
    singles = {user for user in served if user != "many"}
    assert len(singles) == 6
    assert "many" in served


async def test_what_would_be_due_soon_comes_along_and_what_is_not_stays(database, have, admin):
    have("u1", 1, due=-1)
    have("u2", 1, due=600)
    admin.execute("UPDATE sync.sync_state SET user_id = 'u1'")
    have("u3", 1, due=1200)
    admin.execute("UPDATE sync.sync_state SET user_id = 'u1' WHERE user_id = 'u3'")
    have("u4", 1, due=600)
    assert [sorted(one) for one in await claimed(database)] == [["u1-1", "u2-1"]]


@pytest.mark.parametrize(
    "change",
    [
        "failures = 2",
        "auto_sync = false",
        "paused_reason = 'X'",
        "status = 'broken'",
        "wanted_at = next_sync_at",
    ],
)
async def test_what_waits_for_a_reason_does_not_come_along(database, have, admin, change):
    have("u1", 1, due=-1)
    have("u2", 1, due=600)
    admin.execute(f"UPDATE sync.sync_state SET user_id = 'u1', {change} WHERE user_id = 'u2'")
    assert await claimed(database) == [["u1-1"]]


async def test_a_wish_is_served_though_a_connection_does_not_sync_by_itself(database, have, admin):
    have("u1", 1)
    admin.execute("UPDATE sync.sync_state SET auto_sync = false")
    assert await claimed(database) == []
    await connections.postpone(database, "fake", "u1-1", datetime.now(UTC) - timedelta(seconds=1))
    assert await claimed(database) == [["u1-1"]]


async def test_removed_connections_are_never_due(database, have, admin):
    have("u1", 1)
    admin.execute("UPDATE sync.sync_state SET status = 'removed'")
    assert await claimed(database) == []


async def test_a_herd_larger_than_the_window_is_served_whole(database, have, monkeypatch):
    monkeypatch.setattr(claiming, "WINDOW", 3)
    for number in range(10):
        have(f"u{number}", 1)
    seen: set[str] = set()
    while rounds := await claimed(database, rounds=2):
        seen |= {name for one in rounds for name in one}
    assert len(seen) == 10


class Ran(list[tuple[str, int]]):
    """Connections that were read, each with the answer it shared."""

    def __init__(self) -> None:
        super().__init__()
        self.more = asyncio.Event()

    async def enough(self, count: int) -> None:
        """Wait until there are so many."""
        while len(self) < count:
            self.more.clear()
            await self.more.wait()


@pytest.fixture
def ran(monkeypatch):
    """Replaces runs by a note of them; each shares one question with its round."""
    seen = Ran()
    asked = 0

    async def ask() -> int:
        nonlocal asked
        await asyncio.sleep(0)
        asked += 1
        return asked

    async def run(engine, claim, trigger) -> None:
        answer = await calls.shared("list", ask)
        seen.append((claim.connection.connection_id, answer))
        found = Found(status=ConnectionStatus.ACTIVE, synced_at=datetime.now(UTC))
        await connections.save(engine.database, claim, found, Next(wait=timedelta(hours=1)))
        seen.more.set()
        if claim.connection.user_id == "broken":
            raise ValueError("on purpose")

    monkeypatch.setattr(schedule, "run", run)
    return seen


async def test_a_users_connections_are_read_in_one_round(engine, have, ran):
    have("u1", 7)
    have("u2", 2)
    scheduler = Scheduler(engine)
    assert await scheduler.tick() == 9
    await scheduler.idle()
    answers = dict(ran)
    assert len(answers) == 9
    assert {answers[f"u1-{n}"] for n in range(1, 8)} != {answers["u2-1"], answers["u2-2"]}
    assert len(set(answers.values())) == 2


async def test_two_schedulers_read_everything_once(engine, have, ran):
    for number in range(30):
        have(f"u{number}", 3)
    quick = engine.settings.model_copy(update={"scheduler_poll_seconds": 0.001})
    schedulers = [Scheduler(replace(engine, settings=quick)) for _ in range(2)]
    tasks = [asyncio.create_task(one.run()) for one in schedulers]
    async with asyncio.timeout(30):
        await ran.enough(90)
    await asyncio.gather(*(one.stop() for one in schedulers), *tasks)
    assert len(ran) == 90
    assert len(dict(ran)) == 90


async def test_one_broken_run_harms_nobody_else(engine, have, ran):
    have("broken", 2)
    have("u1", 2)
    scheduler = Scheduler(engine)
    with capture_logs() as logs:
        await scheduler.tick()
        await scheduler.idle()
    assert len(ran) == 4
    assert [entry["event"] for entry in logs].count("schedule.run_broken") == 2


async def test_a_round_cut_short_gives_back_what_still_waited(engine, have, monkeypatch, admin):
    have("u1", 8)
    begun: list[str] = []

    async def endless(_engine, claim, _trigger) -> None:
        begun.append(claim.connection.connection_id)
        await asyncio.Event().wait()

    monkeypatch.setattr(schedule, "run", endless)
    scheduler = Scheduler(engine)
    assert await scheduler.tick() == 8
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await scheduler.stop()
    assert len(begun) == schedule.SIDE_BY_SIDE
    held = admin.execute("SELECT count(*) FROM sync.sync_state WHERE lease_holder IS NOT NULL").fetchone()
    assert held == (0,)


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def send(engine, now):
    async def sent(at: int = 0, **more) -> None:
        values = {"user_id": "u1", "connection_id": "u1-1", "idempotency_id": uuid.uuid4().hex}
        command = ConfigureConnection(**(values | more), asked_at=now + timedelta(seconds=at))
        _, body = encode(command, source="test", time=now)
        await dispatch(engine, decode(body))

    return sent


def state(admin, columns: str) -> tuple:
    return admin.execute(f"SELECT {columns} FROM sync.sync_state").fetchone()


async def test_settings_apply_in_the_order_they_were_asked_for(have, admin, send, now):
    have("u1", 1, due=3000)
    await send(10, auto_sync=False)
    await send(5, auto_sync=True, frequency_seconds=7200)
    assert state(admin, "auto_sync, frequency_seconds") == (False, 7200)
    await send(7, frequency_seconds=3600)
    await send(6, frequency_seconds=9000)
    assert state(admin, "auto_sync, frequency_seconds") == (False, 3600)
    assert state(admin, "configured_at")[0] == now + timedelta(seconds=10)


async def test_a_frequency_below_the_floor_becomes_the_floor(have, admin, send, engine):
    have("u1", 1, due=3000)
    await send(frequency_seconds=1)
    assert state(admin, "frequency_seconds") == (engine.settings.sync_frequency_floor_seconds,)


async def test_a_shorter_frequency_brings_the_next_run_forward_and_a_longer_one_back(have, admin, send):
    have("u1", 1, due=40_000)
    admin.execute("UPDATE sync.sync_state SET last_synced_at = clock_timestamp()")
    await send(1, frequency_seconds=3600)
    assert state(admin, "next_sync_at < clock_timestamp() + interval '61 min'") == (True,)
    await send(2, frequency_seconds=36_000)
    assert state(admin, "next_sync_at > clock_timestamp() + interval '9 h'") == (True,)


async def test_a_run_that_is_on_keeps_its_lease_and_ends_in_the_new_frequency(database, have, admin, send):
    have("u1", 1)
    rounds = await claim_due(database, "fake", want())
    before = state(admin, "next_sync_at")
    await send(60, frequency_seconds=900)
    assert state(admin, "next_sync_at") == before
    await finish_all(database, rounds)
    assert state(admin, "next_sync_at < clock_timestamp() + interval '16 min'") == (True,)


async def test_a_resumed_connection_is_read_at_once_and_a_repeated_resume_does_nothing(
    database, have, admin, send
):
    have("u1", 1, due=3000)
    admin.execute("UPDATE sync.sync_state SET paused_reason = 'X', failures = 50, auto_sync = false")
    await send(1, resume=True, idempotency_id="r1")
    assert state(admin, "paused_reason, failures") == (None, 0)
    assert await claimed(database) == [["u1-1"]]
    admin.execute("UPDATE sync.sync_state SET paused_reason = 'Y'")
    await send(1, resume=True, idempotency_id="r1")
    assert state(admin, "paused_reason") == ("Y",)


async def test_a_pause_ends_also_where_the_clocks_disagree(database, have, admin, send):
    have("u1", 1, due=3000)
    admin.execute(
        "UPDATE sync.sync_state SET paused_reason = 'X', auto_sync = false, started_at = clock_timestamp()"
    )
    await send(-60, resume=True)
    assert await claimed(database) == [["u1-1"]]


async def test_nobody_configures_another_users_connection(have, send):
    have("u1", 1)
    with pytest.raises(PermanentError):
        await send(user_id="mallory", auto_sync=False)
