"""Refreshes at a known cost: what is granted, refused, charged and noted, against a real database."""

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from contracts.messages import RefreshOutcome, RefreshSettled, SyncConnection
from gateway.guards.settle import ChargeState
from gateway.ledger.measures import ChargeMeasures
from gateway.ledger.settlement import Settlements
from messaging.measures import EventMetrics
from messaging.policy import PermanentError
from persistence import roles
from persistence.database import Database
from service_kit.metrics import Metrics

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
PLAID, SNAPTRADE = {"provider": "plaid", "institution": "chase"}, {}


@pytest.fixture
def admin_conn(migrated_database):
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as conn:
        yield conn


@pytest.fixture
def schedule(admin_conn):
    """How a connection is kept up to date, as its connector writes it."""

    def made(connection, user="alice", provider="snaptrade", **more):
        row = {
            "connection_id": connection,
            "provider": provider,
            "user_id": user,
            "external_id": f"external-{connection}",
            "institution": "charles-schwab",
            "connection_type": "read",
            "status": "active",
            "fence": 1,
            "frequency_seconds": 21600,
            "last_synced_at": NOW,
        } | more
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        admin_conn.execute(f"INSERT INTO sync.sync_state ({names}) VALUES ({marks})", list(row.values()))

    return made


def charges(conn):
    query = """SELECT user_id, provider, state, amount, confirmed, charge_id::text
        FROM gateway.provider_charges ORDER BY requested_at, charge_id"""
    return conn.execute(query).fetchall()


def spend(conn):
    query = "SELECT coalesce(sum(reserved), 0), coalesce(sum(charged), 0) FROM gateway.daily_spend"
    return conn.execute(query).fetchone()


def orders(written):
    return [fact for fact in written.facts() if isinstance(fact, SyncConnection)]


@pytest.fixture
async def settlements(migrated_database, clock):
    database = Database(migrated_database.url(roles.GATEWAY), max_size=4)
    await database.open()
    metrics = Metrics("test")
    measures = ChargeMeasures(metrics, ["snaptrade", "plaid"])

    async def nobody():
        raise AssertionError

    yield Settlements(database, nobody, measures, EventMetrics(metrics), clock)
    await database.close()


def word(clock, charge, outcome, user="alice", **more):
    return RefreshSettled(
        user_id=user,
        provider="plaid",
        connection_id="c",
        charge_id=charge,
        outcome=outcome,
        settled_at=clock.now(),
        **more,
    )


async def test_the_second_refresh_within_a_day_is_refused_with_reason_price_time_and_override(
    api, seed, written, admin_conn
):
    connection = seed.connection(**PLAID)
    path = f"/v1/connections/{connection}/refresh"
    first = await api.post(path)
    assert first.status_code == 202
    assert (first.json()["status"], first.json()["paid"], first.json()["price"]) == ("queued", True, "0.10")
    api.clock.advance(timedelta(hours=1))
    second = await api.post(path, {})
    assert (second.status_code, second.headers["retry-after"]) == (429, str(23 * 3600))
    error = second.json()["error"]
    assert error["code"] == "REFRESH_TOO_SOON"
    free_at = (api.clock.now() + timedelta(hours=23)).isoformat()
    assert error["details"] == {
        "connection_id": connection,
        "reason": "too_soon",
        "paid": True,
        "price": "0.10",
        "currency": "USD",
        "estimated": True,
        "override": "confirm_cost",
        "retry_at": free_at,
        "next_refresh_at": free_at,
    }
    assert len(charges(admin_conn)) == len(orders(written)) == 1


