"""Decisions, judgements, named portfolios, consolidation on demand, and every snapshot seen lately."""

from alembic import op

from consolidator.migrations.decisions import ALTERATIONS, TABLES, USER_TABLES
from consolidator.migrations.views import VIEWS
from persistence.rls import own_rows
from persistence.roles import CONSOLIDATOR, GATEWAY

revision = "portfolio_0002"
down_revision = "portfolio_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in VIEWS:
        op.execute(f"DROP VIEW IF EXISTS portfolio.{name}")
    for statement in (*ALTERATIONS, *TABLES):
        op.execute(statement)
    for table in USER_TABLES:
        op.execute(own_rows(f"portfolio.{table}", GATEWAY, CONSOLIDATOR))
        op.execute(f"GRANT SELECT ON portfolio.{table} TO {GATEWAY}")
    for name, (documentation, query) in VIEWS.items():
        op.execute(f"CREATE VIEW portfolio.{name} WITH (security_invoker = true) AS {query}")
        op.execute(f"COMMENT ON VIEW portfolio.{name} IS $text${documentation}$text$")
        op.execute(f"GRANT SELECT ON portfolio.{name} TO {GATEWAY}")
