"""The adapter against a live sandbox, over HTTP: link, read, break, repair, remove."""

import base64
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import httpx
import pytest
from pydantic import SecretStr

from contracts.accounts import AccountType
from contracts.connectors import AccountRead, InvestmentsConnector, TradingConnector, powers
from contracts.errors import ErrorCode, GoneError, RefusedError, RepairNeededError
from contracts.instruments import InstrumentKind
from contracts.linking import (
    BeginLink,
    ConnectionAccess,
    FinishLink,
    LinkedConnection,
    LinkOutcome,
    LinkRequest,
)
from contracts.statuses import ConnectionStatus, LinkStatus
from plaid_connector.adapter import PlaidAdapter
from plaid_connector.main import adapter as real_adapter
from plaid_connector.settings import PlaidSettings
from provider_sandbox.running import RunningSandbox
from provider_sandbox.settings import Settings
from service_kit.metrics import Metrics

INSTITUTIONS = {
    "charles-schwab": "ins_11",
    "fidelity": "ins_12",
    "interactive-brokers": "ins_116530",
    "etrade": "ins_129473",
    "vanguard": "ins_115616",
    "chase": "ins_56",
    "bank-of-america": "ins_127989",
    "evergreen-retirement": "ins_900401",
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    settings = Settings(
        snaptrade_client_id="c", snaptrade_consumer_key="k", plaid_client_id="id", plaid_secret="secret"
    )
    with RunningSandbox(settings) as running:
        yield running


@pytest.fixture
async def adapter(sandbox: RunningSandbox) -> AsyncIterator[PlaidAdapter]:
    settings = PlaidSettings(
        service_auth_secret=SecretStr("x" * 32),
        database_url=SecretStr("postgresql://nowhere"),
        amqp_url=SecretStr("amqp://nowhere"),
        secrets_master_keys=SecretStr(f"k:{base64.b64encode(bytes(32)).decode()}"),
        client_id="id",
        secret=SecretStr("secret"),
        base_url=sandbox.urls.plaid,
        preselect_institution=True,
    )
    made = real_adapter(settings, Metrics("test"))
    yield made
    await made.aclose()


def begin(institution: str, reconnect: ConnectionAccess | None = None) -> BeginLink:
    request = LinkRequest(
        link_session_id="s",
        user_id="u",
        institution=institution,
        institution_ref=INSTITUTIONS[institution],
        need_trading=False,
        allow_trading=False,
        redirect_uri=None,
    )
    return BeginLink(request=request, user=None, reconnect=reconnect, webhook_url=None)


def finish(token: str | None, *done: str, reconnect: str | None = None) -> FinishLink:
    return FinishLink(
        session_token=token,
        user=None,
        known=frozenset(),
        done=frozenset(done),
        reconnect_external_id=reconnect,
    )


async def visit(url: str, **form: str) -> None:
    async with httpx.AsyncClient() as browser:
        answer = await browser.post(url, data={"username": "demo", "outcome": "success"} | form)
        assert answer.status_code < 400


async def linked(adapter: PlaidAdapter, institution: str) -> ConnectionAccess:
    begun = await adapter.begin_link(begin(institution))
    await visit(begun.start.url)
    answers = [answer async for answer in adapter.finish_link(finish(begun.session_token))]
    connection, outcome = answers
    assert isinstance(connection, LinkedConnection)
    assert isinstance(outcome, LinkOutcome)
    assert outcome.status is LinkStatus.COMPLETED
    assert connection.institution_ref == INSTITUTIONS[institution]
    return ConnectionAccess(
        user_id="u", external_id=connection.external_id, user=None, secret=connection.secret
    )


async def read(adapter: PlaidAdapter, connection: ConnectionAccess) -> list[AccountRead]:
    state = await adapter.state(connection)
    accounts = await adapter.accounts(connection, state)
    return [one async for one in adapter.holdings(connection, state, accounts)]


def test_plaid_reads_and_cannot_trade(adapter: PlaidAdapter) -> None:
    assert isinstance(adapter, InvestmentsConnector)
    assert not isinstance(adapter, TradingConnector)
    assert powers(adapter) == {"accounts", "holdings", "refresh", "transactions", "webhooks"}


@pytest.mark.parametrize("institution", sorted(INSTITUTIONS))
async def test_every_institution_reads_completely_and_cash_appears_once(
    adapter: PlaidAdapter, institution: str
) -> None:
    reads = await read(adapter, await linked(adapter, institution))
    assert reads
    for one in reads:
        cash = [row.currency for row in one.holdings if row.instrument.kind is InstrumentKind.CASH]
        assert len(cash) == len(set(cash))
        assert one.complete or one.gap
        assert all(isinstance(row.quantity, Decimal) for row in one.holdings)


async def test_holdings_and_cash_add_up_to_the_institutions_own_total(adapter: PlaidAdapter) -> None:
    for institution in ("charles-schwab", "fidelity", "chase", "vanguard"):
        for one in await read(adapter, await linked(adapter, institution)):
            if one.complete and one.account.total and one.holdings:
                total = sum((row.market_value or Decimal(0)) for row in one.holdings)
                assert total == one.account.total.amount, (institution, one.account.name)


async def test_the_demo_bank_has_a_deposit_and_a_brokerage_account(adapter: PlaidAdapter) -> None:
    reads = await read(adapter, await linked(adapter, "chase"))
    by_type = {one.account.type: one for one in reads}
    (deposit,) = by_type[AccountType.DEPOSIT].holdings
    assert (deposit.instrument.key, deposit.quantity) == ("CUR:USD", Decimal(5000))
    held = {row.instrument.key: row.quantity for row in by_type[AccountType.BROKERAGE].holdings}
    assert held["AAPL"] == Decimal(100)


async def test_options_shorts_and_pence_of_a_margin_account_are_in_our_units(adapter: PlaidAdapter) -> None:
    (margin,) = await read(adapter, await linked(adapter, "interactive-brokers"))
    held = {(row.instrument.kind, row.instrument.key): row for row in margin.holdings}
    put = next(row for (kind, _), row in held.items() if kind is InstrumentKind.OPTION)
    assert put.quantity == Decimal(-3)
    vodafone = next(row for (_, key), row in held.items() if key.startswith("VOD"))
    assert vodafone.currency == "GBP"
    assert next(row for (_, key), row in held.items() if key == "GME").quantity == Decimal(-75)


async def test_a_session_finished_twice_exchanges_nothing_twice(adapter: PlaidAdapter) -> None:
    begun = await adapter.begin_link(begin("fidelity"))
    await visit(begun.start.url)
    first = [answer async for answer in adapter.finish_link(finish(begun.session_token))]
    assert isinstance(first[0], LinkedConnection)
    again = [
        answer async for answer in adapter.finish_link(finish(begun.session_token, first[0].source or ""))
    ]
    assert [type(answer) for answer in again] == [LinkOutcome]


async def test_an_unfinished_an_abandoned_and_an_unknown_session_are_told_apart(
    adapter: PlaidAdapter,
) -> None:
    async def status(token: str | None) -> LinkStatus:
        (answer,) = [answer async for answer in adapter.finish_link(finish(token))]
        assert isinstance(answer, LinkOutcome)
        return answer.status

    begun = await adapter.begin_link(begin("chase"))
    assert await status(begun.session_token) is LinkStatus.PENDING
    await visit(begun.start.url, outcome="cancel")
    assert await status(begun.session_token) is LinkStatus.ABANDONED
    assert await status(None) is LinkStatus.FAILED


async def test_a_broken_item_says_so_and_is_repaired_in_update_mode(
    adapter: PlaidAdapter, sandbox: RunningSandbox
) -> None:
    connection = await linked(adapter, "vanguard")
    async with httpx.AsyncClient(base_url=sandbox.urls.control) as control:
        path = f"/_control/plaid/items/{connection.external_id}/break"
        assert (await control.post(path, json={"code": "ITEM_LOGIN_REQUIRED"})).is_success
    broken = await adapter.state(connection)
    assert (broken.status, broken.provider_code) == (ConnectionStatus.BROKEN, "ITEM_LOGIN_REQUIRED")
    with pytest.raises(RepairNeededError):
        await read(adapter, connection)
    begun = await adapter.begin_link(begin("vanguard", connection))
    await visit(begun.start.url)
    question = finish(begun.session_token, reconnect=connection.external_id)
    (outcome,) = [answer async for answer in adapter.finish_link(question)]
    assert isinstance(outcome, LinkOutcome)
    assert outcome.status is LinkStatus.COMPLETED
    assert (await adapter.state(connection)).status is ConnectionStatus.ACTIVE


async def test_a_removed_connection_is_gone_and_removing_it_again_is_done(adapter: PlaidAdapter) -> None:
    connection = await linked(adapter, "etrade")
    await adapter.unlink(connection)
    await adapter.unlink(connection)
    with pytest.raises(GoneError):
        await adapter.state(connection)


async def test_wrong_tokens_and_trading_are_refused(adapter: PlaidAdapter) -> None:
    stranger = ConnectionAccess(user_id="u", external_id="x", user=None, secret="access-sandbox-unknown")
    with pytest.raises(RefusedError):
        await adapter.state(stranger)
    wish = begin("chase")
    trading = LinkRequest(
        link_session_id="s",
        user_id="u",
        institution="chase",
        institution_ref=None,
        need_trading=True,
        allow_trading=True,
        redirect_uri=None,
    )
    with pytest.raises(RefusedError) as caught:
        await adapter.begin_link(
            BeginLink(request=trading, user=None, reconnect=None, webhook_url=wish.webhook_url)
        )
    assert caught.value.code is ErrorCode.TRADING_NOT_SUPPORTED
