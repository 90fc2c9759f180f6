"""Reads over the real views: what each user sees, page by page, and what an unchanged answer costs."""

import base64
import json
import uuid

import pytest
from psycopg.errors import InsufficientPrivilege

from contracts.ids import portfolio_id, snapshot_id
from persistence import roles
from persistence.database import Database


async def test_a_position_is_summed_and_keeps_its_parts_while_accounts_stay_apart(api, portfolio):
    page = (await api.get("/v1/positions")).json()
    aapl, odd = page["items"]
    assert (aapl["ticker"], aapl["quantity"], aapl["market_value"]) == ("AAPL", "150", "1500")
    assert [(p["provider"], p["quantity"]) for p in aapl["contributions"]] == [
        ("snaptrade", "50"),
        ("plaid", "100"),
    ]
    assert aapl["provider"] == "snaptrade"
    assert aapl["capabilities"] == {"trading": True, "realtime": False}
    assert (odd["market_value"], odd["value_complete"]) == (None, False)
    assert odd["excluded"][0]["rule"] == "lower_priority"
    assert page["version"] == 4
    for account, quantity in ((portfolio.account, "50"), (portfolio.other_account, "100")):
        held = (await api.get(f"/v1/accounts/{account}/positions", params={"type": "stock"})).json()
        assert held["items"][0]["quantity"] == quantity


async def test_one_position_one_account_and_one_connection_read_like_their_lists(api, portfolio):
    for path, one in (
        ("/v1/positions", portfolio.aapl),
        ("/v1/accounts", portfolio.account),
        ("/v1/connections", portfolio.connection),
    ):
        listed = {item["id"]: item for item in (await api.get(path)).json()["items"]}
        assert (await api.get(f"{path}/{one}")).json() == listed[one]


async def test_balances_are_strings_and_unknown_is_null(api, portfolio):
    body = (await api.get(f"/v1/accounts/{portfolio.account}/balances")).json()
    assert body["items"][0]["cash"] == "3000.1"
    assert body["items"][0]["equity"] is None
    assert (await api.get(f"/v1/accounts/{portfolio.other_account}/balances")).json()["items"] == []


async def test_an_account_shows_its_own_total_and_whether_it_adds_up(api, portfolio):
    body = (await api.get(f"/v1/accounts/{portfolio.account}")).json()
    assert body["total"] == {"amount": "1000.5", "currency": "USD"}
    assert body["check"]["outcome"] == "ok"
    assert body["counted"] is True


async def test_the_summary_never_shows_an_incomplete_sum_as_whole(api, portfolio, seed):
    body = (await api.get("/v1/portfolio/summary")).json()
    assert body["totals"] == [{"currency": "USD", "market_value": "1500", "complete": False, "positions": 2}]
    by_provider = {row["provider"]: row for row in body["by_provider"]}
    assert (by_provider["snaptrade"]["market_value"], by_provider["snaptrade"]["complete"]) == ("500", True)
    assert (by_provider["plaid"]["market_value"], by_provider["plaid"]["complete"]) == ("1000", False)
    assert body["positions"] == {"total": 2, "stale": 0, "incomplete": 1, "excluded_duplicates": 1}
    assert body["connections"] == {"active": 2}
    assert body["checks"]["ok"] == 2


async def test_a_break_is_named_with_its_difference(api, portfolio, seed):
    seed._conn.execute(
        "UPDATE portfolio.account_checks SET outcome = 'break', difference = -12.5 WHERE account_id = %s",
        (portfolio.account,),
    )
    checks = (await api.get("/v1/portfolio/summary")).json()["checks"]
    assert (checks["break"], checks["breaks"][0]["difference"]) == (1, "-12.5")


async def test_someone_with_nothing_reads_empty_lists(api):
    for path in ("/v1/connections", "/v1/accounts", "/v1/positions"):
        answer = await api.get(path)
        assert (answer.status_code, answer.json()["items"], answer.json()["next_cursor"]) == (200, [], None)
    summary = (await api.get("/v1/portfolio/summary")).json()
    assert (summary["totals"], summary["version"], summary["connections"]) == ([], 0, {})


