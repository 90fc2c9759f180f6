"""The tables the store writes, as rows of text. A row function says how a value becomes a row."""

from consolidator.store.table import Table

CONNECTIONS = Table(
    "connections",
    keys=(("user_id", "text"), ("connection_id", "uuid")),
    values=(
        ("provider", "text"),
        ("institution", "text"),
        ("institution_name", "text"),
        ("external_id", "text"),
        ("connection_type", "text"),
        ("status", "text"),
        ("status_version", "bigint"),
        ("status_rank", "bigint"),
        ("status_at", "timestamptz"),
        ("status_reason", "text"),
        ("provider_code", "text"),
        ("repair_by", "timestamptz"),
        ("linked_at", "timestamptz"),
        ("linked_version", "bigint"),
        ("accounts_version", "bigint"),
    ),
    stamp="updated_at",
)
ACCOUNTS = Table(
    "accounts",
    keys=(("user_id", "text"), ("account_id", "uuid")),
    values=(
        ("connection_id", "uuid"),
        ("provider", "text"),
        ("institution", "text"),
        ("real_account_id", "uuid"),
        ("external_id", "text"),
        ("name", "text"),
        ("official_name", "text"),
        ("type", "text"),
        ("raw_type", "text"),
        ("currency", "text"),
        ("mask", "text"),
        ("status", "text"),
        ("is_paper", "boolean"),
        ("stable_id", "text"),
        ("total_amount", "numeric"),
        ("total_currency", "text"),
        ("trading", "boolean"),
        ("realtime", "boolean"),
        ("holdings_as_of", "timestamptz"),
        ("holds_securities", "boolean"),
        ("listed_version", "bigint"),
        ("listed_at", "timestamptz"),
        ("gone", "boolean"),
        ("spoken_version", "bigint"),
    ),
    stamp="updated_at",
)
SNAPSHOTS = Table(
    "snapshots",
    keys=(("user_id", "text"), ("account_id", "uuid"), ("state", "text")),
    values=(
        ("version", "bigint"),
        ("snapshot_id", "uuid"),
        ("content_hash", "text"),
        ("as_of", "timestamptz"),
        ("synced_at", "timestamptz"),
        ("first_synced_at", "timestamptz"),
        ("trusted_since", "timestamptz"),
        ("complete", "boolean"),
        ("gap", "text"),
        ("holdings", "bigint"),
        ("value", "numeric"),
        ("value_currency", "text"),
        ("unpriced", "bigint"),
        ("payload", "json"),
    ),
)
SIGHTINGS = Table(
    "sightings",
    keys=(("user_id", "text"), ("account_id", "uuid"), ("version", "bigint")),
    values=(
        ("snapshot_id", "uuid"),
        ("content_hash", "text"),
        ("as_of", "timestamptz"),
        ("synced_at", "timestamptz"),
        ("holdings", "bigint"),
        ("value", "numeric"),
        ("value_currency", "text"),
        ("unpriced", "bigint"),
        ("payload", "json"),
    ),
)
HOLDINGS = Table(
    "holdings",
    keys=(("user_id", "text"), ("account_id", "uuid"), ("instrument_id", "uuid"), ("currency", "text")),
    values=(
        ("quantity", "numeric"),
        ("price", "numeric"),
        ("market_value", "numeric"),
        ("cost_basis", "numeric"),
        ("price_as_of", "timestamptz"),
        ("cash_equivalent", "boolean"),
    ),
)
INSTRUMENTS = Table(
    "instruments",
    keys=(("instrument_id", "uuid"),),
    values=(
        ("key", "text"),
        ("kind", "text"),
        ("symbol", "text"),
        ("name", "text"),
        ("currency", "text"),
        ("mic", "text"),
        ("figi", "text"),
        ("figi_share_class", "text"),
        ("isin", "text"),
        ("cusip", "text"),
        ("provider_security_id", "text"),
        ("multiplier", "numeric"),
        ("option", "json"),
        ("maturity", "date"),
        ("joining_figi", "text"),
    ),
)
BALANCES = Table(
    "balances",
    keys=(("user_id", "text"), ("account_id", "uuid"), ("currency", "text")),
    values=(
        ("cash", "numeric"),
        ("available", "numeric"),
        ("buying_power", "numeric"),
        ("equity", "numeric"),
        ("maintenance_excess", "numeric"),
        ("margin_loan", "numeric"),
    ),
)
BALANCES_OF = Table("balances", keys=(("user_id", "text"), ("account_id", "uuid")), values=())
"""All balances of an account, to delete them together."""
BALANCE_SNAPSHOTS = Table(
    "balance_snapshots",
    keys=(("user_id", "text"), ("account_id", "uuid")),
    values=(
        ("version", "bigint"),
        ("content_hash", "text"),
        ("as_of", "timestamptz"),
        ("synced_at", "timestamptz"),
    ),
)
REAL_ACCOUNTS = Table(
    "real_accounts",
    keys=(("user_id", "text"), ("real_account_id", "uuid")),
    values=(
        ("institution", "text"),
        ("members", "json"),
        ("counted_account_id", "uuid"),
        ("reason", "text"),
        ("stale", "boolean"),
        ("needs_decision", "boolean"),
        ("excluded", "json"),
        ("held_back_until", "timestamptz"),
        ("due_at", "timestamptz"),
    ),
    stamp="changed_at",
)
SWITCHES = Table(
    "source_switches",
    keys=(("user_id", "text"), ("real_account_id", "uuid")),
    values=(("from_account_id", "uuid"), ("to_account_id", "uuid"), ("reason", "text")),
    stamp="at",
)
DECISIONS = Table(
    "identity_decisions",
    keys=(("user_id", "text"), ("decision_id", "uuid")),
    values=(
        ("account_id", "uuid"),
        ("other_account_id", "uuid"),
        ("verdict", "text"),
        ("decided_by", "text"),
        ("decided_at", "timestamptz"),
    ),
)
JUDGEMENTS = Table(
    "snapshot_judgements",
    keys=(("user_id", "text"), ("judgement_id", "uuid")),
    values=(
        ("account_id", "uuid"),
        ("version", "bigint"),
        ("verdict", "text"),
        ("judged_by", "text"),
        ("judged_at", "timestamptz"),
    ),
)
PORTFOLIOS = Table(
    "portfolios",
    keys=(("user_id", "text"), ("portfolio_id", "uuid")),
    values=(
        ("name", "text"),
        ("account_ids", "json"),
        ("deleted", "boolean"),
        ("version", "bigint"),
        ("defined_at", "timestamptz"),
    ),
)
CONSOLIDATIONS = Table(
    "consolidations",
    keys=(("user_id", "text"), ("request_id", "uuid"), ("portfolio_id", "uuid")),
    values=(
        ("requested_by", "text"),
        ("requested_at", "timestamptz"),
        ("started_at", "timestamptz"),
        ("positions", "bigint"),
        ("accounts", "bigint"),
        ("real_accounts", "bigint"),
        ("providers", "json"),
        ("changed", "bigint"),
        ("removed", "bigint"),
        ("breaks", "bigint"),
        ("version", "bigint"),
    ),
)
EVIDENCE = Table(
    "identity_evidence",
    keys=(("user_id", "text"), ("account_id", "uuid"), ("other_account_id", "uuid")),
    values=(("verdict", "text"), ("rule", "text"), ("score", "numeric"), ("reasons", "json")),
)
CHECKS = Table(
    "account_checks",
    keys=(("user_id", "text"), ("real_account_id", "uuid")),
    values=(
        ("account_id", "uuid"),
        ("outcome", "text"),
        ("reason", "text"),
        ("counted", "numeric"),
        ("expected", "numeric"),
        ("difference", "numeric"),
        ("currency", "text"),
    ),
    stamp="checked_at",
)
_POSITION_KEYS = (
    ("user_id", "text"),
    ("portfolio_id", "uuid"),
    ("instrument_key", "text"),
    ("currency", "text"),
)
_POSITION_VALUES = (
    ("instrument_id", "uuid"),
    ("ticker", "text"),
    ("type", "text"),
    ("quantity", "numeric"),
    ("price", "numeric"),
    ("price_as_of", "timestamptz"),
    ("market_value", "numeric"),
    ("value_complete", "boolean"),
    ("cost_basis", "numeric"),
    ("cost_basis_complete", "boolean"),
    ("provider", "text"),
    ("account_id", "uuid"),
    ("account_ids", "uuid[]"),
    ("position_source", "text"),
    ("position_status", "text"),
    ("contributions", "json"),
    ("excluded", "json"),
    ("digest", "bigint"),
)
POSITIONS = Table(
    "positions",
    keys=_POSITION_KEYS,
    values=(*_POSITION_VALUES, ("position_id", "uuid")),
    stamp="last_consolidation_at",
)
CHANGED_POSITIONS = Table(
    "positions", keys=_POSITION_KEYS, values=_POSITION_VALUES, stamp="last_consolidation_at"
)
"""Positions that exist: everything but the id, which follows from the key."""
VERSIONS = Table(
    "portfolio_versions",
    keys=(("user_id", "text"), ("portfolio_id", "uuid")),
    values=(("version", "bigint"), ("positions", "bigint")),
    stamp="changed_at",
)
