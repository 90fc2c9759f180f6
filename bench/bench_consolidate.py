"""How fast the consolidator turns encoded messages into committed positions, against two yardsticks in the same run.

The consolidator's own path runs, decoding and commits included: the bus in memory, the consume loop, the rules,
PostgreSQL with durable commits. The naive pattern handles the same messages (its rate is taken from the first 150)
with one transaction per event, one upsert per row and a recomputation of the whole user in dictionaries. The floor writes every row the consolidator
wrote by bare batched INSERT ... SELECT unnest and computes nothing.
"""

import argparse
import asyncio
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import structlog
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "deploy" / "local"))

from local_servers import postgres  # type: ignore[import-not-found]  # found by the path set above
from local_servers.accounts import account, home_for, remove  # type: ignore[import-not-found]  # the same

from consolidate_load import NOW, Load, make_load
from consolidator.admission import classify
from consolidator.apply import Applier
from consolidator.main import calm_collector
from consolidator.measures import Measures
from consolidator.rules import DEFAULT_RULES
from consolidator.settings import SESSION
from consolidator.store import tables
from consolidator.store.table import Table
from contracts.envelope import Received, decode
from contracts.holdings import HoldingsSnapshot
from messaging.bus import Delivery, Outgoing
from messaging.consume import Habits
from messaging.consume_batches import BatchConsumer
from messaging.memory import MemoryBus
from messaging.policy import DONE, Outcome
from messaging.topology import CONSOLIDATOR, onefolio
from persistence import roles
from persistence.database import Database
from persistence.testing import MigratedDatabase, Template, make_template
from service_kit.clock import SystemClock
from service_kit.metrics import Metrics

NEED_NAIVE, NEED_FLOOR = 10.0, 0.5
BATCH = 200
NAIVE_EVENTS = 150


@asynccontextmanager
async def consolidator(url: str) -> AsyncIterator[Applier]:
    """A consolidator that stays up, as the process does."""
    database = Database(url, settings=dict(SESSION), statement_timeout=60, max_size=4)
    await database.open()
    try:
        yield Applier(database, DEFAULT_RULES, SystemClock(), Measures(Metrics("bench")))
    finally:
        await database.close()


async def consolidate(applier: Applier, bodies: list[bytes]) -> float:
    """Seconds the consolidator takes for these messages, from the bus to the last commit."""
    counted = Countdown(applier, len(bodies))
    bus = MemoryBus(onefolio())
    habits = Habits(prefetch=2 * BATCH, classify=classify)
    consumer = BatchConsumer(bus, CONSOLIDATOR, _received, counted, limit=BATCH, habits=habits)
    for number, body in enumerate(bodies):
        await bus.publish(Outgoing("", CONSOLIDATOR, body, str(number), "onefolio.holdings.snapshot.v1"))
    began = time.perf_counter()
    await consumer.start()
    await counted.over.wait()
    seconds = time.perf_counter() - began
    await consumer.stop()
    await bus.close()
    return seconds


class Countdown:
    """A handler that says when so many messages have been handled."""

    def __init__(self, handler: Applier, messages: int) -> None:
        self._handler = handler
        self._left = messages
        self.over = asyncio.Event()

    async def __call__(self, batch: Sequence[Received]) -> list[Outcome]:
        outcomes = await self._handler(batch)
        if any(outcome is not DONE for outcome in outcomes):
            raise RuntimeError(f"a message was not applied: {outcomes}")
        self._left -= len(batch)
        if not self._left:
            self.over.set()
        return outcomes


def _received(delivery: Delivery) -> Received:
    return decode(delivery.body)


async def naive(url: str, bodies: list[bytes]) -> float:
    """Seconds the usual first version takes: per event one transaction, per row one statement."""
    async with await psycopg.AsyncConnection.connect(url) as conn:
        began = time.perf_counter()
        for body in bodies:
            message = decode(body).message
            if isinstance(message, HoldingsSnapshot):
                async with conn.transaction():
                    await _naive_event(conn, message)
        return time.perf_counter() - began


