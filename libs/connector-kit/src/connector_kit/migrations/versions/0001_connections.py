"""Provider users, connections and their schedule, link sessions, handled commands, secrets.

Everything here is written by the connectors' one role and read by nobody else.
"""

from alembic import op

from persistence import ledger
from persistence.rls import own_rows
from persistence.roles import CONNECTOR
from persistence.secrets import tables_sql

revision = "sync_0001"
down_revision = None
branch_labels = None
depends_on = None

PROVIDER_USERS = """
CREATE TABLE sync.provider_users (
    provider text NOT NULL,
    user_id text NOT NULL,
    state text NOT NULL CHECK (state IN ('registering', 'registered')),
    external_user_id text,
    has_secret boolean NOT NULL DEFAULT false,
    attempt integer NOT NULL CHECK (attempt >= 0),
    taken_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    registered_at timestamptz,
    PRIMARY KEY (provider, user_id)
);
CREATE INDEX provider_users_external ON sync.provider_users (provider, external_user_id);
"""
SYNC_STATE = """
CREATE TABLE sync.sync_state (
    connection_id text PRIMARY KEY,
    provider text NOT NULL,
    user_id text NOT NULL,
    external_id text NOT NULL,
    institution text NOT NULL,
    institution_name text,
    connection_type text NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'stale_cache', 'broken', 'revoked', 'removed')),
    secret_name text,
    fence bigint NOT NULL CHECK (fence > 0),
    lease_holder text,
    lease_until timestamptz,
    started_at timestamptz,
    wanted_at timestamptz,
    next_sync_at timestamptz,
    frequency_seconds integer NOT NULL CHECK (frequency_seconds > 0),
    auto_sync boolean NOT NULL DEFAULT true,
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    paused_reason text,
    last_synced_at timestamptz,
    last_as_of timestamptz,
    cursors jsonb NOT NULL DEFAULT '{}',
    unlinked_at timestamptz,
    linked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (provider, user_id, external_id)
);
CREATE INDEX sync_state_due ON sync.sync_state (provider, next_sync_at) WHERE status <> 'removed';
CREATE INDEX sync_state_external ON sync.sync_state (provider, external_id);
"""
LINK_INTENTS = """
CREATE TABLE sync.link_intents (
    link_session_id text PRIMARY KEY,
    provider text NOT NULL,
    user_id text NOT NULL,
    institution text,
    institution_ref text,
    need_trading boolean NOT NULL,
    reconnect_connection_id text,
    reconnect_external_id text,
    session_token_digest text,
    token_forgotten boolean NOT NULL DEFAULT false,
    known text[] NOT NULL DEFAULT '{}',
    done text[] NOT NULL DEFAULT '{}',
    connection_ids text[] NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'completing', 'completed', 'abandoned', 'failed', 'expired')),
    reason text,
    taken_by text,
    taken_until timestamptz,
    asks integer NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    expires_at timestamptz,
    settled_at timestamptz
);
CREATE INDEX link_intents_digest ON sync.link_intents (provider, session_token_digest);
CREATE INDEX link_intents_user ON sync.link_intents (provider, user_id, created_at);
CREATE INDEX link_intents_open ON sync.link_intents (provider, expires_at)
    WHERE status IN ('pending', 'completing');
CREATE INDEX link_intents_tokens ON sync.link_intents (provider, created_at) WHERE NOT token_forgotten;
"""
HANDLED_COMMANDS = """
CREATE TABLE sync.handled_commands (
    provider text NOT NULL,
    user_id text NOT NULL,
    idempotency_id text NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (provider, user_id, idempotency_id)
);
CREATE INDEX handled_commands_age ON sync.handled_commands (handled_at);
"""


def upgrade() -> None:
    for statements in (PROVIDER_USERS, SYNC_STATE, LINK_INTENTS, HANDLED_COMMANDS):
        op.execute(statements)
    for table in ("provider_users", "sync_state", "link_intents", "handled_commands"):
        op.execute(own_rows(f"sync.{table}", None, CONNECTOR))
    op.execute(ledger.create_sql("sync"))
    op.execute(tables_sql("sync"))
