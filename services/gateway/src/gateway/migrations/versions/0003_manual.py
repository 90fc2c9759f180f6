"""Accounts entered by hand, their holdings, previews of imports, and how each user's files are read."""

from alembic import op

from persistence.rls import own_rows
from persistence.roles import GATEWAY

revision = "gateway_0003"
down_revision = "gateway_0002"
branch_labels = None
depends_on = None

MANUAL_ACCOUNTS = """
CREATE TABLE gateway.manual_accounts (
    user_id text COLLATE "C" NOT NULL,
    account_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    external_id uuid NOT NULL,
    name text NOT NULL,
    institution text NOT NULL,
    institution_name text NOT NULL,
    type text NOT NULL,
    currency text NOT NULL,
    mask text CHECK (mask ~ '^[0-9]{2,4}$'),
    version bigint NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, account_id))
"""
# `entry` is what was entered, `holding` what it means in the form of contracts.holdings.Holding; numbers in both
# are decimal strings, so that nothing is rounded on the way.
MANUAL_HOLDINGS = """
CREATE TABLE gateway.manual_holdings (
    user_id text COLLATE "C" NOT NULL,
    account_id uuid NOT NULL,
    holding_id uuid NOT NULL,
    place integer NOT NULL,
    instrument_key text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    entry json NOT NULL,
    holding json NOT NULL,
    PRIMARY KEY (user_id, account_id, holding_id),
    UNIQUE (user_id, account_id, instrument_key, currency),
    FOREIGN KEY (user_id, account_id) REFERENCES gateway.manual_accounts (user_id, account_id))
"""
# `lines` holds the rows that can be imported: never the file itself, which may name account numbers.
IMPORT_PREVIEWS = """
CREATE TABLE gateway.import_previews (
    user_id text COLLATE "C" NOT NULL,
    preview_id uuid NOT NULL,
    account_id uuid NOT NULL,
    base_version bigint NOT NULL,
    mode text NOT NULL CHECK (mode IN ('replace', 'merge')),
    lines json NOT NULL,
    bad_rows integer NOT NULL,
    signature text NOT NULL,
    choices json NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    result json,
    PRIMARY KEY (user_id, preview_id),
    FOREIGN KEY (user_id, account_id) REFERENCES gateway.manual_accounts (user_id, account_id))
"""
IMPORT_MAPPINGS = """
CREATE TABLE gateway.import_mappings (
    user_id text COLLATE "C" NOT NULL,
    signature text NOT NULL,
    choices json NOT NULL,
    used_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, signature))
"""


def upgrade() -> None:
    op.execute(MANUAL_ACCOUNTS)
    op.execute(MANUAL_HOLDINGS)
    op.execute(IMPORT_PREVIEWS)
    op.execute("CREATE INDEX import_previews_by_age ON gateway.import_previews (user_id, expires_at)")
    op.execute(IMPORT_MAPPINGS)
    for table in ("manual_accounts", "manual_holdings", "import_previews", "import_mappings"):
        op.execute(own_rows(f"gateway.{table}", GATEWAY, None))