async def test_confirmed_it_runs_once_is_audited_and_is_refused_again_within_a_minute(
    api, seed, written, admin_conn
):
    path = f"/v1/connections/{seed.connection(**PLAID)}/refresh"
    await api.post(path)
    api.clock.advance(timedelta(hours=1))
    clicks = await asyncio.gather(*(api.post(path, {"confirm_cost": True}) for _ in range(5)))
    assert sorted(click.status_code for click in clicks) == [202, 429, 429, 429, 429]
    refused = next(click for click in clicks if click.status_code == 429)
    assert refused.json()["error"]["details"]["reason"] == "just_refreshed"
    assert refused.json()["error"]["details"]["override"] is None
    assert refused.headers["retry-after"] == "60"
    assert [(state, confirmed) for _, _, state, _, confirmed, _ in charges(admin_conn)] == [
        ("reserved", False),
        ("reserved", True),
    ]
    assert spend(admin_conn) == (Decimal("0.20"), 0)
    noted = [details for _, action, _, details in written.audit() if action == "refresh.requested"]
    assert [(one["confirm_cost"], one["overrode"], one["price"]) for one in noted] == [
        (False, False, "0.10"),
        (True, True, "0.10"),
    ]
    assert {order.charge_id for order in orders(written)} == {row[5] for row in charges(admin_conn)}


async def test_a_request_sent_again_under_its_key_finds_the_first_answer(api, seed, written, admin_conn):
    connection = seed.connection(**PLAID)
    key = {"Idempotency-Key": "k1"}
    for path in (f"/v1/connections/{connection}/refresh", "/v1/refresh"):
        first = await api.request("POST", path, headers=key)
        api.clock.advance(timedelta(seconds=5))
        again = await api.request("POST", path, headers=key)
        assert (again.status_code, again.text) == (first.status_code, first.text)
        assert again.headers["idempotency-replayed"] == "true"
        other = await api.request("POST", path, headers=key, json={"confirm_cost": True})
        assert (other.status_code, other.json()["error"]["code"]) == (422, "VALIDATION_FAILED")
    assert len(charges(admin_conn)) == len(orders(written)) == 1


async def test_same_keys_at_the_same_moment_order_once(api, seed, written):
    path = f"/v1/connections/{seed.connection()}/refresh"
    key = {"Idempotency-Key": "k"}
    clicks = await asyncio.gather(*(api.request("POST", path, headers=key) for _ in range(8)))
    assert {(click.status_code, click.text) for click in clicks} == {(202, clicks[0].text)}
    assert len(orders(written)) == 1


async def test_what_is_refused_leaves_no_key_behind(api, seed):
    path = f"/v1/connections/{seed.connection()}/refresh"
    await api.post(path)
    key = {"Idempotency-Key": "k"}
    assert (await api.request("POST", path, headers=key)).status_code == 429
    api.clock.advance(timedelta(minutes=5))
    assert (await api.request("POST", path, headers=key)).status_code == 202


async def test_where_the_provider_reads_at_every_call_it_is_read_again_for_nothing(
    api, seed, schedule, written, admin_conn
):
    connection = seed.connection()
    schedule(connection, realtime=True)
    path = f"/v1/connections/{connection}/refresh"
    shown = (await api.post(path)).json()
    assert (shown["paid"], shown["price"], shown["charge_id"]) == (False, "0.00", None)
    assert [order.charge_id for order in orders(written)] == [None]
    refused = await api.post(path)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "300")
    assert refused.json()["error"]["details"]["paid"] is False
    api.clock.advance(timedelta(minutes=5))
    assert (await api.post(path)).status_code == 202
    assert charges(admin_conn) == []
    assert spend(admin_conn) == (0, 0)


@pytest.mark.parametrize(
    ("more", "status", "code", "reason"),
    [
        ({"status": "broken"}, 409, "CONNECTION_BROKEN", "needs_repair"),
        ({"status": "stale_cache"}, 409, "CONNECTION_BROKEN", "needs_repair"),
        ({"status": "removed"}, 410, "CONNECTION_GONE", "removed"),
        ({"provider": "acme"}, 409, "PROVIDER_DISABLED", "provider_disabled"),
        ({"provider": "manual"}, 409, "CONFLICT", "entered_by_hand"),
    ],
)
async def test_where_no_refresh_can_help_none_is_charged(
    api, seed, written, admin_conn, more, status, code, reason
):
    answer = await api.post(f"/v1/connections/{seed.connection(**more)}/refresh", {"confirm_cost": True})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"]["reason"]) == (status, code, reason)
    assert orders(written) == charges(admin_conn) == []


