"""The database: transactions, users, values, failures."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from persistence import roles
from persistence.database import Database, DatabaseUnavailable, FloatRefusedError
from persistence.failures import can_run_again

INSERT = "INSERT INTO portfolio.positions (user_id, quantity) VALUES (%s, %s)"


async def test_a_block_that_ends_is_committed_and_one_that_raises_is_not(consolidator):
    async with consolidator.transaction() as conn:
        await conn.execute(INSERT, ("u1", Decimal("1.5")))
    with pytest.raises(psycopg.errors.DivisionByZero):
        await insert_and_fail(consolidator)
    async with consolidator.transaction(rows=dict_row) as conn:
        rows = await (await conn.execute("SELECT quantity FROM portfolio.positions")).fetchall()
    assert rows == [{"quantity": Decimal("1.5000000000")}]


async def insert_and_fail(database: Database) -> None:
    async with database.transaction() as conn:
        await conn.execute(INSERT, ("u1", Decimal(9)))
        await conn.execute("SELECT 1 / 0")


async def test_the_shape_of_rows_holds_for_one_transaction_only(gateway):
    async with gateway.transaction(rows=dict_row) as conn:
        assert await (await conn.execute("SELECT 1 AS one")).fetchone() == {"one": 1}
    for _ in range(4):
        async with gateway.transaction() as conn:
            assert await (await conn.execute("SELECT 1 AS one")).fetchone() == (1,)


async def test_times_come_back_aware_and_in_utc(consolidator):
    given = datetime(2026, 3, 1, 12, tzinfo=UTC)
    async with consolidator.transaction() as conn:
        row = await (
            await conn.execute("SELECT %s::timestamptz, current_setting('timezone')", (given,))
        ).fetchone()
    assert row == (given, "UTC")
    assert row[0].utcoffset().total_seconds() == 0


async def test_numbers_inside_json_are_decimals_both_ways(consolidator):
    exact = Decimal("123456789.123456789123456789")
    async with consolidator.transaction() as conn:
        cursor = await conn.execute(
            "SELECT '{\"q\": 123456789.123456789123456789}'::jsonb, %s::jsonb", (Jsonb([exact]),)
        )
        assert await cursor.fetchone() == ({"q": exact}, [str(exact)])


async def test_a_float_is_refused(consolidator):
    with pytest.raises(FloatRefusedError):
        async with consolidator.transaction() as conn:
            await conn.execute(INSERT, ("u1", 0.1))


async def answers(database: Database) -> bool:
    try:
        await database.ready()
    except DatabaseUnavailable:
        return False
    return True


class Proxy:
    """Passes bytes on to the server, unless it is told to hold them."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.writers: list[asyncio.StreamWriter] = []

    async def start(self) -> int:
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self.target)
        self.writers += [writer, far_writer]
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self.pass_on(source, sink))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await self.flowing.wait()
            sink.write(data)
        sink.close()

    async def stop(self) -> None:
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for writer in self.writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self.writers), return_exceptions=True)


@pytest.fixture
async def proxied():
    proxies: list[Proxy] = []

    async def through(url: str) -> tuple[Proxy, str]:
        parts = urlsplit(url)
        proxy = Proxy(parts.hostname, parts.port or 5432)
        proxies.append(proxy)
        port = await proxy.start()
        login = parts.netloc.rpartition("@")[0]
        return proxy, urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))

    yield through
    for proxy in proxies:
        await proxy.stop()


