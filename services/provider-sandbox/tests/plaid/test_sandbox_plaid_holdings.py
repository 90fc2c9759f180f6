"""How the truth comes out on Plaid's wire."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest


def exact(live: Any, path: str, **body: Any) -> Any:
    return json.loads(live.post(path, body).content, parse_float=Decimal, parse_int=Decimal)


def holdings_of(live: Any, institution: str, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The whole answer, and holdings by the security's name joined with their security."""
    token = live.link(institution, **options)["access_token"]
    answer = exact(live, "/investments/holdings/get", access_token=token)
    securities = {row["security_id"]: row for row in answer["securities"]}
    return answer, {
        securities[row["security_id"]]["name"]: row | {"security": securities[row["security_id"]]}
        for row in answer["holdings"]
    }


def test_options_are_counted_in_shares_and_valued_once(live: Any) -> None:
    _, rows = holdings_of(live, "ins_11")
    option = next(row for row in rows.values() if row["security"]["option_contract"])

    assert option["quantity"] == 200
    assert option["institution_price"] == Decimal("52.30")
    assert option["institution_value"] == Decimal(10460)
    assert option["cost_basis"] == Decimal(9750)
    assert option["security"]["ticker_symbol"] == "AAPL280121C00250000"
    assert option["security"]["option_contract"] == {
        "contract_type": "call",
        "expiration_date": "2028-01-21",
        "strike_price": 250,
        "underlying_security_ticker": "AAPL",
    }


def test_cost_basis_is_a_total_and_numbers_keep_their_digits(live: Any) -> None:
    _, rows = holdings_of(live, "ins_12")
    fund = rows["Fidelity 500 Index Fund"]

    assert fund["quantity"] == Decimal("150.25")
    assert fund["cost_basis"] == Decimal("150.25") * Decimal("168.90")
    assert fund["institution_value"] == Decimal("150.25") * Decimal("231.40")
    assert b'"quantity": 150.25,' in live.answers[-1][2]
    assert b'"cost_basis": 25377.2250,' in live.answers[-1][2]


def test_cash_comes_prefixed_bare_or_not_at_all_by_institution(live: Any) -> None:
    _, schwab = holdings_of(live, "ins_11")
    _, etrade = holdings_of(live, "ins_129473")
    vanguard, rows = holdings_of(live, "ins_115616")

    assert schwab["U S Dollar"]["security"]["ticker_symbol"] == "CUR:USD"
    assert schwab["U S Dollar"]["institution_value"] == 3000
    assert etrade["U S Dollar"]["security"]["ticker_symbol"] == "USD"
    assert not [row for row in rows.values() if row["security"]["subtype"] == "cash"]
    assert vanguard["accounts"][0]["balances"]["available"] == 0


def test_cash_without_a_row_is_what_the_total_has_beyond_the_holdings(live: Any) -> None:
    live.state.world.set_cash("vanguard-vera", "USD", Decimal("812.44"))
    answer, _ = holdings_of(live, "ins_115616")
    account = answer["accounts"][0]
    held = sum(r["institution_value"] for r in answer["holdings"] if r["account_id"] == account["account_id"])

    assert account["balances"]["current"] - held == account["balances"]["available"] == Decimal("812.44")


def test_money_market_funds_are_cash_equivalents_inside_available(live: Any) -> None:
    answer, rows = holdings_of(live, "ins_11")
    sweep = rows["Schwab Value Advantage Money Fund"]

    assert sweep["security"]["is_cash_equivalent"] is True
    assert sweep["security"]["type"] == "mutual fund"
    assert answer["accounts"][0]["balances"]["available"] == 5500


def test_crypto_is_flagged_cash_equivalent_with_a_currency_ticker(live: Any) -> None:
    _, rows = holdings_of(live, "ins_12")
    coin = rows["Bitcoin"]

    assert coin["security"]["ticker_symbol"] == "CUR:BTC"
    assert coin["security"]["is_cash_equivalent"] is True
    assert coin["security"]["type"] == "cryptocurrency"


