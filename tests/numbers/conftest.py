"""The consolidator on a real PostgreSQL, and the modules of this directory made importable."""

import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from consolidator.settings import SESSION
from persistence import roles
from persistence.database import Database
from persistence.testing import MigratedDatabase, database_template, migrated_database

sys.path.insert(0, str(Path(__file__).parent))

__all__ = ["database_template", "migrated_database"]


@pytest.fixture(scope="session")
def migration_owners() -> Mapping[str, str]:
    return {"portfolio": "consolidator.migrations"}


@pytest.fixture
async def database(migrated_database: MigratedDatabase) -> AsyncIterator[Database]:
    """The schema as the consolidator's role, which sees all users."""
    database = Database(migrated_database.url(roles.CONSOLIDATOR), settings=dict(SESSION), max_size=6)
    await database.open()
    yield database
    await database.close()
