"""Plaid's figures become one value in our terms, and money is neither lost nor counted twice."""

import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.accounts import AccountType
from contracts.connectors import AccountRead
from contracts.instruments import InstrumentKind
from plaid_connector import mapping, wire

SHARED = Path(os.environ.get("ONEFOLIO_SHARED", Path(__file__).parents[4] / "shared"))
EXAMPLES = SHARED / "providers" / "plaid-examples.json"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def account(current: str = "100", **members: Any) -> dict[str, Any]:
    balances = {"current": float(current), "available": None, "iso_currency_code": "USD"}
    balances |= members.pop("balances", {})
    return (
        {"account_id": "a", "type": "investment", "subtype": "brokerage", "mask": "7731"}
        | members
        | {"balances": balances}
    )


def row(security: str = "s", **members: Any) -> dict[str, Any]:
    return {
        "account_id": "a",
        "security_id": security,
        "quantity": 10,
        "institution_price": 10,
        "institution_value": 100,
        "cost_basis": 80,
        "iso_currency_code": "USD",
    } | members


def security(kind: str = "equity", **members: Any) -> dict[str, Any]:
    return {"security_id": "s", "type": kind, "ticker_symbol": "ACME", "iso_currency_code": "USD"} | members


def read(
    accounts: list[dict[str, Any]],
    holdings: list[dict[str, Any]],
    securities: list[dict[str, Any]],
) -> list[AccountRead]:
    body = {"accounts": accounts, "holdings": holdings, "securities": securities, "item": {"item_id": "i"}}
    answer = msgspec.json.decode(json.dumps(body), type=wire.HoldingsAnswer)
    neutral = [mapping.account("u", raw, NOW) for raw in answer.accounts]
    return mapping.reads(neutral, answer.accounts, answer)


def only(holdings: list[dict[str, Any]], securities: list[dict[str, Any]], **of_account: Any) -> AccountRead:
    (result,) = read([account(**of_account)], holdings, securities)
    return result


def test_the_reference_example_becomes_exactly_these_holdings() -> None:
    if not EXAMPLES.exists():
        pytest.skip("the provider examples are not beside the repository")
    example = json.loads(EXAMPLES.read_text())
    body = next(
        value
        for value in _walk(example)
        if isinstance(value, dict)
        and {"holdings", "securities", "accounts"} <= value.keys()
        and len(value["holdings"]) > 5
    )
    answer = msgspec.json.decode(json.dumps(body), type=wire.HoldingsAnswer)
    neutral = [mapping.account("u", raw, NOW) for raw in answer.accounts]
    brokerage, retirement = mapping.reads(neutral, answer.accounts, answer)
    assert {
        one.instrument.key: (one.quantity, one.market_value, one.cost_basis)
        for one in brokerage.holdings
        if one.instrument.kind is not InstrumentKind.CASH
    } == {
        "ZZMMX": (Decimal(2000), Decimal(2000), Decimal(2000)),
        "ACMEX": (Decimal(150), Decimal(37560), Decimal(22500)),
        "ACMEX270115C00260000": (Decimal(2), Decimal(620), Decimal(500)),
        "CRYPTO:BTC": (Decimal("0.05"), Decimal(3000), None),
        "plaid:sec-bill": (Decimal(3500), Decimal("3461.5"), Decimal(3430)),
        "SHRTX": (Decimal("-9.1625"), Decimal("-366.5"), None),
    }
    cash = [one.quantity for one in brokerage.holdings if one.instrument.key == "CUR:USD"]
    assert cash == [Decimal("-379.45")]
    assert sum(one.market_value or 0 for one in brokerage.holdings) == Decimal("45895.55")
    assert retirement.account.type is AccountType.RETIREMENT
    assert [one.instrument.key for one in retirement.holdings] == ["plaid:sec-cit"]
    assert retirement.complete


def _walk(value: Any) -> Any:
    yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    for child in children:
        yield from _walk(child)