PATHS = [
    "/v1/positions",
    "/v1/positions/{aapl}",
    "/v1/positions/{aapl}/explain",
    "/v1/positions?group_by=account",
    "/v1/positions?group_by=currency&base=EUR&cash_proxy=USD:SGOV",
    "/v1/portfolio/summary",
    "/v1/portfolio/summary?base=EUR",
    "/v1/checks",
    "/v1/snapshots/{snapshot}",
    "/v1/accounts/{account}/snapshots",
    "/v1/accounts",
    "/v1/accounts/{account}",
    "/v1/accounts/{account}/balances",
    "/v1/accounts/{account}/positions",
    "/v1/connections",
    "/v1/connections/{connection}",
    "/v1/institutions",
]


@pytest.mark.parametrize("path", PATHS)
async def test_an_unchanged_answer_is_304_without_a_body(api, portfolio, path):
    path = path.format(
        aapl=portfolio.aapl,
        account=portfolio.account,
        connection=portfolio.connection,
        snapshot=snapshot_id(portfolio.account, 3, "h"),
    )
    first = await api.get(path)
    assert first.headers["cache-control"] == "no-store"
    for tag in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
        again = await api.get(path, headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    assert (await api.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_the_tag_of_positions_moves_with_the_version_and_with_the_clocks(api, portfolio, seed):
    tags = [(await api.get("/v1/positions")).headers["etag"]]
    seed.version(5)
    tags.append((await api.get("/v1/positions")).headers["etag"])
    seed._conn.execute("UPDATE portfolio.snapshots SET synced_at = synced_at + interval '1 second'")
    tags.append((await api.get("/v1/positions")).headers["etag"])
    assert len(set(tags)) == 3
    stale = await api.get("/v1/positions", headers={"If-None-Match": tags[0]})
    assert stale.status_code == 200


async def test_pages_meet_without_gap_or_repetition_while_rows_come_and_go(api, seed):
    account = seed.account(seed.connection())
    keys = [f"T{n:02d}" for n in range(7)]
    for key in keys:
        seed.position(key, seed.instrument(key), [part_of(account)])
    seen, cursor = [], None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/v1/positions", params=query)).json()
        seen += [item["ticker"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        if len(seen) == 3:
            seed.position("T00A", seed.instrument("T00A"), [part_of(account)])
            seed._conn.execute("DELETE FROM portfolio.positions WHERE ticker = 'T02'")
    assert seen == keys


def part_of(account):
    return {
        "account_id": account,
        "provider": "snaptrade",
        "quantity": "1",
        "market_value": "10",
        "cost_basis": None,
    }


@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/connections"])
async def test_lists_of_accounts_and_connections_come_in_pages_too(api, seed, path):
    for _ in range(3):
        seed.account(seed.connection())
    first = (await api.get(path, params={"limit": 2})).json()
    second = (await api.get(path, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    ids = [item["id"] for item in first["items"] + second["items"]]
    assert (len(set(ids)), second["next_cursor"]) == (3, None)


async def test_a_page_that_ends_exactly_at_the_end_has_no_next_one(api, seed):
    seed.connection()
    seed.connection()
    assert (await api.get("/v1/connections", params={"limit": 2})).json()["next_cursor"] is None


SOME_ID = "2f1c2a34-0d0c-4c5e-9f0e-2f6f0e6b7a10"


def cursor_of(*values):
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "AAAA",
        cursor_of("one"),
        cursor_of("one", "two", "three"),
        cursor_of("\x00", SOME_ID),
        cursor_of("\ud800", SOME_ID),
        cursor_of("a", "no uuid"),
        cursor_of(1, 2),
        cursor_of({}, []),
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        "/v1/accounts",
        "/v1/connections",
        "/v1/positions",
        "/v1/positions?group_by=account",
        "/v1/checks",
        "/v1/institutions",
    ],
)
async def test_a_cursor_of_another_making_is_refused_or_harmless(api, path, cursor):
    answer = await api.get(path, params={"cursor": cursor})
    if answer.status_code == 200:
        assert path.startswith("/v1/positions")
        assert (answer.json().get("items") or answer.json().get("groups") or []) == []
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_FAILED")


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 501}, {"limit": "x"}, {"type": "'; DROP"}, {"cursor": "!"}]
)
async def test_numbers_and_words_out_of_bounds_are_refused(api, query):
    assert (await api.get("/v1/positions", params=query)).status_code == 422


async def test_only_portfolios_of_ones_own_exist(api, portfolio):
    own, foreign = portfolio_id("alice"), portfolio_id("bob")
    assert len((await api.get("/v1/positions", params={"portfolio": own})).json()["items"]) == 2
    for name in (foreign, "holiday"):
        assert (await api.get("/v1/positions", params={"portfolio": name})).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/v1/positions/{aapl}",
        "/v1/positions/{aapl}/explain",
        "/v1/snapshots/{snapshot}",
        "/v1/accounts/{account}/snapshots",
        "/v1/accounts/{account}",
        "/v1/accounts/{account}/balances",
        "/v1/accounts/{account}/positions",
        "/v1/connections/{connection}",
    ],
)
async def test_a_foreign_id_an_absent_id_and_nonsense_answer_alike(api, portfolio, path):
    own = snapshot_id(portfolio.account, 3, "h")
    foreign = path.format(
        aapl=portfolio.aapl, account=portfolio.account, connection=portfolio.connection, snapshot=own
    )
    nobody = str(uuid.uuid4())
    absent = path.format(aapl=nobody, account=nobody, connection=nobody, snapshot=nobody)
    nonsense = path.format(aapl="x", account="x", connection="x", snapshot="x")
    bodies = []
    for one in (foreign, absent, nonsense):
        answer = await api.get(one, user="bob")
        assert answer.status_code == 404
        body = answer.json()["error"]
        del body["requestId"]
        bodies.append(body)
    assert bodies[0] == bodies[1] == bodies[2]


