"""The gateway with fakes at its ports, and real databases with a small portfolio in them."""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from jsonschema import Draft202012Validator
from psycopg.types.json import Json
from pydantic import SecretStr
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from contracts.decisions import ConsolidationRequested, IdentityDecided, PortfolioDefined, SnapshotJudged
from contracts.envelope import decode
from contracts.errors import ErrorCode
from contracts.ids import portfolio_id, position_id, snapshot_id
from contracts.linking import LinkProgress, LinkRequest, LinkStart
from contracts.statuses import LinkStatus
from gateway.build import build
from gateway.decisions import wait
from gateway.devtoken import mint
from gateway.openapi import document
from gateway.refusals import refusal
from gateway.settings import GatewaySettings
from messaging.bus import Bus
from messaging.memory import MemoryBus
from messaging.topology import onefolio
from persistence import roles
from persistence.database import Database
from persistence.testing import MigratedDatabase, database_template, migrated_database
from service_kit.clock import FakeClock
from service_kit.metrics import Metrics
from service_kit.run import Service

__all__ = ["database_template", "migrated_database"]

SECRET = "a development secret of the tests, long enough for every algorithm there is, HS512 too"
NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
REDIRECT = "https://app.example.com/linked"


@pytest.fixture(scope="session")
def migration_owners() -> Mapping[str, str]:
    return {
        "gateway": "gateway.migrations",
        "portfolio": "consolidator.migrations",
        "sync": "connector_kit.migrations",
    }


def make_settings(**changes: Any) -> GatewaySettings:
    values: dict[str, Any] = {
        "service_auth_secret": SecretStr("s" * 40),
        "database_url": SecretStr("postgresql://nobody@127.0.0.1:1/nothing"),
        "amqp_url": SecretStr("amqp://nobody@127.0.0.1:1/"),
        "connectors": {"snaptrade": "http://snaptrade.test", "plaid": "http://plaid.test"},
        "jwt_secret": SecretStr(SECRET),
        "redirect_allow_list": (REDIRECT,),
        "cors_origins": ("https://app.example.com",),
    }
    return GatewaySettings(**(values | changes))


@pytest.fixture
def settings() -> GatewaySettings:
    return make_settings()


