"""What the consolidator really writes, read through the gateway: the views keep their promise to both sides."""

from datetime import timedelta
from decimal import Decimal

import pytest

from consolidator.apply import Applier
from consolidator.measures import Measures
from consolidator.rules import DEFAULT_RULES
from consolidator.settings import SESSION
from consolidator.testing import Link, cash, received, stock
from contracts.accounts import Balance
from contracts.statuses import ConnectionStatus
from persistence import roles
from persistence.database import Database
from service_kit.metrics import Metrics

SCHWAB, CHASE = Link("snaptrade", "charles-schwab", user="alice"), Link("plaid", "chase", user="alice")


@pytest.fixture
async def apply(migrated_database, clock):
    database = Database(migrated_database.url(roles.CONSOLIDATOR), settings=dict(SESSION))
    await database.open()
    applier = Applier(database, DEFAULT_RULES, clock, Measures(Metrics("consolidator")))

    async def applied(*messages):
        outcomes = await applier([received(message) for message in messages])
        assert len(outcomes) == len(messages)

    yield applied
    await database.close()


def clocks(clock):
    return {"as_of": clock.now() - timedelta(minutes=5), "synced_at": clock.now()}


async def test_two_brokers_read_as_one_portfolio_and_every_answer_is_as_documented(api, apply):
    at = clocks(api.clock)
    await apply(
        SCHWAB.linked(),
        SCHWAB.lists(SCHWAB.account(total="3500", mask="4321"), **at),
        SCHWAB.holds(stock("AAPL", 50, cost=300), cash("3000"), version=2, **at),
        SCHWAB.has(Balance(currency="USD", cash=Decimal("3000.00"), buying_power=Decimal(6000)), **at),
        CHASE.linked(),
        CHASE.lists(CHASE.account(mask="9876"), **at),
        CHASE.holds(stock("AAPL", 100, price=None), cash("5000.10"), version=2, **at),
    )
    rows = {row["instrument"]["key"]: row for row in (await api.get("/v1/positions")).json()["items"]}
    aapl, dollars = rows["AAPL"], rows["CUR:USD"]
    assert (aapl["quantity"], aapl["market_value"], aapl["value_complete"]) == ("150", "500", False)
    assert (aapl["cost_basis"], aapl["cost_basis_complete"]) == ("300", False)
    assert (aapl["provider"], aapl["position_source"]) == ("snaptrade", "consolidated")
    assert sum(Decimal(part["quantity"]) for part in aapl["contributions"]) == 150
    assert dollars["quantity"] == "8000.1"
    accounts = (await api.get("/v1/accounts")).json()["items"]
    checks = {row["provider"]: row["check"]["outcome"] for row in accounts}
    assert checks == {"snaptrade": "ok", "plaid": "unknown"}
    for account in accounts:
        held = (await api.get(f"/v1/accounts/{account['id']}/positions")).json()["items"]
        assert len(held) == 2
        assert (await api.get(f"/v1/accounts/{account['id']}/balances")).status_code == 200
    summary = (await api.get("/v1/portfolio/summary")).json()
    assert summary["totals"] == [
        {"currency": "USD", "market_value": "8500.1", "complete": False, "positions": 2}
    ]
    assert summary["connections"] == {"active": 2}


async def test_a_change_moves_the_tag_and_a_repetition_does_not(api, apply):
    at = clocks(api.clock)
    first = (
        SCHWAB.linked(),
        SCHWAB.lists(SCHWAB.account(), **at),
        SCHWAB.holds(stock("AAPL", 50), version=2, **at),
    )
    await apply(*first)
    tag = (await api.get("/v1/positions")).headers["etag"]
    await apply(*first)
    assert (await api.get("/v1/positions", headers={"If-None-Match": tag})).status_code == 304
    await apply(SCHWAB.holds(stock("AAPL", 51), version=3, **at))
    fresh = await api.get("/v1/positions", headers={"If-None-Match": tag})
    assert (fresh.status_code, fresh.json()["items"][0]["quantity"]) == (200, "51")


async def test_a_connection_that_broke_says_so(api, apply):
    at = clocks(api.clock)
    await apply(SCHWAB.linked(), SCHWAB.lists(SCHWAB.account(), **at))
    await apply(SCHWAB.is_now(ConnectionStatus.BROKEN, 5))
    [connection] = (await api.get("/v1/connections")).json()["items"]
    assert (connection["status"], connection["needs_repair"]) == ("broken", True)
    again = await api.post(f"/v1/connections/{connection['id']}/reconnect")
    assert again.json()["provider"] == "snaptrade"


async def test_one_account_seen_twice_is_explained_by_its_counted_source(api, apply):
    at = clocks(api.clock)
    fidelity = [Link(provider, "fidelity", user="alice") for provider in ("snaptrade", "plaid")]
    for link, quantity in zip(fidelity, (100, 90), strict=True):
        await apply(
            link.linked(),
            link.lists(link.account(mask="9876"), **at),
            link.holds(stock("AAPL", quantity), stock("MSFT", 7), stock("ODD", 3), version=2, **at),
        )
    counted, other = (link.account_id("a") for link in fidelity)
    rows = {row["instrument"]["key"]: row for row in (await api.get("/v1/positions")).json()["items"]}
    assert {key: row["quantity"] for key, row in rows.items()} == {"AAPL": "100", "MSFT": "7", "ODD": "3"}
    body = (await api.get(f"/v1/positions/{rows['AAPL']['id']}/explain")).json()
    [part], [duplicate] = body["contributions"], body["excluded"]
    assert (part["account_id"], part["counted_because"]["reason"]) == (counted, "highest_priority")
    assert (duplicate["account_id"], duplicate["quantity"]) == (other, "90")
    assert duplicate["rule"].split(":")[0] == "lower_priority"
    for one, quantity in ((part, "100"), (duplicate, "90")):
        assert (one["snapshot"]["state"], one["snapshot"]["agrees"]) == ("current", True)
        assert (one["instrument"]["key"], one["connection_status"]) == ("AAPL", "active")
        stored = (await api.get(f"/v1/snapshots/{one['snapshot']['id']}")).json()
        assert (stored["content_hash"], stored["account_id"]) == (
            one["snapshot"]["content_hash"],
            one["account_id"],
        )
        held = {line["instrument_key"]: line["quantity"] for line in stored["content"]}
        assert held["AAPL"] == quantity
    assert body["sums"]["exact"] is True
    [identity] = body["identity"]
    assert sorted(identity["account_ids"]) == sorted([counted, other])
    assert identity["pairs"][0]["meaning"] is not None
    groups = (await api.get("/v1/positions?group_by=account")).json()["groups"]
    assert [(group["account"]["account_id"], group["positions"]) for group in groups] == [(counted, 3)]
