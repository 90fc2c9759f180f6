"""Worlds made by control: a user name at an institution, its accounts, seen through both providers."""

from decimal import Decimal

import pytest

from .test_sandbox_named_faults import PlaidClient


@pytest.fixture
def plaid(live):
    return PlaidClient(live)


def make(live, institution, username, *accounts, expect=200):
    return live.control("PUT", f"/logins/{institution}/{username}", {"accounts": accounts}, expect)


def account(number, *, cash="0", **held):
    holdings = [{"security": name, "quantity": quantity} for name, quantity in held.items()]
    return {"number": number, "cash": {"USD": cash}, "holdings": holdings}


def through_snaptrade(live, broker, username):
    """Ticker to units and cash of the one investment account, and its mask."""
    caller = live.registered(f"u-{username}")
    caller.connect(broker, username)
    (found,) = caller.accounts()
    rows = caller.get(f"/accounts/{found['id']}/positions/all").json()["results"]
    (cash,) = caller.get(f"/accounts/{found['id']}/balances").json()
    held = {row["instrument"]["symbol"]: Decimal(row["units"]) for row in rows}
    return held | {"cash": Decimal(str(cash["cash"]))}, found["masked_account_number"][-4:]


def through_plaid(plaid, institution, username):
    """Ticker to quantity (cash included), and the masks."""
    token, _ = plaid.link(institution, username)
    answer = plaid.holdings(token).json()
    tickers = {one["security_id"]: one["ticker_symbol"] for one in answer["securities"]}
    held = {tickers[row["security_id"]]: Decimal(str(row["quantity"])) for row in answer["holdings"]}
    return held, [one["mask"] for one in answer["accounts"]], answer["accounts"]


def test_cash_at_two_institutions(live, plaid):
    checking = {"number": "000111225000", "family": "deposit", "cash": {"USD": "5000"}, "available": "4900"}
    make(live, "chase", "cash", checking, account("70000001"))
    make(live, "charles-schwab", "cash", account("80000001", cash="3000"))
    held, _, accounts = through_plaid(plaid, "ins_56", "cash")
    assert held == {}
    assert [(one["type"], one["balances"]["current"]) for one in accounts] == [
        ("depository", 5000),
        ("investment", 0),
    ]
    assert through_snaptrade(live, "SCHWAB", "cash")[0] == {"cash": 3000}


def test_one_stock_at_two_institutions(live, plaid):
    make(live, "fidelity", "stock", account("Z00001111", AAPL="100"))
    make(live, "charles-schwab", "stock", account("80002222", AAPL="50"))
    assert through_plaid(plaid, "ins_12", "stock")[0] == {"AAPL": 100}
    assert through_snaptrade(live, "SCHWAB", "stock")[0] == {"AAPL": 50, "cash": 0}


def test_one_account_through_both_providers_has_one_mask(live, plaid):
    make(live, "fidelity", "both", account("Z00003333", AAPL="100"))
    held, masks, _ = through_plaid(plaid, "ins_12", "both")
    seen, mask = through_snaptrade(live, "FIDELITY", "both")
    assert (held, masks, seen["AAPL"], mask) == ({"AAPL": 100}, ["3333"], 100, "3333")


def test_two_accounts_with_equal_last_four_and_different_holdings(live, plaid):
    make(live, "fidelity", "left", account("Z10004444", AAPL="100", TSLA="10"))
    make(live, "fidelity", "right", account("Z20004444", AAPL="100", FXAIX="60.5"))
    held, masks, _ = through_plaid(plaid, "ins_12", "left")
    seen, mask = through_snaptrade(live, "FIDELITY", "right")
    assert (held, masks) == ({"AAPL": 100, "TSLA": 10}, ["4444"])
    assert (seen, mask) == ({"AAPL": 100, "FXAIX": Decimal("60.5"), "cash": 0}, "4444")


def test_twelve_of_a_stock_at_snaptrade(live):
    make(live, "charles-schwab", "tesla", account("80005555", TSLA="12"))
    assert through_snaptrade(live, "SCHWAB", "tesla")[0] == {"TSLA": 12, "cash": 0}


def test_a_login_made_again_has_the_new_accounts_and_its_connections_see_what_changed(live):
    make(live, "charles-schwab", "again", account("80006666", TSLA="12"))
    caller = live.registered()
    caller.connect("SCHWAB", "again")
    shown = make(live, "charles-schwab", "again", account("80006666", TSLA="7", cash="10"))
    assert shown["accounts"][0]["total"] == "2824.70"
    (connection,) = live.control("GET", "/connections")["connections"]
    live.control("POST", f"/connections/{connection['id']}/announce")
    live.sandbox.settle()
    (found,) = caller.accounts()
    (row,) = caller.get(f"/accounts/{found['id']}/positions/all").json()["results"]
    assert row["units"] == "7"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"accounts": [{"number": "123"}]}, 400),
        ({"accounts": [{"number": "12345", "nonsense": 1}]}, 400),
        ({"accounts": [{"number": "12345", "cash": {"XXX": "1"}}]}, 400),
        ({"accounts": [{"number": "12345", "cash": {"USD": "NaN"}}]}, 400),
        ({"accounts": [{"number": "12345", "key": "a"}, {"number": "12346", "key": "a"}]}, 400),
        ({"accounts": [{"number": "12345", "holdings": [{"security": "NOPE", "quantity": "1"}]}]}, 404),
        ({}, 400),
    ],
)
def test_a_login_that_makes_no_sense_is_refused_and_nothing_is_made(live, body, status):
    live.control("PUT", "/logins/fidelity/nobody-yet", body, status)
    logins = live.control("GET", "/world")["logins"]
    assert not any(login["username"] == "nobody-yet" for login in logins)


def test_an_institution_nobody_knows_is_not_found(live):
    make(live, "nowhere", "x", expect=404)


def test_carol_has_a_sweep_a_loan_shorts_and_a_fund_of_her_own_on_both_faces(live, plaid):
    caller = live.registered()
    caller.connect("SCHWAB", "carol")
    names = [one["display_name"] for one in caller.accounts()]
    _, _, accounts = through_plaid(plaid, "ins_11", "carol")
    assert names == [one["name"] for one in accounts] == ["Sweep", "Margin", "Money Market"]
    loans = [one["balances"]["margin_loan_amount"] for one in accounts]
    assert loans == [None, 4200.5, None]
    totals = [one["net_value"]["amount"] for one in caller.accounts()]
    assert totals == [one["balances"]["current"] for one in accounts]