class TestRowLevelSecurity:
    """The truth table of who sees what."""

    @pytest.fixture(autouse=True)
    async def rows(self, consolidator):
        async with consolidator.transaction() as conn:
            for user in ("u1", "u1", "u2"):
                await conn.execute(INSERT, (user, 1))

    async def seen(self, database, user):
        async with database.transaction(user) as conn:
            direct = await (await conn.execute("SELECT user_id FROM portfolio.positions")).fetchall()
            shown = await (await conn.execute("SELECT user_id FROM portfolio.shown")).fetchall()
        assert direct == shown
        return sorted(row[0] for row in direct)

    async def test_a_user_sees_their_own_rows(self, gateway):
        assert await self.seen(gateway, "u1") == ["u1", "u1"]
        assert await self.seen(gateway, "u2") == ["u2"]
        assert await self.seen(gateway, "stranger") == []

    async def test_without_a_user_nothing_is_seen_even_after_another_transaction_set_one(self, gateway):
        assert await self.seen(gateway, None) == []
        for _ in range(5):
            assert await self.seen(gateway, "u1") == ["u1", "u1"]
            assert await self.seen(gateway, None) == []

    async def test_an_empty_user_sees_nothing(self, gateway, consolidator):
        async with consolidator.transaction() as conn:
            await conn.execute(INSERT, ("", 1))
        assert await self.seen(gateway, "") == []

    async def test_a_user_with_sql_in_the_name_is_only_a_name(self, gateway):
        assert await self.seen(gateway, "u1' OR '1'='1") == []

    async def test_the_worker_sees_all(self, consolidator):
        assert await self.seen(consolidator, None) == ["u1", "u1", "u2"]

    async def test_the_owner_is_bound_too(self, migrated_database):
        with psycopg.connect(migrated_database.url(roles.OWNER)) as conn:
            assert conn.execute("SELECT * FROM portfolio.positions").fetchall() == []

    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO portfolio.positions (user_id, quantity) VALUES ('u2', 1)",
            "UPDATE portfolio.positions SET user_id = 'u2'",
        ],
    )
    async def test_nobody_writes_rows_for_another_user(self, gateway, statement):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with gateway.transaction("u1") as conn:
                await conn.execute(statement)

    async def test_deleting_touches_own_rows_only(self, gateway, consolidator):
        async with gateway.transaction("u1") as conn:
            await conn.execute("DELETE FROM portfolio.positions")
        assert await self.seen(consolidator, None) == ["u2"]

    @pytest.mark.parametrize("role", [roles.GATEWAY, roles.CONSOLIDATOR])
    @pytest.mark.parametrize(
        "statement",
        [
            "TRUNCATE portfolio.positions",
            "CREATE TABLE portfolio.mine (a int)",
            "DROP TABLE portfolio.positions",
            "ALTER TABLE portfolio.positions DISABLE ROW LEVEL SECURITY",
            "CREATE TABLE public.mine (a int)",
            "CREATE SCHEMA mine",
            "UPDATE portfolio.alembic_version SET version_num = 'x'",
        ],
    )
    async def test_runtime_roles_change_no_structure(self, migrated_database, role, statement):
        refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
        with psycopg.connect(migrated_database.url(role)) as conn, refused:
            conn.execute(statement)