async def _naive_event(conn: Any, event: HoldingsSnapshot) -> None:
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (event.user_id,))
    await conn.execute("DELETE FROM naive.holdings WHERE account_id = %s", (event.account_id,))
    for one in event.holdings:
        key = one.instrument.key
        row = (event.account_id, event.user_id, event.provider, key, one.currency, one.quantity)
        await conn.execute(_NAIVE_HOLDING, (*row, one.price, one.market_value, one.cost_basis))
    cursor = await conn.execute("SELECT * FROM naive.holdings WHERE user_id = %s", (event.user_id,))
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for name, _, provider, key, currency, quantity, price, value, cost in await cursor.fetchall():
        position = sums.setdefault((key, currency), {"parts": [], "price": price, "provider": provider})
        position["parts"].append({"account": str(name), "quantity": str(quantity), "provider": provider})
        for figure, amount in (("quantity", quantity), ("value", value), ("cost", cost)):
            position[figure] = position.get(figure, 0) + (amount or 0)
    for slot, sums_of in sums.items():
        figures = [sums_of[figure] for figure in ("quantity", "price", "value", "cost", "provider")]
        await conn.execute(_NAIVE_POSITION, (event.user_id, *slot, *figures, json.dumps(sums_of["parts"])))


_NAIVE_HOLDING = """INSERT INTO naive.holdings VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (account_id, key, currency) DO UPDATE SET quantity = excluded.quantity, price = excluded.price,
    value = excluded.value, cost = excluded.cost"""
_NAIVE_POSITION = """INSERT INTO naive.positions VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (user_id, key, currency) DO UPDATE SET quantity = excluded.quantity, price = excluded.price,
    value = excluded.value, cost = excluded.cost, provider = excluded.provider, parts = excluded.parts"""
_NAIVE_TABLES = """CREATE SCHEMA naive;
    CREATE TABLE naive.holdings (account_id uuid, user_id text, provider text, key text, currency text,
        quantity numeric(38,18), price numeric(38,18), value numeric(28,10), cost numeric(28,10),
        PRIMARY KEY (account_id, key, currency));
    CREATE INDEX ON naive.holdings (user_id);
    CREATE TABLE naive.positions (user_id text, key text, currency text, quantity numeric(38,18),
        price numeric(38,18), value numeric(28,10), cost numeric(28,10), provider text, parts jsonb,
        PRIMARY KEY (user_id, key, currency))"""


@dataclass(frozen=True)
class Written:
    """The rows of one table, as text, in the order of its columns."""

    table: Table
    rows: list[tuple[Any, ...]]


def rows_of(url: str, since: int) -> list[Written]:
    """Every row written by that transaction or a later one, in the order in which they were written.

    A row written twice counts once.
    """
    found = []
    with psycopg.connect(url) as conn:
        for table in FLOOR_TABLES:
            names = [name for name, _ in table.keys + table.values]
            picked = ", ".join(f"{name}::text" for name in names)
            cursor = conn.execute(
                f"SELECT {picked} FROM portfolio.{table.name} WHERE xmin::text::bigint >= %s ORDER BY ctid",
                (since,),
            )
            found.append(Written(table, cursor.fetchall()))
    return found


OUTBOX = Table(
    "outbox",
    keys=(("event_id", "text"),),
    values=(("exchange", "text"), ("routing_key", "text"), ("type", "text"), ("body", "bytea")),
    stamp="created_at",
)
FLOOR_TABLES = (
    tables.SNAPSHOTS,
    tables.SIGHTINGS,
    tables.HOLDINGS,
    tables.REAL_ACCOUNTS,
    tables.CHECKS,
    tables.POSITIONS,
    tables.VERSIONS,
    OUTBOX,
)


def floor(url: str, written: list[Written], batches: int) -> float:
    """Seconds it takes to write these rows and do nothing else, in as many transactions as the consolidator used."""
    at = NOW.isoformat()
    with psycopg.connect(url) as conn:
        began = time.perf_counter()
        for number in range(batches):
            with conn.transaction(), conn.pipeline():
                for one in written:
                    rows = one.rows[
                        len(one.rows) * number // batches : len(one.rows) * (number + 1) // batches
                    ]
                    if rows:
                        conn.execute(one.table.insert, one.table.parameters(rows, at))
        return time.perf_counter() - began


@dataclass(frozen=True)
class Result:
    """Holdings per second of one round."""

    naive: float
    consolidator: float
    floor: float


