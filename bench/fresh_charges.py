"""Impatient people: every one clicks refresh several times at once, commands come twice, services are killed.

What the sandbox would bill must be what the ledger says, to the cent, and nobody is charged twice.
"""

import asyncio
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import httpx
import psycopg

from contracts.messages import SyncConnection
from fresh_rig import Rig, Say, rig

PRICES = {"plaid": Decimal("0.10"), "snaptrade": Decimal("0.05")}
INSTITUTIONS = {"plaid": "chase", "snaptrade": "charles-schwab"}
REFRESHES = {
    "plaid": "POST /investments/refresh",
    "snaptrade": "POST /authorizations/{authorizationId}/refresh",
}
SETTINGS = {
    "SANDBOX_SNAPTRADE_RATE_LIMIT": "100000",
    "SNAPTRADE_REFRESH_PRICE": "0.05",
    "PLAID_REFRESH_PRICE": "0.10",
    "GLOBAL_DAILY_BUDGET": "1000",
    "REFRESH_EVIDENCE_SECONDS": "20",
}
OPEN = "SELECT count(*) FROM gateway.provider_charges WHERE state IN ('reserved', 'unknown')"
CHARGES = """SELECT user_id, provider, connection_id::text, charge_id::text, state, amount
    FROM gateway.provider_charges WHERE kind = 'refresh'"""
PATIENCE = 480.0
TWICE = 2
"""Copies of every command, besides the gateway's own."""


@dataclass(frozen=True)
class Charged:
    """What came of it."""

    clicks: int
    queued: int
    paid_calls: int
    difference: Decimal
    doubled: int
    kills: int
    states: dict[str, int]

    @property
    def lines(self) -> list[str]:
        """For people."""
        return [
            f"{self.clicks} clicks, {self.queued} of them queued; every command {1 + TWICE} times; {self.kills} kills",
            f"{self.paid_calls} paid calls on the sandbox's invoice; charges {self.states}",
            f"ledger minus invoice: {self.difference} USD; connections charged twice: {self.doubled}",
        ]


async def charged(folder: Path, users: int, clicks: int, seed: int, say: Say) -> Charged:
    """Let ``users`` people click ``clicks`` times each, and compare the ledger with the invoice."""
    async with rig(folder / "charges", SETTINGS, say) as place:
        people = {f"person-{number:03d}": ("plaid", "snaptrade")[number % 2] for number in range(users)}
        await _linked(place, people)
        say(f"charges: {users} people have linked an account each")
        before = await _invoice(place)
        services = ("plaid-connector", "snaptrade-connector", "gateway", "consolidator")
        async with place.killing(*services, seed=seed, every=(0.5, 2.0)) as killed:
            queued = await _clicked(place, list(people), clicks, random.Random(seed))
            say(f"charges: {users * clicks} clicks, {queued} queued")
            await _repeated(place)
            await asyncio.sleep(5)
        await place.until(lambda: not _open(place), "every charge to be settled", PATIENCE)
        return await _compared(place, before, users * clicks, queued, len(killed))


async def _linked(place: Rig, people: dict[str, str]) -> None:
    slots = asyncio.Semaphore(4)

    async def one(user: str, provider: str) -> None:
        async with slots:
            await asyncio.to_thread(place.link, user, INSTITUTIONS[provider], provider)

    await asyncio.gather(*(one(user, provider) for user, provider in people.items()))
    ready = "SELECT count(*) FROM portfolio.v_connections WHERE accounts > 0"
    await place.until(
        lambda: place.rows("consolidator", ready)[0][0] == len(people), "all to be read", PATIENCE
    )


async def _clicked(place: Rig, users: list[str], clicks: int, rng: random.Random) -> int:
    """Everybody clicks at once; somebody whose click got no answer clicks again, for that is what people do."""
    found = dict(_connections(place))
    async with httpx.AsyncClient(
        base_url=place.gateway, timeout=30, trust_env=False, limits=httpx.Limits(max_connections=40)
    ) as http:

        async def click(user: str) -> bool:
            await asyncio.sleep(rng.uniform(0, 3))
            deadline = time.monotonic() + PATIENCE
            while True:
                if time.monotonic() > deadline:
                    raise TimeoutError("the gateway answers no click")
                try:
                    answer = await http.post(
                        f"/v1/connections/{found[user]}/refresh",
                        json={},
                        headers={"Authorization": f"Bearer {place.token(user)}"},
                    )
                except httpx.TransportError:
                    await asyncio.sleep(1)
                    continue
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    break
                await asyncio.sleep(1)
            if answer.status_code not in {202, 429}:
                raise RuntimeError(f"a click was answered {answer.status_code}: {answer.text[:300]}")
            return answer.status_code == httpx.codes.ACCEPTED

        return sum(await asyncio.gather(*(click(user) for user in users for _ in range(clicks))))


def _connections(place: Rig) -> list[tuple[str, str]]:
    return [
        (row[0], row[1])
        for row in place.rows(
            "consolidator", "SELECT user_id, connection_id::text FROM portfolio.v_connections"
        )
    ]


async def _repeated(place: Rig) -> None:
    """Deliver the command of every charge again and again, as a broker may."""
    for user, provider, connection, charge, _, _ in _charges(place):
        for _ in range(TWICE):
            command = SyncConnection(
                user_id=user,
                connection_id=connection,
                kinds=[],
                trigger="manual",
                idempotency_id=str(uuid.uuid4()),
                charge_id=charge,
            )
            await place.send(provider, command, datetime.now(UTC))


def _charges(place: Rig) -> list[tuple[str, str, str, str, str, Decimal]]:
    return [tuple(row) for row in _as_operator(place, CHARGES)]  # type: ignore[misc]  # six columns


def _open(place: Rig) -> int:
    return int(_as_operator(place, OPEN)[0][0])


def _as_operator(place: Rig, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(place.program("gateway").environment["DATABASE_URL"]) as conn:
        conn.execute("SELECT set_config('app.operator', 'on', true)")
        return conn.execute(query).fetchall()


async def _invoice(place: Rig) -> Counter[str]:
    billed = (await place.asked("GET", "/_control/calls/counts"))["billed"]
    found: Counter[str] = Counter()
    for name, count in billed.items():
        provider, _, kind = name.partition(":")
        if "refresh" in kind:
            found[provider] += count
    return found


async def _compared(place: Rig, before: Counter[str], clicks: int, queued: int, kills: int) -> Charged:
    invoice = await _invoice(place) - before
    charges = _charges(place)
    states = Counter(str(row[4]) for row in charges)
    ledger = sum((Decimal(row[5]) for row in charges if row[4] == "charged"), Decimal(0))
    billed = sum((PRICES[provider] * count for provider, count in invoice.items()), Decimal(0))
    per_connection: Counter[str] = Counter()
    for provider, endpoint in REFRESHES.items():
        calls = (await place.asked("GET", f"/_control/calls?provider={provider}"))["calls"]
        per_connection.update(
            str(call["connection"]) for call in calls if call["endpoint"] == endpoint and call["accepted"]
        )
    twice_kept = Counter((row[0], row[2]) for row in charges if row[4] == "charged")
    doubled = sum(count - 1 for count in per_connection.values()) + sum(n - 1 for n in twice_kept.values())
    return Charged(
        clicks=clicks,
        queued=queued,
        paid_calls=sum(invoice.values()),
        difference=ledger - billed,
        doubled=doubled,
        kills=kills,
        states=dict(states),
    )