def test_margin_shorts_pence_and_unpriced_holdings(live: Any) -> None:
    answer, rows = holdings_of(live, "ins_116530")
    balances = answer["accounts"][0]["balances"]

    assert balances["margin_loan_amount"] == Decimal("4200.50")
    assert rows["GameStop Corp. Class A"]["quantity"] == -75
    assert rows["GameStop Corp. Class A"]["institution_value"] < 0
    pence = rows["Vodafone Group plc"]
    assert (pence["iso_currency_code"], pence["unofficial_currency_code"]) == (None, "GBX")
    assert pence["institution_value"] == 4000 * Decimal("92.40")
    assert rows["TSLA Jan 21 2028 350 Put"]["quantity"] == -300
    assert rows["Phantom Holdings (trading halted)"]["institution_price_as_of"] is None
    currencies = {r["iso_currency_code"] for r in answer["holdings"] if r["security_id"]}
    assert {"USD", "CAD", "GBP", None} == currencies


def test_margin_loan_amount_appears_on_investment_endpoints_only(live: Any) -> None:
    token = live.link("ins_116530")["access_token"]

    assert "margin_loan_amount" not in live.ok("/accounts/get", access_token=token)["accounts"][0]["balances"]
    assert (
        "margin_loan_amount"
        not in live.ok("/accounts/balance/get", access_token=token)["accounts"][0]["balances"]
    )


def test_a_bond_may_be_priced_per_hundred_of_face(live: Any) -> None:
    _, etrade = holdings_of(live, "ins_129473")
    _, schwab = holdings_of(live, "ins_11")
    per_hundred, per_one = etrade["Acme Industries 5.10% 06/01/2031"], schwab["US Treasury 4.25% 11/15/2034"]

    assert (
        per_hundred["quantity"] * per_hundred["institution_price"] == per_hundred["institution_value"] * 100
    )
    assert per_one["quantity"] * per_one["institution_price"] == per_one["institution_value"]
    assert per_hundred["security"]["ticker_symbol"] is None
    assert per_hundred["security"]["fixed_income"]["maturity_date"] == "2031-06-01"


def test_tickers_can_be_missing_or_hidden(live: Any) -> None:
    _, plan = holdings_of(live, "ins_900401")
    _, vanguard = holdings_of(live, "ins_115616")
    trust = plan["Evergreen Target Retirement 2055 Trust"]["security"]
    hidden = vanguard["Vanguard Total Bond Market Index Admiral"]["security"]

    assert (trust["ticker_symbol"], trust["institution_security_id"]) == (None, "TDT2055-K")
    assert (hidden["ticker_symbol"], hidden["institution_security_id"]) == (None, "VBTLX")
    assert hidden["figi"] is not None


def test_current_is_the_total_of_the_institution(live: Any) -> None:
    for institution in ("ins_11", "ins_12", "ins_56", "ins_127989"):
        answer, _ = holdings_of(live, institution)
        for account in answer["accounts"]:
            rows = [r for r in answer["holdings"] if r["account_id"] == account["account_id"]]
            foreign = [r for r in rows if r["iso_currency_code"] != "USD"]
            if account["type"] == "investment" and not foreign:
                assert sum(r["institution_value"] for r in rows) == account["balances"]["current"]


def test_a_security_has_one_id_everywhere(live: Any) -> None:
    _, schwab = holdings_of(live, "ins_11")
    _, chase = holdings_of(live, "ins_56")

    assert schwab["Apple Inc."]["security_id"] == chase["Apple Inc."]["security_id"]


def test_the_same_login_linked_twice_is_two_items_with_other_account_ids(live: Any) -> None:
    first, second = live.link(), live.link()
    accounts = [
        live.ok("/accounts/get", access_token=each["access_token"])["accounts"] for each in (first, second)
    ]
    ids = [{account["account_id"] for account in each} for each in accounts]

    assert first["item_id"] != second["item_id"]
    assert not ids[0] & ids[1]
    assert [a["mask"] for a in accounts[0]] == [a["mask"] for a in accounts[1]]


