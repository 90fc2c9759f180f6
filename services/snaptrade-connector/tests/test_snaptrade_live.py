"""The adapter against a SnapTrade that answers over HTTP: linking, reading, breaking, failing."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from contracts.errors import (
    ErrorCode,
    OutcomeUnknownError,
    ProviderError,
    RefusedError,
    RepairNeededError,
    TransientError,
)
from contracts.linking import (
    BeginLink,
    ConnectionAccess,
    FinishLink,
    LinkedConnection,
    LinkOutcome,
    UserAccess,
)
from contracts.statuses import ConnectionStatus, LinkStatus
from snaptrade_connector.adapter import SnapTradeConnector
from snaptrade_connector.mapping import GAP_FIRST_FETCH, GAP_HIDDEN

from .conftest import COMMERCIAL, Sandbox, link_request

D = Decimal

POSITIONS = "GET /accounts/{accountId}/positions/all"


async def begun(connector: SnapTradeConnector, user, reconnect=None, **request: Any):
    link = BeginLink(request=link_request(**request), user=user, reconnect=reconnect, webhook_url=None)
    return await connector.begin_link(link)


async def finished(connector: SnapTradeConnector, user, **question: Any):
    link = FinishLink(**{"session_token": None, "user": user, "known": frozenset()} | question)
    answers = [answer async for answer in connector.finish_link(link)]
    assert isinstance(answers[-1], LinkOutcome)
    return [answer for answer in answers if isinstance(answer, LinkedConnection)], answers[-1].status


async def linked(sandbox: Sandbox, connector: SnapTradeConnector, user=None, form=None, **request: Any):
    start = (await begun(connector, user, **request)).start
    await sandbox.at_the_portal(start.url, **form or {})
    (one,), status = await finished(connector, user)
    assert status is LinkStatus.COMPLETED
    return one, ConnectionAccess(user_id="u-42", external_id=one.external_id, user=user, secret=None)


async def reads(connector: SnapTradeConnector, access: ConnectionAccess):
    state = await connector.state(access)
    accounts = await connector.accounts(access, state)
    return {read.account.name: read async for read in connector.holdings(access, state, accounts)}


async def collect(names: list[str | None], answers) -> None:
    async for read in answers:
        names += [read.account.name]


async def test_a_user_is_registered_once_and_a_taken_id_is_refused(commercial):
    user = await commercial.enroll("u-42")
    assert user is not None
    assert user.external_user_id == "u-42"
    assert user.secret
    with pytest.raises(RefusedError) as refused:
        await commercial.enroll("u-42")
    assert refused.value.code is ErrorCode.SNAPTRADE_USER_MISMATCH
    assert refused.value.provider_code == "1010"
    assert refused.value.provider_request_id


async def test_a_registration_whose_answer_is_lost_has_an_unknown_outcome(sandbox, commercial):
    await sandbox.fault("POST /snapTrade/registerUser", "drop", times=1, after=True)
    with pytest.raises(OutcomeUnknownError):
        await commercial.enroll("u-42")


async def test_a_personal_key_registers_and_names_nobody(sandbox, personal):
    assert await personal.enroll("u-42") is None
    await personal.forget(UserAccess(external_user_id="u-42", secret="s"))
    _, access = await linked(sandbox, personal)
    assert (await personal.state(access)).status is ConnectionStatus.ACTIVE
    calls = (await sandbox.control("GET", "/calls?provider=snaptrade"))["calls"]
    assert not any("registerUser" in str(call) or "deleteUser" in str(call) for call in calls)


async def test_schwab_trades_and_adds_up_to_the_cent(sandbox, commercial):
    user = await commercial.enroll("u-42")
    one, access = await linked(sandbox, commercial, user)
    assert (one.institution_ref, one.connection_type, one.secret) == ("SCHWAB", "trade", None)
    read = (await reads(commercial, access))["Individual"]
    assert read.complete
    assert read.account.capabilities.trading
    assert read.account.total is not None
    assert sum(holding.market_value for holding in read.holdings) == read.account.total.amount
    held = {holding.instrument.key: holding for holding in read.holdings}
    assert (held["AAPL"].quantity, held["AAPL"].cost_basis) == (50, 9120)
    assert (held["AAPL280121C00250000"].quantity, held["AAPL280121C00250000"].market_value) == (2, 10460)
    assert held["CUR:USD"].quantity == 3000
    assert held["SWVXX"].cash_equivalent
    assert read.balances[0].cash == 3000
    assert read.account.mask == "4472"
    assert read.account.stable_id
    assert read.account.holdings_as_of is not None


async def test_where_trading_is_not_allowed_none_is_asked_for(sandbox, commercial):
    user = await commercial.enroll("u-42")
    one, access = await linked(
        sandbox, commercial, user, institution="fidelity", institution_ref="FIDELITY", allow_trading=False
    )
    assert one.connection_type == "read"
    state = await commercial.state(access)
    assert not any(a.capabilities.trading for a in await commercial.accounts(access, state))


async def test_trading_where_there_is_none_is_refused_before_the_portal(commercial):
    user = await commercial.enroll("u-42")
    with pytest.raises(RefusedError) as refused:
        await begun(commercial, user, institution_ref="FIDELITY", need_trading=True)
    assert refused.value.code is ErrorCode.TRADING_NOT_SUPPORTED


async def test_pence_currencies_shorts_and_loans_come_out_right(sandbox, personal):
    reference = "INTERACTIVE-BROKERS-FLEX"
    _, access = await linked(
        sandbox, personal, form={"username": "margo"}, institution_ref=reference, allow_trading=False
    )
    read = (await reads(personal, access))["Margin"]
    held = {(h.instrument.key, h.currency): h for h in read.holdings}
    assert held["VOD.L", "GBP"].market_value == 3696
    assert held["GME", "USD"].quantity == -75
    assert held["TSLA280121P00350000", "USD"].market_value == -18525
    assert held["PHNTM", "USD"].market_value is None
    assert held["CUR:USD", "USD"].quantity == D("-4200.5")
    assert held["RY.TO", "CAD"].instrument.mic == "XTSE"


async def test_a_bond_quoted_per_100_is_recognised_and_two_lots_are_one(sandbox, personal):
    _, access = await linked(sandbox, personal, form={"username": "ravi"}, institution_ref="ETRADE")
    found = await reads(personal, access)
    read = found["Brokerage"]
    bond = next(h for h in read.holdings if h.instrument.kind == "bond")
    assert (bond.quantity, bond.market_value) == (25000, D("24312.5"))
    stock = next(h for h in read.holdings if h.instrument.key == "MSFT")
    assert (stock.quantity, stock.cost_basis) == (17, None)
    assert read.complete
    checking = found["Max-Rate Checking"]
    assert [(h.instrument.key, h.quantity) for h in checking.holdings] == [("CUR:USD", D("880.4"))]


async def test_hidden_holdings_are_a_gap_not_an_empty_account(sandbox, personal):
    _, access = await linked(sandbox, personal, form={"username": "vera"}, institution_ref="VANGUARD")
    plan = (await reads(personal, access))["Employer Plan"]
    assert (plan.complete, plan.gap) == (False, GAP_HIDDEN)
    assert plan.account.total is not None


async def test_before_the_first_sync_nothing_is_complete(sandbox, personal):
    await sandbox.control("PUT", "/snaptrade", initial_sync_seconds=60.0)
    _, access = await linked(sandbox, personal)
    found = await reads(personal, access)
    assert found
    assert all((read.complete, read.gap) == (False, GAP_FIRST_FETCH) for read in found.values())
    assert all(read.account.holdings_as_of is None for read in found.values())


@pytest.mark.parametrize("suffix", ["", "/", "/api/v1", "/api/v1/"])
async def test_the_root_and_the_legacy_base_both_sign_right(sandbox, suffix):
    connector = sandbox.connector(base=sandbox.base + suffix)
    assert await connector.enroll("u-42") is not None
    await connector.aclose()


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ((COMMERCIAL[0], "a wrong key"), ErrorCode.SIGNATURE_INVALID),
        (("NOBODY", COMMERCIAL[1]), ErrorCode.PROVIDER_CREDENTIALS_INVALID),
    ],
)
async def test_wrong_keys_are_the_operators_matter(sandbox, key, code):
    connector = sandbox.connector(key=key)
    with pytest.raises(RefusedError) as refused:
        await connector.enroll("u-42")
    assert refused.value.code is code
    await connector.aclose()


async def test_a_user_nobody_registered_is_refused_without_a_call(sandbox, commercial):
    with pytest.raises(RefusedError) as refused:
        await begun(commercial, None)
    assert refused.value.code is ErrorCode.SNAPTRADE_NOT_REGISTERED
    assert (await sandbox.control("GET", "/calls?provider=snaptrade"))["calls"] == []


async def test_a_secret_that_was_rotated_elsewhere_is_a_mismatch(commercial):
    await commercial.enroll("u-42")
    with pytest.raises(RefusedError) as refused:
        await begun(commercial, UserAccess(external_user_id="u-42", secret="old"))
    assert refused.value.code is ErrorCode.SNAPTRADE_USER_MISMATCH
    assert "old" not in str(refused.value)


async def test_a_connection_of_somebody_else_cannot_be_claimed(sandbox, commercial):
    mine = await commercial.enroll("u-42")
    theirs = await commercial.enroll("u-43")
    one, _ = await linked(sandbox, commercial, theirs)
    found, status = await finished(commercial, mine, hint=one.external_id)
    assert (found, status) == ([], LinkStatus.PENDING)


async def test_a_known_connection_counts_only_when_it_is_claimed(sandbox, commercial):
    user = await commercial.enroll("u-42")
    one, _ = await linked(sandbox, commercial, user)
    known = frozenset({one.external_id})
    assert await finished(commercial, user, known=known) == ([], LinkStatus.PENDING)
    again, status = await finished(commercial, user, known=known, hint=one.external_id)
    assert ([item.external_id for item in again], status) == ([one.external_id], LinkStatus.COMPLETED)


async def test_a_broken_connection_answers_from_its_cache_until_it_is_repaired(sandbox, commercial):
    user = await commercial.enroll("u-42")
    one, access = await linked(sandbox, commercial, user)
    await sandbox.control("POST", f"/connections/{one.external_id}/break")
    state = await commercial.state(access)
    assert (state.status, state.realtime) == (ConnectionStatus.STALE_CACHE, False)
    assert (await reads(commercial, access))["Individual"].holdings
    question = {"known": frozenset({one.external_id}), "reconnect_external_id": one.external_id}
    assert (await finished(commercial, user, **question))[1] is LinkStatus.PENDING
    start = (await begun(commercial, user, reconnect=access)).start
    await sandbox.at_the_portal(start.url)
    repaired, status = await finished(commercial, user, **question)
    assert ([item.external_id for item in repaired], status) == ([one.external_id], LinkStatus.COMPLETED)
    assert (await commercial.state(access)).status is ConnectionStatus.ACTIVE


async def test_a_connection_that_is_gone_cannot_be_repaired(commercial):
    user = await commercial.enroll("u-42")
    assert (await finished(commercial, user, reconnect_external_id="c"))[1] is LinkStatus.FAILED


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (
            {"status": 410, "body": {"detail": "no longer available"}},
            RefusedError,
            ErrorCode.PROVIDER_REFUSED,
        ),
        (
            {"status": 402, "body": {"detail": "x", "code": "3003"}},
            RepairNeededError,
            ErrorCode.CONNECTION_BROKEN,
        ),
        ({"status": 425, "body": {"detail": "x", "code": "3012"}}, TransientError, ErrorCode.DATA_NOT_READY),
        ({"status": 429, "headers": {"Retry-After": "90"}}, TransientError, ErrorCode.RATE_LIMITED),
        ({"status": 503, "body": {"code": "3002"}}, TransientError, ErrorCode.INSTITUTION_UNAVAILABLE),
        ({"status": 404, "body": {"code": "1011"}}, TransientError, ErrorCode.PROVIDER_UNAVAILABLE),
        ({"kind": "html", "status": 200}, TransientError, ErrorCode.PROVIDER_PROTOCOL),
        ({"kind": "truncate"}, TransientError, ErrorCode.PROVIDER_PROTOCOL),
        ({"kind": "missing_list"}, TransientError, ErrorCode.PROVIDER_PROTOCOL),
        ({"kind": "drop"}, TransientError, ErrorCode.PROVIDER_UNAVAILABLE),
    ],
)
async def test_an_account_that_fails_raises_after_the_others_arrived(sandbox, personal, fault, kind, code):
    _, access = await linked(sandbox, personal, form={"username": "ravi"}, institution_ref="ETRADE")
    state = await personal.state(access)
    accounts = await personal.accounts(access, state)
    await sandbox.fault(POSITIONS, fault.pop("kind", "status"), times=1, **fault)
    arrived: list[str | None] = []
    with pytest.raises(ProviderError) as raised:
        await collect(arrived, personal.holdings(access, state, accounts))
    assert arrived == ["Max-Rate Checking"]
    assert type(raised.value) is kind
    assert raised.value.code is code


async def test_a_reader_that_stops_early_leaves_no_call_behind(sandbox, personal):
    _, access = await linked(sandbox, personal, form={"username": "ravi"}, institution_ref="ETRADE")
    state = await personal.state(access)
    accounts = await personal.accounts(access, state)
    await sandbox.control("PUT", "/latency", provider="snaptrade", endpoint=POSITIONS, seconds=30)
    answers = personal.holdings(access, state, accounts)
    assert (await anext(answers)).account.name == "Max-Rate Checking"
    await answers.aclose()


async def test_forgetting_a_user_twice_is_done_once(sandbox, commercial):
    user = await commercial.enroll("u-42")
    await commercial.forget(user)
    sandbox.running.settle()
    try:
        await commercial.forget(user)
    except RefusedError as refused:
        pytest.fail(f"already gone counts as done: {refused.provider_code} {refused.status}")


async def test_the_same_login_linked_again_shows_by_having_changed_since_the_session_began(
    sandbox, commercial
):
    user = await commercial.enroll("u-42")
    one, access = await linked(sandbox, commercial, user)
    known = frozenset({one.external_id})
    before, after = (datetime.now(UTC) + timedelta(seconds=by) for by in (-60, 60))
    again, status = await finished(commercial, user, known=known, begun_at=before)
    assert ([found.external_id for found in again], status) == ([one.external_id], LinkStatus.COMPLETED)
    for question in ({"begun_at": after}, {"begun_at": None}):
        assert await finished(commercial, user, known=known, **question) == ([], LinkStatus.PENDING)
    await sandbox.control("POST", f"/connections/{access.external_id}/break")
    assert await finished(commercial, user, known=known, begun_at=before) == ([], LinkStatus.PENDING)
