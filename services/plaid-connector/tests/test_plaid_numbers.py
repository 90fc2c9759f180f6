"""The golden cases through the real adapter: Plaid's answers over HTTP, holdings in our terms."""

from decimal import Decimal
from typing import Any

import httpx
import pytest

from connector_kit.golden import body
from connector_kit.golden.suite import NumbersConformance, Reader
from contracts.connectors import AccountRead
from contracts.linking import ConnectionAccess
from plaid_connector.adapter import PlaidAdapter
from plaid_connector.client import PlaidClient

ITEM = {"item_id": "item", "institution_id": "ins_1", "error": None}
ACCESS = ConnectionAccess(user_id="u", external_id="item", user=None, secret="access-sandbox-x")


def answers(parts: dict[str, Any]) -> dict[str, bytes]:
    """The answers Plaid would give for one account with these parts."""
    given = dict(parts.get("account", {}))
    balances = {"current": None, "available": None, "limit": None, "iso_currency_code": "USD"}
    account = {
        "account_id": "a",
        "name": "Account",
        "mask": "7731",
        "type": "investment",
        "subtype": "brokerage",
        **given,
        "balances": balances | given.get("balances", {}),
    }
    holdings = [
        {"account_id": "a", "security_id": "s", "iso_currency_code": "USD"} | row for row in parts["holdings"]
    ]
    securities = [{"security_id": "s", "iso_currency_code": "USD"} | one for one in parts["securities"]]
    status = {"investments": {"last_successful_update": "2026-11-21T03:12:44Z"}}
    return {
        "/item/get": body({"item": ITEM, "status": status, "request_id": "r"}),
        "/accounts/get": body({"accounts": [account], "item": ITEM, "request_id": "r"}),
        "/investments/holdings/get": body(
            {
                "accounts": [account],
                "holdings": holdings,
                "securities": securities,
                "item": ITEM,
                "request_id": "r",
            }
        ),
    }


async def read(parts: dict[str, Any]) -> AccountRead:
    given = answers(parts)

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=given[request.url.path])

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="https://plaid.test")
    adapter = PlaidAdapter(PlaidClient(http), settings=None)
    try:
        state = await adapter.state(ACCESS)
        accounts = await adapter.accounts(ACCESS, state)
        (found,) = [one async for one in adapter.holdings(ACCESS, state, accounts)]
    finally:
        await adapter.aclose()
    return found


class TestNumbers(NumbersConformance):
    provider = "plaid"

    @pytest.fixture
    def read(self) -> Reader:
        return read


HELD = {"quantity": Decimal(10), "institution_price": Decimal(10), "institution_value": Decimal(100)}


async def test_a_list_cut_short_is_recognised_by_the_securities_nobody_holds():
    parts = {
        "account": {"balances": {"current": Decimal(1000)}},
        "holdings": [HELD | {"institution_price_as_of": "2026-11-20"}],
        "securities": [
            {"type": "equity", "ticker_symbol": "AAPL"},
            {"security_id": "t", "type": "equity", "ticker_symbol": "TSLA"},
        ],
    }
    cut = await read(parts)
    assert not cut.complete
    assert cut.gap
    assert (await read(parts | {"account": {"balances": {"current": Decimal(100)}}})).complete
    assert (await read(parts | {"account": {"balances": {"current": None}}})).complete


@pytest.mark.parametrize(("current", "complete"), [("1000", False), ("0.5", True), (None, True)])
async def test_an_account_without_a_holding_counts_as_empty_only_if_it_is_worth_nothing(current, complete):
    worth = None if current is None else Decimal(current)
    found = await read({"account": {"balances": {"current": worth}}, "holdings": [], "securities": []})
    assert (found.complete, found.gap is None) == (complete, complete)


@pytest.mark.parametrize(
    ("count", "price", "value", "contracts"),
    [
        ("200", "3.1", "620", "2"),
        ("2", "3.1", "620", "2"),
        ("200", "3.1", "62000", "200"),
        ("150", "3.1", None, "150"),
        ("200", None, None, "2"),
        ("0", "3.1", "0", "0"),
    ],
)
async def test_options_are_counted_in_contracts_however_they_come(count, price, value, contracts):
    row = {
        "quantity": Decimal(count),
        "institution_price": None if price is None else Decimal(price),
        "institution_price_as_of": "2026-11-20",
        "institution_value": None if value is None else Decimal(value),
    }
    option = {"type": "derivative", "subtype": "option", "ticker_symbol": "AAPL280121C00250000"}
    (held,) = (await read({"holdings": [row], "securities": [option]})).holdings
    assert held.quantity == Decimal(contracts)
    assert held.market_value == (None if value is None else Decimal(value))


async def test_an_adjusted_option_is_divided_as_documented():
    row = HELD | {"quantity": Decimal(150), "institution_value": Decimal(1500)}
    option = {"type": "derivative", "ticker_symbol": "AAPL1280121C00250000"}
    (held,) = (await read({"holdings": [row], "securities": [option]})).holdings
    assert (held.quantity, held.market_value) == (Decimal("1.5"), Decimal(1500))


@pytest.mark.parametrize("ticker", ["AAPL289921C00250000", "AAPL", None])
async def test_a_derivative_without_terms_is_no_option(ticker):
    derivative = {"type": "derivative", "ticker_symbol": ticker}
    (held,) = (await read({"holdings": [HELD], "securities": [derivative]})).holdings
    assert (held.instrument.kind, held.quantity) == ("other", Decimal(10))
