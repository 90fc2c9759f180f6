"""What was read of each account and how far, limits shared by replicas, paid refreshes, and what the gateway may see."""

from alembic import op

from persistence.rls import MINE, own_rows
from persistence.roles import CONNECTOR, GATEWAY

revision = "sync_0003"
down_revision = "sync_0002"
branch_labels = None
depends_on = None

ALTERATIONS = """
ALTER TABLE sync.sync_state DROP COLUMN cursors,
    ADD COLUMN realtime boolean NOT NULL DEFAULT false,
    ADD COLUMN repair_by timestamptz,
    ADD COLUMN repair_told timestamptz,
    ADD COLUMN error_code text,
    ADD COLUMN configured_at timestamptz,
    ADD COLUMN auto_asked_at timestamptz,
    ADD COLUMN frequency_asked_at timestamptz;
CREATE INDEX sync_state_user ON sync.sync_state (provider, user_id);
ALTER TABLE sync.link_intents ADD COLUMN duplicate_of text;
"""
# What the user has linked, as far as it takes to recognise a login that comes a second time.
ACCOUNTS = """
CREATE TABLE sync.accounts (
    connection_id text NOT NULL REFERENCES sync.sync_state ON DELETE CASCADE,
    account_id text NOT NULL,
    user_id text NOT NULL,
    external_id text NOT NULL,
    institution_ref text,
    name text,
    mask text,
    raw_type text,
    PRIMARY KEY (connection_id, account_id)
);
"""
# account_id is empty for what concerns the connection as a whole. A mark is what the provider said of the stream when
# it was last read whole; a cursor is the adapter's.
STREAMS = """
CREATE TABLE sync.streams (
    connection_id text NOT NULL REFERENCES sync.sync_state ON DELETE CASCADE,
    account_id text NOT NULL,
    stream text NOT NULL,
    user_id text NOT NULL,
    mark text,
    cursor text,
    read_at timestamptz,
    version bigint NOT NULL,
    PRIMARY KEY (connection_id, account_id, stream)
);
"""
# tat: the theoretical arrival time of the generic cell rate algorithm. Every call updates rows here, so no column that
# changes is indexed and pages keep room: the new version of a row stays on its page.
LIMITS = """
CREATE UNLOGGED TABLE sync.limits (
    key text PRIMARY KEY,
    tat timestamptz NOT NULL,
    blocked_until timestamptz
) WITH (fillfactor = 50);
"""
# A batch of calls, each under keys of its own, in one round trip and by one clock. The rows are locked in one order
# before the clock is read: a moment from before the wait would hand out permits of the past. Times in microseconds.
TAKE_PERMITS = """
CREATE FUNCTION sync.take_permits(wants jsonb, at timestamptz DEFAULT NULL) RETURNS interval[]
LANGUAGE plpgsql SET search_path = '' AS $take$
DECLARE
    tick CONSTANT interval := interval '1 microsecond';
    moment timestamptz;
    want jsonb;
    wait interval;
    waits interval[] := '{}';
BEGIN
    INSERT INTO sync.limits (key, tat)
    SELECT DISTINCT k ->> 'key', to_timestamp(0) FROM jsonb_path_query(wants, '$[*][*]') k ORDER BY 1
    ON CONFLICT DO NOTHING;
    PERFORM 1 FROM sync.limits l
      WHERE l.key IN (SELECT k ->> 'key' FROM jsonb_path_query(wants, '$[*][*]') k) ORDER BY l.key FOR UPDATE;
    moment := COALESCE(at, clock_timestamp());
    FOR want IN SELECT * FROM jsonb_array_elements(wants) LOOP
        SELECT COALESCE(max(GREATEST(
                   LEAST(l.tat, moment + (k ->> 'most')::float8 * tick) - (k ->> 'tolerance')::float8 * tick - moment,
                   l.blocked_until - moment,
                   interval '0')), interval '0')
          INTO wait
          FROM jsonb_array_elements(want) k JOIN sync.limits l ON l.key = k ->> 'key';
        IF wait = interval '0' THEN
            UPDATE sync.limits l
               SET tat = GREATEST(LEAST(l.tat, moment + (k ->> 'most')::float8 * tick), moment)
                         + (k ->> 'interval')::float8 * tick
              FROM jsonb_array_elements(want) k WHERE l.key = k ->> 'key';
        END IF;
        waits := waits || wait;
    END LOOP;
    RETURN waits;
END $take$;
"""
BREAKERS = """
CREATE TABLE sync.breakers (
    provider text NOT NULL,
    institution text NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    failed_at timestamptz,
    open_until timestamptz,
    opened integer NOT NULL DEFAULT 0,
    probed_at timestamptz,
    reason text,
    PRIMARY KEY (provider, institution)
);
"""
JOBS = """
CREATE TABLE sync.jobs (
    provider text NOT NULL,
    name text NOT NULL,
    holder text,
    lease_until timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    next_at timestamptz,
    result jsonb,
    PRIMARY KEY (provider, name)
);
"""
# The intent is written before the provider is asked: a refresh under one charge is never asked for twice.
REFRESHES = """
CREATE TABLE sync.refreshes (
    charge_id text PRIMARY KEY,
    user_id text NOT NULL,
    provider text NOT NULL,
    connection_id text NOT NULL,
    state text NOT NULL CHECK (state IN ('calling', 'accepted', 'refused', 'unknown')),
    called_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    as_of_before timestamptz,
    error_code text,
    error text,
    told boolean NOT NULL DEFAULT false
);
CREATE INDEX refreshes_open ON sync.refreshes (provider, called_at) WHERE state IN ('calling', 'unknown') OR NOT told;
"""
ORPHANS = """
CREATE TABLE sync.orphans (
    orphan_id text PRIMARY KEY,
    provider text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('user', 'connection', 'secret', 'missing')),
    user_id text NOT NULL,
    external_user_id text,
    external_id text,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    resolution text
);
"""
CATALOGUE = """
CREATE TABLE sync.catalogue_institutions (
    provider text NOT NULL,
    ref text NOT NULL,
    name text NOT NULL,
    allows_trading boolean,
    available boolean,
    logo_url text,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (provider, ref)
);
CREATE TABLE sync.catalogue_instruments (
    provider text NOT NULL,
    ref text NOT NULL,
    symbol text NOT NULL,
    name text,
    provider_symbol_id text,
    tradable boolean,
    fractional boolean,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (provider, ref, symbol)
);
"""
SCHEDULE_COLUMNS = (
    "connection_id, user_id, provider, auto_sync, frequency_seconds, next_sync_at, wanted_at, started_at, "
    "last_synced_at, paused_reason, failures, error_code, realtime, repair_by, status, configured_at, lease_until"
)
# No secret's name, no id of the provider's: the gateway sees how a connection is kept up to date, and nothing else.
SCHEDULE = f"""
CREATE VIEW sync.v_schedule WITH (security_invoker = true) AS
SELECT connection_id, user_id, provider, auto_sync, frequency_seconds, next_sync_at, wanted_at, started_at,
    last_synced_at, paused_reason, failures, error_code, realtime, repair_by, configured_at,
    status <> 'removed' AND (lease_until > clock_timestamp() OR wanted_at > started_at) AS syncing
FROM sync.sync_state;
COMMENT ON VIEW sync.v_schedule IS 'How each connection is kept up to date.';
GRANT SELECT ({SCHEDULE_COLUMNS}) ON sync.sync_state TO {GATEWAY};
CREATE POLICY own ON sync.sync_state FOR SELECT TO {GATEWAY} USING ({MINE});
GRANT SELECT ON sync.v_schedule TO {GATEWAY};
-- What providers bill by the month; reports for operators count it over all users.
CREATE POLICY operator ON sync.sync_state FOR SELECT TO {GATEWAY}
    USING ((SELECT current_setting('app.operator', true)) = 'on');
CREATE VIEW sync.v_billed WITH (security_invoker = true) AS
SELECT provider, user_id, connection_id FROM sync.sync_state WHERE status <> 'removed';
COMMENT ON VIEW sync.v_billed IS 'Connections that exist at their provider.';
GRANT SELECT ON sync.v_billed TO {GATEWAY};
"""  # noqa: S608 - constants of this module


def upgrade() -> None:
    op.execute(ALTERATIONS)
    for statements in (
        ACCOUNTS,
        STREAMS,
        LIMITS,
        TAKE_PERMITS,
        BREAKERS,
        JOBS,
        REFRESHES,
        ORPHANS,
        CATALOGUE,
    ):
        op.execute(statements)
    for table in ("accounts", "streams", "refreshes", "orphans"):
        op.execute(own_rows(f"sync.{table}", None, CONNECTOR))
    op.execute(f"GRANT USAGE ON SCHEMA sync TO {GATEWAY}")
    op.execute(SCHEDULE)
    for table in ("catalogue_institutions", "catalogue_instruments"):
        op.execute(f"GRANT SELECT ON sync.{table} TO {GATEWAY}")
