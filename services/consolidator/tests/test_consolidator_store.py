"""The consolidator on a real PostgreSQL: whatever arrives, however often and in whatever order."""

import asyncio
import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest

from consolidator.admission import classify
from consolidator.apply import Applier
from consolidator.measures import Measures
from consolidator.migrations.views import VIEWS
from consolidator.rules import DEFAULT_RULES
from consolidator.store.loading import LOCK, lock_keys
from consolidator.sweep import Sweep
from consolidator.testing import NOW, Link, dump, order, received, stock, trade
from contracts.accounts import Balance
from contracts.decisions import (
    ConsolidationRequested,
    IdentityDecided,
    IdentityVerdict,
    PortfolioDefined,
    SnapshotJudged,
    SnapshotVerdict,
)
from contracts.envelope import decode
from contracts.holdings import Contribution
from contracts.ids import portfolio_id
from contracts.instruments import Instrument
from contracts.messages import (
    AccountBreakFound,
    AccountDecisionNeeded,
    Message,
    PositionsConsolidated,
    SyncConnection,
    SyncFinished,
)
from contracts.money import Money
from contracts.orders import OrderStatus
from contracts.statuses import ConnectionStatus, SyncStatus
from messaging.policy import DONE, Park, TransientError
from persistence import roles
from persistence.database import Database
from service_kit.clock import FakeClock
from service_kit.metrics import Metrics

SCHWAB = Link("snaptrade", "charles-schwab")
FIDELITY = Link("plaid", "fidelity")
FIDELITY_TOO = Link("snaptrade", "fidelity")
TYPED = Link("manual", "manual")
MANY = [stock(f"S{number}", 10, 5, 40) for number in range(20)]


async def apply(applier: Applier, *messages: Message) -> list[Any]:
    return list(await applier([received(message) for message in messages]))


def sweep(database: Database, applier: Applier, clock: FakeClock) -> Sweep:
    age = DEFAULT_RULES.sources.max_age
    return Sweep(database, applier, clock, max_age=age, retention=timedelta(hours=6))


async def rows(database: Database, query: str, user: str | None = None) -> list[Any]:
    async with database.transaction(user) as conn:
        return await (await conn.execute(query)).fetchall()


async def quantities(database: Database) -> dict[str, Decimal]:
    found = await rows(database, "SELECT instrument_key, trim_scale(quantity) FROM portfolio.positions")
    return dict(found)


async def announced(database: Database, kind: type) -> list[Any]:
    bodies = await rows(database, "SELECT body FROM portfolio.outbox ORDER BY id")
    messages = [decode(bytes(body)).message for (body,) in bodies]
    return [message for message in messages if isinstance(message, kind)]


