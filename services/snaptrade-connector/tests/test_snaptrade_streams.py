"""Lists shared within a round, transactions, orders, history, refreshes and catalogue over HTTP."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from connector_kit.calls import sharing
from contracts.errors import (
    ErrorCode,
    GoneError,
    OutcomeUnknownError,
    RefusedError,
    RepairNeededError,
    TransientError,
)
from contracts.linking import ConnectionAccess, UserAccess
from contracts.orders import OrderStatus
from snaptrade_connector.client import Rates

from .conftest import Sandbox
from .test_snaptrade_live import linked

REFRESH = "POST /authorizations/{authorizationId}/refresh"


async def crowd(sandbox: Sandbox, **order):
    """Users as the sandbox made them, each with how its connections are reached."""
    made = await sandbox.control("POST", "/snaptrade/crowd", **order)
    found = []
    for user in made["users"]:
        access = UserAccess(external_user_id=user["user_id"], secret=user["secret"])
        found += [
            ConnectionAccess(user_id="u-42", external_id=one["id"], user=access, secret=None)
            for one in user["connections"]
        ]
    return made["users"], found


async def counts(sandbox: Sandbox):
    return (await sandbox.control("GET", "/calls/counts"))["counts"].get("snaptrade", {})


async def whole(connector, access, version=1, cursor=None):
    """Every transaction of a connection, and the cursor behind them."""
    state = await connector.state(access)
    accounts = await connector.accounts(access, state)
    found, pages = [], 0
    while True:
        page = await connector.transactions(access, state, accounts, cursor, version)
        cursor, pages = page.cursor, pages + 1
        found += [one for part in page.parts for one in part.transactions]
        if not page.has_more:
            return found, cursor, pages


async def test_all_connections_of_a_user_share_two_calls_in_a_round(sandbox, commercial):
    _, connections = await crowd(sandbox, users=1, connections=4, accounts=3)
    with sharing():
        for access in connections:
            state = await commercial.state(access)
            accounts = await commercial.accounts(access, state)
            assert len(accounts) == 3
            assert all(account.transactions_through for account in accounts)
            assert all(account.orders_as_of == account.holdings_as_of for account in accounts)
    assert await counts(sandbox) == {"GET /authorizations": 1, "GET /accounts/all": 1}


async def test_two_users_in_one_round_share_nothing(sandbox, commercial):
    _, (one, other) = await crowd(sandbox, users=2)
    with sharing():
        ids = []
        for access in (one, other):
            state = await commercial.state(access)
            ids += [account.external_id for account in await commercial.accounts(access, state)]
    assert len(set(ids)) == 2
    assert await counts(sandbox) == {"GET /authorizations": 2, "GET /accounts/all": 2}


async def test_a_connection_missing_from_the_list_is_gone_only_when_snaptrade_says_so_by_name(
    sandbox, commercial
):
    _, (access,) = await crowd(sandbox, users=1)
    await sandbox.fault("GET /authorizations", "empty_list", times=1)
    assert (await commercial.state(access)).status == "active"
    await commercial.unlink(access)
    with pytest.raises(GoneError):
        await commercial.state(access)


async def test_an_account_list_that_is_not_there_takes_no_connection_away(sandbox, commercial):
    _, (access,) = await crowd(sandbox, users=1)
    state = await commercial.state(access)
    body = {"detail": "Object does not exist", "code": "1011"}
    await sandbox.fault("GET /accounts/all", "status", status=404, body=body, times=1)
    with pytest.raises(TransientError) as raised:
        await commercial.accounts(access, state)
    assert raised.value.code is ErrorCode.PROVIDER_PROTOCOL


async def test_a_live_connection_is_listed_by_itself_and_says_the_same_of_its_accounts(sandbox, commercial):
    user = await commercial.enroll("u-42")
    _, access = await linked(sandbox, commercial, user, form={"username": "demo"})
    delayed = await commercial.state(access)
    cached = await commercial.accounts(access, delayed)
    await sandbox.control("PUT", "/snaptrade", plan="realtime")
    live = await commercial.state(access)
    listed = await commercial.accounts(access, live)
    assert live.realtime
    assert (await counts(sandbox))["GET /authorizations/{authorizationId}/accounts"] == 1
    assert len(cached) == len(listed)
    for before, now in zip(cached, listed, strict=True):
        assert now.capabilities.realtime
        assert before.account_id == now.account_id
        same = (
            "external_id name type raw_type currency mask status is_paper stable_id total holds_securities "
            "transactions_from transactions_through"
        )
        for member in same.split():
            assert getattr(before, member) == getattr(now, member), member


async def test_a_long_history_arrives_whole_and_an_unchanged_one_costs_nothing(sandbox):
    connector = sandbox.connector(page=200)
    _, (access,) = await crowd(sandbox, users=1, activities=2600)
    found, cursor, pages = await whole(connector, access)
    assert pages == 14
    assert len({one.external_id for one in found}) == len(found) == 2600
    assert all(one.booked_on <= yesterday() for one in found)
    before = (await counts(sandbox))["GET /accounts/{accountId}/activities"]
    await sandbox.control("POST", "/snaptrade/sync", announce=False)
    again, _, _ = await whole(connector, access, version=2, cursor=cursor)
    assert again == []
    assert (await counts(sandbox))["GET /accounts/{accountId}/activities"] == before
    await connector.aclose()


async def test_a_crash_between_any_two_pages_loses_none_and_doubles_none(sandbox):
    connector = sandbox.connector(page=200)
    _, (access,) = await crowd(sandbox, users=1, activities=900)
    state = await connector.state(access)
    accounts = await connector.accounts(access, state)
    kept: dict[str, object] = {}
    cursor = None
    for version in range(
        1, 6
    ):  # each run publishes a page, saves it, publishes another and dies before saving
        page = await connector.transactions(access, state, accounts, cursor, version)
        cursor = page.cursor
        lost = await connector.transactions(access, state, accounts, cursor, version)
        for one in (*page.parts, *lost.parts):
            kept |= {row.external_id: row for row in one.transactions}
    assert not page.has_more
    assert len(kept) == 900
    await connector.aclose()


async def test_orders_come_with_their_statuses_and_a_deposit_account_has_none(sandbox, personal):
    ravi = {"form": {"username": "ravi"}, "institution_ref": "ETRADE", "allow_trading": False}
    _, access = await linked(sandbox, personal, **ravi)
    state = await personal.state(access)
    accounts = {one.name: one for one in await personal.accounts(access, state)}
    found = await personal.orders(access, accounts["Brokerage"])
    assert {one.status for one in found} >= {OrderStatus.FILLED, OrderStatus.ACCEPTED}
    with pytest.raises(RefusedError) as refused:
        await personal.orders(access, accounts["Max-Rate Checking"])
    assert refused.value.code is ErrorCode.NOT_SUPPORTED


async def test_history_is_read_where_the_key_has_it_and_rates_where_they_still_are(sandbox, commercial):
    _, (access,) = await crowd(sandbox, users=1)
    state = await commercial.state(access)
    (account,) = await commercial.accounts(access, state)
    found = await commercial.history(access, account)
    assert (len(found.points), found.currency, found.returns) == (365, "USD", [])
    assert account.total is not None
    assert found.points[-1].total == account.total.amount
    await sandbox.control("PUT", "/snaptrade", return_rates=True)
    assert {"1Y", "YTD"} <= {one.period for one in (await commercial.history(access, account)).returns}
    await sandbox.control("PUT", "/snaptrade", balance_history=False)
    with pytest.raises(RefusedError) as refused:
        await commercial.history(access, account)
    assert refused.value.code is ErrorCode.NOT_SUPPORTED


async def invoice(sandbox: Sandbox) -> Decimal:
    return Decimal((await sandbox.control("GET", "/snaptrade/invoice"))["total"])


async def test_a_refresh_is_charged_when_it_is_taken_and_too_soon_again_it_is_not(sandbox, commercial):
    _, (access,) = await crowd(sandbox, users=1)
    await commercial.refresh(access)
    with pytest.raises(TransientError) as raised:
        await commercial.refresh(access)
    assert raised.value.code is ErrorCode.RATE_LIMITED
    assert raised.value.wait is not None
    assert 0 < raised.value.wait <= 60
    assert await invoice(sandbox) == Decimal("0.05")


async def test_a_refresh_of_a_disabled_or_live_connection_costs_nothing_and_says_why(sandbox, commercial):
    _, (access,) = await crowd(sandbox, users=1)
    await sandbox.control("PUT", "/snaptrade", plan="realtime")
    with pytest.raises(RefusedError) as refused:
        await commercial.refresh(access)
    assert refused.value.code is ErrorCode.NOT_SUPPORTED
    await sandbox.control("POST", f"/connections/{access.external_id}/break")
    with pytest.raises(RepairNeededError):
        await commercial.refresh(access)
    assert await invoice(sandbox) == 0


@pytest.mark.parametrize(
    ("fault", "charged"),
    [
        ({"kind": "drop", "after": True}, Decimal("0.05")),
        ({"kind": "drop"}, Decimal(0)),
        ({"kind": "status", "status": 503, "after": True}, Decimal("0.05")),
        ({"kind": "status", "status": 500}, Decimal(0)),
        ({"kind": "html", "status": 502}, Decimal(0)),
    ],
)
async def test_a_refresh_whose_answer_says_nothing_has_an_unknown_outcome(
    sandbox, commercial, fault, charged
):
    _, (access,) = await crowd(sandbox, users=1)
    await sandbox.fault(REFRESH, **fault, times=1)
    with pytest.raises(OutcomeUnknownError) as raised:
        await commercial.refresh(access)
    assert access.user is not None
    assert access.user.secret is not None
    assert access.user.secret not in str(raised.value)
    assert await invoice(sandbox) == charged


async def test_a_refresh_that_was_taken_is_taken_whatever_its_answer_reads_like(sandbox, commercial):
    _, (access,) = await crowd(sandbox, users=1)
    await sandbox.fault(REFRESH, "truncate", times=1)
    await commercial.refresh(access)
    assert await invoice(sandbox) == Decimal("0.05")


async def test_every_user_and_the_connections_of_those_we_know_are_found(sandbox, commercial):
    users, _ = await crowd(sandbox, users=3, connections=2)
    known = [UserAccess(external_user_id=one["user_id"], secret=one["secret"]) for one in users[:1]]
    known.append(UserAccess(external_user_id=users[1]["user_id"], secret="rotated elsewhere"))
    known.append(UserAccess(external_user_id="deleted long ago", secret="s"))
    found = [one async for one in commercial.remotes(known)]
    bare = {one.external_user_id for one in found if one.external_id is None}
    assert bare == {one["user_id"] for one in users}
    named = {(one.external_user_id, one.external_id) for one in found if one.external_id}
    assert named == {(users[0]["user_id"], one["id"]) for one in users[0]["connections"]}


async def test_a_personal_key_finds_its_own_connections(sandbox, personal):
    one, _ = await linked(sandbox, personal)
    found = [remote async for remote in personal.remotes([])]
    assert [(remote.external_user_id, remote.external_id) for remote in found] == [(None, one.external_id)]


async def test_the_catalogue_says_where_one_can_trade_and_what(commercial):
    found = {one.ref: one for one in await commercial.institutions()}
    assert (found["SCHWAB"].allows_trading, found["SCHWAB"].available) == (True, True)
    assert found["FIDELITY"].allows_trading is False
    assert found["SCHWAB"].logo_url
    instruments = await commercial.instruments("SCHWAB")
    assert {"AAPL", "RY.TO"} <= {one.symbol for one in instruments}
    assert await commercial.instruments("FIDELITY") == []


def test_a_call_counts_against_the_customer_and_with_a_personal_key_against_its_account():
    rates = Rates(customer=250, account=10)
    assert [(key.limit, key.per) for key in rates.keys("/authorizations", "")] == [(250, 60.0)]
    customer, account = rates.keys("/accounts/{id}/activities", "a-1")
    assert (customer.limit, account.limit) == (250, 10)
    assert account != rates.keys("/accounts/{id}/orders", "a-2")[1]
    assert account == rates.keys("/accounts/{id}/orders", "a-1")[1]
    assert len(Rates(customer=250).keys("/accounts/{id}/orders", "a-1")) == 1


def yesterday():
    return (datetime.now(UTC) - timedelta(days=1)).date()
