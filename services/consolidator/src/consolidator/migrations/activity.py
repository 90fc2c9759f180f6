"""The tables of the third version: what accounts did, what they were worth day by day, and how runs went."""

from consolidator.migrations.tables import amount, quantity

ALTERATIONS = (
    "ALTER TABLE portfolio.connections ADD COLUMN repair_by timestamptz",
    # Marks for the journal are the gateway's. A transaction's own id outlives a change of the provider's.
    f"""ALTER TABLE portfolio.transactions
        DROP COLUMN synced_to_journal, DROP COLUMN journal_trade_id, DROP COLUMN sync_notes,
        ADD COLUMN transaction_id uuid,
        ADD COLUMN first_version bigint NOT NULL DEFAULT 0,
        ADD COLUMN removed_version bigint NOT NULL DEFAULT 0,
        ADD COLUMN digest bigint NOT NULL DEFAULT 0,
        ADD COLUMN booked_on date,
        ADD COLUMN pending boolean NOT NULL DEFAULT false,
        ADD COLUMN replaces text COLLATE "C",
        ADD COLUMN option_action text,
        ADD COLUMN {quantity("fx_rate")},
        ADD COLUMN broker_reference text,
        ADD COLUMN fingerprint text COLLATE "C",
        ADD COLUMN first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp()""",
    "CREATE INDEX transactions_by_id ON portfolio.transactions (user_id, transaction_id)",
    "CREATE INDEX transactions_by_day ON portfolio.transactions (user_id, booked_on DESC, transaction_id)",
    # What is judged together is found by these.
    "CREATE INDEX transactions_by_booking ON portfolio.transactions (user_id, account_id, booked_on)",
    "CREATE INDEX transactions_by_fingerprint ON portfolio.transactions (user_id, account_id, fingerprint)",
    """CREATE INDEX transactions_by_replaced ON portfolio.transactions (user_id, account_id, replaces)
        WHERE replaces IS NOT NULL""",
    """ALTER TABLE portfolio.orders ADD COLUMN first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ADD COLUMN digest bigint NOT NULL DEFAULT 0""",
    """ALTER TABLE portfolio.sync_log ALTER COLUMN finished_at DROP NOT NULL,
        ALTER COLUMN accounts SET DEFAULT 0, ALTER COLUMN holdings SET DEFAULT 0,
        ALTER COLUMN provider_calls SET DEFAULT 0,
        ALTER COLUMN cost_amount SET DEFAULT 0, ALTER COLUMN cost_currency SET DEFAULT 'USD',
        ADD COLUMN unchanged integer NOT NULL DEFAULT 0,
        ADD COLUMN transactions integer NOT NULL DEFAULT 0,
        ADD COLUMN orders integer NOT NULL DEFAULT 0,
        ADD COLUMN covers_from date,
        ADD COLUMN covers_through date""",
    "CREATE INDEX sync_log_by_connection ON portfolio.sync_log (user_id, connection_id, started_at DESC)",
    "CREATE INDEX sync_log_running ON portfolio.sync_log (started_at) WHERE status = 'started'",
)
OLD_TRANSACTIONS = """SELECT user_id, account_id::text, external_id FROM portfolio.transactions"""
CARRIED_OVER = """UPDATE portfolio.transactions SET transaction_id = %s, first_version = version,
        removed_version = CASE WHEN removed THEN version ELSE 0 END,
        booked_on = coalesce((traded_at AT TIME ZONE 'UTC')::date, settlement_date)
    WHERE user_id = %s AND account_id = %s AND external_id = %s"""
NAMED = "ALTER TABLE portfolio.transactions ALTER COLUMN transaction_id SET NOT NULL"
TABLES = (
    # Ranges of days that were read whole: what is booked in one and was last told before its version is retracted,
    # whichever of the two arrives first.
    """CREATE TABLE portfolio.transaction_sweeps (
        user_id text COLLATE "C" NOT NULL,
        account_id uuid NOT NULL,
        from_date date NOT NULL,
        through date NOT NULL,
        since_version bigint NOT NULL,
        PRIMARY KEY (user_id, account_id, from_date, through, since_version))""",
    # Ranges of days that do not touch; every one is known whole.
    """CREATE TABLE portfolio.transaction_coverage (
        user_id text COLLATE "C" NOT NULL,
        account_id uuid NOT NULL,
        covers_from date NOT NULL,
        covers_through date NOT NULL,
        PRIMARY KEY (user_id, account_id, covers_from))""",
    # How many items of a run were new, or other than before: counted where they are applied.
    """CREATE TABLE portfolio.sync_counts (
        user_id text COLLATE "C" NOT NULL,
        run_id text COLLATE "C" NOT NULL,
        new_items integer NOT NULL DEFAULT 0,
        updated_items integer NOT NULL DEFAULT 0,
        PRIMARY KEY (user_id, run_id))""",
    f"""CREATE TABLE portfolio.balance_history (
        user_id text COLLATE "C" NOT NULL,
        account_id uuid NOT NULL,
        day date NOT NULL,
        {amount("total")} NOT NULL,
        PRIMARY KEY (user_id, account_id, day))""",
    """CREATE TABLE portfolio.performance (
        user_id text COLLATE "C" NOT NULL,
        account_id uuid NOT NULL,
        version bigint NOT NULL,
        currency text,
        returns json NOT NULL,
        as_of timestamptz NOT NULL,
        synced_at timestamptz NOT NULL,
        PRIMARY KEY (user_id, account_id))""",
    # What each portfolio was worth when it was last consolidated on a day (UTC).
    f"""CREATE TABLE portfolio.portfolio_history (
        user_id text COLLATE "C" NOT NULL,
        portfolio_id uuid NOT NULL,
        day date NOT NULL,
        currency text NOT NULL,
        {amount("market_value")} NOT NULL,
        complete boolean NOT NULL,
        at timestamptz NOT NULL,
        PRIMARY KEY (user_id, portfolio_id, day, currency))""",
)
USER_TABLES = (
    "transaction_sweeps",
    "transaction_coverage",
    "sync_counts",
    "balance_history",
    "performance",
    "portfolio_history",
)
