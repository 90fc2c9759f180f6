"""The portfolio schema: what was seen and what was concluded. The newest revision makes the views."""

from alembic import op

from consolidator.migrations.tables import GLOBAL_TABLES, TABLES, USER_TABLES
from persistence.ledger import create_sql as create_ledger_sql
from persistence.outbox import create_outbox_sql
from persistence.rls import own_rows
from persistence.roles import CONSOLIDATOR, GATEWAY

revision = "portfolio_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    for table in USER_TABLES:
        op.execute(own_rows(f"portfolio.{table}", GATEWAY, CONSOLIDATOR))
        op.execute(f"GRANT SELECT ON portfolio.{table} TO {GATEWAY}")
    for table in GLOBAL_TABLES:
        op.execute(f"GRANT SELECT ON portfolio.{table} TO {GATEWAY}")
    op.execute(create_outbox_sql("portfolio"))
    op.execute(create_ledger_sql("portfolio"))