async def measure(template: Template, load: Load) -> list[Result]:
    """Run both rounds: the consolidator, then the naive pattern and the floor on the same data."""
    mine, plain = template.copy(), template.copy()
    try:
        with psycopg.connect(plain.admin_url) as conn:
            conn.execute(_NAIVE_TABLES)
        async with consolidator(mine.url(roles.CONSOLIDATOR)) as applier:
            await consolidate(applier, load.setup)
            return [
                await _round(template, mine, plain, applier, round_, load.holdings) for round_ in load.rounds
            ]
    finally:
        template.drop(mine)
        template.drop(plain)


async def _round(
    template: Template, mine: MigratedDatabase, plain: MigratedDatabase, applier: Applier, *load: Any
) -> Result:
    bodies, holdings = load
    since = _prepare(mine.admin_url)
    seconds = await consolidate(applier, bodies)
    slow = await naive(plain.admin_url, bodies[:NAIVE_EVENTS])
    fast = _floor_of(template, rows_of(mine.admin_url, since), -(-len(bodies) // BATCH))
    of_naive = min(NAIVE_EVENTS, len(bodies)) * holdings / len(bodies)
    return Result(of_naive / slow, holdings / seconds, holdings / fast)


def _floor_of(template: Template, written: list[Written], batches: int) -> float:
    empty = template.copy()
    try:
        return floor(empty.url(roles.CONSOLIDATOR), written, batches)
    finally:
        template.drop(empty)


def _prepare(url: str) -> int:
    """Give the planner statistics, and say which transaction comes next."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("ANALYZE")
        row = conn.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
    return int(row[0]) if row else 0


@contextmanager
def server() -> Iterator[str]:
    """The URL of a PostgreSQL with durable commits: DATABASE_URL, or a private one that is thrown away."""
    if given := os.environ.get("DATABASE_URL"):
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="onefolio-bench-") as folder:
        user = account()
        home = home_for(Path(folder), user)
        record = postgres.start(home, user, fast=False)
        try:
            yield record.url
        finally:
            postgres.stop(record)
            remove(home)


def report(runs: list[list[Result]]) -> int:
    """Print the table and the figures, medians of all runs; returns 1 where a target is missed."""
    print(f"{'round':<18}{'naive':>12}{'consolidator':>14}{'floor':>12}   holdings/s")
    for run in runs:
        for name, one in zip(("first sight", "every price moved"), run, strict=True):
            print(f"{name:<18}{one.naive:>12,.0f}{one.consolidator:>14,.0f}{one.floor:>12,.0f}")
    vs_naive = _middle(runs, lambda one: one.consolidator / one.naive)
    vs_floor = _middle(runs, lambda one: one.consolidator / one.floor)
    speed = _middle(runs, lambda one: one.consolidator)
    print(f"against the naive pattern {vs_naive:.1f} times (at least {NEED_NAIVE:g}),", end=" ")
    print(
        f"of the floor {vs_floor:.2f} (at least {NEED_FLOOR:g}): means of both rounds, medians of {len(runs)} runs"
    )
    figures = {
        "vs_naive": round(vs_naive, 2),
        "vs_floor": round(vs_floor, 3),
        "holdings_per_second": round(speed),
    }
    print(json.dumps(figures))
    return 0 if vs_naive >= NEED_NAIVE and vs_floor >= NEED_FLOOR else 1


def _middle(runs: list[list[Result]], figure: Callable[[Result], float]) -> float:
    return statistics.median(statistics.geometric_mean([figure(one) for one in run]) for run in runs)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=500, help="users, three accounts each [%(default)s]")
    parser.add_argument("--holdings", type=int, default=20, help="holdings per account [%(default)s]")
    parser.add_argument("--runs", type=int, default=3, help="of everything; medians count [%(default)s]")
    parser.add_argument("--seed", type=int, default=1, help="of all random choices [%(default)s]")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    calm_collector()
    load = make_load(options.users, options.holdings, options.seed)
    with server() as url:
        template = make_template(url, {"portfolio": "consolidator.migrations"})
        try:
            runs = [uvloop.run(measure(template, load)) for _ in range(options.runs)]
        finally:
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute(f"DROP DATABASE {template.name} WITH (FORCE)")
    return report(runs)


if __name__ == "__main__":
    sys.exit(main())
