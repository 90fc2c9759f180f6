"""What people decide: named portfolios, decisions, consolidations on demand, and keys that make retries harmless."""

from alembic import op

from persistence.rls import own_rows
from persistence.roles import GATEWAY

revision = "gateway_0002"
down_revision = "gateway_0001"
branch_labels = None
depends_on = None

PORTFOLIOS = """
CREATE TABLE gateway.portfolios (
    user_id text COLLATE "C" NOT NULL,
    portfolio_id uuid NOT NULL,
    name text NOT NULL,
    name_key text COLLATE "C" NOT NULL,
    account_ids jsonb NOT NULL,
    version bigint NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, portfolio_id))
"""
# What was said last of a pair of accounts or of a snapshot, before anybody has applied it.
DECISIONS = """
CREATE TABLE gateway.decisions (
    user_id text COLLATE "C" NOT NULL,
    decision_id uuid NOT NULL,
    subject text COLLATE "C" NOT NULL,
    verdict text NOT NULL,
    decided_by text NOT NULL,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, decision_id))
"""
CONSOLIDATION_REQUESTS = """
CREATE TABLE gateway.consolidation_requests (
    user_id text COLLATE "C" NOT NULL,
    request_id uuid NOT NULL,
    portfolio_ids jsonb NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, request_id))
"""
IDEMPOTENCY_KEYS = """
CREATE TABLE gateway.idempotency_keys (
    user_id text COLLATE "C" NOT NULL,
    actor text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint text NOT NULL,
    object_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, actor, action, key))
"""


def upgrade() -> None:
    op.execute(PORTFOLIOS)
    op.execute(
        "CREATE UNIQUE INDEX portfolios_by_name ON gateway.portfolios (user_id, name_key) WHERE NOT deleted"
    )
    op.execute(DECISIONS)
    op.execute("CREATE INDEX decisions_by_subject ON gateway.decisions (user_id, subject, decided_at)")
    op.execute(CONSOLIDATION_REQUESTS)
    op.execute(
        "CREATE INDEX consolidation_requests_by_age ON gateway.consolidation_requests (user_id, requested_at)"
    )
    op.execute(IDEMPOTENCY_KEYS)
    op.execute("CREATE INDEX idempotency_keys_by_age ON gateway.idempotency_keys (user_id, created_at)")
    for table in ("portfolios", "decisions", "consolidation_requests", "idempotency_keys"):
        op.execute(own_rows(f"gateway.{table}", GATEWAY, None))
    # A portfolio is dropped by saying so, and what was decided stays decided.
    op.execute(f"REVOKE DELETE ON gateway.portfolios FROM {GATEWAY}")
    op.execute(f"REVOKE UPDATE, DELETE ON gateway.decisions FROM {GATEWAY}")
