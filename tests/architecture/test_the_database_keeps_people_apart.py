"""Read from the database's own catalogue, after every owner's migrations."""

from persistence.catalogue import gaps
from persistence.testing import MigratedDatabase, database_template, migrated_database, migration_owners

__all__ = ["database_template", "migrated_database", "migration_owners"]


def test_no_table_view_or_role_lets_one_user_see_another(migrated_database: MigratedDatabase) -> None:
    assert gaps(migrated_database.admin_url) == []
