"""Faulty answers of the providers, against the whole stack: the last good positions stay, and are marked.

Every named fault of the provider sandbox is put on a connection of its own, which is then synced by command, as the
scheduler would. What was there before must be there after, and the account must say that something is wrong.
"""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import psycopg
from local_demo.client import Frontend, development_token
from local_demo.pages import sign_in
from local_stack import Stack
from local_stack.guard import guarded

from contracts.messages import SyncConnection
from messaging.publishing import outgoing_command
from messaging.rabbit import RabbitBus
from messaging.topology import onefolio

PLACES = (("snaptrade", "charles-schwab"), ("plaid", "chase"))
AT_ONCE = 4
PATIENCE = 60.0
SOON = 8.0
"""Seconds to wait for the sync of a healed connection: a webhook may have had it synced already."""
ATTEMPTS = 3
HARMLESS = frozenset({"rate_limited"})
"""Faults that ask for patience: nothing is wrong with what was read before."""
BEYOND_RECOGNITION = frozenset({"snaptrade half_page"})
"""A well-formed answer that leaves half of the positions out looks like a sale: only the account's total tells."""
# Some faults announce themselves by webhook, and the run that follows serves our wish as well.
RUN_ENDED = """SELECT status FROM portfolio.v_sync_log WHERE user_id = %s AND (trigger = %s OR started_at >= %s)
    ORDER BY finished_at DESC LIMIT 1"""
LINKED = "SELECT connection_id::text, external_id FROM portfolio.v_connections WHERE user_id = %s AND external_id IS NOT NULL"
BREAK = "does not add up"
READ = """SELECT count(*) > 0 AND bool_and(a.version IS NOT NULL AND NOT a.waiting AND NOT a.suspect)
    FROM portfolio.v_accounts a WHERE a.user_id = %s"""
Quantities = dict[tuple[str, str], Decimal]


@dataclass
class Faulted:
    """Positions that a fault cost, a line per fault, and what could not be proven."""

    erased: int = 0
    lines: list[str] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    """One fault on one connection."""

    provider: str
    institution: str
    fault: str
    meaning: str

    @property
    def name(self) -> str:
        return f"{self.provider} {self.fault}"


async def erased_by_faults(folder: Path, say: Callable[[str], None]) -> Faulted:
    """Start a stack, try every fault, and tell what was lost."""
    stack = Stack(
        folder / "stack",
        {"SANDBOX_SNAPTRADE_RATE_LIMIT": "100000", "LOG_LEVEL": "WARNING"},
        sandbox=True,
        say=lambda _: None,
    )
    with guarded(stack.folder):
        say("faults: starting the whole stack")
        await asyncio.to_thread(stack.up, fast=True)
        consolidator = next(one for one in stack.programs if one.name == "consolidator")
        bus = await RabbitBus.open(consolidator.environment["AMQP_URL"], onefolio(), "check-numbers")
        try:
            trial = _Trial(stack, bus, consolidator.environment["DATABASE_URL"])
            return await trial.every(say)
        finally:
            await bus.close()


