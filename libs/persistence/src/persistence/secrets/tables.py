"""The tables of the encrypted store."""

from persistence.rls import identifier, own_rows
from persistence.roles import CONNECTOR


def tables_sql(schema: str, role: str = CONNECTOR) -> str:
    """The statements that create the tables of `PostgresSecrets`; a migration of the schema's owner executes them.

    Only `role` sees rows. `user_id` is empty for the application's own secrets.
    """
    place = identifier(schema)
    return f"""
CREATE TABLE {place}.deks (
    id uuid PRIMARY KEY,
    user_id text NOT NULL UNIQUE,
    kek_id text NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    wrapped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (user_id, id)
);
CREATE TABLE {place}.secrets (
    id uuid PRIMARY KEY,
    user_id text NOT NULL,
    name text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    dek_id uuid NOT NULL,
    nonce bytea NOT NULL,
    ciphertext bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (name, version),
    FOREIGN KEY (user_id, dek_id) REFERENCES {place}.deks (user_id, id) ON DELETE CASCADE
);
CREATE INDEX secrets_of_user ON {place}.secrets (user_id);
{own_rows(f"{place}.deks", None, role)}{own_rows(f"{place}.secrets", None, role)}"""
