"""Isolation as the catalogue sees it: each kind of gap is found."""

import psycopg
import pytest

from persistence import catalogue

# The tests' own table lets the gateway write, which the house does not.
KNOWN = {"role onefolio_gateway may write portfolio.positions"}
PLANTED = {
    "CREATE TABLE portfolio.bare (user_id text)": "table portfolio.bare has user_id but no forced row-level security",
    "CREATE TABLE gateway.half (user_id text); ALTER TABLE gateway.half ENABLE ROW LEVEL SECURITY": (
        "table gateway.half has user_id but no forced row-level security"
    ),
    "GRANT SELECT ON portfolio.positions TO onefolio_webhooks": (
        "role onefolio_webhooks may use portfolio.positions but no policy is for it"
    ),
    "CREATE POLICY everyone ON portfolio.positions USING (true)": (
        "policy everyone on portfolio.positions is for everybody"
    ),
    "CREATE VIEW portfolio.leak AS SELECT * FROM portfolio.positions": "view portfolio.leak does not run as its caller",
    "CREATE FUNCTION app.all_rows() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT 1::bigint'": (
        "function app.all_rows() runs as its owner"
    ),
    "GRANT TRUNCATE ON portfolio.outbox TO onefolio_consolidator": (
        "role onefolio_consolidator may truncate portfolio.outbox"
    ),
    "GRANT INSERT ON portfolio.outbox TO onefolio_gateway": "role onefolio_gateway may write portfolio.outbox",
}


def test_a_migrated_database_has_no_gap(migrated_database):
    assert set(catalogue.gaps(migrated_database.admin_url)) == KNOWN


@pytest.mark.parametrize(("statement", "finding"), PLANTED.items())
def test_a_planted_gap_is_found(migrated_database, statement, finding):
    with psycopg.connect(migrated_database.admin_url) as admin:
        admin.execute("SET LOCAL ROLE onefolio_owner")
        admin.execute(statement)
    assert finding in catalogue.gaps(migrated_database.admin_url)


def test_what_somebody_else_owns_is_found(migrated_database):
    with psycopg.connect(migrated_database.admin_url) as admin:
        admin.execute("CREATE TABLE sync.mine (a int)")
    assert any(
        finding.startswith("sync.mine belongs to") for finding in catalogue.gaps(migrated_database.admin_url)
    )