async def test_another_users_connection_does_not_exist(api, seed, written, admin_conn):
    path = f"/v1/connections/{seed.connection(user='bob')}/refresh"
    for body in (None, {"confirm_cost": True}):
        assert (await api.post(path, body)).status_code == 404
    assert (await api.post("/v1/refresh")).json()["items"] == []
    assert orders(written) == charges(admin_conn) == []


async def test_before_its_first_read_has_ended_nothing_is_bought(api, seed, schedule, written, admin_conn):
    connection = seed.connection()
    schedule(connection, last_synced_at=None)
    answer = await api.post(f"/v1/connections/{connection}/refresh", {"confirm_cost": True})
    assert (answer.status_code, answer.json()["paid"], answer.json()["charge_id"]) == (202, False, None)
    assert [order.charge_id for order in orders(written)] == [None]
    assert charges(admin_conn) == []


async def test_refreshing_all_says_of_each_connection_what_became_of_it(api, seed, schedule, written):
    plaid = seed.connection(**PLAID)
    await api.post(f"/v1/connections/{plaid}/refresh")
    api.clock.advance(timedelta(minutes=2))
    fresh = seed.connection(institution="a-first")
    broken = seed.connection(institution="b-broken", status="broken")
    realtime = seed.connection(institution="c-realtime")
    schedule(realtime, realtime=True)
    seed.connection(institution="d-gone", status="removed")
    seed.connection(institution="e-manual", provider="manual")
    shown = (await api.post("/v1/refresh")).json()
    found = {item["connection_id"]: item for item in shown["items"]}
    assert {name: item["status"] for name, item in found.items()} == {
        fresh: "queued",
        broken: "refused",
        realtime: "queued",
        plaid: "needs_confirmation",
    }
    assert found[broken]["code"] == "CONNECTION_BROKEN"
    assert (found[plaid]["override"], found[plaid]["price"]) == ("confirm_cost", "0.10")
    assert shown["totals"] == {
        "queued": 2,
        "refused": 1,
        "needs_confirmation": 1,
        "price": "0.05",
        "price_to_confirm": "0.10",
        "currency": "USD",
        "estimated": True,
    }
    api.clock.advance(timedelta(minutes=6))
    again = (await api.post("/v1/refresh", {"confirm_cost": True})).json()
    assert again["totals"]["queued"] == 3
    assert again["totals"]["price"] == "0.15"
    assert len(orders(written)) == 6


async def test_a_users_budget_is_spent_to_the_last_cent_and_begins_again_at_midnight(api, seed, admin_conn):
    api.clock.jump(timedelta(hours=8))
    connections = [seed.connection(institution=f"bank-{number:02}") for number in range(21)]
    shown = (await api.post("/v1/refresh")).json()
    assert [item["status"] for item in shown["items"]] == ["queued"] * 20 + ["refused"]
    assert spend(admin_conn) == (Decimal("1.00"), 0)
    path = f"/v1/connections/{connections[-1]}/refresh"
    refused = await api.post(path, {"confirm_cost": True})
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (429, "BUDGET_EXHAUSTED")
    assert (error["details"]["reason"], error["details"]["override"]) == ("user_budget", None)
    assert error["details"]["next_refresh_at"] == "2026-11-22T00:00:00+00:00"
    assert refused.headers["retry-after"] == str(90 * 60)
    assert (
        await api.post(f"/v1/connections/{seed.connection(user='bob')}/refresh", user="bob")
    ).status_code == 202
    api.clock.jump(timedelta(minutes=90) - timedelta(seconds=1))
    assert (await api.post(path)).status_code == 429
    api.clock.jump(timedelta(seconds=1))
    assert (await api.post(path)).status_code == 202
    days = admin_conn.execute("SELECT day::text, reserved FROM gateway.daily_spend ORDER BY day").fetchall()
    assert days == [("2026-11-21", Decimal("1.05")), ("2026-11-22", Decimal("0.05"))]


async def test_all_users_together_have_a_budget(api, seed):
    headers = api.headers("root", admin=True)
    body = {"scope": "global", "daily_limit": "0.10"}
    assert (await api.request("PUT", "/v1/admin/budgets", headers=headers, json=body)).status_code == 200
    answers = [
        await api.post(f"/v1/connections/{seed.connection(user=user)}/refresh", user=user)
        for user in ("alice", "bob", "carol")
    ]
    assert [one.status_code for one in answers] == [202, 202, 429]
    assert answers[2].json()["error"]["details"]["reason"] == "global_budget"