def test_options_are_counted_in_contracts_at_their_reported_value() -> None:
    terms = {
        "contract_type": "put",
        "expiration_date": "2027-01-15",
        "strike_price": 260.5,
        "underlying_security_ticker": "ACME",
    }
    result = only(
        [row(quantity=-200, institution_price=3.1, institution_value=-620)],
        [security("derivative", ticker_symbol=None, option_contract=terms)],
        current="-620",
    )
    (option,) = result.holdings
    assert option.instrument.key == "ACME270115P00260500"
    assert (option.quantity, option.market_value, option.price) == (
        Decimal(-2),
        Decimal(-620),
        Decimal("3.1"),
    )
    assert option.instrument.multiplier == 100
    assert option.instrument.option is not None
    assert option.instrument.option.expires == date(2027, 1, 15)


def test_unused_credit_is_never_taken_for_what_is_owed() -> None:
    card = account(type="credit", subtype="credit card", balances={"current": None, "available": 4000.0})
    (unknown,) = read([card], [], [])
    assert (unknown.complete, unknown.holdings, unknown.account.total) == (False, [], None)


@pytest.mark.parametrize("code", ["GBX", "GBx", "GBp"])
def test_pence_become_pounds(code: str) -> None:
    quoted = {"iso_currency_code": None, "unofficial_currency_code": code}
    result = only(
        [row(institution_price=250, institution_value=2500, cost_basis=2000, **quoted)],
        [security(market_identifier_code="XLON", **quoted)],
        balances={"current": 25, "iso_currency_code": "GBP"},
    )
    (share,) = result.holdings
    assert (share.currency, share.price, share.market_value, share.cost_basis) == (
        "GBP",
        Decimal("2.5"),
        Decimal(25),
        Decimal(20),
    )
    assert share.instrument.key == "ACME.L"


@pytest.mark.parametrize(("ticker", "subtype"), [("CUR:USD", "cash"), ("USD", None), (None, "cash")])
def test_every_spelling_of_cash_is_cash_once(ticker: str | None, subtype: str | None) -> None:
    cash = security("cash", ticker_symbol=ticker, subtype=subtype, is_cash_equivalent=True)
    result = only([row(quantity=100, institution_price=1)], [cash], balances={"available": 100})
    assert [(one.instrument.key, one.quantity) for one in result.holdings] == [("CUR:USD", Decimal(100))]
    assert result.balances[0].cash == Decimal(100)


def test_a_money_market_fund_stays_a_position_of_its_own() -> None:
    fund = security("cash", ticker_symbol="SPAXX", is_cash_equivalent=True, subtype="mutual fund")
    (held,) = only([row()], [fund]).holdings
    assert (held.instrument.kind, held.instrument.key, held.cash_equivalent) == (
        InstrumentKind.MONEY_MARKET,
        "SPAXX",
        True,
    )


def test_crypto_flagged_as_an_equivalent_is_not_cash() -> None:
    coin = security("cryptocurrency", ticker_symbol="CUR:BTC", is_cash_equivalent=True)
    (held,) = only([row()], [coin]).holdings
    assert (held.instrument.key, held.cash_equivalent) == ("CRYPTO:BTC", False)


def test_cash_that_only_the_balances_know_is_added_once() -> None:
    result = only([row()], [security()], current="150", balances={"available": 50})
    assert [(one.instrument.key, one.quantity) for one in result.holdings] == [
        ("ACME", Decimal(10)),
        ("CUR:USD", Decimal(50)),
    ]


def test_a_margin_loan_is_negative_cash() -> None:
    result = only([row()], [security()], current="60", balances={"margin_loan_amount": 40})
    assert result.holdings[-1].quantity == Decimal(-40)
    assert result.balances[0].margin_loan == Decimal(40)


def test_a_difference_nobody_explains_is_never_added_silently() -> None:
    result = only([row()], [security()], current="175", balances={"available": 50})
    assert [one.instrument.key for one in result.holdings] == ["ACME"]
    assert result.complete


def test_a_short_reported_as_positive_is_negative() -> None:
    lots = [{"position_type": "SHORT"}]
    result = only([row(tax_lots=lots)], [security()], current="-100")
    assert (result.holdings[0].quantity, result.holdings[0].market_value) == (Decimal(-10), Decimal(-100))


