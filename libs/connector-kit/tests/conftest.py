"""An engine with a provider in memory, a real database and a bus that remembers what was published."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import pytest

from connector_kit.engine import Engine
from connector_kit.links import begin
from connector_kit.measures import ConnectorMetrics
from connector_kit.settings import ConnectorSettings
from connector_kit.testing import FakeAdapter, FakeConnection
from contracts.envelope import decode
from contracts.linking import LinkRequest
from contracts.messages import Event
from contracts.statuses import LinkStatus
from messaging.bus import BusError, NotConfirmedError, Outgoing
from messaging.topology import connector_topology
from persistence import roles
from persistence.database import Database
from persistence.secrets import KeyRing, PostgresSecrets
from persistence.testing import MigratedDatabase, database_template, migrated_database
from service_kit.clock import SystemClock
from service_kit.metrics import Metrics

__all__ = ["database_template", "migrated_database"]

MASTER_KEYS = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
SETTINGS = ConnectorSettings(
    service_auth_secret="s" * 40,
    database_url="postgresql://unused",
    amqp_url="amqp://unused",
    secrets_master_keys=MASTER_KEYS,
    webhook_url="https://hooks.invalid/webhooks/fake",
    webhook_spacing_seconds=0,
)


@dataclass
class RecordingBus:
    """Confirms everything, except as often as `refuse` says."""

    topology: object = field(default_factory=lambda: connector_topology("fake"))
    sent: list[Event] = field(default_factory=list)
    refuse: int = 0

    async def publish_many(self, messages: list[Outgoing]) -> list[BusError | None]:
        return [await self._one(message) for message in messages]

    async def _one(self, message: Outgoing) -> BusError | None:
        await asyncio.sleep(0)
        if self.refuse:
            self.refuse -= 1
            return NotConfirmedError("refused for the test")
        self.sent.append(decode(message.body).message)
        return None

    def of(self, kind: type) -> list:
        return [event for event in self.sent if isinstance(event, kind)]


@pytest.fixture(scope="session")
def migration_owners() -> Mapping[str, str]:
    return {"sync": "connector_kit.migrations"}


@pytest.fixture
async def database(migrated_database: MigratedDatabase) -> AsyncIterator[Database]:
    opened = Database(migrated_database.url(roles.CONNECTOR))
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def adapter() -> FakeAdapter:
    return FakeAdapter()


@pytest.fixture
def bus() -> RecordingBus:
    return RecordingBus()


async def no_sleep(_seconds: float) -> None:
    await asyncio.sleep(0.002)


@pytest.fixture
def engine(adapter: FakeAdapter, bus: RecordingBus, database: Database) -> Engine:
    return Engine(
        adapter=adapter,
        settings=SETTINGS,
        database=database,
        bus=bus,
        secrets=PostgresSecrets(database, KeyRing.parse(MASTER_KEYS)),
        clock=SystemClock(),
        metrics=ConnectorMetrics(Metrics("fake-connector"), "fake"),
        sleep=no_sleep,
        chance=lambda: 0.5,
    )


@pytest.fixture
def request_link():
    """Makes requests; the session id is what the provider's token is named after."""

    def make(session: str = "s1", user: str = "u1", **more: object) -> LinkRequest:
        values = {
            "link_session_id": session,
            "user_id": user,
            "institution": "example",
            "institution_ref": "ins_1",
            "need_trading": False,
            "allow_trading": False,
            "redirect_uri": None,
        }
        return LinkRequest(**(values | more))

    return make


@pytest.fixture
def begun(engine: Engine, adapter: FakeAdapter, request_link):
    """Begins a session that the user finished at the provider with these connections."""

    async def make(session: str = "s1", user: str = "u1", *brings: FakeConnection, **more: object) -> str:
        await begin(engine, request_link(session, user, **more))
        found = adapter.sessions[f"link-{session}"]
        found.brings = list(brings) or [FakeConnection("item-1", "token-1")]
        found.status = LinkStatus.COMPLETED
        return session

    return make