@pytest.fixture(name="make_settings")
def make_settings_fixture() -> Callable[..., GatewaySettings]:
    return make_settings


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tests have nobody who applies decisions, and a short wait shows that as well as a long one."""
    monkeypatch.setattr(wait, "PATIENCE", 0.05)
    monkeypatch.setattr(wait, "LONGER_PATIENCE", 0.05)


class Documented:
    """The OpenAPI document as a judge of answers."""

    def __init__(self) -> None:
        self.document = document()
        resource = Resource(contents=self.document, specification=DRAFT202012)
        self._registry = Registry().with_resource("urn:api", resource)
        self._patterns = {
            path: re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in self.document["paths"]
        }

    def judge(self, answer: httpx.Response) -> None:
        """Fail unless the answer is one the document promises for its operation."""
        found = [path for path, like in self._patterns.items() if like.fullmatch(answer.request.url.path)]
        exact = [path for path in found if "{" not in path] or found
        operation = self.document["paths"][exact[0]].get(answer.request.method.lower()) if exact else None
        if operation is None:
            return
        promised = operation["responses"].get(str(answer.status_code))
        if promised is None:
            assert answer.status_code >= 400, f"{answer.status_code} is not documented"
            promised = operation["responses"]["default"]
        if content := promised.get("content"):
            kind = answer.headers["content-type"].partition(";")[0]
            found = answer.json() if kind == "application/json" else answer.text
            self.check(found, content[kind]["schema"])
        else:
            assert not answer.content

    def check(self, value: Any, schema: dict[str, Any]) -> None:
        absolute = json.loads(json.dumps(schema).replace("#/components", "urn:api#/components"))
        validator = Draft202012Validator(
            absolute, registry=self._registry, format_checker=Draft202012Validator.FORMAT_CHECKER
        )
        validator.validate(value)


@pytest.fixture(scope="session")
def documented() -> Documented:
    return Documented()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@dataclass
class FakeConnectors:
    """Both connectors at the client port: sessions by id, and whatever a test makes go wrong."""

    clock: FakeClock
    url: str = "https://portal.example.com/connect?token=canary-portal-token"
    begun: list[tuple[str, LinkRequest]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    says: dict[str, LinkProgress] = field(default_factory=dict)
    fails: Exception | None = None
    down: set[str] = field(default_factory=set)
    told: dict[str, list[Any]] = field(default_factory=dict)

    async def begin(self, provider: str, request: LinkRequest) -> LinkStart:
        if self.fails:
            raise self.fails
        self.begun.append((provider, request))
        token = "canary-link-token" if provider == "plaid" else None
        self.says[request.link_session_id] = LinkProgress(status=LinkStatus.PENDING, connection_ids=[])
        expires = self.clock.now() + timedelta(minutes=5)
        return LinkStart(url=self.url, expires_at=expires, link_token=token)

    async def progress(self, provider: str, session_id: str, user_id: str) -> LinkProgress | None:
        return self._answer("progress", session_id)

    async def check(self, provider: str, session_id: str, user_id: str) -> LinkProgress | None:
        return self._answer("check", session_id)

    async def orphans(self, provider: str, *, resolved: bool) -> list[Any]:
        return self._told("orphans", provider)

    async def remove_orphan(self, provider: str, orphan_id: str) -> Any:
        self.asked.append(("remove", f"{provider}:{orphan_id}"))
        return next(one for one in self._told("orphans", provider) if one.orphan_id == orphan_id)

    async def breakers(self, provider: str) -> list[Any]:
        return self._told("breakers", provider)

    async def jobs(self, provider: str) -> list[Any]:
        return self._told("jobs", provider)

    async def run_job(self, provider: str, name: str) -> list[Any]:
        self.asked.append(("run", f"{provider}:{name}"))
        return [one for one in self._told("jobs", provider) if one.name == name]

    def _told(self, what: str, provider: str) -> list[Any]:
        if provider in self.down:
            raise refusal(ErrorCode.PROVIDER_UNAVAILABLE)
        return self.told.get(what, []) if provider == "snaptrade" else []

    def _answer(self, how: str, session_id: str) -> LinkProgress | None:
        self.asked.append((how, session_id))
        if self.fails:
            raise self.fails
        return self.says.get(session_id)


@pytest.fixture
def connectors(clock: FakeClock) -> FakeConnectors:
    return FakeConnectors(clock)


@dataclass
class Api:
    """The gateway under test, as its users see it."""

    service: Service
    http: httpx.AsyncClient
    connectors: FakeConnectors
    clock: FakeClock
    metrics: Metrics
    bus: Bus
    settings: GatewaySettings
    documented: Documented

    def headers(self, user: str = "alice", **options: Any) -> dict[str, str]:
        token = mint(SECRET, user, now=self.clock.now(), **options)
        return {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, user: str = "alice", **options: Any) -> httpx.Response:
        return await self.request("GET", path, user, **options)

    async def post(self, path: str, body: Any = None, user: str = "alice") -> httpx.Response:
        return await self.request("POST", path, user, **({} if body is None else {"json": body}))

    async def request(
        self, method: str, path: str, user: str | None = "alice", headers: Any = None, **options: Any
    ) -> httpx.Response:
        sent = (self.headers(user) if user else {}) | (headers or {})
        answer = await self.http.request(method, path, headers=sent, **options)
        self.documented.judge(answer)
        return answer


async def make_api(
    stack: AsyncExitStack,
    settings: GatewaySettings,
    clock: FakeClock,
    connectors: FakeConnectors,
    database: Database,
    documented: Documented,
) -> Api:
    bus, metrics = MemoryBus(onefolio()), Metrics("gateway")
    service = build(settings, clock=clock, metrics=metrics, database=database, bus=bus, connectors=connectors)
    transport = httpx.ASGITransport(app=service.app)  # type: ignore[arg-type]
    http = await stack.enter_async_context(
        httpx.AsyncClient(transport=transport, base_url="http://gateway.test")
    )
    stack.push_async_callback(bus.close)
    return Api(service, http, connectors, clock, metrics, bus, settings, documented)


@pytest.fixture
async def bare_api(
    settings: GatewaySettings, clock: FakeClock, connectors: FakeConnectors, documented: Documented
) -> AsyncIterator[Api]:
    """The gateway while its database is away."""
    async with AsyncExitStack() as stack:
        yield await make_api(
            stack, settings, clock, connectors, Database("postgresql://x@127.0.0.1:1/x"), documented
        )


@pytest.fixture
async def api(
    settings: GatewaySettings,
    clock: FakeClock,
    connectors: FakeConnectors,
    migrated_database: MigratedDatabase,
    documented: Documented,
) -> AsyncIterator[Api]:
    """The gateway on a real database of its own, as its own role."""
    async with AsyncExitStack() as stack:
        database = Database(migrated_database.url(roles.GATEWAY), max_size=4)
        await database.open()
        stack.push_async_callback(database.close)
        yield await make_api(stack, settings, clock, connectors, database, documented)


class Seed:
    """Rows of the portfolio, written as the consolidator writes them."""

    def __init__(self, url: str) -> None:
        self._conn = psycopg.connect(url, autocommit=True)
        self.reals: dict[str, str] = {}

    def close(self) -> None:
        self._conn.close()

    def insert(self, table: str, **values: Any) -> None:
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        self._conn.execute(f"INSERT INTO portfolio.{table} ({names}) VALUES ({marks})", list(values.values()))

    def connection(
        self,
        user: str = "alice",
        provider: str = "snaptrade",
        institution: str = "charles-schwab",
        **more: Any,
    ) -> str:
        row = {
            "user_id": user,
            "connection_id": str(uuid.uuid4()),
            "provider": provider,
            "institution": institution,
            "institution_name": institution.title(),
            "external_id": "external",
            "connection_type": "trade",
            "status": "active",
            "linked_at": NOW,
            "linked_version": 1,
            "accounts_version": 1,
        } | more
        self.insert("connections", **row)
        return str(row["connection_id"])

    def account(self, connection: str, user: str = "alice", provider: str = "snaptrade", **more: Any) -> str:
        account, real = str(uuid.uuid4()), str(uuid.uuid4())
        row = {
            "user_id": user,
            "account_id": account,
            "connection_id": connection,
            "provider": provider,
            "institution": "charles-schwab",
            "real_account_id": real,
            "name": "Individual",
            "type": "brokerage",
            "currency": "USD",
            "mask": "4321",
            "status": "open",
            "total_amount": "1000.50",
            "total_currency": "USD",
            "trading": True,
            "realtime": False,
            "holds_securities": True,
            "listed_version": 1,
            "gone": False,
        } | more
        account, self.reals[str(row["account_id"])] = str(row["account_id"]), str(row["real_account_id"])
        self.insert("accounts", **row)
        self.insert(
            "snapshots", user_id=user, account_id=account, state="current", version=3, content_hash="h",
            as_of=NOW, synced_at=NOW, complete=True, holdings=1, snapshot_id=snapshot_id(account, 3, "h"),
        )  # fmt: skip
        self.insert(
            "real_accounts", user_id=user, real_account_id=row["real_account_id"], institution="charles-schwab",
            members=Json([account]), counted_account_id=account, reason="only_source", stale=False,
            needs_decision=False, excluded=Json([]), changed_at=NOW,
        )  # fmt: skip
        self.insert(
            "account_checks", user_id=user, real_account_id=row["real_account_id"], account_id=account,
            outcome="ok", reason="within_tolerance", counted="1000.50", expected="1000.50", difference="0",
            currency="USD", checked_at=NOW,
        )  # fmt: skip
        return account

    def sighting(self, account: str, user: str = "alice", version: int = 3, **more: Any) -> str:
        """The account's snapshot as it is kept; the current one unless told otherwise."""
        row = {
            "user_id": user,
            "account_id": account,
            "version": version,
            "snapshot_id": snapshot_id(account, version, str(more.get("content_hash", "h"))),
            "content_hash": "h",
            "as_of": NOW,
            "synced_at": NOW,
            "holdings": 1,
            "unpriced": 0,
        } | more
        self.insert("sightings", **row)
        return str(row["snapshot_id"])

    def instrument(self, key: str, kind: str = "stock") -> str:
        instrument = str(uuid.uuid4())
        self.insert(
            "instruments", instrument_id=instrument, key=key, kind=kind, symbol=key, name=f"{key} Inc.",
            currency="USD", multiplier="1",
        )  # fmt: skip
        return instrument

    def holding(self, account: str, instrument: str, quantity: str, user: str = "alice", **more: Any) -> None:
        row = {
            "user_id": user,
            "account_id": account,
            "instrument_id": instrument,
            "currency": "USD",
            "quantity": quantity,
            "price": "10",
            "market_value": str(float(quantity) * 10),
            "cash_equivalent": False,
        } | more
        self.insert("holdings", **row)

    def balance(self, account: str, user: str = "alice") -> None:
        self.insert(
            "balances", user_id=user, account_id=account, currency="USD", cash="3000.10", buying_power="6000"
        )
        self.insert(
            "balance_snapshots", user_id=user, account_id=account, version=3, content_hash="h", as_of=NOW,
            synced_at=NOW,
        )  # fmt: skip

    def position(
        self, key: str, instrument: str, parts: list[dict[str, Any]], user: str = "alice", **more: Any
    ) -> str:
        """A position of these parts (account_id, provider, quantity, market_value, cost_basis)."""
        portfolio = portfolio_id(user)
        known = [part["market_value"] for part in parts if part["market_value"] is not None]
        row = {
            "user_id": user,
            "portfolio_id": portfolio,
            "instrument_key": key,
            "currency": "USD",
            "position_id": position_id(portfolio, key, "USD"),
            "instrument_id": instrument,
            "ticker": key,
            "type": "stock",
            "quantity": str(sum(int(part["quantity"]) for part in parts)),
            "price": "10",
            "market_value": str(sum(int(value) for value in known)) if known else None,
            "value_complete": len(known) == len(parts),
            "cost_basis": None,
            "cost_basis_complete": False,
            "provider": parts[0]["provider"],
            "account_id": parts[0]["account_id"],
            "account_ids": [part["account_id"] for part in parts],
            "position_source": "consolidated" if len(parts) > 1 else parts[0]["provider"],
            "position_status": "current",
            "contributions": Json(
                [
                    {"instrument_id": instrument, "price": "10", "price_as_of": None}
                    | {"real_account_id": self.reals[part["account_id"]]}
                    | part
                    for part in parts
                ]
            ),
            "excluded": Json([]),
            "digest": 1,
            "last_consolidation_at": NOW,
        } | more
        self.insert("positions", **row)
        return str(row["position_id"])

    def version(self, version: int, user: str = "alice", positions: int = 1) -> None:
        self._conn.execute(
            """INSERT INTO portfolio.portfolio_versions (user_id, portfolio_id, version, positions, changed_at)
            VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (user_id, portfolio_id) DO UPDATE SET version = EXCLUDED.version""",
            (user, portfolio_id(user), version, positions, NOW),
        )