@pytest.mark.parametrize(
    ("members", "key"),
    [
        ({"ticker_symbol": "NHX105509", "type": "mutual fund"}, "plaid:s"),
        ({"ticker_symbol": "NHX105509", "type": "mutual fund", "figi": "BBG1"}, "NHX105509"),
        ({"ticker_symbol": "FXAIX", "type": "mutual fund"}, "FXAIX"),
        ({"ticker_symbol": None, "figi": "BBG000B9XRY4"}, "FIGI:BBG000B9XRY4"),
        ({"ticker_symbol": "RY", "market_identifier_code": "XTSE"}, "RY.TO"),
        ({"ticker_symbol": "RY.TO", "market_identifier_code": "XTSE"}, "RY.TO"),
        ({"ticker_symbol": "BRK-B"}, "BRK.B"),
        ({"ticker_symbol": "912797", "type": "fixed income", "cusip": "912797AB1"}, "CUSIP:912797AB1"),
        ({"type": None, "ticker_symbol": "X"}, "plaid:s"),
        ({"type": "a type of next year", "ticker_symbol": "X"}, "plaid:s"),
    ],
)
def test_a_code_is_a_ticker_only_when_it_can_be_one(members: dict[str, Any], key: str) -> None:
    (held,) = only([row()], [security() | members]).holdings
    assert held.instrument.key == key


def test_an_account_missing_from_the_answer_is_not_empty() -> None:
    answer = msgspec.json.decode(
        b'{"accounts":[],"holdings":[],"securities":[],"item":{"item_id":"i"}}', type=wire.HoldingsAnswer
    )
    raw = msgspec.json.decode(json.dumps(account()), type=wire.Account)
    (result,) = mapping.reads([mapping.account("u", raw, NOW)], [], answer)
    assert (result.complete, result.gap) == (False, "the account is missing from the answer")


def test_a_holding_of_an_unknown_security_makes_the_answer_incomplete() -> None:
    result = only([row("elsewhere")], [security()])
    assert not result.complete
    assert "security" in (result.gap or "")


def test_an_investment_account_without_a_holdings_answer_is_not_empty() -> None:
    raw = msgspec.json.decode(json.dumps(account()), type=wire.Account)
    (result,) = mapping.reads([mapping.account("u", raw, NOW)], [raw], None)
    assert not result.complete


@pytest.mark.parametrize(
    ("kind", "current", "cash"),
    [("depository", "900.15", "900.15"), ("credit", "842.17", "-842.17"), ("loan", "5", "-5")],
)
def test_deposits_count_current_and_debts_are_negative(kind: str, current: str, cash: str) -> None:
    result = only([], [], current=current, type=kind, subtype="checking", balances={"available": 812.4})
    assert [(one.instrument.key, one.quantity) for one in result.holdings] == [("CUR:USD", Decimal(cash))]
    assert result.account.total is not None
    assert result.account.total.amount == Decimal(cash)


def test_an_unpriced_holding_is_unknown_and_not_zero() -> None:
    result = only([row(institution_price=None, institution_value=None, cost_basis=None)], [security()])
    (held,) = result.holdings
    assert (held.price, held.market_value, held.cost_basis) == (None, None, None)


@given(
    st.lists(
        st.decimals(min_value=-(10**6), max_value=10**6, places=2, allow_nan=False), min_size=1, max_size=8
    ),
    st.sampled_from(["equity", "etf", "mutual fund", "fixed income", "loan", "other", None]),
)
def test_values_are_conserved_exactly_whatever_the_kind(values: list[Decimal], kind: str | None) -> None:
    rows = [row(f"s{n}", institution_value=float(value)) for n, value in enumerate(values)]
    known = [
        security(security_id=f"s{n}", ticker_symbol=f"T{n}") | {"type": kind} for n in range(len(values))
    ]
    total = sum(values)
    (result,) = read([account(str(total))], rows, known)
    assert sum(one.market_value or 0 for one in result.holdings) == total
