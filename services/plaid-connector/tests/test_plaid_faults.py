"""Every fault the sandbox offers by name, switched on for one Item: nothing that is missing looks whole."""

from decimal import Decimal

import httpx
import pytest

from contracts.errors import ErrorCode, ProviderError, RepairNeededError
from contracts.statuses import ConnectionStatus
from plaid_connector.mapping import GAP_CUT, GAP_NOTHING

from .test_plaid_live import adapter, linked, sandbox, visit

__all__ = ["adapter", "sandbox"]


async def control(sandbox, method, path):
    async with httpx.AsyncClient(base_url=sandbox.urls.control, trust_env=False) as client:
        answer = await client.request(method, f"/_control{path}")
        assert answer.is_success, answer.text
        return answer.json()


async def run(adapter, access):
    """What one run reads: the state, the accounts read by name, and the error it ended in."""
    found, error = {}, None
    state = await adapter.state(access)
    try:
        accounts = await adapter.accounts(access, state)
        found = {one.account.name: one async for one in adapter.holdings(access, state, accounts)}
    except ProviderError as raised:
        error = raised
    return state, found, error


@pytest.fixture
async def chase(adapter, sandbox):
    """An Item with a checking account and a brokerage account, cured of its faults afterwards."""
    access = await linked(adapter, "chase")
    yield access
    await control(sandbox, "DELETE", f"/connections/{access.external_id}/faults")


async def switched_on(sandbox, access, name):
    await control(sandbox, "PUT", f"/connections/{access.external_id}/faults/{name}")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("gone", ErrorCode.PROVIDER_PROTOCOL),
        ("error_with_body", ErrorCode.PROVIDER_UNAVAILABLE),
        ("missing_list", ErrorCode.PROVIDER_PROTOCOL),
        ("truncated_page", ErrorCode.PROVIDER_PROTOCOL),
        ("gateway_page", ErrorCode.PROVIDER_UNAVAILABLE),
        ("dropped", ErrorCode.PROVIDER_UNAVAILABLE),
        ("not_ready", ErrorCode.DATA_NOT_READY),
        ("first_sync", ErrorCode.DATA_NOT_READY),
        ("rate_limited", ErrorCode.RATE_LIMITED),
    ],
)
async def test_a_fault_is_an_error_of_its_own_item_and_no_snapshot(adapter, sandbox, chase, name, code):
    other = await linked(adapter, "vanguard")
    await switched_on(sandbox, chase, name)
    _, found, error = await run(adapter, chase)
    assert found == {}
    assert error is not None
    assert error.code is code
    assert (await run(adapter, other))[2] is None


@pytest.mark.parametrize(
    ("name", "gap"),
    [("empty_list", GAP_NOTHING), ("empty_lists", "the account is missing from the answer")],
)
async def test_no_holdings_of_an_account_that_is_worth_something_is_incomplete(
    adapter, sandbox, chase, name, gap
):
    await switched_on(sandbox, chase, name)
    _, found, error = await run(adapter, chase)
    assert error is None
    brokerage = found["Self-Directed Investing"]
    assert (brokerage.complete, brokerage.gap, brokerage.holdings) == (False, gap, [])
    assert found["Total Checking"].complete


async def test_half_the_holdings_are_recognised_by_the_securities_nobody_holds(adapter, sandbox, chase):
    await switched_on(sandbox, chase, "half_page")
    _, found, _ = await run(adapter, chase)
    brokerage = found["Self-Directed Investing"]
    assert (brokerage.complete, brokerage.gap, brokerage.holdings) == (False, GAP_CUT, [])


async def test_half_of_every_list_is_never_a_complete_smaller_account(adapter, sandbox, chase):
    whole = (await run(adapter, chase))[1]
    await switched_on(sandbox, chase, "half_lists")
    _, found, error = await run(adapter, chase)
    for name, read in found.items():
        assert not read.complete or read.holdings == whole[name].holdings
    assert error is not None or not all(read.complete for read in found.values())


async def test_an_item_that_needs_a_login_says_so_and_reads_nothing(adapter, sandbox, chase):
    await switched_on(sandbox, chase, "login_required")
    state, found, error = await run(adapter, chase)
    assert (state.status, state.provider_code) == (ConnectionStatus.BROKEN, "ITEM_LOGIN_REQUIRED")
    assert found == {}
    assert isinstance(error, RepairNeededError)
    await control(sandbox, "DELETE", f"/connections/{chase.external_id}/faults")
    assert (await adapter.state(chase)).status is ConnectionStatus.ACTIVE


async def test_a_plan_whose_holdings_are_hidden_is_not_an_empty_plan(adapter):
    _, found, _ = await run(adapter, await linked(adapter, "vanguard"))
    plan = found["Employer Plan"]
    assert (plan.complete, plan.gap) == (False, GAP_NOTHING)


async def test_what_carol_owns_adds_up_in_every_account(adapter, monkeypatch):
    async def as_carol(url: str, **form: str) -> None:
        await visit(url, **({"username": "carol"} | form))

    monkeypatch.setitem(linked.__globals__, "visit", as_carol)
    _, found, error = await run(adapter, await linked(adapter, "charles-schwab"))
    assert error is None
    assert set(found) == {"Sweep", "Margin", "Money Market"}
    for read in found.values():
        assert read.complete, read.gap
        assert sum((one.market_value for one in read.holdings), Decimal(0)) == read.account.total.amount
