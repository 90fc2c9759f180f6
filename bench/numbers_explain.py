"""Explanations over HTTP: of random positions, each must add up, lead to stored snapshots, and name its rules."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
from generate import NOW
from local_demo.client import development_token
from reference import reference

from numbers_stream import Verdict
from persistence import roles
from persistence.testing import MigratedDatabase
from service_kit.run import free_port

JWT_SECRET = "check-numbers-" + "x" * 40
AT_ONCE = 4
READY_SECONDS = 60.0
Row = dict[str, Any]


@dataclass
class Explained:
    """How many explanations were read, and what was wrong with them."""

    checked: int = 0
    contributions: int = 0
    exclusions: int = 0
    wrong: list[str] = field(default_factory=list)


async def explained(
    database: MigratedDatabase,
    amqp_url: str,
    verdict: Verdict,
    wanted: int,
    seed: int,
    folder: Path,
    say: Callable[[str], None],
) -> Explained:
    """Ask a gateway to explain that many random positions of the portfolios, and check each answer."""
    positions = [
        (one.user, json.loads(text))
        for one in verdict.portfolios
        for text in reference(one.messages, NOW).positions
    ]
    chosen = random.Random(seed).sample(positions, min(wanted, len(positions)))
    found = Explained()
    async with _gateway(database, amqp_url, folder) as http:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(user: str, row: Row) -> None:
            async with slots:
                problems = [problem async for problem in _problems(_Reader(http, user), row, found)]
            found.checked += 1
            found.wrong += [f"position {row['position_id']} of {user}: {problem}" for problem in problems[:1]]
            if found.checked % 250 == 0:
                say(f"explain: {found.checked} positions explained")

        await asyncio.gather(*(one(user, row) for user, row in chosen))
    return found


class _Reader:
    """Reads the API as one user."""

    def __init__(self, http: httpx.AsyncClient, user: str) -> None:
        self._http = http
        self._token = development_token(JWT_SECRET, user)

    async def get(self, path: str) -> tuple[int, Any]:
        answer = await self._http.get(path, headers={"Authorization": f"Bearer {self._token}"})
        return answer.status_code, answer.json()


async def _problems(reader: _Reader, wanted: Row, found: Explained) -> AsyncIterator[str]:
    status, body = await reader.get(f"/v1/positions/{wanted['position_id']}/explain")
    if status != httpx.codes.OK:
        yield f"explain answered {status}: {json.dumps(body)[:300]}"
        return
    parts, left = body["contributions"], body["excluded"]
    found.contributions += len(parts)
    found.exclusions += len(left)
    for problem in _wrong_sums(body["position"], parts, wanted):
        yield problem
    if body["sums"]["exact"] is not True:
        yield "the answer itself says that the sums are not exact"
    for name, rows in (("contributions", parts), ("excluded", left)):
        if (mine := _shown(rows, name)) != (theirs := _shown(wanted[name], name)):
            yield f"{name} are {mine} instead of {theirs}"
    for row in left:
        if not row["rule"]:
            yield f"no rule says why {row['account_id']} is left out"
    for row in (*parts, *left):
        for problem in await _wrong_snapshot(reader, row, wanted):
            yield problem


def _wrong_sums(position: Row, parts: list[Row], wanted: Row) -> Iterator[str]:
    """Whether contributions sum to the position, as Decimal, and the position is the one that was asked for."""
    for name in ("quantity", "market_value", "cost_basis"):
        known = [Decimal(part[name]) for part in parts if part[name] is not None]
        total = sum(known, Decimal(0)) if known else None
        shown = None if position[name] is None else Decimal(position[name])
        stored = None if wanted[name] is None else Decimal(wanted[name])
        if not total == shown == stored:
            yield f"{name}: the parts sum to {total}, the position shows {shown}, the reference has {stored}"


def _shown(rows: list[Row], name: str) -> list[tuple[Any, ...]]:
    by = "rule" if name == "excluded" else "provider"
    return sorted((row["account_id"], Decimal(row["quantity"]), str(row[by])) for row in rows)


async def _wrong_snapshot(reader: _Reader, row: Row, wanted: Row) -> list[str]:
    """Whether the snapshot a sight was read from is stored, is the one named, and holds the quantity."""
    named = row["snapshot"]
    if named is None:
        return [f"{row['account_id']} names no snapshot"]
    status, snapshot = await reader.get(f"/v1/snapshots/{named['id']}")
    if status != httpx.codes.OK:
        return [f"snapshot {named['id']} answered {status}"]
    told = (named["id"], named["content_hash"], row["account_id"])
    if (snapshot["id"], snapshot["content_hash"], snapshot["account_id"]) != told:
        return [f"snapshot {named['id']} is another: {snapshot['id']} of {snapshot['account_id']}"]
    key = (row["instrument"] or {}).get("key", wanted["instrument_key"])
    held = [
        Decimal(line["quantity"])
        for line in snapshot["content"]
        if (line["instrument_key"], line["currency"]) == (key, wanted["currency"])
    ]
    if Decimal(row["quantity"]) not in held:
        return [f"snapshot {named['id']} holds {held} of {key}, not {row['quantity']}"]
    return [] if named["agrees"] is True else [f"snapshot {named['id']} is said not to agree"]


@asynccontextmanager
async def _gateway(
    database: MigratedDatabase, amqp_url: str, folder: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway as its own process, ready to answer."""
    port = free_port()
    environment = os.environ | {
        "DATABASE_URL": database.url(roles.GATEWAY),
        "AMQP_URL": amqp_url,
        "SERVICE_AUTH_SECRET": "s" * 40,
        "JWT_SECRET": JWT_SECRET,
        "CONNECTOR_URLS": f"snaptrade=http://127.0.0.1:{free_port()}",
        "LOG_LEVEL": "WARNING",
        "PORT": str(port),
    }
    log = folder / "gateway.log"
    process = await asyncio.to_thread(_started, environment, log)
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False
        ) as http:
            await _ready(http, process, log)
            yield http
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


def _started(environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as out:
        return subprocess.Popen([sys.executable, "-m", "gateway"], env=environment, stdout=out, stderr=out)


async def _ready(http: httpx.AsyncClient, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = monotonic() + READY_SECONDS
    while True:
        try:
            if (await http.get("/readyz")).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass  # not listening yet
        if process.poll() is not None or monotonic() > deadline:
            text = await asyncio.to_thread(log.read_text, errors="replace")
            raise RuntimeError("the gateway does not come up:\n" + text[-2000:])
        await asyncio.sleep(0.2)
