"""Connections and accounts, in both shapes that are alive."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.accounts import AccountStatus, AccountType
from contracts.ids import account_id
from contracts.linking import ConnectionAccess, ConnectionState
from contracts.money import Money
from contracts.statuses import ConnectionStatus
from snaptrade_connector import mapping, wire
from snaptrade_connector.adapter import login_body
from snaptrade_connector.units import moment

from .conftest import link_request, shared

D = Decimal

ACCESS = ConnectionAccess(user_id="u-42", external_id="c", user=None, secret=None)


def state(**changes: Any) -> ConnectionState:
    values = {"status": ConnectionStatus.ACTIVE, "connection_type": "trade", "realtime": True}
    return ConnectionState(**values | {"data_as_of": None, "data_ready": True} | changes)


def account(**members: Any):
    raw = msgspec.json.decode(msgspec.json.encode({"id": "a"} | members), type=wire.Account)
    return mapping.provider_account(raw, ACCESS, state())


def authorization(**members: Any) -> ConnectionState:
    raw = msgspec.json.decode(msgspec.json.encode({"id": "c"} | members), type=wire.Authorization)
    return mapping.connection_state(raw)


def reference(name: str) -> Any:
    return json.loads(shared("snaptrade-examples.json").read_text(encoding="utf-8"))[name]


def test_the_newer_shape_of_an_account():
    results = reference("GET /connections/{connectionId}/accounts 200")["results"]
    investment, deposit, credit, annuity = (account(**raw) for raw in results)
    assert investment.account_id == account_id("snaptrade", "u-42", results[0]["id"])
    assert (investment.type, investment.raw_type, investment.name) == (
        AccountType.BROKERAGE,
        "Margin",
        "Sandbox Margin",
    )
    assert investment.total == Money(amount=D("15363.23"), currency="USD")
    assert (investment.mask, investment.stable_id) == ("5678", "54953432")
    assert investment.holdings_as_of == datetime(2026, 9, 21, 5, 10, 42, tzinfo=UTC)
    assert investment.capabilities.trading
    assert investment.capabilities.realtime
    assert (deposit.type, deposit.holds_securities) == (AccountType.DEPOSIT, False)
    assert deposit.holdings_as_of is not None
    assert (credit.type, credit.total) == (AccountType.CREDIT, Money(amount=D("-842.17"), currency="USD"))
    assert not credit.capabilities.trading
    assert (annuity.type, annuity.holds_securities, annuity.holdings_as_of) == (
        AccountType.ANNUITY,
        True,
        None,
    )


def test_the_older_shape_of_an_account():
    (old,) = (account(**raw) for raw in reference("GET /authorizations/{authorizationId}/accounts 200"))
    assert (old.name, old.mask, old.stable_id) == ("Sandbox Margin", "5678", "54953432")
    assert old.total == Money(amount=D("15363.23"), currency="USD")
    assert old.holdings_as_of is not None
    assert old.holdings_as_of.tzinfo is UTC
    bare = account(**reference("GET /accounts/{accountId} 200"))
    assert (bare.name, bare.total, bare.holdings_as_of, bare.is_paper) == (None, None, None, True)
    assert bare.currency == "XXX"


@pytest.mark.parametrize(
    ("raw_type", "kind"),
    [
        ("Roth IRA", AccountType.RETIREMENT),
        ("SIMPLE IRA", AccountType.RETIREMENT),
        ("SEPIRA", AccountType.RETIREMENT),
        ("401k", AccountType.RETIREMENT),
        ("RRSP", AccountType.RETIREMENT),
        ("529 Plan", AccountType.EDUCATION),
        ("Crypto", AccountType.CRYPTO),
        ("Margin", AccountType.BROKERAGE),
        ("Brother & Separate", AccountType.BROKERAGE),
        ("TFSA", AccountType.BROKERAGE),
        (None, AccountType.BROKERAGE),
    ],
)
def test_an_investment_account_belongs_to_the_family_its_word_says(raw_type, kind):
    found = account(kind="investment", raw_type=raw_type)
    assert (found.type, found.raw_type) == (kind, raw_type)


def test_a_loan_and_a_kind_nobody_knows():
    assert account(kind="line_of_credit", raw_type="MORTGAGE").type is AccountType.LOAN
    assert account(kind="piggy_bank").type is AccountType.OTHER
    assert account(account_category=None).type is AccountType.BROKERAGE


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("open", AccountStatus.OPEN),
        (None, AccountStatus.OPEN),
        ("closed", AccountStatus.CLOSED),
        ("archived", AccountStatus.CLOSED),
        ("sleeping", AccountStatus.UNAVAILABLE),
    ],
)
def test_only_an_open_account_trades(word, status):
    found = account(status=word)
    assert found.status is status
    assert found.capabilities.trading == (status is AccountStatus.OPEN)


@given(st.text(max_size=30))
def test_a_mask_is_never_more_than_four_characters(number):
    mask = account(number=number).mask
    assert mask is None or 1 <= len(mask) <= 4


@pytest.mark.parametrize(
    ("mode", "realtime"),
    [
        ("realtime", True),
        ("delayed", False),
        (None, False),
        ({"institution": "realtime", "snaptrade": "realtime"}, True),
        ({"institution": "realtime", "snaptrade": "delayed"}, False),
        ({"institution": "delayed", "snaptrade": "realtime"}, False),
        ({}, False),
        ("telepathy", False),
    ],
)
def test_a_connection_is_as_fresh_as_the_staler_of_two_modes(mode, realtime):
    assert authorization(data_freshness_mode=mode).realtime is realtime


def test_a_disabled_connection_is_stale_and_not_live():
    found = authorization(disabled=True, type="trade", data_freshness_mode="realtime")
    assert (found.status, found.realtime, found.connection_type) == (
        ConnectionStatus.STALE_CACHE,
        False,
        "trade",
    )


def test_a_connection_of_a_type_nobody_knows_can_only_be_read():
    assert authorization(type="omnipotent").connection_type == "read"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2024-06-28 18:42:46.561408+00:00", datetime(2024, 6, 28, 18, 42, 46, 561408, tzinfo=UTC)),
        ("2026-09-21T05:10:42Z", datetime(2026, 9, 21, 5, 10, 42, tzinfo=UTC)),
        ("2026-09-19T15:11:19.217000-05:00", datetime(2026, 9, 19, 20, 11, 19, 217000, tzinfo=UTC)),
        ("2026-09-19", datetime(2026, 9, 19, tzinfo=UTC)),
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("", None),
        (None, None),
    ],
)
def test_a_time_is_read_in_every_spelling(text, at):
    assert moment(text) == at


def read(positions: list[dict[str, Any]], balances: list[dict[str, Any]], **members: Any):
    found = account(**{"net_value": {"amount": 10, "currency": "USD"}} | members)
    page = msgspec.json.decode(
        msgspec.json.encode({"results": positions, "data_freshness": {"as_of": "2026-11-20T21:05:00Z"}}),
        type=wire.Positions,
    )
    cash = msgspec.json.decode(msgspec.json.encode(balances), type=list[wire.Balance])
    return mapping.account_read(found, page, cash)


def test_cash_that_is_unknown_is_a_gap():
    found = read(
        [],
        [{"currency": {"code": "USD"}, "cash": None}],
        sync_status={"positions": "2026-11-20"},
        net_value=None,
    )
    assert (found.complete, found.gap, found.holdings) == (False, mapping.GAP_CASH, [])


def test_an_account_that_was_read_and_is_empty_is_complete():
    found = read(
        [],
        [{"currency": {"code": "USD"}, "cash": 0.10}],
        sync_status={"positions": "2026-11-20T00:00:00Z"},
        net_value={"amount": 0.10, "currency": "USD"},
    )
    assert found.complete
    assert [(h.instrument.key, h.quantity) for h in found.holdings] == [("CUR:USD", D("0.1"))]
    assert found.account.holdings_as_of == datetime(2026, 11, 20, 21, 5, tzinfo=UTC)


READ = {"positions": "2026-11-20T00:00:00Z", "balances": "2026-11-20T00:00:00Z"}
CASH = {"currency": {"code": "USD"}, "cash": 100}
STOCK = {
    "instrument": {"kind": "stock", "id": "i", "symbol": "ACMX", "raw_symbol": "ACMX", "currency": "USD"},
    "units": "10",
    "price": "90",
    "cost_basis": None,
    "currency": "USD",
}


@pytest.mark.parametrize(
    ("total", "complete"),
    [("1000", False), ("102", False), ("101", True), ("0", False), (None, True)],
)
def test_an_empty_list_counts_unless_the_total_says_that_there_is_more(total, complete):
    worth = None if total is None else {"amount": D(total), "currency": "USD"}
    found = read([], [CASH], sync_status=READ, net_value=worth)
    assert (found.complete, found.gap) == (complete, None if complete else mapping.GAP_NOTHING)


@pytest.mark.parametrize(("total", "complete"), [("1000", True), ("1900", False), (None, False)])
def test_a_list_of_an_account_that_was_never_read_counts_only_where_it_reaches_the_total(total, complete):
    worth = None if total is None else {"amount": D(total), "currency": "USD"}
    found = read([STOCK], [CASH], sync_status={"positions": None, "balances": None}, net_value=worth)
    assert (found.complete, found.gap) == (complete, None if complete else mapping.GAP_FIRST_FETCH)
    assert (found.account.holdings_as_of is not None) == complete


@pytest.mark.parametrize(
    ("kind", "total", "balances", "cash"),
    [
        ("deposit", 5000, [{"currency": {"code": "USD"}, "cash": 4850}], {"CUR:USD": D(5000)}),
        (
            "deposit",
            5000,
            [{"currency": {"code": "USD"}, "cash": 4000}, {"currency": {"code": "CAD"}, "cash": 7}],
            {"CUR:USD": D(4000), "CUR:CAD": D(7)},
        ),
        ("line_of_credit", -842.17, [], {"CUR:USD": D("-842.17")}),
        (
            "line_of_credit",
            -842.17,
            [{"currency": {"code": "USD"}, "cash": 4157.83}],
            {"CUR:USD": D("-842.17")},
        ),
    ],
)
def test_an_account_of_cash_alone_is_worth_what_its_total_says(kind, total, balances, cash):
    found = account(kind=kind, net_value={"amount": total, "currency": "USD"}, sync_status=READ)
    rows = msgspec.json.decode(msgspec.json.encode(balances), type=list[wire.Balance])
    result = mapping.account_read(found, None, rows)
    assert result.complete
    assert {h.instrument.key: h.market_value for h in result.holdings} == cash


def test_a_deposit_account_without_balances_is_worth_its_total():
    found = account(
        kind="deposit",
        net_value={"amount": 3120.44, "currency": "USD"},
        sync_status={"balances": "2026-11-20"},
    )
    result = mapping.account_read(found, None, [])
    assert result.complete
    assert [(h.instrument.key, h.quantity) for h in result.holdings] == [("CUR:USD", D("3120.44"))]
    assert [(b.currency, b.cash) for b in result.balances] == [("USD", D("3120.44"))]


def test_buying_power_is_kept_beside_the_cash():
    found = read([], [{"currency": {"code": "USD"}, "cash": 300.71, "buying_power": 410.71}])
    assert [(b.cash, b.buying_power) for b in found.balances] == [(D("300.71"), D("410.71"))]


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        ({}, {"connectionType": "trade-if-available"}),
        ({"allow_trading": False}, {"connectionType": "read"}),
        ({"need_trading": True}, {"connectionType": "trade"}),
        ({"allow_trading": False, "need_trading": True}, {"connectionType": "trade"}),
    ],
)
def test_a_connection_is_asked_to_trade_only_where_that_is_wanted(request_, body):
    expected = {
        "immediateRedirect": True,
        "broker": "SCHWAB",
        "customRedirect": "https://app.example.test/linked",
    }
    assert login_body(link_request(**request_), None) == expected | body


def test_a_repair_names_the_connection_and_a_free_choice_names_no_broker():
    body = login_body(link_request(institution_ref=None, redirect_uri=None, allow_trading=False), ACCESS)
    assert body == {"immediateRedirect": True, "connectionType": "read", "reconnect": "c"}
