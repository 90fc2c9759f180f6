"""The schema `portfolio` of a test's own, and the consolidator on it."""

from collections.abc import AsyncIterator, Mapping

import pytest

from consolidator.apply import Applier
from consolidator.measures import Measures
from consolidator.rules import DEFAULT_RULES
from consolidator.settings import SESSION
from persistence import roles
from persistence.database import Database
from persistence.testing import MigratedDatabase, database_template, migrated_database
from service_kit.clock import FakeClock
from service_kit.metrics import Metrics

__all__ = ["database_template", "migrated_database"]


@pytest.fixture(scope="session")
def migration_owners() -> Mapping[str, str]:
    return {"portfolio": "consolidator.migrations"}


@pytest.fixture
async def database(migrated_database: MigratedDatabase) -> AsyncIterator[Database]:
    """The schema as the consolidator's role."""
    database = Database(migrated_database.url(roles.CONSOLIDATOR), settings=dict(SESSION), max_size=6)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def reader(migrated_database: MigratedDatabase) -> AsyncIterator[Database]:
    """The schema as the gateway's role."""
    database = Database(migrated_database.url(roles.GATEWAY))
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test")


@pytest.fixture
def applier(database: Database, clock: FakeClock, metrics: Metrics) -> Applier:
    return Applier(database, DEFAULT_RULES, clock, Measures(metrics))
