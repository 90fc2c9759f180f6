"""Transactions with coverage and retractions, series of daily totals, and how sync runs went."""

from alembic import op

from consolidator.domain.succession import transaction_id
from consolidator.migrations.activity import (
    ALTERATIONS,
    CARRIED_OVER,
    NAMED,
    OLD_TRANSACTIONS,
    TABLES,
    USER_TABLES,
)
from consolidator.migrations.views import VIEWS
from persistence.rls import own_rows
from persistence.roles import CONSOLIDATOR, GATEWAY

revision = "portfolio_0003"
down_revision = "portfolio_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in VIEWS:
        op.execute(f"DROP VIEW IF EXISTS portfolio.{name}")
    for statement in (*ALTERATIONS, *TABLES):
        op.execute(statement)
    _carry_over()
    for table in USER_TABLES:
        op.execute(own_rows(f"portfolio.{table}", GATEWAY, CONSOLIDATOR))
        op.execute(f"GRANT SELECT ON portfolio.{table} TO {GATEWAY}")
    for name, (documentation, query) in VIEWS.items():
        op.execute(f"CREATE VIEW portfolio.{name} WITH (security_invoker = true) AS {query}")
        op.execute(f"COMMENT ON VIEW portfolio.{name} IS $text${documentation}$text$")
        op.execute(f"GRANT SELECT ON portfolio.{name} TO {GATEWAY}")


def _carry_over() -> None:
    """Give every transaction its id, and what decides about it."""
    bind = op.get_bind()
    op.execute("ALTER TABLE portfolio.transactions NO FORCE ROW LEVEL SECURITY")
    named = [
        (transaction_id(account_id, external_id), user_id, account_id, external_id)
        for user_id, account_id, external_id in bind.exec_driver_sql(OLD_TRANSACTIONS).fetchall()
    ]
    if named:
        bind.exec_driver_sql(CARRIED_OVER, named)
    op.execute("ALTER TABLE portfolio.transactions FORCE ROW LEVEL SECURITY")
    op.execute(NAMED)
