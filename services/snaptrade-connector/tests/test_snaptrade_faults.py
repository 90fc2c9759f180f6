"""Every fault the sandbox offers by name, switched on for one connection: nothing that is missing looks whole.

Each ends in an account that is told of as incomplete, in an error of ours, or in a status that says so; never in a
complete list that is smaller than the truth. The one exception is a well-formed half of a list, which nothing on
the wire tells from a whole one: there the difference to the total tells.
"""

import asyncio
from decimal import Decimal

import pytest

from contracts.errors import ErrorCode, ProviderError
from contracts.linking import ConnectionAccess
from contracts.statuses import ConnectionStatus
from snaptrade_connector.mapping import GAP_CASH, GAP_FIRST_FETCH, GAP_NOTHING

from .test_snaptrade_live import begun, finished, linked

WHOLE = 8  # seven positions and cash


async def both(sandbox, connector):
    """Two connections of one user: the one that will fail, and one that must not notice."""
    one, schwab = await linked(sandbox, connector)
    start = (await begun(connector, None, institution_ref="FIDELITY", allow_trading=False)).start
    await sandbox.at_the_portal(start.url, username="twins")
    (other,), _ = await finished(connector, None, known=frozenset({one.external_id}))
    return schwab, ConnectionAccess(user_id="u-42", external_id=other.external_id, user=None, secret=None)


async def run(connector, access):
    """What one run reads: the state, the accounts read, and the error it ended in."""
    found, error = [], None
    state = await connector.state(access)
    try:
        accounts = await connector.accounts(access, state)
        found = [one async for one in connector.holdings(access, state, accounts)]
    except ProviderError as raised:
        error = raised
    return state, found, error


async def switched_on(sandbox, access, name):
    await sandbox.control("PUT", f"/connections/{access.external_id}/faults/{name}")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("gone", ErrorCode.PROVIDER_REFUSED),
        ("error_with_body", ErrorCode.PROVIDER_UNAVAILABLE),
        ("missing_list", ErrorCode.PROVIDER_PROTOCOL),
        ("truncated_page", ErrorCode.PROVIDER_PROTOCOL),
        ("gateway_page", ErrorCode.PROVIDER_UNAVAILABLE),
        ("dropped", ErrorCode.PROVIDER_UNAVAILABLE),
        ("not_ready", ErrorCode.DATA_NOT_READY),
        ("login_required", ErrorCode.CONNECTION_BROKEN),
    ],
)
async def test_a_fault_is_an_error_of_its_own_connection_and_no_snapshot(sandbox, personal, name, code):
    schwab, other = await both(sandbox, personal)
    await switched_on(sandbox, schwab, name)
    (_, found, error), (_, elsewhere, fine) = await asyncio.gather(
        run(personal, schwab), run(personal, other)
    )
    assert found == []
    assert error is not None
    assert error.code is code
    assert fine is None
    assert all(one.complete for one in elsewhere)
    await sandbox.control("DELETE", f"/connections/{schwab.external_id}/faults")
    _, (whole,), error = await run(personal, schwab)
    assert (whole.complete, len(whole.holdings), error) == (True, WHOLE, None)


async def test_asked_to_slow_down_nothing_is_read(sandbox, personal):
    schwab, _ = await both(sandbox, personal)
    await switched_on(sandbox, schwab, "rate_limited")
    _, found, error = await run(personal, schwab)
    assert found == []
    assert error is not None
    assert error.code is ErrorCode.RATE_LIMITED


@pytest.mark.parametrize(
    ("name", "gap"),
    [("empty_list", GAP_NOTHING), ("no_balances", GAP_CASH), ("first_sync", GAP_FIRST_FETCH)],
)
async def test_a_list_that_is_empty_against_the_total_is_told_of_as_incomplete(sandbox, personal, name, gap):
    schwab, _ = await both(sandbox, personal)
    await switched_on(sandbox, schwab, name)
    _, (read,), error = await run(personal, schwab)
    assert error is None
    assert (read.complete, read.gap) == (False, gap)


async def test_both_lists_empty_at_once_is_told_of_as_incomplete(sandbox, personal):
    schwab, _ = await both(sandbox, personal)
    for name in ("empty_list", "no_balances"):
        await switched_on(sandbox, schwab, name)
    _, (read,), _ = await run(personal, schwab)
    assert (read.complete, read.gap) == (False, GAP_NOTHING)


async def test_a_stale_cache_answers_whole_and_the_status_says_what_it_is(sandbox, personal):
    schwab, _ = await both(sandbox, personal)
    before = (await run(personal, schwab))[1][0]
    await switched_on(sandbox, schwab, "stale_cache")
    await sandbox.control("PUT", "/accounts/schwab-demo/holdings", security="AAPL", quantity="1")
    state, (read,), error = await run(personal, schwab)
    assert (state.status, error) == (ConnectionStatus.STALE_CACHE, None)
    assert read.holdings == before.holdings
    assert read.account.holdings_as_of == before.account.holdings_as_of


async def test_half_a_list_shows_as_the_difference_to_the_total(sandbox, personal):
    schwab, _ = await both(sandbox, personal)
    await switched_on(sandbox, schwab, "half_page")
    _, (read,), _ = await run(personal, schwab)
    worth = sum((one.market_value for one in read.holdings), Decimal(0))
    assert read.account.total is not None
    # AAPL, MSFT, NVDA and the cash, which without its sweep fund reads 5500.
    assert worth == Decimal(13425) + Decimal(9904) + Decimal("5482.50") + Decimal(5500)
    assert worth < read.account.total.amount


async def test_what_carol_owns_adds_up_in_every_account(sandbox, personal):
    _, access = await linked(sandbox, personal, form={"username": "carol"})
    _, found, error = await run(personal, access)
    assert error is None
    for read in found:
        assert read.complete, read.gap
        assert sum((one.market_value for one in read.holdings), Decimal(0)) == read.account.total.amount
    assert {read.account.name for read in found} == {"Sweep", "Margin", "Money Market"}
