"""A database of the first version, brought up to date, goes on as if it had always been of the newest."""

from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from consolidator.apply import Applier
from consolidator.domain.succession import transaction_id
from consolidator.measures import Measures
from consolidator.rules import DEFAULT_RULES
from consolidator.settings import SESSION
from consolidator.sweep import Sweep
from consolidator.testing import NOW, Link, received, stock, trade
from contracts.ids import portfolio_id, position_id, snapshot_id
from messaging.policy import DONE
from persistence import migrate, roles
from persistence.database import Database
from persistence.testing import MigratedDatabase, database_template, make_template
from service_kit.metrics import Metrics

__all__ = ["database_template"]

SCHWAB = Link("snaptrade", "charles-schwab")
MANY = [stock(f"S{number}", 10, 5) for number in range(20)]
FEW = SCHWAB.holds(MANY[0], version=5)
EMPTY = SCHWAB.holds(version=7)
ACCOUNT = SCHWAB.account_id("a")
REAL = "00000000-0000-4000-8000-000000000001"
INSTRUMENT = "00000000-0000-4000-8000-000000000002"
DEFAULT = portfolio_id("user-1")
OLD_ROWS = f"""
INSERT INTO portfolio.connections (user_id, connection_id, provider, institution, linked_version, accounts_version)
    VALUES ('user-1', '{SCHWAB.connection_id}', 'snaptrade', 'charles-schwab', 0, 0);
INSERT INTO portfolio.accounts (user_id, account_id, connection_id, provider, institution, real_account_id,
        listed_version, gone)
    VALUES ('user-1', '{ACCOUNT}', '{SCHWAB.connection_id}', 'snaptrade', 'charles-schwab', '{REAL}', 0, false);
INSERT INTO portfolio.instruments (instrument_id, key, kind, symbol) VALUES ('{INSTRUMENT}', 'S0', 'stock', 'S0');
INSERT INTO portfolio.holdings (user_id, account_id, instrument_id, currency, quantity, price, market_value,
        cash_equivalent)
    VALUES ('user-1', '{ACCOUNT}', '{INSTRUMENT}', 'USD', 10, 5, 50, false);
INSERT INTO portfolio.snapshots (user_id, account_id, state, version, base_version, content_hash, as_of, synced_at,
        first_synced_at, complete, holdings, value, value_currency, unpriced, payload)
    VALUES ('user-1', '{ACCOUNT}', 'current', 5, 4, '{FEW.content_hash}', '{NOW}', '{NOW}', NULL, true, 1, 50, 'USD',
            0, NULL),
        ('user-1', '{ACCOUNT}', 'quarantined', 7, NULL, '{EMPTY.content_hash}', '{NOW}', '{NOW}', '{NOW}', true, 0,
            0, NULL, 0, '[]');
INSERT INTO portfolio.real_accounts (user_id, real_account_id, institution, members, counted_account_id, reason,
        stale, needs_decision, excluded, changed_at)
    VALUES ('user-1', '{REAL}', 'charles-schwab', '["{ACCOUNT}"]', '{ACCOUNT}', 'only_source', false, false, '[]',
        '{NOW}');
INSERT INTO portfolio.positions (user_id, portfolio_id, instrument_key, currency, position_id, instrument_id, ticker,
        type, quantity, price, market_value, value_complete, cost_basis_complete, provider, account_id, account_ids,
        position_source, position_status, contributions, excluded, digest, last_consolidation_at)
    VALUES ('user-1', '{DEFAULT}', 'S0', 'USD', '{position_id(DEFAULT, "S0", "USD")}', '{INSTRUMENT}', 'S0', 'stock',
        10, 5, 50, true, false, 'snaptrade', '{ACCOUNT}', '{{{ACCOUNT}}}', 'snaptrade', 'current',
        '[{{"real_account_id": "{REAL}", "account_id": "{ACCOUNT}", "provider": "snaptrade", "quantity": "10"}}]',
        '[]', 1, '{NOW}');
INSERT INTO portfolio.portfolio_versions (user_id, portfolio_id, version, positions, changed_at)
    VALUES ('user-1', '{DEFAULT}', 3, 1, '{NOW}');
INSERT INTO portfolio.identity_decisions (user_id, decision_id, account_id, other_account_id, verdict, decided_by,
        decided_at, undone_at)
    VALUES ('user-1', '{REAL}', '{min(ACCOUNT, REAL)}', '{max(ACCOUNT, REAL)}', 'same', 'user-1', '{NOW}', '{NOW}');
INSERT INTO portfolio.transactions (user_id, account_id, external_id, version, removed, type, raw_type, currency,
        amount, traded_at)
    VALUES ('user-1', '{ACCOUNT}', 't1', 3, false, 'BUY', 'buy', 'USD', -5, '{NOW}'),
        ('user-1', '{ACCOUNT}', 't2', 4, true, NULL, NULL, NULL, NULL, NULL);
"""


