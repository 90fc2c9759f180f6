"""Is no order placed twice, and none lost? Chaos at the broker, killed processes, impatient users, and the brokers' ledger.

The whole stack runs on the provider sandbox, on real servers of its own, with a second gateway beside the first. A run
is a seed: a handful of orders on one account under one mix of what goes wrong. What was placed is read from the
sandbox's own ledger. The last line is one JSON object; the exit status is 1 when an order was placed twice, lost or
stuck, when one passed that must not, or when the check could not run.
"""

import argparse
import asyncio
import logging
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "deploy" / "local"))

import trading_guarded as guarded
from contracts.messages import SyncConnection
from fresh_rig import Rig, rig
from trading_oracle import UNSETTLED, Believed, Limits, judge
from trading_people import PROVIDER, Account, Crowd, crowd
from trading_report import Found, judged, printed
from trading_runs import BEYOND_PATIENCE, Shop, run
from trading_tabs import Tabs
from trading_twin import twin

ORDER_LIMIT, DAY_LIMIT = Decimal(1_000), Decimal(20_000)
HOLDINGS, PER_USER = 30, 5
SETTINGS = {
    "SANDBOX_SNAPTRADE_RATE_LIMIT": "1000000",
    "SANDBOX_SNAPTRADE_ACCOUNT_RATE_LIMIT": "1000000",
    "TRANSACTIONS_ENABLED": "false",
    "HISTORY_ENABLED": "false",
    "JOBS_ENABLED": "false",
    "SNAPTRADE_CONCURRENCY": "48",
    "DATABASE_POOL": "20",
    "TRADING_MAX_ORDER_NOTIONAL": str(ORDER_LIMIT),
    "TRADING_MAX_DAY_NOTIONAL": str(DAY_LIMIT),
}
WIND = """UPDATE gateway.order_intents SET next_look_at = clock_timestamp()
    WHERE user_id = %s AND state = ANY(%s) AND next_look_at > clock_timestamp() + interval '2 seconds'
    AND (state NOT IN ('CONFIRMED', 'SUBMITTING') OR updated_at < clock_timestamp() - interval '70 seconds')"""
WOUND_EVERY = 4.0
KILLED = ("gateway", "snaptrade-connector")
BELIEVED = """SELECT intent_id::text, user_id, client_order_id::text, state, broker_order_ids FROM gateway.order_intents"""
PAGE = 5_000


def say(line: str) -> None:
    """Tell how far it is."""
    print(f"[{time.strftime('%H:%M:%S')}] {line}", flush=True)


