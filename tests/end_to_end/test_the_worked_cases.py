"""The cases that define consolidation, each through both connectors, RabbitMQ, PostgreSQL and the gateway."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from local_demo.client import Frontend
from local_demo.pages import Visit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

World = Callable[[str, str, list[dict[str, Any]]], None]
Link = Callable[[str, str, str], None]


@pytest.fixture
def world(control: httpx.Client) -> World:
    """Makes what somebody who signs in as that person finds at an institution."""

    def make(institution: str, person: str, accounts: list[dict[str, Any]]) -> None:
        control.put(
            f"/_control/logins/{institution}/{person}", json={"accounts": accounts}
        ).raise_for_status()

    return make


@pytest.fixture
def link(frontend: Frontend) -> Link:
    """Links an institution through a provider, signed in as that person."""
    return lambda institution, provider, person: (
        frontend.link(institution, lambda url: Visit(url, username=person).finish(), provider=provider)
        and None
    )


def quantities(frontend: Frontend) -> dict[str, Decimal]:
    return {
        row["instrument"]["key"]: Decimal(row["quantity"]) for row in frontend.get("/v1/positions")["items"]
    }


def wait_for(frontend: Frontend, **expected: str) -> None:
    """Wait until exactly these are held; cash that is nothing is no position."""
    wanted = {key.replace("_", ":"): Decimal(number) for key, number in expected.items()}
    frontend.wait(lambda: quantities(frontend), lambda found: found == wanted, f"{wanted}")


def position(frontend: Frontend, key: str) -> dict[str, Any]:
    [row] = [row for row in frontend.get("/v1/positions")["items"] if row["instrument"]["key"] == key]
    return dict(row)


def shares(security: str, quantity: str) -> dict[str, str]:
    return {"security": security, "quantity": quantity}


def test_cash_of_three_providers_is_one_sum(frontend: Frontend, world: World, link: Link) -> None:
    deposit = {"number": "000111225000", "family": "deposit", "cash": {"USD": "5000"}}
    world("chase", "cash", [deposit, {"number": "70000001"}])
    world("charles-schwab", "cash", [{"number": "80000001", "cash": {"USD": "3000"}}])
    link("chase", "plaid", "cash")
    link("charles-schwab", "snaptrade", "cash")
    frontend.post(
        "/v1/accounts/manual",
        {
            "name": "Envelope",
            "type": "deposit",
            "currency": "USD",
            "holdings": [{"symbol": "USD", "type": "cash", "currency": "USD", "quantity": "1000"}],
        },
    )
    wait_for(frontend, CUR_USD="9000")


def test_one_stock_at_two_brokers_is_summed_and_stays_apart_by_account(
    frontend: Frontend, world: World, link: Link
) -> None:
    world("fidelity", "stock", [{"number": "Z00001111", "holdings": [shares("AAPL", "100")]}])
    world("charles-schwab", "stock", [{"number": "80002222", "holdings": [shares("AAPL", "50")]}])
    link("fidelity", "plaid", "stock")
    link("charles-schwab", "snaptrade", "stock")
    wait_for(frontend, AAPL="150")
    apple = position(frontend, "AAPL")
    assert (apple["provider"], len(apple["contributions"])) == ("snaptrade", 2)
    apart = {
        account["provider"]: frontend.get(f"/v1/accounts/{account['id']}/positions")["items"][0]["quantity"]
        for account in frontend.get("/v1/accounts")["items"]
    }
    assert apart == {"plaid": "100", "snaptrade": "50"}


def test_one_account_linked_through_both_providers_is_counted_once_and_explained(
    frontend: Frontend, world: World, link: Link
) -> None:
    world("fidelity", "both", [{"number": "Z00003333", "holdings": [shares("AAPL", "100")]}])
    link("fidelity", "plaid", "both")
    wait_for(frontend, AAPL="100")
    link("fidelity", "snaptrade", "both")
    frontend.wait(
        lambda: position(frontend, "AAPL"), lambda row: row["provider"] == "snaptrade", "the better source"
    )
    assert quantities(frontend) == {"AAPL": Decimal(100)}
    told = frontend.get(f"/v1/positions/{position(frontend, 'AAPL')['id']}/explain")
    assert [part["provider"] for part in told["contributions"]] == ["snaptrade"]
    assert [(one["provider"], one["rule"]) for one in told["excluded"]] == [("plaid", "lower_priority")]
    assert told["sums"]["exact"] is True


def test_two_accounts_with_the_same_last_digits_are_two(frontend: Frontend, world: World, link: Link) -> None:
    left, right = (
        [shares("AAPL", "100"), shares("TSLA", "10")],
        [shares("AAPL", "100"), shares("FXAIX", "60.5")],
    )
    world("fidelity", "left", [{"number": "Z10004444", "holdings": left}])
    world("fidelity", "right", [{"number": "Z20004444", "holdings": right}])
    link("fidelity", "plaid", "left")
    link("fidelity", "snaptrade", "right")
    wait_for(frontend, AAPL="200", TSLA="10", FXAIX="60.5")


def test_a_typed_account_said_to_be_the_same_gives_way_to_what_the_broker_says(
    frontend: Frontend, world: World, link: Link
) -> None:
    world("charles-schwab", "tesla", [{"number": "80005555", "holdings": [shares("TSLA", "12")]}])
    link("charles-schwab", "snaptrade", "tesla")
    typed = frontend.post(
        "/v1/accounts/manual",
        {
            "name": "My Schwab",
            "type": "brokerage",
            "currency": "USD",
            "holdings": [{"symbol": "TSLA", "type": "stock", "currency": "USD", "quantity": "10"}],
        },
    )
    wait_for(frontend, TSLA="22")
    [other] = [one["id"] for one in frontend.get("/v1/accounts")["items"] if one["provider"] == "snaptrade"]
    said = {"verdict": "same", "other_account_id": other}
    assert frontend.post(f"/v1/accounts/{typed['id']}/identity", said)["same_real_account"] is True
    wait_for(frontend, TSLA="12")
    frontend.post(f"/v1/accounts/{typed['id']}/identity", said | {"verdict": "undo"})
    wait_for(frontend, TSLA="22")


def test_a_portfolio_of_some_accounts_and_consolidation_on_demand(
    frontend: Frontend, world: World, link: Link
) -> None:
    world("fidelity", "some", [{"number": "Z00006666", "holdings": [shares("VTI", "7")]}])
    world("charles-schwab", "some", [{"number": "80007777", "holdings": [shares("VTI", "3")]}])
    link("fidelity", "snaptrade", "some")
    link("charles-schwab", "snaptrade", "some")
    wait_for(frontend, VTI="10")
    [fidelity] = [
        one["id"] for one in frontend.get("/v1/accounts")["items"] if one["institution"] == "fidelity"
    ]
    made = frontend.post("/v1/portfolios", {"name": "Retirement", "account_ids": [fidelity]})
    [row] = frontend.get("/v1/positions", portfolio="Retirement")["items"]
    assert row["quantity"] == "7"
    answer = frontend.post(f"/v1/portfolios/{made['id']}/consolidate", {})
    [result] = answer["results"]
    assert (answer["status"], result["positions"], result["providers"]) == ("completed", 1, {"snaptrade": 1})
    everything = frontend.post("/v1/consolidate", {})
    assert sorted(one["positions"] for one in everything["results"]) == [1, 1]