def test_a_plan_that_hides_its_holdings_still_has_a_total(live: Any) -> None:
    answer, _ = holdings_of(live, "ins_115616")
    hidden = next(a for a in answer["accounts"] if a["subtype"] == "401k")

    assert hidden["balances"]["current"] > 0
    assert not [r for r in answer["holdings"] if r["account_id"] == hidden["account_id"]]


def test_account_ids_filter_and_an_unknown_one_is_refused(live: Any) -> None:
    token = live.link()["access_token"]
    wanted = live.ok("/accounts/get", access_token=token)["accounts"][1]["account_id"]
    filtered = live.ok("/investments/holdings/get", access_token=token, options={"account_ids": [wanted]})

    assert {row["account_id"] for row in filtered["holdings"]} == {wanted}
    assert [a["account_id"] for a in filtered["accounts"]] == [wanted]
    unknown = live.error("/investments/holdings/get", access_token=token, options={"account_ids": ["nope"]})
    assert unknown == (400, "INVALID_INPUT", "INVALID_ACCOUNT_ID")
    assert live.error("/accounts/get", access_token=token, options=None) == (
        400,
        "INVALID_REQUEST",
        "INVALID_FIELD",
    )


def test_history_pages_cover_everything_once_and_newest_first(live: Any) -> None:
    token = live.link("ins_116530")["access_token"]
    today = live.face.today()
    period = {"start_date": f"{today.year - 3}-01-01", "end_date": today.isoformat()}
    rows: list[dict[str, Any]] = []
    while True:
        options = {"count": 500, "offset": len(rows)}
        page = live.ok("/investments/transactions/get", access_token=token, options=options, **period)
        rows += page["investment_transactions"]
        if len(rows) >= page["total_investment_transactions"]:
            break

    assert len({row["investment_transaction_id"] for row in rows}) == len(rows) == 1203
    assert [row["date"] for row in rows] == sorted((row["date"] for row in rows), reverse=True)
    assert all(row["quantity"] > 0 for row in rows if row["type"] == "buy")
    assert all(row["amount"] <= 0 for row in rows if row["type"] == "sell")


@pytest.mark.parametrize(
    "period",
    [
        {"start_date": "2026-02-01", "end_date": "2026-01-01"},
        {"start_date": "yesterday", "end_date": "2026-01-01"},
        {"start_date": "2026-01-01", "end_date": "2026-02-01", "options": {"count": 501}},
    ],
)
def test_a_period_or_page_that_makes_no_sense_is_an_invalid_field(live: Any, period: dict[str, Any]) -> None:
    token = live.link()["access_token"]

    assert live.error("/investments/transactions/get", access_token=token, **period)[2] == "INVALID_FIELD"


def test_a_refresh_announces_only_what_changed(live: Any, listener: Any) -> None:
    token = live.link(webhook=listener.url)["access_token"]
    listener.wait(2)
    live.ok("/investments/holdings/get", access_token=token)
    live.ok("/investments/refresh", access_token=token)
    live.clock.ahead += timedelta(minutes=2)
    live.state.world.set_price("JPM", Decimal(300))
    live.ok("/investments/refresh", access_token=token)

    assert [w.name for w in listener.wait(3)][2:] == ["HOLDINGS/DEFAULT_UPDATE"]


def test_changed_holdings_are_seen_at_once(live: Any) -> None:
    token = live.link()["access_token"]
    live.state.world.remove_holding("chase-invest-demo", "AAPL")
    names = {row["name"] for row in live.ok("/investments/holdings/get", access_token=token)["securities"]}

    assert "Apple Inc." not in names
    assert "JPMorgan Chase & Co." in names


def test_a_login_with_five_hundred_holdings_is_made_on_demand(live: Any) -> None:
    token = live.link("ins_56", "bench-500")["access_token"]

    assert len(live.ok("/investments/holdings/get", access_token=token)["holdings"]) == 501