class TestSnapshots:
    async def test_two_brokers_become_one_position_with_both_contributions(self, applier, database) -> None:
        await apply(applier, FIDELITY.holds(stock("AAPL", 100, 190)), SCHWAB.holds(stock("AAPL", 50, 191)))
        [row] = await rows(
            database,
            "SELECT trim_scale(quantity), provider, trim_scale(price), position_source,"
            " json_array_length(contributions), ticker, type FROM portfolio.positions",
        )
        assert row == (Decimal(150), "snaptrade", Decimal(191), "consolidated", 2, "AAPL", "stock")

    async def test_a_duplicate_writes_nothing_and_announces_nothing(self, applier, database) -> None:
        event = SCHWAB.holds(*MANY)
        await apply(applier, event)
        before, messages = await dump(database), await announced(database, PositionsConsolidated)
        assert await apply(applier, event, event) == [DONE, DONE]
        assert await dump(database) == before
        assert await announced(database, PositionsConsolidated) == messages

    async def test_an_older_version_is_ignored(self, applier, database) -> None:
        await apply(applier, SCHWAB.holds(stock("A", 2), version=2))
        await apply(applier, SCHWAB.holds(stock("A", 1), version=1))
        assert await quantities(database) == {"A": 2}

    async def test_equal_content_writes_one_row_and_leaves_positions_alone(self, applier, database) -> None:
        await apply(applier, SCHWAB.holds(*MANY))
        query = "SELECT xmin::text, ctid::text FROM portfolio.{} ORDER BY 1, 2"
        tables = ["positions", "holdings", "real_accounts", "accounts", "connections", "portfolio_versions"]
        before = [await rows(database, query.format(table)) for table in tables]
        await apply(applier, SCHWAB.holds(*MANY, version=2))
        assert [await rows(database, query.format(table)) for table in tables] == before
        assert await rows(database, "SELECT version FROM portfolio.snapshots") == [(2,)]

    async def test_only_rows_that_differ_are_rewritten(self, applier, database) -> None:
        await apply(applier, SCHWAB.holds(*MANY))
        await apply(applier, SCHWAB.holds(stock("S0", 11, 5, 40), *MANY[1:19], stock("NEW", 1), version=2))
        query = "SELECT count(DISTINCT xmin::text), count(*) FROM portfolio.{}"
        changed = "SELECT instrument_key FROM portfolio.positions WHERE xmin = (SELECT max(xmin::text::bigint)::text::xid FROM portfolio.positions)"
        assert {key for (key,) in await rows(database, changed)} == {"S0", "NEW"}
        assert await rows(database, query.format("holdings")) == [(2, 20)]
        [last] = (await announced(database, PositionsConsolidated))[-1:]
        assert (last.version, last.positions, last.changed, last.removed) == (2, 20, 2, 1)

    async def test_incomplete_and_suddenly_empty_snapshots_erase_nothing(
        self, applier, database, reader
    ) -> None:
        await apply(applier, SCHWAB.holds(*MANY))
        await apply(applier, SCHWAB.holds(MANY[0], version=2, complete=False))
        await apply(applier, SCHWAB.holds(version=3))
        assert len(await quantities(database)) == 20
        query = "SELECT suspect, suspect_reason, stale FROM portfolio.v_accounts"
        assert await rows(reader, query, "user-1") == [(True, "quarantined", True)]

    async def test_a_confirmed_empty_snapshot_empties_the_account_even_by_another_process(
        self, applier, database, clock
    ) -> None:
        await apply(applier, SCHWAB.holds(*MANY))
        await apply(applier, SCHWAB.holds(stock("LEFT", 3), version=2, synced_at=NOW))
        other = Applier(database, DEFAULT_RULES, clock, Measures(Metrics("other")))
        await apply(other, SCHWAB.holds(stock("LEFT", 3), version=3, synced_at=NOW + timedelta(hours=1)))
        assert await quantities(database) == {"LEFT": 3}

    async def test_a_broken_connection_hands_over_and_back_when_it_has_been_healthy_for_a_while(
        self, applier, database, clock
    ) -> None:
        await apply(
            applier,
            FIDELITY.lists(FIDELITY.account(mask="1234")),
            FIDELITY_TOO.lists(FIDELITY_TOO.account(mask="1234")),
            FIDELITY.holds(*MANY),
            FIDELITY_TOO.holds(*MANY),
        )
        found = "SELECT DISTINCT provider, position_status, trim_scale(quantity) FROM portfolio.positions"
        assert await rows(database, found) == [("snaptrade", "current", Decimal(10))]
        await apply(applier, FIDELITY_TOO.is_now(ConnectionStatus.BROKEN, 2))
        assert await rows(database, found) == [("plaid", "current", Decimal(10))]
        await apply(applier, FIDELITY_TOO.is_now(ConnectionStatus.ACTIVE, 3))
        assert await rows(database, found) == [("plaid", "current", Decimal(10))]
        clock.advance(timedelta(minutes=30))
        assert await sweep(database, applier, clock).once() == 1
        assert await rows(database, found) == [("snaptrade", "current", Decimal(10))]
        told = "SELECT reason FROM portfolio.source_switches ORDER BY switch_id"
        assert await rows(database, told) == [("failover:connection_broken",), ("highest_priority",)]
        assert await sweep(database, applier, clock).once() == 0

    async def test_a_reconnected_account_goes_on_under_its_new_connection(self, applier, database) -> None:
        old, new = Link("plaid", "chase", "old"), Link("plaid", "chase", "new")
        moved = new.holds(stock("A", 2), version=91)
        again = {field: getattr(moved, field) for field in moved.__struct_fields__}
        moved = type(moved)(**again | {"account_id": old.account_id("a")})
        late = old.holds(stock("A", 3), version=89)
        for message in (old.holds(stock("A", 1), version=90), moved, late):
            await apply(applier, message)
        assert await quantities(database) == {"A": 2}
        where = "SELECT connection_id::text FROM portfolio.accounts"
        assert await rows(database, where) == [(new.connection_id,)]

    async def test_an_account_is_at_the_institution_that_was_named_last(self, applier, database) -> None:
        named = TYPED.lists(TYPED.account(), version=2)
        elsewhere = {field: getattr(named, field) for field in named.__struct_fields__}
        moved = type(named)(**elsewhere | {"institution": "fidelity"})
        for message in (TYPED.holds(stock("A", 1)), moved, TYPED.lists(TYPED.account(), version=1)):
            await apply(applier, message)
        assert await rows(database, "SELECT institution FROM portfolio.accounts") == [("fidelity",)]

    async def test_a_very_small_quantity_is_written_without_an_exponent(self, applier, database) -> None:
        await apply(applier, SCHWAB.holds(stock("CRYPTO:BTC", "0.00000001", None)))
        told = "SELECT contributions->0->>'quantity', parts->0->>'quantity' FROM portfolio.v_positions"
        assert await rows(database, told) == [("0.00000001", "0.00000001")]
        await apply(applier, SCHWAB.holds(stock("CRYPTO:BTC", "0.00000002", None), version=2))
        told = "SELECT content->0->>'quantity' FROM portfolio.v_snapshots ORDER BY version"
        assert await rows(database, told) == [("0.00000001",), ("0.00000002",)]