class _Trial:
    """The stack under faults."""

    def __init__(self, stack: Stack, bus: RabbitBus, database_url: str) -> None:
        self._stack = stack
        self._bus = bus
        self._database_url = database_url
        self._found = Faulted()

    async def every(self, say: Callable[[str], None]) -> Faulted:
        async with httpx.AsyncClient(
            base_url=self._stack.state.url("sandbox-control"), timeout=30, trust_env=False
        ) as control:
            names = (await control.get("/_control/fault-names")).json()
            cases = [
                Case(provider, institution, fault, meaning)
                for provider, institution in PLACES
                for fault, meaning in names[provider].items()
            ]
            slots = asyncio.Semaphore(AT_ONCE)

            async def one(case: Case) -> None:
                async with slots:
                    await self._tried(case, control)
                    say(f"faults: {case.name} tried")

            await asyncio.gather(*(one(case) for case in cases))
        self._found.lines.sort()
        self._found.lines.insert(
            0, f"{len(cases)} faults tried: linked, broken, synced, compared; then healed and compared again"
        )
        return self._found

    async def _tried(self, case: Case, control: httpx.AsyncClient) -> None:
        user = f"numbers-{uuid.uuid4().hex}"
        token = development_token(self._stack.state.secrets["jwt"], user)
        frontend = Frontend(self._stack.state.url("gateway"), token)
        try:
            outcome = await self._outcome(case, user, frontend, control)
        except Exception as error:  # noqa: BLE001  one fault that cannot be tried must not hide the others
            outcome = f"could not be tried: {error}"
            self._found.unproven.append(f"{case.name} {outcome}")
        finally:
            frontend.close()
        self._found.lines.append(f"{case.provider:<10} {case.fault:<16} {outcome}")

    async def _outcome(self, case: Case, user: str, frontend: Frontend, control: httpx.AsyncClient) -> str:
        connection, external = await self._linked(case, user, frontend)
        before = await asyncio.to_thread(_quantities, frontend)
        if not before:
            raise RuntimeError("nothing was held before")
        since = datetime.now(UTC)
        (await control.put(f"/_control/connections/{external}/faults/{case.fault}")).raise_for_status()
        status = await self._synced(case, user, connection, since)
        during, marks = await asyncio.to_thread(lambda: (_quantities(frontend), _marks(frontend)))
        (await control.delete(f"/_control/connections/{external}/faults")).raise_for_status()
        lost = _lost(before, during)
        if case.name not in BEYOND_RECOGNITION:
            self._found.erased += len(lost)
        elif BREAK not in marks:
            self._found.unproven.append(f"{case.name}: no break is shown")
        if not marks and not lost and case.fault not in HARMLESS:
            self._found.unproven.append(f"{case.name}: nothing marks the account")
        healed = await self._healed(case, user, connection, frontend, before)
        return (
            f"{len(before)} positions, run {status}: {len(lost)} lost{' ' + ', '.join(lost) if lost else ''};"
            f" marked {', '.join(marks) or 'not at all'}; {healed}"
        )

    async def _linked(self, case: Case, user: str, frontend: Frontend) -> tuple[str, str]:
        """Link, and wait until every account was read; returns our id of the connection and the provider's."""
        await asyncio.to_thread(frontend.link, case.institution, sign_in, provider=case.provider)
        await self._until(
            lambda: self._rows(READ, user) == [(True,)], f"{case.name}: all accounts to be read"
        )
        [(connection, external)] = self._rows(LINKED, user)
        return connection, external

    async def _synced(
        self, case: Case, user: str, connection: str, since: datetime, patience: float = PATIENCE
    ) -> str:
        """Have the connection synced, and wait until the run's end is stored: what it read came before that."""
        trigger = f"check-{uuid.uuid4().hex[:12]}"
        command = SyncConnection(
            user_id=user,
            connection_id=connection,
            kinds=[],
            trigger=trigger,
            idempotency_id=str(uuid.uuid4()),
        )
        await self._bus.publish(
            outgoing_command(case.provider, command, source="check", time=datetime.now(UTC))
        )
        ended = f"{case.name}: the sync to end"
        await self._until(lambda: bool(self._rows(RUN_ENDED, user, trigger, since)), ended, patience)
        return str(self._rows(RUN_ENDED, user, trigger, since)[0][0])

    async def _healed(
        self, case: Case, user: str, connection: str, frontend: Frontend, before: Quantities
    ) -> str:
        """Whether a sync without the fault brings everything back as it was."""
        for attempt in range(ATTEMPTS):
            with suppress(TimeoutError):
                await self._synced(case, user, connection, datetime.now(UTC), SOON)
            after, marks = await asyncio.to_thread(lambda: (_quantities(frontend), _marks(frontend)))
            if after == before and not marks:
                return "healed" if attempt == 0 else f"healed after {attempt + 1} syncs"
            await asyncio.sleep(1 + attempt)
        self._found.unproven.append(f"{case.name}: did not heal, still marked {marks}")
        return f"did not heal: {marks}"

    async def _until(self, enough: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        deadline = monotonic() + patience
        while not await asyncio.to_thread(enough):
            if monotonic() > deadline:
                raise TimeoutError(f"waited {patience:.0f} s for {what}")
            await asyncio.sleep(0.1)

    def _rows(self, query: str, *values: str | datetime) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._database_url) as conn:
            return conn.execute(query, values).fetchall()


def _lost(before: Quantities, during: Quantities) -> list[str]:
    return [
        f"{key[0]} {before[key]} -> {during.get(key)}" for key in before if during.get(key) != before[key]
    ]


def _quantities(frontend: Frontend) -> Quantities:
    return {
        (row["instrument"]["key"], row["currency"]): Decimal(row["quantity"])
        for row in frontend.get("/v1/positions", limit="500")["items"]
    }


def _marks(frontend: Frontend) -> list[str]:
    """What the accounts say is wrong with them."""
    marks = set()
    for account in frontend.get("/v1/accounts")["items"]:
        if account["suspect"]:
            marks.add(f"suspect ({account['suspect_reason']})")
        if account["stale"]:
            marks.add("stale")
        if account["check"] and account["check"]["outcome"] == "break":
            marks.add(BREAK)
        if account["connection_status"] != "active":
            marks.add(f"connection {account['connection_status']}")
    return sorted(marks)
