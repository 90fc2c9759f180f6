"""Random portfolios through RabbitMQ and consolidator processes into PostgreSQL, against the reference.

Run as ``numbers_stream.py <moment>`` it is a consolidator process whose clock stands still: how old a source is then
depends on the test alone.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "deploy" / "local"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "numbers"))

from checks import counted_twice, not_owned
from generate import NOW, Portfolio, batches, portfolio, requested, stream
from reference import Answer, reference
from stored import differences, of_book, of_database

from consolidator.book import Book
from consolidator.main import build, calm_collector
from consolidator.settings import ConsolidatorSettings
from consolidator.testing import fold
from contracts.messages import Message
from messaging.bus import REASON
from messaging.publishing import outgoing_event
from messaging.rabbit import RabbitBus
from messaging.topology import CONSOLIDATOR, onefolio
from persistence import roles
from persistence.database import Database
from persistence.testing import MigratedDatabase
from service_kit.clock import FakeClock
from service_kit.run import free_port, run
from service_kit.settings import load

Say = Callable[[str], None]
EARLIER = NOW - timedelta(hours=3)
PATIENCE = 300.0
CHUNK = 500


@dataclass
class Verdict:
    """What came of the portfolios; the stored answers stay for what is checked next."""

    portfolios: list[Portfolio]
    mismatched: set[int] = field(default_factory=set)
    double_counts: int = 0
    looks: int = 0
    """How often the stored positions were looked at while messages were on their way."""
    details: list[str] = field(default_factory=list)

    def wrong(self, seed: int, lines: Sequence[str], where: str) -> None:
        """Note that a portfolio is not what the reference says; the first one is shown."""
        if lines and not self.mismatched:
            self.details += [f"first mismatch, {where}: seed {seed}", *(f"    {line}" for line in lines[:12])]
        if lines:
            self.mismatched.add(seed)

    def twice(self, found: Sequence[str], where: str) -> None:
        """Note what was counted twice."""
        if found and not self.double_counts:
            self.details.append(f"first double count, {where}: {found[0]}")
        self.double_counts += len(found)


async def streamed(
    database: MigratedDatabase, amqp_url: str, count: int, seed: int, folder: Path, say: Say
) -> Verdict:
    """Publish ``count`` portfolios in random order with duplicates, consolidate, and compare."""
    verdict = Verdict([portfolio(seed + number) for number in range(count)])
    await asyncio.to_thread(_walked, verdict, say)
    stored = Database(database.url(roles.CONSOLIDATOR), max_size=3)
    bus = await RabbitBus.open(amqp_url, onefolio(), "check-numbers")
    await stored.open()
    try:
        environment = _environment(database, amqp_url)
        await _Delivery(verdict, bus, stored, environment, folder, say).made(random.Random(seed))
        await _compared(verdict, stored, say)
    finally:
        await stored.close()
        await bus.close()
    return verdict


def _walked(verdict: Verdict, say: Say) -> None:
    """Every state on the way, without the servers: each is what the reference makes of the messages so far."""
    for number, one in enumerate(verdict.portfolios):
        rng, book, told = random.Random(one.seed), Book(one.user), []
        for batch in batches(rng, stream(rng, one.messages)):
            told += batch
            book = fold(batch, now=NOW, batch=len(batch), book=book)
            answer, rows = reference(told, NOW), of_book(book)
            where = f"in memory after {len(told)} messages"
            verdict.wrong(one.seed, differences(answer, rows), where)
            verdict.twice(counted_twice(rows.positions, answer.sure), f"{where}, seed {one.seed}")
        if number % 100 == 99:
            say(f"portfolios: {number + 1} walked through in memory")


class _Delivery:
    """All messages on their way through the broker, with a process that dies in the middle."""

    def __init__(
        self,
        verdict: Verdict,
        bus: RabbitBus,
        stored: Database,
        environment: dict[str, str],
        folder: Path,
        say: Say,
    ) -> None:
        self._verdict = verdict
        self._bus = bus
        self._stored = stored
        self._environment = environment
        self._folder = folder
        self._say = say
        self._processes: list[subprocess.Popen[bytes]] = []
        self._never_two = _surely_one(verdict.portfolios)

    async def made(self, rng: random.Random) -> None:
        messages = stream(rng, [message for one in self._verdict.portfolios for message in one.messages])
        early, late = messages[: len(messages) * 2 // 3], messages[len(messages) * 2 // 3 :]
        watching = asyncio.create_task(self._watch())
        try:
            self._start(EARLIER, 2)
            await self._publish(early[: len(early) // 2])
            self._processes[0].kill()
            self._say("portfolios: one consolidator was killed, another takes over")
            self._start(EARLIER, 1)
            await self._publish(early[len(early) // 2 :])
            await self._drained()
            await self._stop()
            self._start(NOW, 2)
            await self._publish(late)
            await self._drained()
            await self._stop()
            self._start(NOW, 1)
            await self._settled()
            await self._stop()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await self._stop()

    def _start(self, at: datetime, count: int) -> None:
        for _ in range(count):
            with (self._folder / "consolidators.log").open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        [sys.executable, __file__, at.isoformat()],
                        env=self._environment | {"PORT": str(free_port())},
                        stdout=log,
                        stderr=log,
                    )
                )

    async def _stop(self) -> None:
        """End the processes; what they had not finished goes back to the queue."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            await asyncio.to_thread(process.wait, 30)
        self._processes = []

    async def _publish(self, messages: Sequence[Message]) -> None:
        for start in range(0, len(messages), CHUNK):
            chunk = [outgoing_event(one, source="check", time=NOW) for one in messages[start : start + CHUNK]]
            if problems := [one for one in await self._bus.publish_many(chunk) if one is not None]:
                raise RuntimeError(f"a message could not be published: {problems[0]}")
        self._say(f"portfolios: {len(messages)} messages published")

    async def _drained(self) -> None:
        """Wait until the queue is empty, twice in a row: the broker counts late."""
        deadline, empty = monotonic() + PATIENCE, 0
        while empty < 2:
            self._alive(deadline)
            empty = 0 if await self._bus.depth(CONSOLIDATOR) else empty + 1
            await asyncio.sleep(0.5)

    async def _settled(self) -> None:
        """Ask for every user's portfolio last, and wait until each was consolidated: then nothing is on its way."""
        users = [one.user for one in self._verdict.portfolios]
        wishes = [
            requested(user, f"{number:08d}-0000-4000-8000-000000000000", NOW)
            for number, user in enumerate(users)
        ]
        await self._publish(wishes)
        deadline = monotonic() + PATIENCE
        done = "SELECT count(DISTINCT request_id) FROM portfolio.v_consolidations WHERE request_id::text LIKE '%-0000-4000-8000-000000000000'"
        while (await self._rows(done))[0][0] < len(users):
            self._alive(deadline)
            await asyncio.sleep(0.2)
        queue = onefolio().queue(CONSOLIDATOR)
        for name in (queue.parked, *(queue.retry(tier) for tier in queue.tiers)):
            if left := await self._bus.depth(name):
                first = await (await self._bus.fetch(name, 1)).next()
                why = first.delivery.headers.get(REASON, "for no stated reason")
                what = first.delivery.body[:600].decode(errors="replace")
                raise RuntimeError(f"{left} messages are left in {name}, the first of them {why}: {what}")

    def _alive(self, deadline: float) -> None:
        dead = [one.returncode for one in self._processes[-1:] if one.poll() is not None]
        if dead or monotonic() > deadline:
            log = (self._folder / "consolidators.log").read_text(errors="replace").splitlines()[-12:]
            raise RuntimeError("the consolidators do not get on:\n" + "\n".join(log))

    async def _watch(self) -> None:
        """Look at the stored positions all the time: whatever is committed, nothing may be counted twice."""
        query = "SELECT user_id, instrument_key, account_ids::text[] FROM portfolio.positions WHERE cardinality(account_ids) > 1"
        while True:
            found = [
                f"{key} of {user} counts {sorted(group & set(accounts))}"
                for user, key, accounts in await self._rows(query)
                for group in self._never_two.get(user, ())
                if len(group & set(accounts)) > 1
            ]
            self._verdict.twice(found, "in the database while messages were on their way")
            self._verdict.looks += 1
            await asyncio.sleep(0.1)

    async def _rows(self, query: str) -> list[tuple[object, ...]]:
        async with self._stored.transaction() as conn:
            return await (await conn.execute(query)).fetchall()