def part(
    account: str, quantity: str, provider: str = "snaptrade", value: str | None = "10"
) -> dict[str, Any]:
    return {
        "account_id": account,
        "provider": provider,
        "quantity": quantity,
        "market_value": value,
        "cost_basis": None,
    }


@pytest.fixture
def seed(migrated_database: MigratedDatabase) -> Any:
    made = Seed(migrated_database.url(roles.CONSOLIDATOR))
    yield made
    made.close()


class StandIn:
    """Applies what people decide as the consolidator would: straight from the gateway's outbox, as the owner."""

    def __init__(self, conn: psycopg.AsyncConnection[Any]) -> None:
        self._conn = conn
        self._last = 0

    async def run(self) -> None:
        while True:
            await self.apply()
            await asyncio.sleep(0.005)

    async def apply(self) -> None:
        found = await self._conn.execute(
            "SELECT id, body FROM gateway.outbox WHERE id > %s ORDER BY id", (self._last,)
        )
        for number, body in await found.fetchall():
            self._last = number
            match decode(body).message:
                case IdentityDecided() as fact:
                    await self._identity(fact)
                case SnapshotJudged() as fact:
                    await self._judgement(fact)
                case PortfolioDefined() as fact:
                    await self._portfolio(fact)
                case ConsolidationRequested() as fact:
                    await self._consolidation(fact)
                case _:
                    continue

    async def _identity(self, fact: IdentityDecided) -> None:
        async with self._conn.transaction():
            await self._conn.execute(
                "INSERT INTO portfolio.identity_decisions VALUES (%s, %s, %s, %s, %s, %s, %s)",
                (
                    fact.user_id,
                    fact.decision_id,
                    *fact.account_ids,
                    fact.verdict,
                    fact.decided_by,
                    fact.decided_at,
                ),
            )
            if fact.verdict == "same":
                await self._conn.execute(
                    """UPDATE portfolio.accounts SET real_account_id = (SELECT real_account_id
                        FROM portfolio.accounts WHERE account_id = %s) WHERE account_id = %s""",
                    fact.account_ids,
                )

    async def _judgement(self, fact: SnapshotJudged) -> None:
        async with self._conn.transaction():
            await self._conn.execute(
                "INSERT INTO portfolio.snapshot_judgements VALUES (%s, %s, %s, %s, %s, %s, %s)",
                (
                    fact.user_id, fact.judgement_id, fact.account_id, fact.version, fact.verdict, fact.judged_by,
                    fact.judged_at,
                ),
            )  # fmt: skip
            where = "WHERE account_id = %s AND state ="
            if fact.verdict == "accept":
                await self._conn.execute(
                    f"DELETE FROM portfolio.snapshots {where} 'current'", (fact.account_id,)
                )
                await self._conn.execute(
                    f"UPDATE portfolio.snapshots SET state = 'current' {where} 'quarantined'",
                    (fact.account_id,),
                )
            await self._conn.execute(
                f"DELETE FROM portfolio.snapshots {where} 'quarantined'", (fact.account_id,)
            )

    async def _portfolio(self, fact: PortfolioDefined) -> None:
        row = (fact.user_id, fact.portfolio_id, fact.name, Json(fact.account_ids), fact.deleted, fact.version)
        async with self._conn.transaction():
            await self._conn.execute(
                """INSERT INTO portfolio.portfolios VALUES (%s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT (user_id, portfolio_id) DO UPDATE SET name = EXCLUDED.name,
                    account_ids = EXCLUDED.account_ids, deleted = EXCLUDED.deleted, version = EXCLUDED.version""",
                (*row, fact.defined_at),
            )
            await self._conn.execute(
                """INSERT INTO portfolio.portfolio_versions (user_id, portfolio_id, version, positions, changed_at)
                VALUES (%s, %s, 0, 0, %s) ON CONFLICT DO NOTHING""",
                (fact.user_id, fact.portfolio_id, fact.defined_at),
            )

    async def _consolidation(self, fact: ConsolidationRequested) -> None:
        found = await self._conn.execute(
            "SELECT portfolio_id FROM portfolio.portfolios WHERE user_id = %s AND NOT deleted",
            (fact.user_id,),
        )
        known = [portfolio_id(fact.user_id), *(str(row[0]) for row in await found.fetchall())]
        for portfolio in fact.portfolio_ids or known:
            await self._conn.execute(
                "INSERT INTO portfolio.consolidations VALUES (" + ", ".join(["%s"] * 15) + ")",
                (
                    fact.user_id, fact.request_id, portfolio, fact.requested_by, fact.requested_at, NOW, 2, 2, 2,
                    Json({"snaptrade": 1, "plaid": 1}), 1, 0, 0, 5, NOW + timedelta(milliseconds=1250),
                ),
            )  # fmt: skip


