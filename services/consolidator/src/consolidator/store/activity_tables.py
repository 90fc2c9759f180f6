"""The tables of what accounts did and were worth, and of how sync runs went, as rows of text."""

from consolidator.store.table import Table

_TRANSACTION_KEYS = (("user_id", "text"), ("account_id", "uuid"), ("external_id", "text"))
_TRANSACTION_STATE = (
    ("version", "bigint"),
    ("first_version", "bigint"),
    ("removed_version", "bigint"),
    ("removed", "boolean"),
    ("transaction_id", "uuid"),
)
TRANSACTIONS = Table(
    "transactions",
    keys=_TRANSACTION_KEYS,
    values=(
        *_TRANSACTION_STATE,
        ("digest", "bigint"),
        ("booked_on", "date"),
        ("fingerprint", "text"),
        ("replaces", "text"),
        ("pending", "boolean"),
        ("type", "text"),
        ("raw_type", "text"),
        ("description", "text"),
        ("currency", "text"),
        ("amount", "numeric"),
        ("quantity", "numeric"),
        ("price", "numeric"),
        ("fee", "numeric"),
        ("instrument_key", "text"),
        ("instrument", "json"),
        ("traded_at", "timestamptz"),
        ("settlement_date", "date"),
        ("option_action", "text"),
        ("fx_rate", "numeric"),
        ("broker_reference", "text"),
    ),
)
TRANSACTION_STATES = Table("transactions", keys=_TRANSACTION_KEYS, values=_TRANSACTION_STATE)
"""Transactions whose content stays as it is."""
SWEEPS = Table(
    "transaction_sweeps",
    keys=(
        ("user_id", "text"),
        ("account_id", "uuid"),
        ("from_date", "date"),
        ("through", "date"),
        ("since_version", "bigint"),
    ),
    values=(),
)
COVERAGE = Table(
    "transaction_coverage",
    keys=(("user_id", "text"), ("account_id", "uuid"), ("covers_from", "date"), ("covers_through", "date")),
    values=(),
)
ORDERS = Table(
    "orders",
    keys=(("user_id", "text"), ("account_id", "uuid"), ("broker_order_id", "text")),
    values=(
        ("version", "bigint"),
        ("digest", "bigint"),
        ("status", "text"),
        ("raw_status", "text"),
        ("side", "text"),
        ("instrument_key", "text"),
        ("instrument", "json"),
        ("order_type", "text"),
        ("time_in_force", "text"),
        ("quantity", "numeric"),
        ("filled_quantity", "numeric"),
        ("limit_price", "numeric"),
        ("stop_price", "numeric"),
        ("average_price", "numeric"),
        ("currency", "text"),
        ("placed_at", "timestamptz"),
        ("updated_at", "timestamptz"),
        ("executed_at", "timestamptz"),
    ),
)
_RUN_KEYS = (("user_id", "text"), ("run_id", "text"))
_RUN_BEGUN = (
    ("connection_id", "uuid"),
    ("provider", "text"),
    ("institution", "text"),
    ("kind", "text"),
    ("trigger", "text"),
    ("status", "text"),
    ("started_at", "timestamptz"),
    ("version", "bigint"),
)
SYNC_STARTED = Table("sync_log", keys=_RUN_KEYS, values=_RUN_BEGUN)
"""Runs of which only the beginning is known."""
SYNC_LOG = Table(
    "sync_log",
    keys=_RUN_KEYS,
    values=(
        *_RUN_BEGUN,
        ("accounts", "bigint"),
        ("holdings", "bigint"),
        ("unchanged", "bigint"),
        ("transactions", "bigint"),
        ("orders", "bigint"),
        ("covers_from", "date"),
        ("covers_through", "date"),
        ("provider_calls", "bigint"),
        ("cost_amount", "numeric"),
        ("cost_currency", "text"),
        ("finished_at", "timestamptz"),
        ("error_code", "text"),
        ("error", "text"),
    ),
)
SYNC_COUNTS = Table(
    "sync_counts", keys=_RUN_KEYS, values=(("new_items", "bigint"), ("updated_items", "bigint"))
)
BALANCE_HISTORY = Table(
    "balance_history",
    keys=(("user_id", "text"), ("account_id", "uuid"), ("day", "date")),
    values=(("total", "numeric"),),
)
PERFORMANCE = Table(
    "performance",
    keys=(("user_id", "text"), ("account_id", "uuid")),
    values=(
        ("version", "bigint"),
        ("currency", "text"),
        ("returns", "json"),
        ("as_of", "timestamptz"),
        ("synced_at", "timestamptz"),
    ),
)
PORTFOLIO_HISTORY = Table(
    "portfolio_history",
    keys=(("user_id", "text"), ("portfolio_id", "uuid"), ("day", "date"), ("currency", "text")),
    values=(("market_value", "numeric"), ("complete", "boolean")),
    stamp="at",
)
