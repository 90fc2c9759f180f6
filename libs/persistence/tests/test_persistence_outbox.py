"""The outbox and its relay: nothing is lost, whatever dies when."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import psycopg
import pytest

from persistence import outbox, roles
from persistence.database import Database
from persistence.outbox import OutboxMessage, channel_of
from persistence.relay import OutboxRelay
from service_kit.metrics import Metrics

SCHEMA = "portfolio"
LISTENERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"
)
ROWS = "SELECT event_id, published_at IS NOT NULL, attempts, error FROM portfolio.outbox ORDER BY id"


@dataclass(frozen=True)
class Note:
    event_id: str
    exchange: str = "onefolio.events"
    routing_key: str = "onefolio.note.v1"
    type: str = "onefolio.note.v1"
    body: bytes = b"{}"


class UnroutableError(Exception):
    pass


class Broker:
    """Confirms everything, until told otherwise."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.refuse: dict[str, Exception] = {}
        self.down: Exception | None = None
        self.arrived = asyncio.Event()

    async def publish(self, rows: list[OutboxMessage]) -> list[Exception | None]:
        if self.down:
            raise self.down
        self.got += [row.event_id for row in rows if row.event_id not in self.refuse]
        self.arrived.set()
        return [self.refuse.get(row.event_id) for row in rows]

    async def until(self, *expected: str) -> None:
        while not set(expected) <= set(self.got):
            self.arrived.clear()
            async with asyncio.timeout(20):
                await self.arrived.wait()


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture
def relay(consolidator, broker):
    return OutboxRelay(consolidator, SCHEMA, broker.publish, unroutable=(UnroutableError,))


async def add(database: Database, *ids: str) -> None:
    async with database.transaction() as conn:
        await outbox.add(conn, SCHEMA, [Note(i) for i in ids])