@pytest.fixture
async def stand_in(
    migrated_database: MigratedDatabase, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[StandIn]:
    """Somebody who applies decisions as they come; whoever waits for that has the time."""
    monkeypatch.setattr(wait, "PATIENCE", 20.0)
    monkeypatch.setattr(wait, "LONGER_PATIENCE", 20.0)
    conn = await psycopg.AsyncConnection.connect(migrated_database.admin_url, autocommit=True)
    made = StandIn(conn)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await conn.close()


class Written:
    """What the gateway has put into its tables, as the owner sees it."""

    def __init__(self, url: str) -> None:
        self._conn = psycopg.connect(url, autocommit=True)

    def close(self) -> None:
        self._conn.close()

    def facts(self) -> list[Any]:
        rows = self._conn.execute("SELECT body FROM gateway.outbox ORDER BY id").fetchall()
        return [decode(row[0]).message for row in rows]

    def audit(self) -> list[tuple[Any, ...]]:
        query = "SELECT user_id, action, object_id, details FROM gateway.audit_log ORDER BY id"
        return self._conn.execute(query).fetchall()


@pytest.fixture
def written(migrated_database: MigratedDatabase) -> Iterator[Written]:
    made = Written(migrated_database.admin_url)
    yield made
    made.close()


@dataclass(frozen=True)
class Portfolio:
    """The small portfolio of one user."""

    connection: str
    other_connection: str
    account: str
    other_account: str
    aapl: str


@pytest.fixture
def portfolio(seed: Seed) -> Portfolio:
    """AAPL 100 through Plaid and 50 through SnapTrade, and a second stock whose value is unknown."""
    schwab = seed.connection()
    chase = seed.connection(provider="plaid", institution="fidelity", connection_type="read")
    one, two = seed.account(schwab), seed.account(chase, provider="plaid", trading=False)
    aapl, odd = seed.instrument("AAPL"), seed.instrument("ODD")
    seed.sighting(one)
    seed.sighting(two)
    seed.holding(one, aapl, "50")
    seed.holding(two, aapl, "100")
    seed.holding(two, odd, "7", price=None, market_value=None)
    seed.balance(one)
    position = seed.position("AAPL", aapl, [part(one, "50", value="500"), part(two, "100", "plaid", "1000")])
    duplicate = {"real_account_id": seed.reals[two], "account_id": one, "provider": "snaptrade",
                 "quantity": "7", "market_value": None, "cost_basis": None, "instrument_id": odd,
                 "counted_account_id": two, "rule": "lower_priority"}  # fmt: skip
    seed.position("ODD", odd, [part(two, "7", "plaid", None)], excluded=Json([duplicate]))
    seed.version(4, positions=2)
    return Portfolio(schwab, chase, one, two, position)