@pytest.fixture
async def database(database_url, migration_owners, monkeypatch) -> AsyncIterator[Database]:
    """A database with rows of the first version, migrated afterwards."""
    with monkeypatch.context() as patched:
        newest = migrate.command.upgrade
        patched.setattr(migrate.command, "upgrade", lambda config, _: newest(config, "portfolio_0001"))
        template = make_template(database_url, migration_owners)
    old = template.copy()
    with psycopg.connect(old.admin_url) as admin:
        admin.execute(OLD_ROWS)
    migrate.upgrade(old.admin_url, migration_owners)
    database = Database(old.url(roles.CONSOLIDATOR), settings=dict(SESSION))
    await database.open()
    yield database
    await database.close()
    template.drop(old)
    template.drop(MigratedDatabase(old.admin_url.replace(old.admin_url.rpartition("/")[2], template.name)))


async def snapshots(database: Database) -> list[tuple[int, str, str, int]]:
    async with database.transaction() as conn:
        query = """SELECT version, state, snapshot_id::text, json_array_length(content)
            FROM portfolio.v_snapshots ORDER BY version"""
        return await (await conn.execute(query)).fetchall()


async def test_what_was_seen_goes_on_to_be_judged_as_it_was(database, clock) -> None:
    seen = [
        (5, "current", snapshot_id(ACCOUNT, 5, FEW.content_hash), 1),
        (7, "quarantined", snapshot_id(ACCOUNT, 7, EMPTY.content_hash), 0),
    ]
    assert await snapshots(database) == seen
    applier = Applier(database, DEFAULT_RULES, clock, Measures(Metrics("t")))
    late = SCHWAB.holds(*MANY, version=3)
    assert await applier([received(late), received(FEW), received(EMPTY)]) == [DONE] * 3
    assert await snapshots(database) == seen
    between = SCHWAB.holds(*MANY, version=6)
    assert await applier([received(between)]) == [DONE]
    assert [row[:2] for row in await snapshots(database)] == [
        (5, "superseded"),
        (6, "current"),
        (7, "quarantined"),
    ]


async def test_positions_are_summed_anew_without_a_message(database, clock) -> None:
    applier = Applier(database, DEFAULT_RULES, clock, Measures(Metrics("t")))
    clock.advance(timedelta(days=5000))
    sweep = Sweep(database, applier, clock, max_age=timedelta(days=9000), retention=timedelta(hours=6))
    assert await sweep.once() == 1
    assert await sweep.once() == 0
    async with database.transaction() as conn:
        query = "SELECT contributions->0->>'instrument_id', contributions->0->>'snapshot_id' FROM portfolio.v_positions"
        rows = await (await conn.execute(query)).fetchall()
    assert rows == [(INSTRUMENT, snapshot_id(ACCOUNT, 5, FEW.content_hash))]


async def test_what_was_undone_stays_undone(database) -> None:
    async with database.transaction() as conn:
        query = "SELECT verdict, holds FROM portfolio.v_identity_decisions"
        assert await (await conn.execute(query)).fetchall() == [("undone", True)]


async def test_transactions_keep_their_ids_once_they_have_them(database, clock) -> None:
    query = """SELECT external_id, transaction_id::text, booked_on, removed FROM portfolio.transactions ORDER BY 1"""
    expected = [
        ("t1", transaction_id(ACCOUNT, "t1"), NOW.date(), False),
        ("t2", transaction_id(ACCOUNT, "t2"), None, True),
    ]
    async with database.transaction() as conn:
        assert await (await conn.execute(query)).fetchall() == expected
    applier = Applier(database, DEFAULT_RULES, clock, Measures(Metrics("t")))
    again = SCHWAB.did(trade("t1", booked_on=NOW.date()), trade("t2", booked_on=None), version=4)
    assert await applier([received(again)]) == [DONE]
    async with database.transaction() as conn:
        assert await (await conn.execute(query)).fetchall() == expected