async def eventually(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in the database
            await asyncio.sleep(0.02)


async def first_value(conn: psycopg.AsyncConnection, statement: str) -> object:
    return (await (await conn.execute(statement)).fetchone())[0]


async def shown(metrics: Metrics, gauge: str, name: str) -> bool:
    return metrics.value(gauge, outbox=name) == 1


async def tried(database: Database) -> bool:
    return (await rows(database))[0][2] > 0


async def add_and_fail(database: Database) -> None:
    async with database.transaction() as conn:
        await outbox.add(conn, SCHEMA, [Note("a")])
        await conn.execute("SELECT 1 / 0")


async def rows(database: Database) -> list[tuple]:
    async with database.transaction() as conn:
        return await (await conn.execute(ROWS)).fetchall()


@pytest.fixture
async def running(relay):
    task = asyncio.create_task(relay.run())
    yield relay
    await relay.stop()
    async with asyncio.timeout(10):
        await task


async def test_what_is_committed_is_published_once(consolidator, relay, broker):
    await add(consolidator, "a", "b")
    assert await relay.publish_batch() == 2
    assert await relay.publish_batch() == 0
    assert broker.got == ["a", "b"]
    assert await rows(consolidator) == [("a", True, 0, None), ("b", True, 0, None)]


async def test_what_is_rolled_back_was_never_there(consolidator, relay, broker):
    with pytest.raises(psycopg.errors.DivisionByZero):
        await add_and_fail(consolidator)
    assert await relay.publish_batch() == 0
    assert broker.got == []


async def test_a_crash_between_publishing_and_marking_publishes_again_under_the_same_id(
    consolidator, broker, migrated_database
):
    await add(consolidator, "a")
    dying = Database(migrated_database.url(roles.CONSOLIDATOR), min_size=1, max_size=1)
    await dying.open()
    published = asyncio.Event()

    async def publish_then_hang(batch: list[OutboxMessage]) -> list[Exception | None]:
        await broker.publish(batch)
        published.set()
        await asyncio.Event().wait()
        return []

    crashed = asyncio.create_task(OutboxRelay(dying, SCHEMA, publish_then_hang).publish_batch())
    await published.wait()
    crashed.cancel()
    await asyncio.wait([crashed])
    await dying.close()
    assert await OutboxRelay(consolidator, SCHEMA, broker.publish).publish_batch() == 1
    assert broker.got == ["a", "a"]


async def test_a_row_that_commits_late_is_not_skipped(consolidator, relay, broker):
    async with consolidator.transaction() as late:
        await outbox.add(late, SCHEMA, [Note("early id, late commit")])
        await add(consolidator, "later id, early commit")
        assert await relay.publish_batch() == 1
    assert await relay.publish_batch() == 1
    assert broker.got == ["later id, early commit", "early id, late commit"]


async def test_two_relays_never_publish_the_same_row_side_by_side(consolidator, broker):
    await add(consolidator, *(str(number) for number in range(250)))
    both = asyncio.Barrier(2)
    first = True

    async def publish(batch: list[OutboxMessage]) -> list[Exception | None]:
        nonlocal first
        if first:
            await both.wait()
            first = False
        return await broker.publish(batch)

    relays = [OutboxRelay(consolidator, SCHEMA, publish) for _ in range(2)]
    counts = await asyncio.gather(*(relay.publish_batch() for relay in relays))
    assert counts == [100, 100]
    assert len(set(broker.got)) == len(broker.got) == 200


async def test_an_unroutable_row_stays_with_its_error_and_does_not_hold_up_the_others(
    consolidator, relay, broker
):
    broker.refuse["bad"] = UnroutableError("no queue; password=hunter2")
    await add(consolidator, "bad", "good")
    assert await relay.publish_batch() == 1
    assert await rows(consolidator) == [
        ("bad", False, 1, "UnroutableError: no queue; password=[redacted]"),
        ("good", True, 0, None),
    ]
    assert await relay.publish_batch() == 0
    broker.refuse.clear()
    async with consolidator.transaction() as conn:
        await conn.execute("UPDATE portfolio.outbox SET due_at = now()")
    assert await relay.publish_batch() == 1
    assert (await rows(consolidator))[0] == ("bad", True, 1, None)


async def test_one_bad_row_in_a_full_batch_does_not_make_the_rest_wait(consolidator, broker):
    broker.refuse["bad"] = UnroutableError("no queue")
    ids = [str(number) for number in range(150)]
    await add(consolidator, "bad", *ids)
    relay = OutboxRelay(consolidator, SCHEMA, broker.publish, poll=3600)
    task = asyncio.create_task(relay.run())
    await broker.until(*ids)
    await relay.stop()
    await task


async def test_while_the_broker_is_down_rows_wait_and_then_all_go_out(consolidator, running, broker):
    broker.down = ConnectionError("broker away")
    await add(consolidator, "a", "b")
    running.wake()
    await eventually(partial(tried, consolidator))
    broker.down = None
    running.wake()
    await broker.until("a", "b")


async def test_another_process_hears_of_new_rows_before_its_next_poll(
    consolidator, broker, migrated_database
):
    relay = OutboxRelay(consolidator, SCHEMA, broker.publish, poll=3600)
    task = asyncio.create_task(relay.run())
    async with asyncio.timeout(20):
        await listening(migrated_database.admin_url)
        await add(consolidator, "a")
        await broker.until("a")
    await relay.stop()
    await task


async def listening(admin_url: str) -> None:
    """Wait until a connection listens; the runtime role may not see what others run."""
    async with await psycopg.AsyncConnection.connect(admin_url, autocommit=True) as admin:
        await eventually(partial(first_value, admin, LISTENERS))


async def test_stopping_publishes_what_is_left(consolidator, broker):
    relay = OutboxRelay(consolidator, SCHEMA, broker.publish, poll=3600)
    task = asyncio.create_task(relay.run())
    await asyncio.sleep(0)
    await add(consolidator, *(str(number) for number in range(120)))
    await relay.stop()
    await task
    assert len(broker.got) == 120


async def test_the_relay_outlives_the_loss_of_its_connections(
    consolidator, running, broker, migrated_database
):
    await add(consolidator, "a")
    await broker.until("a")
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await add(consolidator, "b")
    await broker.until("a", "b")


async def test_old_published_rows_go_and_unpublished_ones_stay(consolidator, broker):
    relay = OutboxRelay(consolidator, SCHEMA, broker.publish, retention=timedelta(days=7))
    await add(consolidator, "old", "fresh", "stuck")
    async with consolidator.transaction() as conn:
        await conn.execute(
            "UPDATE portfolio.outbox SET published_at = now() - CASE event_id WHEN 'old' THEN interval '8 days' "
            "ELSE interval '1 day' END WHERE event_id <> 'stuck'"
        )
        await conn.execute("UPDATE portfolio.outbox SET created_at = now() - interval '1 year'")
    assert await relay.purge() == 1
    assert [row[0] for row in await rows(consolidator)] == ["fresh", "stuck"]


async def test_the_backlog_is_measured(consolidator, broker):
    metrics = Metrics("test")
    broker.refuse["bad"] = UnroutableError("no queue")
    relay = OutboxRelay(consolidator, SCHEMA, broker.publish, metrics=metrics, poll=3600)
    await add(consolidator, "bad", "good")
    task = asyncio.create_task(relay.run())
    name = channel_of(SCHEMA)
    await eventually(partial(shown, metrics, "onefolio_outbox_pending", name))
    assert metrics.value("onefolio_outbox_lag_seconds", outbox=name) > 0
    assert metrics.value("onefolio_outbox_messages_total", outbox=name, result="confirmed") == 1
    assert metrics.value("onefolio_outbox_messages_total", outbox=name, result="failed") == 1
    await relay.stop()
    await task


def test_a_schema_name_that_is_sql_is_refused():
    with pytest.raises(ValueError, match="not a plain SQL name"):
        outbox.create_outbox_sql("a; DROP TABLE b")