async def test_of_many_users_clicking_at_once_each_is_reserved_one_refresh_at_most(
    api, seed, migrated_database, admin_conn, written
):
    users = [f"user-{number:03}" for number in range(100)]
    paths = {user: f"/v1/connections/{seed.connection(user=user)}/refresh" for user in users}
    at_once = asyncio.Semaphore(20)

    async def click(user):
        while True:
            async with at_once:
                status = (await api.post(paths[user], user=user)).status_code
            # A loaded machine has no connection left for a moment; people click again.
            if status != 503:
                return status
            await asyncio.sleep(0.1)

    statuses = await asyncio.gather(*(click(user) for _ in range(5) for user in users))
    assert set(statuses) == {202, 429}
    found = charges(admin_conn)
    assert sorted(row[0] for row in found) == users
    assert len(orders(written)) == statuses.count(202) == 100
    assert spend(admin_conn) == (Decimal("5.00"), 0)


async def test_a_global_budget_holds_against_everybody_at_once(api, seed, admin_conn):
    headers = api.headers("root", admin=True)
    body = {"scope": "global", "daily_limit": "0.50"}
    await api.request("PUT", "/v1/admin/budgets", headers=headers, json=body)
    users = [f"user-{number:03}" for number in range(30)]
    kinds = [PLAID, SNAPTRADE]
    paths = {
        user: f"/v1/connections/{seed.connection(user=user, **kinds[n % 2])}/refresh"
        for n, user in enumerate(users)
    }
    await asyncio.gather(*(api.post(path, user=user) for user, path in paths.items()))
    reserved, _ = spend(admin_conn)
    assert Decimal("0.45") <= reserved <= Decimal("0.50")
    assert reserved == sum(row[3] for row in charges(admin_conn))


async def test_words_in_any_order_and_number_move_the_days_spend_once(api, seed, admin_conn, settlements):
    path = f"/v1/connections/{seed.connection(**PLAID)}/refresh"
    outcomes = list(RefreshOutcome)
    charged = Decimal(0)
    for first in outcomes:
        for second in outcomes:
            charge = (await api.post(path)).json()["charge_id"]
            told = [word(api.clock, charge, one) for one in (first, second, first, second)]
            await asyncio.gather(*(settlements.settle(one) for one in told[:2]))
            for one in told:
                await settlements.settle(one)
            state = admin_conn.execute(
                "SELECT state FROM gateway.provider_charges WHERE charge_id = %s", (charge,)
            ).fetchone()[0]
            final = {RefreshOutcome.ACCEPTED: "charged", RefreshOutcome.REFUSED: "released"}
            possible = {final[one] for one in (first, second) if one in final} or {"unknown"}
            assert state in possible
            charged += Decimal("0.10") * (state == "charged")
            api.clock.advance(timedelta(hours=25))
    sums = dict(
        admin_conn.execute(
            "SELECT state, sum(amount) FROM gateway.provider_charges GROUP BY state"
        ).fetchall()
    )
    reserved, booked = spend(admin_conn)
    assert booked == sums["charged"] == charged
    assert reserved == sums["unknown"]


async def test_a_refresh_the_provider_did_not_take_frees_the_budget_and_the_interval(
    api, seed, settlements, admin_conn
):
    path = f"/v1/connections/{seed.connection(**PLAID)}/refresh"
    charge = (await api.post(path)).json()["charge_id"]
    assert await settlements.settle(word(api.clock, charge, RefreshOutcome.REFUSED)) is ChargeState.RELEASED
    assert spend(admin_conn) == (0, 0)
    assert (await api.post(path)).json()["error"]["details"]["reason"] == "just_refreshed"
    api.clock.advance(timedelta(seconds=60))
    assert (await api.post(path)).status_code == 202