class TestOrder:
    async def test_any_order_and_any_batching_leave_identical_rows(
        self, migrated_database, database, clock
    ) -> None:
        history = _history()
        rng = random.Random(20260101)
        states = []
        for attempt in range(6):
            order = list(history)
            if attempt:
                order += rng.sample(history, 5)
                rng.shuffle(order)
            await _truncate(migrated_database.admin_url)
            applier = Applier(database, DEFAULT_RULES, clock, Measures(Metrics("t")))
            while order:
                size = rng.randint(1, 40)
                assert set(await apply(applier, *order[:size])) == {DONE}
                order = order[size:]
            states.append(await dump(database))
        assert all(state == states[0] for state in states[1:])
        assert len(states[0]["positions"]) > 20

    async def test_replicas_sharing_a_queue_come_to_the_same_result(
        self, migrated_database, database, clock
    ) -> None:
        history = _history()
        single = Applier(database, DEFAULT_RULES, clock, Measures(Metrics("t")))
        await apply(single, *history)
        expected = await dump(database)
        await _truncate(migrated_database.admin_url)
        rng = random.Random(7)
        queue = [*history, *history]
        rng.shuffle(queue)
        replicas = [Applier(database, DEFAULT_RULES, clock, Measures(Metrics("t"))) for _ in range(3)]
        await asyncio.gather(*(_compete(replica, queue) for replica in replicas))
        assert await dump(database) == expected

    async def test_positions_are_announced_once_per_version(
        self, migrated_database, database, applier
    ) -> None:
        await apply(applier, *_history())
        versions = [(one.user_id, one.version) for one in await announced(database, PositionsConsolidated)]
        assert len(versions) == len(set(versions))
        stored = await rows(database, "SELECT user_id, version FROM portfolio.portfolio_versions")
        assert dict(versions) == dict(stored)


async def _compete(applier: Applier, queue: list[Message]) -> None:
    while queue:
        batch, queue[:9] = queue[:9], []
        assert set(await apply(applier, *batch)) == {DONE}


