"""The Alembic environment that all owners of migrations share."""