async def test_what_the_provider_cannot_refresh_is_read_again_for_nothing_for_a_week(api, seed, settlements):
    path = f"/v1/connections/{seed.connection(**PLAID)}/refresh"
    charge = (await api.post(path)).json()["charge_id"]
    told = word(api.clock, charge, RefreshOutcome.REFUSED, error_code="NOT_SUPPORTED")
    await settlements.settle(told)
    api.clock.advance(timedelta(minutes=5))
    assert (await api.post(path)).json()["paid"] is False
    api.clock.advance(timedelta(days=7))
    assert (await api.post(path)).json()["paid"] is True


async def test_a_word_about_a_charge_of_somebody_else_or_of_nobody_is_set_aside(
    api, seed, settlements, admin_conn
):
    charge = (await api.post(f"/v1/connections/{seed.connection()}/refresh")).json()["charge_id"]
    for told in (
        word(api.clock, charge, RefreshOutcome.ACCEPTED, user="bob"),
        word(api.clock, str(uuid.uuid4()), RefreshOutcome.ACCEPTED),
        word(api.clock, "no id", RefreshOutcome.ACCEPTED),
    ):
        with pytest.raises(PermanentError):
            await settlements.settle(told)
    assert [row[2] for row in charges(admin_conn)] == ["reserved"]


async def test_a_connection_shows_what_a_refresh_costs_and_when_it_is_free(api, seed, schedule):
    connection = seed.connection()
    next_at = api.clock.now() + timedelta(hours=6)
    schedule(connection, next_sync_at=next_at, paused_reason="failures", error_code="PROVIDER_UNAVAILABLE")
    shown = (await api.get(f"/v1/connections/{connection}")).json()
    assert shown["refresh_price"] == {"amount": "0.05", "currency": "USD", "estimated": False}
    assert (shown["refresh_reason"], shown["next_refresh_at"]) == (None, None)
    assert (shown["auto_sync"], shown["frequency_seconds"], shown["syncing"]) == (True, 21600, False)
    assert (shown["paused_reason"], shown["error_code"]) == ("failures", "PROVIDER_UNAVAILABLE")
    await api.post(f"/v1/connections/{connection}/refresh")
    listed = (await api.get("/v1/connections")).json()["items"]
    assert listed == [(await api.get(f"/v1/connections/{connection}")).json()]
    free_at = (api.clock.now() + timedelta(minutes=5)).isoformat()
    assert (listed[0]["refresh_reason"], listed[0]["next_refresh_at"]) == ("too_soon", free_at)
    api.clock.advance(timedelta(minutes=5))
    assert (await api.get(f"/v1/connections/{connection}")).json()["next_refresh_at"] is None


async def test_admins_see_every_users_costs_and_users_see_none(api, seed, settlements, admin_conn):
    headers = api.headers("root", admin=True)
    for user, more in (("alice", PLAID), ("alice", SNAPTRADE), ("bob", SNAPTRADE)):
        path = f"/v1/connections/{seed.connection(user=user, **more)}/refresh"
        charge = (await api.post(path, user=user)).json()["charge_id"]
        if user == "alice":
            await settlements.settle(word(api.clock, charge, RefreshOutcome.ACCEPTED))
    for group, expected in (
        ("provider", {"plaid": "0.10", "snaptrade": "0.05"}),
        ("user", {"alice": "0.15", "bob": "0.00"}),
        ("day", {"2026-11-21": "0.15"}),
        ("kind", {"refresh": "0.15"}),
    ):
        answer = await api.get("/v1/admin/costs", params={"group_by": group}, headers=headers)
        shown = answer.json()
        assert {item["key"]: item["charged"] for item in shown["items"]} == expected
        assert (shown["total"]["charged"], shown["total"]["reserved"], shown["total"]["open"]) == (
            "0.15",
            "0.05",
            1,
        )
    assert spend(admin_conn) == (Decimal("0.05"), Decimal("0.15"))
    page = await api.get("/v1/admin/costs", params={"group_by": "user", "limit": 1}, headers=headers)
    rest = {"group_by": "user", "limit": 1, "cursor": page.json()["next_cursor"]}
    assert (await api.get("/v1/admin/costs", params=rest, headers=headers)).json()["items"][0]["key"] == "bob"
    unsettled = (await api.get("/v1/admin/costs/unsettled", headers=headers)).json()["items"]
    assert [(one["user_id"], one["state"], one["amount"]) for one in unsettled] == [
        ("bob", "reserved", "0.05")
    ]
    for path in (
        "/v1/admin/costs",
        "/v1/admin/costs/forecast",
        "/v1/admin/budgets",
        "/v1/admin/costs/unsettled",
    ):
        assert (await api.get(path)).status_code == 403
    noted = admin_conn.execute(
        "SELECT DISTINCT user_id, action FROM gateway.audit_log WHERE user_id = 'root'"
    )
    assert ("root", "admin.costs") in noted.fetchall()


