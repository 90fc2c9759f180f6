"""What is looked after though nobody asks: sessions, charges, subscriptions, retention; by one instance at a time."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest

from contracts.errors import ErrorCode
from contracts.linking import LinkProgress
from contracts.messages import ConfigureConnection, RefreshOutcome, RefreshSettled
from contracts.statuses import LinkStatus
from gateway.decisions import wait
from gateway.ledger.settlement import Settlements
from gateway.refusals import refusal
from gateway.upkeep.loop import Task, Upkeep
from gateway.upkeep.tasks import tasks
from messaging.measures import EventMetrics
from messaging.publishing import outgoing_event
from persistence import roles
from persistence.database import Database


@pytest.fixture
def admin_conn(migrated_database):
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as conn:
        yield conn


@pytest.fixture
def upkeep(api):
    parts = api.service.app.state.gateway
    return Upkeep(parts.database, tasks(parts), api.clock)


def link(api, connection, user="alice", provider="snaptrade", **more):
    return {
        "connection_id": connection, "provider": provider, "user_id": user, "external_id": connection,
        "institution": "chase", "connection_type": "read", "status": "active", "fence": 1,
        "frequency_seconds": 21600,
    } | more  # fmt: skip


def insert(conn, table, row):
    names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    conn.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))


class TestLinkSessions:
    async def begun(self, api):
        return (await api.post("/v1/link", {"institution": "chase"})).json()["id"]

    def status(self, conn):
        return conn.execute("SELECT status FROM gateway.link_sessions").fetchone()[0]

    async def test_a_link_completes_though_the_browser_is_closed_and_no_webhook_comes(
        self, api, upkeep, admin_conn
    ):
        session = await self.begun(api)
        connection = "0f8b5f0e-5b1d-5d6e-9a53-0c6f0c1f7a01"
        api.connectors.says[session] = LinkProgress(status=LinkStatus.COMPLETED, connection_ids=[connection])
        await upkeep.turn()
        assert self.status(admin_conn) == "pending"
        api.clock.advance(timedelta(seconds=60))
        await upkeep.turn()
        assert self.status(admin_conn) == "completed"
        assert api.connectors.asked == [("check", session)]
        api.clock.advance(timedelta(seconds=60))
        await upkeep.turn()
        assert len(api.connectors.asked) == 1

    async def test_a_session_that_ran_out_is_asked_about_once_more_and_closed(self, api, upkeep, admin_conn):
        session = await self.begun(api)
        api.clock.advance(timedelta(minutes=29, seconds=59))
        await upkeep.turn()
        assert self.status(admin_conn) == "pending"
        api.clock.advance(timedelta(seconds=31))
        await upkeep.turn()
        assert self.status(admin_conn) == "expired"
        assert api.connectors.asked == [("check", session)] * 2

    async def test_a_session_finished_in_time_is_not_closed(self, api, upkeep, admin_conn):
        session = await self.begun(api)
        api.connectors.says[session] = LinkProgress(status=LinkStatus.COMPLETED, connection_ids=[])
        api.clock.advance(timedelta(hours=2))
        await upkeep.turn()
        assert self.status(admin_conn) == "completed"

    async def test_a_connector_that_is_down_keeps_nobody_from_being_closed(self, api, upkeep, admin_conn):
        await self.begun(api)
        api.connectors.fails = refusal(ErrorCode.PROVIDER_UNAVAILABLE)
        api.clock.advance(timedelta(hours=1))
        await upkeep.turn()
        assert self.status(admin_conn) == "expired"

    async def test_a_session_that_cannot_be_settled_keeps_no_other_open(self, api, upkeep, admin_conn):
        sessions = [await self.begun(api) for _ in range(8)]
        for session in sessions:
            api.connectors.says[session] = LinkProgress(status=LinkStatus.COMPLETED, connection_ids=[])
        api.connectors.says[sessions[0]] = LinkProgress(
            status=LinkStatus.FAILED, connection_ids=[], duplicate_of="no id"
        )
        api.clock.advance(timedelta(seconds=60))
        assert (await upkeep.turn())["link_sessions"] == 7
        rows = admin_conn.execute(
            "SELECT status, count(*) FROM gateway.link_sessions GROUP BY status ORDER BY 1"
        )
        assert rows.fetchall() == [("completed", 7), ("pending", 1)]


class TestDuplicates:
    EXISTING = "0f8b5f0e-5b1d-5d6e-9a53-0c6f0c1f7a01"

    async def test_a_login_that_is_linked_already_is_offered_as_a_repair(self, api, seed, admin_conn):
        connection = seed.connection(provider="plaid", institution="chase", connection_id=self.EXISTING)
        session = (await api.post("/v1/link", {"institution": "chase"})).json()["id"]
        api.connectors.says[session] = LinkProgress(
            status=LinkStatus.FAILED, connection_ids=[], reason="ALREADY_LINKED", duplicate_of=connection
        )
        for _ in range(2):
            shown = (await api.get(f"/v1/link/{session}")).json()
            assert (shown["status"], shown["code"], shown["duplicate_of"]) == (
                "failed",
                "ALREADY_LINKED",
                connection,
            )
            assert shown["repair"] == f"/v1/connections/{connection}/reconnect"
        claimed = await api.post(f"/v1/link/{session}/complete")
        error = claimed.json()["error"]
        assert (claimed.status_code, error["code"]) == (409, "ALREADY_LINKED")
        assert error["details"] == {"duplicate_of": connection, "repair": shown["repair"]}
        repaired = await api.post(shown["repair"])
        assert repaired.json()["reconnect_connection_id"] == connection
        # It was nobody's failure: the provider is no worse for the next user.
        assert admin_conn.execute("SELECT count(*) FROM gateway.link_outcomes").fetchone()[0] == 0

    async def test_a_late_proof_of_success_takes_the_duplicate_back(self, api):
        session = (await api.post("/v1/link", {"institution": "chase"})).json()["id"]
        api.connectors.says[session] = LinkProgress(
            status=LinkStatus.FAILED, connection_ids=[], reason="ALREADY_LINKED", duplicate_of=self.EXISTING
        )
        await api.get(f"/v1/link/{session}")
        api.connectors.says[session] = LinkProgress(
            status=LinkStatus.COMPLETED, connection_ids=[self.EXISTING]
        )
        shown = (await api.get(f"/v1/link/{session}")).json()
        assert (shown["status"], shown["code"], shown["duplicate_of"]) == ("completed", None, None)


class TestCharges:
    async def test_a_reservation_without_a_word_for_a_day_is_unknown_kept_and_shown(
        self, api, seed, upkeep, admin_conn
    ):
        charge = (await api.post(f"/v1/connections/{seed.connection()}/refresh")).json()["charge_id"]
        api.clock.advance(timedelta(hours=24) - timedelta(seconds=1))
        await upkeep.turn()
        query = "SELECT state, amount FROM gateway.provider_charges"
        assert admin_conn.execute(query).fetchone() == ("reserved", Decimal("0.05"))
        api.clock.advance(timedelta(minutes=1))
        assert (await upkeep.turn())["charges"] == 1
        assert admin_conn.execute(query).fetchone() == ("unknown", Decimal("0.05"))
        assert admin_conn.execute("SELECT reserved FROM gateway.daily_spend").fetchone()[0] == Decimal("0.05")
        headers = api.headers("root", admin=True)
        listed = (await api.get("/v1/admin/costs/unsettled", headers=headers)).json()["items"]
        assert [(one["charge_id"], one["state"]) for one in listed] == [(charge, "unknown")]
        api.clock.advance(timedelta(minutes=1))
        assert (await upkeep.turn())["charges"] == 0
        assert api.metrics.value("onefolio_charges_unsettled", state="unknown") == 1
        query = "SELECT action FROM gateway.audit_log WHERE user_id = 'alice' ORDER BY id"
        assert admin_conn.execute(query).fetchall() == [("refresh.requested",), ("refresh.unsettled",)]

    async def test_subscriptions_are_written_once_a_month_and_cost_no_budget(
        self, api, seed, upkeep, admin_conn
    ):
        ids = [seed.connection(user=user) for user in ("alice", "alice", "bob")]
        for connection, user, provider in zip(
            ids, ("alice", "alice", "bob"), ("snaptrade", "snaptrade", "plaid"), strict=True
        ):
            insert(admin_conn, "sync.sync_state", link(api, connection, user, provider))
        gone = link(api, "b1d0b7de-0b52-4c59-8a53-54d3f0a3c301", "carol", status="removed")
        insert(admin_conn, "sync.sync_state", gone)
        assert (await upkeep.turn())["subscriptions"] == 2
        api.clock.advance(timedelta(hours=2))
        assert (await upkeep.turn())["subscriptions"] == 0
        rows = "SELECT user_id, provider, kind, state, amount, estimated FROM gateway.provider_charges ORDER BY user_id"
        assert admin_conn.execute(rows).fetchall() == [
            ("alice", "snaptrade", "subscription", "charged", Decimal("2.00"), False),
            ("bob", "plaid", "subscription", "charged", Decimal("0.35"), True),
        ]
        assert admin_conn.execute("SELECT count(*) FROM gateway.daily_spend").fetchone()[0] == 0
        # One that was never read is read for nothing.
        admin_conn.execute("UPDATE sync.sync_state SET last_synced_at = %s", (api.clock.now(),))
        assert (await api.post(f"/v1/connections/{ids[0]}/refresh")).status_code == 202
        api.clock.jump(timedelta(days=10))
        assert (await upkeep.turn())["subscriptions"] == 2
        params = {"from": "2026-11-01", "to": "2026-12-31", "group_by": "kind"}
        headers = api.headers("root", admin=True)
        shown = (await api.get("/v1/admin/costs", params=params, headers=headers)).json()
        assert {one["key"]: one["charged"] for one in shown["items"]} == {
            "subscription": "4.70",
            "refresh": "0.00",
        }


async def test_what_outlived_its_retention_goes_and_nothing_else(api, seed, upkeep, admin_conn):
    for user, days in (("alice", 100), ("bob", 89), ("carol", 8), ("dan", 0)):
        at = api.clock.now() - timedelta(days=days)
        insert(admin_conn, "gateway.idempotency_keys", {
            "user_id": user, "actor": "a", "action": "x", "key": "k", "fingerprint": "f", "object_id": "0" * 32,
            "created_at": at,
        })  # fmt: skip
        insert(admin_conn, "gateway.stream_events", {
            "user_id": user, "event_id": "e", "type": "t", "data": "{}", "at": at + timedelta(hours=1),
        })  # fmt: skip
        await api.post("/v1/link", {"institution": "chase"}, user=user)
        admin_conn.execute(
            "UPDATE gateway.link_sessions SET updated_at = %s, status = 'failed' WHERE user_id = %s",
            (at, user),
        )
    await api.post("/v1/link", {"institution": "chase"}, user="eve")
    assert (await upkeep.turn())["retention"] == 3 + 3 + 1

    def left(table):
        return {row[0] for row in admin_conn.execute(f"SELECT user_id FROM gateway.{table}").fetchall()}

    assert left("idempotency_keys") == left("stream_events") == {"dan"}
    assert left("link_sessions") == {"bob", "carol", "dan", "eve"}


async def test_one_instance_at_a_time_looks_after_things(api, migrated_database):
    database = Database(migrated_database.url(roles.GATEWAY))
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow():
        begun.set()
        await go_on.wait()
        return 1

    one = Upkeep(database, [Task("slow", timedelta(0), slow)], api.clock)
    other = Upkeep(database, [Task("slow", timedelta(0), slow)], api.clock)
    first = asyncio.create_task(one.turn())
    await begun.wait()
    assert await other.turn() is None
    go_on.set()
    assert await first == {"slow": 1}
    assert await other.turn() == {"slow": 1}


async def test_a_task_that_fails_keeps_none_of_the_others_from_its_turn(api, migrated_database):
    database = Database(migrated_database.url(roles.GATEWAY))

    async def broken():
        raise ValueError

    async def sound():
        return 3

    hour = timedelta(hours=1)
    made = Upkeep(database, [Task("broken", hour, broken), Task("sound", hour, sound)], api.clock)
    assert await made.turn() == {"broken": 0, "sound": 3}
    assert await made.turn() == {}
    running = asyncio.create_task(made.run())
    await asyncio.sleep(0)
    await made.stop()
    await running


async def test_leaving_waits_for_no_task_and_another_instance_goes_on(api, migrated_database):
    database = Database(migrated_database.url(roles.GATEWAY))
    begun = asyncio.Event()

    async def endless():
        begun.set()
        await asyncio.Event().wait()
        return 1

    async def quick():
        return 1

    leaving = Upkeep(database, [Task("endless", timedelta(0), endless)], api.clock)
    running = asyncio.create_task(leaving.run())
    await begun.wait()
    await leaving.stop()
    await running
    for _ in range(200):
        # The server notices the closed connection a moment later.
        if done := await Upkeep(database, [Task("quick", timedelta(0), quick)], api.clock).turn():
            break
        await asyncio.sleep(0.02)
    assert done == {"quick": 1}


async def test_the_consumer_settles_what_the_broker_brings(api, seed, admin_conn):
    charge = (await api.post(f"/v1/connections/{seed.connection()}/refresh")).json()["charge_id"]
    parts = api.service.app.state.gateway

    async def bus():
        return api.bus

    made = Settlements(parts.database, bus, parts.charges, EventMetrics(api.metrics), api.clock)
    running = asyncio.create_task(made.run())
    for outcome in (RefreshOutcome.ACCEPTED, RefreshOutcome.UNKNOWN, RefreshOutcome.ACCEPTED):
        told = RefreshSettled(
            user_id="alice", provider="snaptrade", connection_id="c", charge_id=charge, outcome=outcome,
            settled_at=api.clock.now(),
        )  # fmt: skip
        await api.bus.publish(outgoing_event(told, source="test", time=api.clock.now()))
    for _ in range(400):
        if api.metrics.value("onefolio_refreshes_total", provider="snaptrade", result="charged"):
            break
        await asyncio.sleep(0.01)
    await made.stop()
    await running
    assert admin_conn.execute("SELECT state FROM gateway.provider_charges").fetchone()[0] == "charged"
    dollars = api.metrics.value("onefolio_provider_cost_dollars_total", provider="snaptrade", kind="refresh")
    assert dollars == pytest.approx(0.05)


class TestConfiguring:
    async def patched(self, api, connection, body, **more):
        return await api.request("PATCH", f"/v1/connections/{connection}", json=body, **more)

    async def test_a_wish_becomes_a_command_and_shows_when_the_connector_has_taken_it(
        self, api, seed, written, admin_conn, monkeypatch
    ):
        connection = seed.connection()
        insert(admin_conn, "sync.sync_state", link(api, connection))
        pending = await self.patched(api, connection, {"auto_sync": False, "frequency_seconds": 3600})
        assert (pending.status_code, pending.headers["retry-after"]) == (202, "1")
        assert pending.json()["auto_sync"] is True
        (command,) = [fact for fact in written.facts() if isinstance(fact, ConfigureConnection)]
        assert (command.auto_sync, command.frequency_seconds, command.resume) == (False, 3600, False)
        monkeypatch.setattr(wait, "PATIENCE", 20.0)
        api.clock.advance(timedelta(seconds=1))
        asking = asyncio.create_task(self.patched(api, connection, {"auto_sync": False}))
        admin_conn.execute(
            "UPDATE sync.sync_state SET auto_sync = false, configured_at = %s", (api.clock.now(),)
        )
        shown = await asking
        assert (shown.status_code, shown.json()["auto_sync"]) == (200, False)
        noted = [details for _, action, _, details in written.audit() if action == "connection.configured"]
        assert [one["frequency_seconds"] for one in noted] == [3600, None]

    @pytest.mark.parametrize(
        ("seconds", "reason", "bound"),
        [(899, "too_often", {"floor": 900}), (604801, "too_seldom", {"ceiling": 604800})],
    )
    async def test_a_frequency_out_of_bounds_is_refused_with_the_bound(
        self, api, seed, written, seconds, reason, bound
    ):
        answer = await self.patched(api, seed.connection(), {"frequency_seconds": seconds})
        details = answer.json()["error"]["details"]
        assert (answer.status_code, details["reason"]) == (422, reason)
        assert bound.items() <= details.items()
        assert written.facts() == []

    async def test_nothing_nonsense_and_what_is_not_there_are_refused(self, api, seed, written):
        connection = seed.connection()
        for body in ({}, {"auto_sync": None}, {"frequency_seconds": "often"}, {"frequency": 1}):
            assert (await self.patched(api, connection, body)).status_code == 422
        wish = {"auto_sync": True}
        assert (await self.patched(api, seed.connection(user="bob"), wish)).status_code == 404
        assert (await self.patched(api, seed.connection(status="removed"), wish)).status_code == 410
        assert (await self.patched(api, seed.connection(provider="manual"), wish)).status_code == 409
        assert written.facts() == []

    async def test_an_admin_ends_a_pause_and_the_users_trail_says_who(self, api, seed, written):
        connection = seed.connection()
        path = f"/v1/admin/users/alice/connections/{connection}/resume"
        assert (await api.post(path)).status_code == 403
        answer = await api.request("POST", path, headers=api.headers("root", admin=True))
        assert answer.status_code == 202
        (command,) = written.facts()
        assert (command.user_id, command.resume, command.auto_sync) == ("alice", True, None)
        assert written.audit()[-1][0] == "alice"
        assert written.audit()[-1][3]["by"] == "admin:root"
