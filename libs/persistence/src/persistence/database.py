"""The database: a pool of checked connections, and the one place where a transaction learns its user."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar, overload

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import AsyncRowFactory, TupleRow, tuple_row
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from persistence.failures import DatabaseUnavailable, can_run_again, unavailable

__all__ = ["Connection", "Database", "DatabaseUnavailable"]

log = structlog.get_logger(__name__)

T = TypeVar("T")
Row = TypeVar("Row")
Connection = AsyncConnection[Any]
"""A connection inside a transaction, whatever shape its rows have."""

POOL_TIMEOUT = 2.0
BORROW_TIMEOUT = 3.0
OPEN_TIMEOUT = 30.0
ATTEMPTS = 3
MAX_WAITING = 200
SET_USER = "SELECT set_config('app.user_id', %s, true)"


class FloatRefusedError(TypeError):
    """A float was about to be stored; amounts and quantities are Decimal."""


class Database:
    """One database as one role. Nothing connects before `open`.

    Connections run in UTC (timestamps come back aware) and are checked before each use; numbers in JSON come
    back as Decimal; a float as a parameter is refused.

    Args:
        url: of the role this process runs as.
        application_name: shown in `pg_stat_activity`.
        min_size: connections kept open.
        max_size: connections at most; further callers wait, at most two seconds.
        statement_timeout: seconds one statement may take.
        lock_timeout: seconds one statement may wait for a lock.
        idle_in_transaction_timeout: seconds a transaction may do nothing.
        settings: further server settings, such as `{"plan_cache_mode": "force_custom_plan"}`.
    """

    def __init__(
        self,
        url: str,
        *,
        application_name: str = "onefolio",
        min_size: int = 1,
        max_size: int = 8,
        statement_timeout: float = 5.0,
        lock_timeout: float = 3.0,
        idle_in_transaction_timeout: float = 15.0,
        settings: dict[str, str] | None = None,
    ) -> None:
        wanted = {
            "timezone": "UTC",
            "statement_timeout": _milliseconds(statement_timeout),
            "lock_timeout": _milliseconds(lock_timeout),
            "idle_in_transaction_session_timeout": _milliseconds(idle_in_transaction_timeout),
            **(settings or {}),
        }
        self.conninfo = _conninfo(url, application_name, wanted)
        self._abandoned: set[asyncio.Task[None]] = set()
        self._pool = AsyncConnectionPool(
            self.conninfo,
            min_size=min_size,
            max_size=max_size,
            max_waiting=MAX_WAITING,
            timeout=POOL_TIMEOUT,
            check=AsyncConnectionPool.check_connection,
            configure=_configure,
            reconnect_timeout=10.0,
            name=application_name,
            open=False,
        )

    async def open(self, timeout: float = OPEN_TIMEOUT) -> None:  # noqa: ASYNC109 - the pool's own parameter
        """Connect.

        Raises:
            DatabaseUnavailable: no connection within `timeout` seconds.
        """
        try:
            await self._pool.open(wait=True, timeout=timeout)
        except PoolTimeout as error:
            raise DatabaseUnavailable(f"no connection within {timeout:g} s") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()
        await asyncio.gather(*self._abandoned)

    async def ready(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            DatabaseUnavailable: there is none.
        """
        async with self.transaction() as conn:
            await conn.execute("SELECT 1")

    async def connect(self) -> AsyncConnection[TupleRow]:
        """Open a connection outside the pool, in autocommit mode (to LISTEN). The caller closes it."""
        try:
            conn = await AsyncConnection.connect(self.conninfo, autocommit=True)
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable("no connection") from error
        await _configure(conn)
        return conn

    @overload
    def transaction(
        self, user_id: str | None = None
    ) -> AbstractAsyncContextManager[AsyncConnection[TupleRow]]: ...

    @overload
    def transaction(
        self, user_id: str | None = None, *, rows: AsyncRowFactory[Row]
    ) -> AbstractAsyncContextManager[AsyncConnection[Row]]: ...

    def transaction(
        self, user_id: str | None = None, *, rows: AsyncRowFactory[Any] = tuple_row
    ) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
        """Run a transaction: committed at the end of the block, rolled back when it raises.

        Args:
            user_id: whose rows it may see; it holds for this transaction only. None sees no user's rows, unless
                the role is a worker.
            rows: shape of the rows (`psycopg.rows.dict_row`, `class_row(...)`); tuples by default.

        Raises:
            DatabaseUnavailable: no connection within two seconds, or it broke, or the server is out of something.
        """
        return self._transaction(user_id, rows)

    @asynccontextmanager
    async def _transaction(
        self, user_id: str | None, rows: AsyncRowFactory[Any]
    ) -> AsyncIterator[AsyncConnection[Any]]:
        conn = await self._borrow()
        try:
            conn.row_factory = rows
            async with conn.transaction():
                if user_id is not None:
                    await conn.execute(SET_USER, (user_id,))
                yield conn
        except psycopg.Error as error:
            if meaning := unavailable(error):
                raise meaning from error
            raise
        finally:
            conn.row_factory = tuple_row
            await self._pool.putconn(conn)

    async def _borrow(self) -> AsyncConnection[Any]:
        borrowing = asyncio.create_task(self._pool.getconn())
        try:
            # The pool's own limit does not cover its check of a connection, which hangs with a frozen server;
            # and cutting the check short takes as long again, so it is left to end by itself.
            async with asyncio.timeout(BORROW_TIMEOUT):
                return await asyncio.shield(borrowing)
        except asyncio.CancelledError:
            self._give_up(borrowing)
            raise
        except (TimeoutError, PoolTimeout, TooManyRequests, PoolClosed, psycopg.OperationalError) as error:
            self._give_up(borrowing)
            raise DatabaseUnavailable(f"no connection to be had: {type(error).__name__}") from error

    def _give_up(self, borrowing: "asyncio.Task[AsyncConnection[Any]]") -> None:
        """Let a connection that comes too late, or at the very moment its borrower went away, go back."""

        async def ended() -> None:
            results = await asyncio.gather(borrowing, return_exceptions=True)
            for late in results:
                if isinstance(late, AsyncConnection):
                    await self._pool.putconn(late)

        borrowing.cancel()
        task = asyncio.create_task(ended())
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)

    async def retrying(self, fn: Callable[[], Awaitable[T]], attempts: int = ATTEMPTS) -> T:
        """Run a whole unit of work, again if it was serialised away, deadlocked or lost its connection.

        Args:
            fn: opens its own transaction; must be safe to repeat.
            attempts: at most this many runs.
        """
        for attempt in range(1, attempts):
            try:
                return await fn()
            except (psycopg.Error, DatabaseUnavailable) as error:
                if not can_run_again(error):
                    raise
                log.warning("database.run_again", attempt=attempt, sqlstate=getattr(error, "sqlstate", None))
            await asyncio.sleep(random.uniform(0.01, 0.05) * 2**attempt)  # noqa: S311 - spreads load, no secret
        return await fn()


class RefusingDumper(Dumper):
    """Stands where psycopg would turn a float into double precision."""

    def dump(self, obj: float) -> Buffer | None:
        """Refuse.

        Raises:
            FloatRefusedError: always.
        """
        raise FloatRefusedError(f"a {type(obj).__name__} cannot be stored exactly; use Decimal or timedelta")


async def _configure(conn: AsyncConnection[Any]) -> None:
    conn.adapters.register_dumper(float, RefusingDumper)
    set_json_loads(partial(json.loads, parse_float=Decimal), conn)
    set_json_dumps(partial(json.dumps, default=_plain, ensure_ascii=False), conn)


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _conninfo(url: str, application_name: str, settings: dict[str, str]) -> str:
    given = str(conninfo_to_dict(url).get("options") or "")
    options = " ".join([given, *(f"-c {name}={value}" for name, value in settings.items())]).strip()
    return make_conninfo(url, application_name=application_name, options=options, connect_timeout=5)


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
