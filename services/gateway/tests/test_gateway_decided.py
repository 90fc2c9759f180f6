"""What people decide, carried to the real consolidator and back: the numbers follow."""

import asyncio
from datetime import timedelta

import pytest

from consolidator.apply import Applier
from consolidator.measures import Measures
from consolidator.rules import DEFAULT_RULES
from consolidator.settings import SESSION
from consolidator.testing import Link, cash, received, stock
from contracts.envelope import decode
from gateway.decisions import wait
from persistence import roles
from persistence.database import Database
from service_kit.metrics import Metrics

SNAPTRADE = Link("snaptrade", "fidelity", user="alice")
PLAID = Link("plaid", "fidelity", "2", user="alice")


class Carried:
    """The consolidator, fed by a test and by the gateway's outbox."""

    def __init__(self, database, owner, clock):
        self._applier = Applier(database, DEFAULT_RULES, clock, Measures(Metrics("consolidator")))
        self._owner, self._last = owner, 0

    async def tell(self, *messages):
        await self._applier([received(message) for message in messages])

    async def run(self):
        query = "SELECT id, body FROM gateway.outbox WHERE id > %s ORDER BY id"
        while True:
            async with self._owner.transaction() as conn:
                rows = await (await conn.execute(query, (self._last,))).fetchall()
            if rows:
                self._last = rows[-1][0]
                await self._applier([decode(body) for _, body in rows])
            await asyncio.sleep(0.01)


@pytest.fixture
async def consolidator(migrated_database, clock, monkeypatch):
    monkeypatch.setattr(wait, "PATIENCE", 20.0)
    monkeypatch.setattr(wait, "LONGER_PATIENCE", 20.0)
    database = Database(migrated_database.url(roles.CONSOLIDATOR), settings=dict(SESSION))
    owner = Database(migrated_database.admin_url)
    await database.open()
    await owner.open()
    made = Carried(database, owner, clock)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await owner.close()
    await database.close()


async def quantities(api, portfolio="default"):
    rows = (await api.get("/v1/positions", params={"portfolio": portfolio})).json()["items"]
    return {row["instrument"]["key"]: row["quantity"] for row in rows}


def clocks(clock, version):
    now = clock.now() + timedelta(seconds=version)
    return {"as_of": now, "synced_at": now, "version": version}


@pytest.fixture
async def accounts(api, consolidator):
    """One user's two accounts at Fidelity through two providers, alike enough to ask."""
    for version, link in enumerate((SNAPTRADE, PLAID), 2):
        at = clocks(api.clock, version)
        await consolidator.tell(
            link.linked(version),
            link.lists(link.account(mask=None), **at),
            link.holds(stock("AAPL", 100), cash("500"), **at),
        )
    return sorted([SNAPTRADE.account_id("a"), PLAID.account_id("a")])


async def test_the_sum_follows_what_was_decided_of_two_accounts(api, consolidator, accounts):
    path = f"/v1/accounts/{accounts[0]}/identity"
    for verdict, quantity in (("different", "200"), ("same", "100"), ("undo", None)):
        answer = await api.post(path, {"verdict": verdict, "other_account_id": accounts[1]})
        body = answer.json()
        assert (answer.status_code, body["status"]) == (200, "applied")
        if quantity is not None:
            assert body["same_real_account"] is (quantity == "100")
            assert (await quantities(api))["AAPL"] == quantity
    shown = (await api.get(path)).json()
    assert [one["verdict"] for one in shown["decisions"]] == ["undone", "same", "different"]
    assert [one["holds"] for one in shown["decisions"]] == [True, False, False]
    pending = (await api.get("/v1/identity/pending")).json()["items"]
    assert bool(pending) == shown["needs_decision"]


async def test_a_portfolio_has_positions_of_its_own_and_is_summed_on_demand(api, consolidator, accounts):
    await api.post(
        f"/v1/accounts/{accounts[0]}/identity", {"verdict": "different", "other_account_id": accounts[1]}
    )
    made = await api.post("/v1/portfolios", {"name": "One of two", "account_ids": [accounts[0]]})
    body = made.json()
    assert (made.status_code, body["status"], body["counts"]["positions"]) == (201, "applied", 2)
    assert await quantities(api, "one of two") == {"AAPL": "100", "CUR:USD": "500"}
    both = await api.request("PATCH", f"/v1/portfolios/{body['id']}", json={"account_ids": accounts})
    assert both.json()["status"] == "applied"
    assert await quantities(api, body["id"]) == await quantities(api)
    done = (await api.post("/v1/consolidate")).json()
    assert [
        (one["name"], one["positions"], one["real_accounts"], one["changed"]) for one in done["results"]
    ] == [
        ("default", 2, 2, 0),
        ("One of two", 2, 2, 0),
    ]
    assert done["results"][0]["providers"] == {"plaid": 1, "snaptrade": 1}
    assert (await api.request("DELETE", "/v1/portfolios/one of two")).status_code == 204


async def test_somebody_without_accounts_is_consolidated_too(api, consolidator):
    done = await api.post("/v1/consolidate", user="carol")
    assert (done.status_code, [one["name"] for one in done.json()["results"]]) == (200, ["default"])
    empty = await api.post("/v1/portfolios", {"name": "Nothing", "account_ids": []}, "carol")
    assert (empty.status_code, empty.json()["counts"]["positions"]) == (201, 0)


async def test_an_accepted_snapshot_empties_the_account_and_a_rejected_one_does_not(
    api, consolidator, accounts
):
    account = PLAID.account_id("a")
    path = f"/v1/accounts/{account}/quarantine"
    for version, verdict, state in ((7, "reject", "rejected"), (8, "accept", "current")):
        await consolidator.tell(PLAID.holds(cash("500"), **clocks(api.clock, version)))
        shown = (await api.get(path)).json()
        assert (shown["quarantined"]["version"], shown["vanishing"]) == (version, 1)
        answer = await api.post(path, {"verdict": verdict, "version": version})
        assert (answer.status_code, answer.json()["state"]) == (200, state)
    after = (await api.get(path)).json()
    assert (after["current"]["version"], after["quarantined"], len(after["judgements"])) == (8, None, 2)
    rows = (await api.get(f"/v1/accounts/{account}/positions")).json()["items"]
    assert [row["instrument"]["key"] for row in rows] == ["CUR:USD"]
