"""Runs one owner's migrations on the connection it is given, inside the transaction that is already open."""

from alembic import context

_given = context.config.attributes
context.configure(
    connection=_given["connection"],
    version_table="alembic_version",
    version_table_schema=_given["schema"],
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
