"""Decisions, judgements, named portfolios, consolidation on demand, and every snapshot seen lately."""

from alembic import op

from consolidator.migrations.decisions import (
    ALTERATIONS,
    CARRIED_OVER,
    NAME_SEEN,
    ROW_SECURITY,
    SEEN,
    TABLES,
    USER_TABLES,
)
from consolidator.migrations.views import VIEWS
from contracts.ids import snapshot_id
from persistence.rls import own_rows
from persistence.roles import CONSOLIDATOR, GATEWAY

revision = "portfolio_0002"
down_revision = "portfolio_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in VIEWS:
        op.execute(f"DROP VIEW IF EXISTS portfolio.{name}")
    for table in ROW_SECURITY:
        op.execute(f"ALTER TABLE portfolio.{table} NO FORCE ROW LEVEL SECURITY")
    for statement in (*ALTERATIONS, *TABLES):
        op.execute(statement)
    _carry_over()
    for table in ROW_SECURITY:
        op.execute(f"ALTER TABLE portfolio.{table} FORCE ROW LEVEL SECURITY")
    for table in USER_TABLES:
        op.execute(own_rows(f"portfolio.{table}", GATEWAY, CONSOLIDATOR))
        op.execute(f"GRANT SELECT ON portfolio.{table} TO {GATEWAY}")


def _carry_over() -> None:
    """Give every snapshot its id and its place among the sightings."""
    bind = op.get_bind()
    named = [
        (snapshot_id(account_id, version, content_hash), user_id, account_id, state)
        for user_id, state, account_id, version, content_hash in bind.exec_driver_sql(SEEN).fetchall()
    ]
    if named:
        bind.exec_driver_sql(NAME_SEEN, named)
    for statement in CARRIED_OVER:
        op.execute(statement)