async def check(folder: Path, options: argparse.Namespace, found: Found) -> None:
    """Make people, let them trade while everything breaks, let it settle, and read the ledger."""
    async with rig(folder / "trading", SETTINGS, say) as place, twin(place, folder) as second:
        runs = -(-options.intents // options.size)
        options.runs = runs
        people = await crowd(
            place, prefix="trader", users=-(-runs // PER_USER), accounts=PER_USER, holdings=HOLDINGS
        )
        grabbers = await crowd(place, prefix="greedy", users=4, accounts=4, holdings=HOLDINGS)
        readers = await crowd(place, prefix="reader", users=2, accounts=1, holdings=2, kind="read")
        # The daily plan, and nobody tells of fills: what is checked here must not rest on news.
        await place.asked("PUT", "/_control/snaptrade", {"webhook_url": ""})
        await place.asked("PUT", "/_control/trading", {"sync_after_fill": False})
        prices = _prices()
        say(f"{len(people.accounts)} accounts of {len(people.users)} people are stored")
        tabs = Tabs([place.gateway, second.url], place.token)
        limits = Limits(ORDER_LIMIT, dict.fromkeys(grabbers.users, guarded.DAY_LIMIT), DAY_LIMIT, prices)
        try:
            await guarded.tighten(place, tabs, grabbers)
            await guarded.refused(place, tabs, grabbers, readers, prices, found.guarded)
            say("what must be refused was tried")
            shop = Shop(place, tabs, prices, found.tally)
            async with _harming(place, second, options, found), _repeating(place, people, found):
                greedy = guarded.greedy(tabs, grabbers, prices, found.guarded)
                await asyncio.gather(greedy, _runs(shop, people.accounts, options))
            await _settled(place, options)
        finally:
            await tabs.close()
        found.killed["second gateway"] = second.killed
        await _read(place, found, limits)


async def _runs(shop: Shop, accounts: Sequence[Account], options: argparse.Namespace) -> None:
    turns, began = asyncio.Semaphore(options.at_once), time.monotonic()

    async def one(number: int) -> None:
        async with turns:
            await run(shop, accounts[number], options.seed * 1_000_000 + number, options.size)
        if shop.tally.runs % max(1, options.runs // 10) == 0:
            say(f"{shop.tally.runs} runs, {shop.tally.let_through} orders, {time.monotonic() - began:.0f} s")

    await asyncio.gather(*(one(number) for number in range(options.runs)))


@asynccontextmanager
async def _harming(place: Rig, second: Any, options: argparse.Namespace, found: Found) -> AsyncIterator[None]:
    """Kill both gateways and the connector at random while the block runs."""
    every = (options.kill_every / 2, options.kill_every * 1.5)
    task = asyncio.create_task(second.harm(Random(options.seed), (2 * every[0], 2 * every[1])))
    try:
        async with place.killing(*KILLED, seed=options.seed, every=every) as killed:
            yield
        found.killed.update(killed)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _repeating(place: Rig, people: Crowd, found: Found) -> AsyncIterator[None]:
    """Deliver commands to the connector, each twice, while the block runs."""
    rng = Random(len(people.connections))

    async def repeat() -> None:
        while True:
            one = rng.choice(people.connections)
            command = SyncConnection(
                user_id=one.user_id,
                connection_id=one.connection_id,
                kinds=[],
                trigger="order",
                idempotency_id=f"check-{found.repeated}",
            )
            now = datetime.now(UTC)
            await place.send(PROVIDER, command, now)
            await place.send(PROVIDER, command, now)
            found.repeated += 1
            await asyncio.sleep(1.0)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        ended = await asyncio.gather(task, return_exceptions=True)
        if isinstance(ended[0], Exception):
            raise ended[0]


async def _settled(place: Rig, options: argparse.Namespace) -> None:
    """Let everything come to its end: chaos is over, the day is over, and nobody is killed any more."""
    await place.asked("DELETE", "/_control/trading/chaos")
    # What lists do not show yet is shown after this, and what was sent has been answered or never will be.
    await asyncio.sleep(BEYOND_PATIENCE[1])
    say("waiting for orders whose fate is unknown")
    await _until_none(place, UNSETTLED, options.patience)
    ended = await place.asked("POST", "/_control/trading/end-of-day")
    say(f"the day is over: {ended['expired']} open orders expired")
    await _until_none(place, {"ACCEPTED", "PARTIALLY_FILLED"}, options.patience)


async def _until_none(place: Rig, states: Collection[str], patience: float) -> None:
    """Wait for orders to leave some states, winding the clock forward; who never does is found by the verdict."""
    deadline = time.monotonic() + patience
    while left := [one for one in _believed(place) if one.state in states]:
        if time.monotonic() > deadline:
            say(f"{len(left)} orders are still {' or '.join(sorted({one.state for one in left}))}")
            return
        await asyncio.to_thread(_wind, place, {one.user_id for one in left}, states)
        await asyncio.sleep(WOUND_EVERY)


def _wind(place: Rig, users: Collection[str], states: Collection[str]) -> None:
    """Let what is looked at in minutes be looked at now; what may still be under way has its time."""
    with psycopg.connect(place.program("gateway").environment["DATABASE_URL"]) as conn:
        for user in sorted(users):
            conn.execute("SELECT set_config('app.user_id', %s, true)", (user,))
            conn.execute(WIND, (user, sorted(states)))
            conn.commit()


async def _read(place: Rig, found: Found, limits: Limits) -> None:
    """The ledger, page by page, and what is written of every order."""
    while True:
        last = found.rows[-1]["number"] if found.rows else 0
        page = await place.asked("GET", f"/_control/placements?after={last}&limit={PAGE}")
        found.rows += page["placements"]
        if len(page["placements"]) < PAGE:
            break
    found.counts = await place.asked("GET", "/_control/placements/counts")
    wanted = found.tally.wanted + found.guarded.wanted
    believed = _believed(place)
    found.verdict = judge(found.rows, believed, wanted, limits)
    orders = (await place.asked("GET", "/_control/trading/orders"))["orders"]
    strangers = {one["broker_order_id"] for one in orders if not one["ours"]}
    found.unexplained = [one for one in found.verdict.mistaken if not strangers & set(one.broker_order_ids)]
    _can_fail(found, believed, wanted, limits)


def _believed(place: Rig) -> list[Believed]:
    with psycopg.connect(place.program("gateway").environment["DATABASE_URL"]) as conn:
        conn.execute("SELECT set_config('app.operator', 'on', true)")
        rows = conn.execute(BELIEVED).fetchall()
    return [Believed(intent, user, given, state, tuple(ids)) for intent, user, given, state, ids in rows]


def _can_fail(found: Found, believed: list[Believed], wanted: Counter[Any], limits: Limits) -> None:
    """Plant a double, a loss and an unwanted order into a copy: a judge that does not see them has judged nothing."""
    taken = [row for row in found.rows if row["accepted"] and row["kind"] == "place"]
    if not taken:
        found.wrong.append("nothing was placed: the check showed nothing")
        return
    real, row = found.verdict, taken[-1]
    twice = judge([*found.rows, row], believed, wanted, limits)
    others = [one for one in believed if one.client_order_id != row["client_order_id"]]
    without = judge(found.rows, others, wanted, limits)
    unwanted = judge([*found.rows, {**row, "account": "nobody"}], believed, wanted, limits)
    found.demand(len(twice.double) > len(real.double), "a planted double order was not seen")
    found.demand(len(without.lost) > len(real.lost), "a planted loss was not seen")
    found.demand(len(unwanted.violations) > len(real.violations), "a planted violation was not seen")


def _prices() -> dict[str, Decimal]:
    """What the sandbox's made-up securities cost, all of which are in every account."""
    return {_ticker(number): Decimal(1000 + number * 37 % 50_000) / 100 for number in range(HOLDINGS)}


def _ticker(index: int) -> str:
    letters = ""
    for _ in range(4):
        index, digit = divmod(index, 26)
        letters = chr(ord("A") + digit) + letters
    return f"Z{letters}"


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--intents", type=int, default=10_000, help="orders to let through [%(default)s]")
    parser.add_argument("--size", type=int, default=10, help="orders of a run [%(default)s]")
    parser.add_argument("--at-once", type=int, default=64, help="runs side by side [%(default)s]")
    parser.add_argument("--kill-every", type=float, default=30.0, help="seconds between kills [%(default)s]")
    parser.add_argument(
        "--patience", type=float, default=420.0, help="seconds until all is settled [%(default)s]"
    )
    parser.add_argument("--seed", type=int, default=1, help="of all random choices [%(default)s]")
    parser.add_argument("--keep", type=Path, help="a folder to leave the logs in")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the check and print what it found."""
    options, found = _options(arguments), Found()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    options.runs = -(-options.intents // options.size)
    with tempfile.TemporaryDirectory(prefix="onefolio-trading-") as name:
        try:
            asyncio.run(check(options.keep or Path(name), options, found))
        except Exception as error:  # noqa: BLE001  reported with its trace; the exit status says it
            found.wrong.append(f"the check could not run: {error}")
            sys.stderr.write(traceback.format_exc())
    figures = judged(found, options)
    printed(found, figures)
    return 0 if not found.wrong else 1


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