async def test_the_gateway_role_sees_no_rows_without_a_user_and_writes_no_portfolio(
    migrated_database, portfolio
):
    database = Database(migrated_database.url(roles.GATEWAY))
    await database.open()
    try:
        for view in (
            "v_positions",
            "v_accounts",
            "v_connections",
            "v_holdings",
            "v_balances",
            "v_account_checks",
        ):
            async with database.transaction() as conn:
                assert await (await conn.execute(f"SELECT count(*) FROM portfolio.{view}")).fetchone() == (0,)
        with pytest.raises(InsufficientPrivilege):
            async with database.transaction("alice") as conn:
                await conn.execute("DELETE FROM portfolio.positions")
    finally:
        await database.close()


async def test_every_table_of_the_gateway_with_a_user_is_under_forced_row_security(migrated_database):
    database = Database(migrated_database.url(roles.GATEWAY))
    await database.open()
    try:
        async with database.transaction() as conn:
            rows = await conn.execute(
                """SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity FROM pg_class c
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'user_id'
                WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind = 'r'"""
            )
            found = dict(await rows.fetchall())
        assert set(found) > {"link_sessions", "audit_log", "portfolios", "decisions", "idempotency_keys"}
        assert all(found.values())
        with pytest.raises(InsufficientPrivilege):
            async with database.transaction("alice") as conn:
                await conn.execute("DELETE FROM gateway.audit_log")
    finally:
        await database.close()


async def test_a_removed_connection_is_listed_only_when_asked_for(api, seed):
    seed.connection(status="removed")
    assert (await api.get("/v1/connections")).json()["items"] == []
    shown = (await api.get("/v1/connections", params={"include_removed": True})).json()["items"]
    assert shown[0]["status"] == "removed"


async def test_a_broken_connection_asks_for_repair(api, seed):
    seed.connection(status="broken", status_reason="login required", provider_code="ITEM_LOGIN_REQUIRED")
    one = (await api.get("/v1/connections")).json()["items"][0]
    assert (one["needs_repair"], one["provider_code"]) == (True, "ITEM_LOGIN_REQUIRED")