def _surely_one(portfolios: Sequence[Portfolio]) -> dict[str, list[set[str]]]:
    """Accounts that share a stable id in every list, at one institution, in a portfolio where nobody decides.

    Nothing that arrives later changes what they are, so they may never both be counted.
    """
    return {one.user: _sure_from_the_start(one) for one in portfolios if not one.decided}


def _sure_from_the_start(one: Portfolio) -> list[set[str]]:
    groups: dict[str, set[str]] = {}
    for sight in (sight for account in one.accounts for sight in account.sights):
        if sight.stable_id is not None:
            groups.setdefault(sight.stable_id, set()).add(sight.account_id)
    return [group for group in groups.values() if len(group) > 1]


async def _compared(verdict: Verdict, stored: Database, say: Say) -> None:
    rows = await of_database(stored, [one.user for one in verdict.portfolios])
    for one in verdict.portfolios:
        answer: Answer = reference(one.messages, NOW)
        verdict.wrong(one.seed, differences(answer, rows[one.user]), "stored")
        verdict.twice(counted_twice(rows[one.user].positions, answer.sure), f"stored, seed {one.seed}")
        if one.settled:
            verdict.wrong(one.seed, not_owned(one, answer), "against what is owned")
    positions = sum(len(one.positions) for one in rows.values())
    sums = sum(len(json.loads(text)["contributions"]) > 1 for one in rows.values() for text in one.positions)
    say(f"portfolios: {positions} stored positions compared, {sums} of them sums of several accounts")


def _environment(database: MigratedDatabase, amqp_url: str) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": database.url(roles.CONSOLIDATOR),
        "AMQP_URL": amqp_url,
        "SERVICE_AUTH_SECRET": "s" * 40,
        # Messages are days late here, which the broker never makes them.
        "SNAPSHOT_RETENTION": str(int(timedelta(days=400).total_seconds())),
        "LOG_LEVEL": "WARNING",
    }


def serve(at: datetime) -> None:
    """Be a consolidator whose clock stands at ``at``."""
    settings = load(ConsolidatorSettings)
    calm_collector()
    run(build(settings, clock=FakeClock(at)), settings)


if __name__ == "__main__":
    serve(datetime.fromisoformat(sys.argv[1]))