class TestFailures:
    """What can go wrong, and what it is called."""

    async def test_no_server_means_unavailable(self):
        database = Database("postgresql://nobody:secret@127.0.0.1:1/none")
        with pytest.raises(DatabaseUnavailable) as caught:
            await database.open(timeout=0.2)
        assert "secret" not in str(caught.value)
        await database.close()

    async def test_an_exhausted_pool_means_unavailable(self, migrated_database, monkeypatch):
        monkeypatch.setattr("persistence.database.POOL_TIMEOUT", 0.1)
        database = Database(migrated_database.url(roles.GATEWAY), max_size=1)
        await database.open()
        async with database.transaction():
            with pytest.raises(DatabaseUnavailable):
                await database.ready()
        await database.ready()
        await database.close()

    async def test_a_server_that_stops_answering_means_unavailable_and_nothing_is_lost(
        self, migrated_database, proxied, monkeypatch
    ):
        monkeypatch.setattr("persistence.database.BORROW_TIMEOUT", 0.2)
        proxy, url = await proxied(migrated_database.url(roles.GATEWAY))
        database = Database(url, max_size=1)
        await database.open()
        proxy.flowing.clear()
        with pytest.raises(DatabaseUnavailable):
            await database.ready()
        proxy.flowing.set()
        async with asyncio.timeout(20):
            while not await answers(database):
                pass
        await database.close()

    async def test_borrowers_that_go_away_at_any_moment_take_no_connection_with_them(self, migrated_database):
        database = Database(migrated_database.url(roles.GATEWAY), max_size=2)
        await database.open()
        for turns in range(40):
            task = asyncio.create_task(database.ready())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with database.transaction() as one, database.transaction() as two:
            assert one is not two
        await database.close()

    async def test_connections_killed_while_idle_are_replaced_before_use(self, gateway, migrated_database):
        await gateway.ready()
        with psycopg.connect(migrated_database.admin_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'onefolio' AND datname = current_database()"
            )
        await gateway.ready()

    async def test_a_unit_of_work_whose_connection_is_killed_runs_again_as_a_whole(
        self, consolidator, migrated_database
    ):
        runs = 0

        async def work() -> int:
            nonlocal runs
            runs += 1
            async with consolidator.transaction() as conn:
                await conn.execute(INSERT, ("u1", runs))
                if runs == 1:
                    await asyncio.to_thread(self.kill, migrated_database.admin_url, conn.info.backend_pid)
                await conn.execute("SELECT 1")
                return runs

        assert await consolidator.retrying(work) == 2
        async with consolidator.transaction() as conn:
            cursor = await conn.execute("SELECT quantity FROM portfolio.positions")
            assert await cursor.fetchall() == [(Decimal(2),)]

    @staticmethod
    def kill(admin_url: str, pid: int) -> None:
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    async def test_two_that_deadlock_both_finish(self, consolidator):
        async with consolidator.transaction() as conn:
            await conn.execute(
                "INSERT INTO portfolio.positions (id, user_id, quantity) VALUES (1, 'a', 0), (2, 'a', 0)"
            )
        both = asyncio.Barrier(2)
        first_runs = {1, 2}

        async def add(first: int, second: int) -> None:
            async with consolidator.transaction() as conn:
                update = "UPDATE portfolio.positions SET quantity = quantity + 1 WHERE id = %s"
                await conn.execute(update, (first,))
                if first in first_runs:
                    first_runs.discard(first)
                    await both.wait()
                await conn.execute(update, (second,))

        await asyncio.gather(
            consolidator.retrying(lambda: add(1, 2)), consolidator.retrying(lambda: add(2, 1))
        )
        async with consolidator.transaction() as conn:
            cursor = await conn.execute("SELECT quantity FROM portfolio.positions ORDER BY id")
            assert await cursor.fetchall() == [(Decimal(2),), (Decimal(2),)]

    async def test_a_defect_is_not_retried(self, consolidator):
        runs = 0

        async def work() -> None:
            nonlocal runs
            runs += 1
            async with consolidator.transaction() as conn:
                await conn.execute("SELECT 1 / 0")

        with pytest.raises(psycopg.errors.DivisionByZero):
            await consolidator.retrying(work)
        assert runs == 1

    async def test_a_statement_that_takes_too_long_is_cut(self, migrated_database):
        database = Database(migrated_database.url(roles.GATEWAY), statement_timeout=0.05)
        await database.open()
        with pytest.raises(psycopg.errors.QueryCanceled):
            async with database.transaction() as conn:
                await conn.execute("SELECT pg_sleep(5)")
        await database.ready()
        await database.close()

    @pytest.mark.parametrize(
        ("state", "again"),
        [
            ("40001", True),
            ("40P01", True),
            ("57P01", True),
            ("08006", True),
            ("23505", False),
            ("53100", False),
            ("55P03", False),
            ("57014", False),
        ],
    )
    def test_only_these_states_run_again(self, state, again):
        error = (
            psycopg.errors.lookup(state)("x") if state != "08006" else psycopg.errors.ConnectionFailure("x")
        )
        assert can_run_again(error) is again