async def _truncate(admin_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(admin_url, autocommit=True) as admin:
        names = await (
            await admin.execute(
                "SELECT format('portfolio.%I', tablename) FROM pg_tables WHERE schemaname = 'portfolio'"
            )
        ).fetchall()
        kept = [name for (name,) in names if "alembic" not in name]
        await admin.execute(f"TRUNCATE {', '.join(kept)}")


def _history() -> list[Message]:
    """Five users, three connections each, several versions."""
    rng = random.Random(1)
    messages: list[Message] = []
    for number in range(5):
        for provider, institution in (("snaptrade", "fidelity"), ("plaid", "fidelity"), ("manual", "manual")):
            link = Link(provider, institution, user=f"user-{number}")
            messages.append(link.linked())
            names = rng.sample("ab", rng.randint(1, 2))
            for version in range(1, 4):
                listed = [link.account(name, mask="1234", total=rng.randint(1, 9)) for name in names]
                messages.append(link.lists(*listed, version=version))
                for name in names:
                    held = [
                        stock(key, rng.randint(1, 4), 3) for key in rng.sample("UVWXYZ", rng.randint(3, 6))
                    ]
                    messages.append(
                        link.holds(*held, account=name, version=version, complete=rng.random() > 0.2)
                    )
                    balance = Balance(currency="USD", cash=Decimal(rng.randint(1, 9)))
                    messages.append(link.has(balance, account=name, version=version))
            if rng.random() < 0.3:
                messages.append(link.is_now(ConnectionStatus.BROKEN, 3))
    return messages


class TestBadMessages:
    async def test_a_snapshot_that_names_one_instrument_twice_is_parked_and_its_neighbours_apply(
        self, applier, database
    ) -> None:
        bad = SCHWAB.holds(stock("A", 1), stock("A", 2))
        good = FIDELITY.holds(stock("B", 1))
        outcomes = await apply(applier, bad, good)
        assert isinstance(outcomes[0], Park)
        assert outcomes[1] is DONE
        assert await quantities(database) == {"B": 1}

    async def test_what_the_tables_refuse_fails_the_batch_and_is_parked_when_alone(
        self, applier, database
    ) -> None:
        bad = SCHWAB.holds(stock("A\0", 1))
        good = Link("plaid", "chase", user="user-2").holds(stock("B", 1))
        with pytest.raises(Exception, match="NUL") as caught:
            await apply(applier, bad, good)
        assert isinstance(classify(caught.value), Park)
        assert await quantities(database) == {}
        assert await apply(applier, good) == [DONE]

    async def test_a_sum_too_large_for_its_column_is_parked_and_loses_nothing(
        self, applier, database
    ) -> None:
        much = "99999999999999999999"
        await apply(applier, SCHWAB.holds(stock("A", much, None)))
        with pytest.raises(psycopg.DataError) as caught:
            await apply(applier, FIDELITY.holds(stock("A", much, None)))
        assert isinstance(classify(caught.value), Park)
        assert await quantities(database) == {"A": Decimal(much)}

    @pytest.mark.parametrize(
        "message",
        [
            Link("plaid", "chase", user="").holds(stock("A", 1)),
            Link("plaid", "chase", user="u" * 201).holds(stock("A", 1)),
            SyncConnection(
                user_id="user-1",
                connection_id="x",
                kinds=[],
                trigger="t",
                idempotency_id="i",
                not_before=None,
            ),
            SyncFinished(
                user_id="user-1",
                provider="plaid",
                connection_id="not an id",
                institution="chase",
                run_id="r",
                kind="full",
                trigger="t",
                status=SyncStatus.COMPLETED,
                accounts=1,
                holdings=1,
                provider_calls=1,
                cost=Money(amount=Decimal(0), currency="USD"),
                started_at=NOW,
                finished_at=NOW,
                version=1,
            ),
        ],
    )
    async def test_messages_that_cannot_be_ours_are_parked_before_the_database_sees_them(
        self, applier, database, message
    ) -> None:
        [outcome] = await apply(applier, message)
        assert isinstance(outcome, Park)
        assert await quantities(database) == {}

    async def test_text_that_looks_like_array_syntax_is_stored_as_it_is(self, applier, database) -> None:
        names = ['{"', "NULL", "a,b", "back\\slash", 'quo"te', " ", "}{"]
        await apply(
            applier, SCHWAB.holds(*[stock(f"K{number}", 1, name=name) for number, name in enumerate(names)])
        )
        found = await rows(database, "SELECT name FROM portfolio.instruments ORDER BY key")
        assert [name for (name,) in found] == names


class TestCrashes:
    async def test_a_crash_before_the_commit_leaves_no_trace(self, applier, database, monkeypatch) -> None:
        before = await dump(database)

        async def crash(*_: object) -> None:
            raise RuntimeError("crash")

        with monkeypatch.context() as patched:
            patched.setattr("consolidator.work.outbox.add", crash)
            with pytest.raises(RuntimeError, match="crash"):
                await apply(applier, SCHWAB.holds(*MANY))
        assert await dump(database) == before
        # The instruments were not committed either; the same process writes them now.
        await apply(applier, SCHWAB.holds(*MANY))
        assert len(await rows(database, "SELECT 1 FROM portfolio.v_positions")) == 20

    async def test_a_crash_between_commit_and_acknowledgement_applies_twice_to_the_same_end(
        self, applier, database, clock
    ) -> None:
        batch = _history()
        await apply(applier, *batch)
        expected = await dump(database)
        restarted = Applier(database, DEFAULT_RULES, clock, Measures(Metrics("restarted")))
        await apply(restarted, *batch)
        assert await dump(database) == expected

    async def test_a_database_that_is_away_is_no_fault_of_the_messages(self, clock) -> None:
        nowhere = Database("postgresql://nobody@127.0.0.1:1/none")
        applier = Applier(nowhere, DEFAULT_RULES, clock, Measures(Metrics("t")))
        with pytest.raises(TransientError):
            await apply(applier, SCHWAB.holds(*MANY))
        await nowhere.close()


class TestConclusions:
    async def test_a_break_is_stored_and_announced_once(self, applier, database, reader) -> None:
        await apply(applier, SCHWAB.lists(SCHWAB.account(total=900)), SCHWAB.holds(*MANY))
        await apply(
            applier, SCHWAB.lists(SCHWAB.account(total=900), version=2), SCHWAB.holds(*MANY, version=2)
        )
        [event] = await announced(database, AccountBreakFound)
        assert (event.expected.amount, event.difference.amount) == (Decimal(900), Decimal(100))
        query = "SELECT outcome, trim_scale(difference) FROM portfolio.v_account_checks"
        assert await rows(reader, query, "user-1") == [("break", Decimal(100))]

    async def test_a_grey_pair_is_flagged_counted_once_and_announced(self, applier, database, reader) -> None:
        for link in (FIDELITY, FIDELITY_TOO):
            await apply(applier, link.lists(link.account()), link.holds(stock("A", 10)))
        [event] = await announced(database, AccountDecisionNeeded)
        assert sorted(event.account_ids) == sorted([FIDELITY.account_id("a"), FIDELITY_TOO.account_id("a")])
        assert set((await quantities(database)).values()) == {Decimal(10)}
        query = "SELECT needs_decision, counted, provider FROM portfolio.v_accounts ORDER BY provider"
        assert await rows(reader, query, "user-1") == [(True, False, "plaid"), (True, True, "snaptrade")]

    async def test_a_source_that_grows_too_old_is_marked_without_any_event(
        self, applier, database, clock: FakeClock
    ) -> None:
        await apply(applier, SCHWAB.holds(*MANY, as_of=NOW))
        looking = sweep(database, applier, clock)
        assert await looking.once() == 0
        clock.advance(timedelta(hours=72).total_seconds())
        assert await looking.once() == 1
        assert await rows(database, "SELECT DISTINCT position_status FROM portfolio.positions") == [
            ("stale",)
        ]
        assert await looking.once() == 0

    async def test_metrics_count_checks_and_positions(self, applier, metrics) -> None:
        await apply(applier, SCHWAB.lists(SCHWAB.account(total=1000)), SCHWAB.holds(*MANY))
        assert metrics.value("onefolio_conservation_checks_total", result="ok") == 1
        assert metrics.value("onefolio_positions_written_total", change="new") == 20
        assert metrics.value("onefolio_holdings_staleness_seconds_count", provider="snaptrade") == 1


class TestRecords:
    async def test_balances_follow_versions_and_currencies(self, applier, reader) -> None:
        dollars, euros = Balance(currency="USD", cash=Decimal(5)), Balance(currency="EUR", cash=Decimal(7))
        await apply(applier, SCHWAB.has(dollars, euros, version=2))
        await apply(applier, SCHWAB.has(Balance(currency="USD", cash=Decimal(1)), version=1))
        await apply(applier, SCHWAB.has(dollars, version=3))
        await apply(applier, SCHWAB.has(version=4, complete=False))
        query = "SELECT currency, trim_scale(cash) FROM portfolio.v_balances"
        assert await rows(reader, query, "user-1") == [("USD", Decimal(5))]

    async def test_a_removed_transaction_does_not_come_back_with_a_late_page(self, applier, database) -> None:
        await apply(applier, SCHWAB.did(version=2, removed=["t1"]))
        await apply(applier, SCHWAB.did(trade("t1"), trade("t2")))
        found = await rows(database, "SELECT external_id, removed FROM portfolio.transactions ORDER BY 1")
        assert found == [("t1", True), ("t2", False)]


async def _something_of_everything(applier: Applier, user: str) -> None:
    """Rows in every table: the same ids of decisions for every user, as a careless caller might choose them."""
    link, better = Link("plaid", "fidelity", user=user), Link("snaptrade", "fidelity", user=user)
    number = "00000000-0000-4000-8000-000000000001"
    said = {"user_id": user, "decided_by": user, "decided_at": NOW}
    await apply(
        applier,
        link.linked(),
        link.lists(link.account(mask="1234", total=30)),
        link.holds(*[stock(key, 1) for key in "ABC"]),
        link.has(Balance(currency="USD", cash=Decimal(1))),
        link.did(trade("t"), covers_from=date(2026, 1, 1), covers_through=date(2026, 1, 5)),
        link.ordered(order("o", OrderStatus.FILLED)),
        link.was_worth({"2026-01-01": 30}),
        link.ended("run"),
    )
    await apply(
        applier,
        better.lists(better.account(mask="1234", total=30)),
        better.holds(*[stock(key, 1) for key in "ABC"]),
        link.holds(*[stock(key, 1) for key in "AB"], version=2),
        IdentityDecided(
            decision_id=number,
            account_ids=sorted((link.account_id("a"), better.account_id("a"))),
            verdict=IdentityVerdict.SAME,
            **said,
        ),
        SnapshotJudged(
            user_id=user,
            judgement_id=number,
            account_id=link.account_id("a"),
            version=9,
            verdict=SnapshotVerdict.ACCEPT,
            judged_by=user,
            judged_at=NOW,
        ),
        PortfolioDefined(
            user_id=user,
            portfolio_id=portfolio_id(user, "mine"),
            name="mine",
            deleted=False,
            account_ids=[link.account_id("a")],
            version=1,
            defined_at=NOW,
        ),
        ConsolidationRequested(
            user_id=user, request_id=number, portfolio_ids=[], requested_by=user, requested_at=NOW
        ),
    )
    await apply(applier, better.is_now(ConnectionStatus.BROKEN, 3))


class TestViews:
    async def test_each_user_sees_their_own_rows_and_nobody_sees_any(self, applier, reader) -> None:
        mine, theirs = SCHWAB, Link("plaid", "chase", user="user-2")
        await apply(applier, mine.linked(), mine.holds(*MANY), theirs.holds(stock("B", 1)))
        for view, count in (("v_positions", 20), ("v_holdings", 20), ("v_accounts", 1), ("v_connections", 1)):
            assert len(await rows(reader, f"SELECT 1 FROM portfolio.{view}", "user-1")) == count
            assert await rows(reader, f"SELECT 1 FROM portfolio.{view}") == []

    async def test_every_view_shows_each_user_their_own_rows_only(self, applier, reader) -> None:
        for user in ("user-1", "user-2"):
            await _something_of_everything(applier, user)
        for view in VIEWS:
            query = f"SELECT user_id, count(*) FROM portfolio.{view} v GROUP BY 1"
            assert await rows(reader, query) == []
            counts = [await rows(reader, query, user) for user in ("user-1", "user-2")]
            assert [[user for user, _ in found] for found in counts] == [["user-1"], ["user-2"]], view
        told = "SELECT holds FROM portfolio.v_identity_decisions"
        assert await rows(reader, told, "user-1") == [(True,)]
        told = "SELECT state, json_array_length(content) FROM portfolio.v_snapshots ORDER BY version, 2"
        assert ("superseded", 3) in await rows(reader, told, "user-1")

    async def test_contributions_and_instruments_have_the_form_of_the_contracts(
        self, applier, reader
    ) -> None:
        await apply(applier, FIDELITY.holds(stock("AAPL", 100, 190)), SCHWAB.holds(stock("AAPL", 50, 191)))
        query = "SELECT contributions::text, instrument::text, as_of, trading FROM portfolio.v_positions"
        [(contributions, instrument, as_of, _)] = await rows(reader, query, "user-1")
        parts = msgspec.json.decode(contributions, type=list[Contribution])
        assert [(part.provider, part.quantity, part.version) for part in parts] == [
            ("snaptrade", Decimal(50), 1),
            ("plaid", Decimal(100), 1),
        ]
        assert msgspec.json.decode(instrument, type=Instrument).key == "AAPL"
        assert as_of == NOW + timedelta(seconds=1)

    async def test_the_gateway_cannot_write_here(self, applier, reader) -> None:
        await apply(applier, SCHWAB.holds(*MANY))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await rows(reader, "DELETE FROM portfolio.positions RETURNING 1", "user-1")

    async def test_nan_is_refused_by_every_number_column(self, migrated_database) -> None:
        query = """SELECT count(*) FROM information_schema.columns c WHERE table_schema = 'portfolio'
            AND data_type = 'numeric' AND table_name NOT LIKE 'v\\_%' AND NOT EXISTS (
                SELECT 1 FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
                WHERE t.relname = c.table_name AND pg_get_constraintdef(k.oid) LIKE '%' || c.column_name || ' <> ''NaN''%')"""
        async with await psycopg.AsyncConnection.connect(migrated_database.admin_url) as admin:
            row = await (await admin.execute(query)).fetchone()
        assert row == (0,)


class TestSweepOfMany:
    async def test_a_user_that_is_busy_elsewhere_does_not_keep_the_others_waiting(
        self, migrated_database, applier, database, clock
    ) -> None:
        busy, other = Link("plaid", "chase", user="user-1"), Link("plaid", "chase", user="user-2")
        await apply(applier, busy.holds(stock("A", 1)), other.holds(stock("A", 1)))
        clock.advance(timedelta(days=4))
        hasty = Database(migrated_database.url(roles.CONSOLIDATOR), lock_timeout=0.1)
        await hasty.open()
        looking = Applier(hasty, DEFAULT_RULES, clock, Measures(Metrics("t")))
        async with database.transaction() as conn:
            await conn.execute(LOCK, (lock_keys(["user-1"]),))
            assert await sweep(hasty, looking, clock).once() == 1
        stale = "SELECT user_id, stale FROM portfolio.real_accounts ORDER BY 1"
        assert await rows(database, stale) == [("user-1", False), ("user-2", True)]
        assert await sweep(hasty, looking, clock).once() == 1
        assert await sweep(hasty, looking, clock).once() == 0
        await hasty.close()

    async def test_a_statement_that_takes_too_long_does_not_end_the_sweep(
        self, applier, database, clock, monkeypatch
    ) -> None:
        monkeypatch.setattr("consolidator.sweep.LET_GO", "SELECT 1/0")
        sweeping = asyncio.create_task(sweep(database, applier, clock).run())
        await asyncio.sleep(0.3)
        assert not sweeping.done()
        sweeping.cancel()
