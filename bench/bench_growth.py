"""How the time to consolidate one user grows with what the user holds: 40 accounts, all snapshots in one batch.

A process that is warm consolidates a new user at each measurement; the fastest of several counts.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from math import log
from time import perf_counter

from consolidator.apply import Applier
from consolidator.measures import Measures
from consolidator.rules import DEFAULT_RULES
from consolidator.settings import SESSION
from consolidator.testing import NOW, Link, received, stock
from contracts.envelope import Received
from contracts.holdings import Holding
from messaging.policy import DONE
from persistence import roles
from persistence.database import Database
from persistence.testing import Template
from service_kit.clock import FakeClock
from service_kit.metrics import Metrics

SIZES = (100, 300, 1_000, 3_000, 12_000)
ACCOUNTS = 40
SEVERAL = 5
"""Accounts per connection."""
INSTITUTIONS = ("fidelity", "charles-schwab", "chase", "vanguard")


@dataclass(frozen=True)
class Timed:
    """Seconds for one size: the first sight, and when every price moved."""

    holdings: int
    first: float
    moved: float


async def growth(template: Template, repeats: int, say: Callable[[str], None]) -> list[Timed]:
    """Measure every size on a database of its own."""
    copy = template.copy()
    database = Database(copy.url(roles.CONSOLIDATOR), settings=dict(SESSION), statement_timeout=120)
    await database.open()
    try:
        applier = Applier(database, DEFAULT_RULES, FakeClock(NOW), Measures(Metrics("growth")))
        await _measured(applier, "warm", SIZES[2])
        found = []
        for size in SIZES:
            runs = [await _measured(applier, f"user-{size}-{run}", size) for run in range(repeats)]
            found.append(Timed(size, min(one.first for one in runs), min(one.moved for one in runs)))
            say(f"growth: {size} holdings consolidate in {found[-1].first * 1000:.0f} ms")
        return found
    finally:
        await database.close()
        template.drop(copy)


def exponent(found: list[Timed]) -> float:
    """The slope of the line through log time over log holdings, by least squares: 1 is linear."""
    points = [(log(one.holdings), log(one.first)) for one in found]
    middle = sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)
    above = sum((x - middle[0]) * (y - middle[1]) for x, y in points)
    return above / sum((x - middle[0]) ** 2 for x, _ in points)


def table(found: list[Timed]) -> list[str]:
    """Time per size, to read."""
    lines = [f"{'holdings':>10} {'first sight':>12} {'prices moved':>13} {'per holding':>12}"]
    lines += [
        f"{one.holdings:>10,} {one.first * 1000:>9.1f} ms {one.moved * 1000:>10.1f} ms"
        f" {one.first / one.holdings * 1e6:>9.1f} us"
        for one in found
    ]
    return lines


async def _measured(applier: Applier, user: str, holdings: int) -> Timed:
    rng = random.Random(holdings)
    links = [
        (Link(("snaptrade", "plaid")[n % 2], INSTITUTIONS[n % 4], f"{n}", user), f"a{place}")
        for n in range(ACCOUNTS // SEVERAL)
        for place in range(SEVERAL)
    ]
    for link in {link.connection_id: link for link, _ in links}.values():
        listed = [
            link.account(
                f"a{place}", mask=f"{rng.randint(0, 9999):04d}", stable_id=f"{link.connection_id}{place}"
            )
            for place in range(SEVERAL)
        ]
        await _applied(applier, [received(link.linked()), received(link.lists(*listed))])
    times = []
    for version in (2, 3):
        batch = [
            received(
                link.holds(
                    *_held(rng, n, holdings // ACCOUNTS, holdings % ACCOUNTS), account=name, version=version
                )
            )
            for n, (link, name) in enumerate(links)
        ]
        times.append(await _applied(applier, batch))
    return Timed(holdings, *times)


async def _applied(applier: Applier, batch: list[Received]) -> float:
    began = perf_counter()
    outcomes = await applier(batch)
    seconds = perf_counter() - began
    if set(outcomes) != {DONE}:
        raise RuntimeError(f"a message was not applied: {outcomes}")
    return seconds


def _held(rng: random.Random, account: int, each: int, rest: int) -> list[Holding]:
    """Stocks of which every account holds its own and some that others hold too."""
    count = each + (account < rest)
    return [
        stock(
            f"S{n if n % 2 else account * 1000 + n}",
            n + 1,
            Decimal(rng.randint(100, 90_000)).scaleb(-2),
            n + 5,
        )
        for n in range(count)
    ]