@pytest.mark.parametrize("between", [("2026-11-02", "2026-11-01"), ("2020-01-01", "2026-11-01")])
async def test_a_report_runs_from_a_day_to_a_later_one(api, between):
    params = dict(zip(("from", "to"), between, strict=True))
    answer = await api.get("/v1/admin/costs", params=params, headers=api.headers("root", admin=True))
    assert answer.status_code == 422


async def test_the_forecast_counts_connected_users_and_items_and_goes_on_as_before(api, seed, schedule):
    for user, provider in (
        ("alice", "snaptrade"),
        ("alice", "snaptrade"),
        ("bob", "snaptrade"),
        ("bob", "plaid"),
    ):
        schedule(seed.connection(user=user, provider=provider), user, provider)
    schedule(seed.connection(user="dan"), "dan", status="removed")
    await api.post("/v1/refresh")
    shown = (await api.get("/v1/admin/costs/forecast", headers=api.headers("root", admin=True))).json()
    found = {row["provider"]: (row["per"], row["count"], row["forecast"]) for row in shown["subscriptions"]}
    assert found == {"plaid": ("connection", 1, "0.35"), "snaptrade": ("user", 2, "4.00")}
    (refreshes,) = shown["refreshes"]
    assert (refreshes["charged"], refreshes["open"]) == ("0.00", "0.10")
    parts = [Decimal(row["forecast"]) for row in (*shown["refreshes"], *shown["subscriptions"])]
    assert Decimal(shown["total"]) == sum(parts)


async def test_budgets_are_the_settings_until_somebody_sets_them_and_again_afterwards(api, seed, admin_conn):
    headers = api.headers("root", admin=True)

    async def budgets(method="GET", **more):
        answer = await api.request(method, "/v1/admin/budgets", headers=headers, **more)
        assert answer.status_code == 200, answer.text
        return {(one["scope"], one["user_id"]): one["daily_limit"] for one in answer.json()["items"]}

    defaults = {("global", None): "25.00", ("everybody", None): "1.00"}
    assert await budgets() == defaults
    one = {"scope": "user", "user_id": "alice", "daily_limit": "0"}
    assert await budgets("PUT", json=one) == defaults | {("user", "alice"): "0.00"}
    path = f"/v1/connections/{seed.connection()}/refresh"
    assert (await api.post(path)).json()["error"]["code"] == "BUDGET_EXHAUSTED"
    assert await budgets("PUT", json=one | {"daily_limit": None}) == defaults | {("user", "alice"): None}
    assert (await api.post(path)).status_code == 202
    assert await budgets("PUT", json=one | {"daily_limit": "default"}) == defaults
    for wrong in (
        {"scope": "user", "daily_limit": "1"},
        {"scope": "global", "user_id": "alice", "daily_limit": "1"},
        {"scope": "global", "daily_limit": "-1"},
        {"scope": "global", "daily_limit": "1e9"},
        {"scope": "global"},
    ):
        answer = await api.request("PUT", "/v1/admin/budgets", headers=headers, json=wrong)
        assert answer.status_code == 422
    query = "SELECT details->>'daily_limit' FROM gateway.audit_log WHERE action = 'budget.set' ORDER BY id"
    assert [row[0] for row in admin_conn.execute(query).fetchall()] == ["0", None, "default"]


async def test_no_body_repeats_a_charge_or_a_price_as_a_number(api, seed):
    body = (await api.post(f"/v1/connections/{seed.connection()}/refresh")).text
    assert not any(isinstance(value, float) for value in json.loads(body).values())
