"""Activities and orders in our terms: signs, units, currencies, ids."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.accounts import AccountType, ProviderAccount
from contracts.orders import OrderStatus
from contracts.transactions import TransactionType
from snaptrade_connector import activities, orders, performance, wire

from .conftest import shared

D = Decimal
ACCOUNT = ProviderAccount(
    account_id="ours", external_id="a", name=None, type=AccountType.BROKERAGE, raw_type=None, currency="USD"
)
STOCK: dict[str, Any] = {
    "id": "s-1",
    "symbol": "VOD.L",
    "raw_symbol": "VOD",
    "currency": {"code": "GBX"},
    "exchange": {"code": "LSE", "mic_code": "XLON"},
    "type": {"code": "cs"},
}
OPTION: dict[str, Any] = {
    "id": "o-1",
    "ticker": "ACMX  261218C00050000",
    "option_type": "CALL",
    "strike_price": 50,
    "expiration_date": "2026-12-18",
    "is_mini_option": False,
    "underlying_symbol": {"id": "u-1", "symbol": "ACMX", "raw_symbol": "ACMX", "currency": {"code": "USD"}},
}


def read(**members: Any):
    given = {"id": "act", "type": "BUY", "trade_date": "2026-09-18T00:00:00Z", "currency": {"code": "USD"}}
    row = msgspec.json.decode(json.dumps(given | members), type=wire.Activity)
    (found,) = activities.transactions(ACCOUNT, [row], {})
    return found


def test_the_reference_activities_read_as_they_are_documented():
    text = shared("snaptrade-examples.json").read_text(encoding="utf-8")
    example = json.loads(text)["GET /accounts/{accountId}/activities 200"]
    page = msgspec.json.decode(json.dumps(example), type=wire.Activities)
    sold, bought, deposit = activities.transactions(ACCOUNT, page.data, {})
    assert (sold.type, sold.quantity, sold.amount, sold.price) == ("SELL", -2, D("219.3"), D("1.1"))
    assert (sold.option_action, sold.fee, sold.broker_reference) == ("SELL_TO_OPEN", D("0.7"), "ref-77")
    assert sold.instrument is not None
    assert (sold.instrument.key, sold.instrument.multiplier) == ("ACMX261218C00050000", 100)
    assert sold.traded_at == datetime(2026, 9, 18, 15, 2, 11, tzinfo=UTC)
    assert (bought.quantity, bought.amount, bought.fx_rate) == (D("10.5"), D("-432.6"), D("1.37"))
    assert (bought.settlement_date, bought.booked_on) == (date(2026, 9, 21), date(2026, 9, 18))
    assert (deposit.type, deposit.amount, deposit.quantity) == ("CONTRIBUTION", 1000, None)
    assert (deposit.instrument, deposit.price, deposit.option_action) == (None, None, None)
    assert (deposit.traded_at, deposit.booked_on) == (None, date(2026, 9, 1))


def test_pence_become_pounds_in_price_amount_and_fee():
    found = read(symbol=STOCK, currency={"code": "GBX"}, price=71.5, amount=-7150, fee=120, units=100)
    assert (found.currency, found.price, found.amount, found.fee) == ("GBP", D("0.715"), D("-71.5"), D("1.2"))
    assert found.quantity == 100
    assert found.instrument is not None
    assert (found.instrument.key, found.instrument.mic, found.instrument.currency) == ("VOD.L", "XLON", "GBP")


def test_what_is_paid_in_a_coin_is_in_that_coin():
    coin = {"id": "c", "symbol": "XBT", "type": {"code": "crypto"}}
    assert read(currency=None, currency_universal_symbol=coin).currency == "BTC"
    assert read(currency=None).currency == "USD"


def test_a_mini_option_is_on_ten_shares():
    found = read(option_symbol=OPTION | {"is_mini_option": True}).instrument
    assert found is not None
    assert found.multiplier == 10


@pytest.mark.parametrize(
    "name", [kind.value for kind in TransactionType if kind is not TransactionType.OTHER]
)
def test_every_type_we_know_reads_as_itself_in_any_case(name):
    assert read(type=name.lower()).type == name


@pytest.mark.parametrize("word", ["SOMETHING_ELSE", "", None])
def test_a_type_nobody_knows_is_other_and_keeps_its_word(word):
    found = read(type=word)
    assert (found.type, found.raw_type) == (TransactionType.OTHER, word or "")


def test_a_dividend_moves_no_shares_and_has_no_price():
    found = read(type="DIVIDEND", symbol=STOCK, units=0, price=0, amount=5)
    assert (found.quantity, found.price, found.amount) == (0, None, 5)


@pytest.mark.parametrize("field", ["amount", "units", "price", "fee", "fx_rate"])
def test_a_number_that_cannot_be_kept_is_unknown_and_loses_nothing_else(field):
    found = read(**{"amount": 1, "units": 1, "price": 1, field: 10**30})
    assert found.external_id == "act"
    ours = {"units": "quantity"}.get(field, field)
    assert getattr(found, ours) is None


def test_without_an_id_equal_rows_are_numbered_and_others_are_not_confused():
    rows = [wire.Activity(type="BUY", amount=D(n % 2), trade_date="2026-09-18") for n in range(4)]
    names = [one.external_id for one in activities.transactions(ACCOUNT, rows, {})]
    assert len(set(names)) == 4
    again = [wire.Activity(type="BUY", amount=D(f"{n % 2}.00"), trade_date="2026-09-18") for n in range(4)]
    assert [one.external_id for one in activities.transactions(ACCOUNT, again, {})] == names


NAMES = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 3)), min_size=1, max_size=24)


@given(NAMES, st.integers(1, 7))
def test_where_pages_are_cut_changes_no_fallback_id(kinds, page):
    rows = [
        wire.Activity(description=word, trade_date=f"2026-09-{30 - day:02d}")
        for word, day in sorted(kinds, key=lambda pair: pair[1])
    ]
    whole = [one.external_id for one in activities.transactions(ACCOUNT, rows, {})]
    found, carried = [], {}
    for start in range(0, len(rows), page):
        part, seen = rows[start : start + page], dict(carried)
        found += [one.external_id for one in activities.transactions(ACCOUNT, part, seen)]
        carried = activities.carried(part, seen, carried)
    assert found == whole


def record(**members: Any) -> wire.OrderRecord:
    plain = {"brokerage_order_id": "o", "status": "ACCEPTED", "universal_symbol": STOCK, "action": "BUY"}
    return msgspec.json.decode(json.dumps(plain | members), type=wire.OrderRecord)


def test_the_reference_orders_read_as_they_are_documented():
    text = shared("snaptrade-examples.json").read_text(encoding="utf-8")
    example = json.loads(text)["GET /accounts/{accountId}/orders 200"]
    records = msgspec.json.decode(json.dumps(example), type=list[wire.OrderRecord])
    filled, option, coin = orders.orders(ACCOUNT, records)
    assert (filled.status, filled.side, filled.quantity) == (OrderStatus.FILLED, "BUY", D("10.5"))
    assert (filled.limit_price, filled.average_price, filled.currency) == (D("41.25"), D("41.2"), "USD")
    assert filled.executed_at == datetime(2026, 9, 18, 14, 30, 2, 500000, tzinfo=UTC)
    assert (option.side, option.instrument.key) == ("BUY_TO_OPEN", "ACMX261218C00050000")
    assert (option.status, option.quantity, option.average_price) == (OrderStatus.ACCEPTED, 1, None)
    assert (coin.status, coin.currency, coin.filled_quantity) == ("partially_filled", "CAD", D("0.6"))
    assert coin.instrument.key == "CRYPTO:ETH"


def test_legs_of_one_order_stay_apart_and_a_leg_told_twice_is_one():
    other = OPTION | {"id": "o-2", "ticker": "ACMX  261218C00055000", "strike_price": 55}
    legs = [
        record(universal_symbol=None, option_symbol=OPTION, action="BUY_OPEN"),
        record(universal_symbol=None, option_symbol=other, action="SELL_OPEN"),
        record(
            universal_symbol=None,
            option_symbol=OPTION,
            action="BUY_OPEN",
            status="EXECUTED",
            time_updated="2026-09-18T14:30:02Z",
        ),
    ]
    first, second = orders.orders(ACCOUNT, legs)
    assert first.broker_order_id == "o#ACMX261218C00050000"
    assert (first.status, second.side) == (OrderStatus.FILLED, "SELL_TO_OPEN")


def test_two_legs_of_one_instrument_are_told_apart_by_their_side():
    found = orders.orders(ACCOUNT, [record(), record(action="SELL")])
    assert sorted(one.broker_order_id for one in found) == ["o#VOD.L/BUY", "o#VOD.L/SELL"]


@pytest.mark.parametrize(("word", "status"), orders.STATUSES.items())
def test_every_status_we_know_is_translated(word, status):
    (found,) = orders.orders(ACCOUNT, [record(status=word)])
    assert (found.status, found.raw_status) == (status, word)


def test_a_status_nobody_knows_and_an_instrument_nobody_mapped_do_no_harm():
    (found,) = orders.orders(ACCOUNT, [record(status="NEW_ONE", universal_symbol=None, symbol="x-1")])
    assert (found.status, found.raw_status) == (OrderStatus.OTHER, "NEW_ONE")
    assert found.instrument.key == "snaptrade:x-1"


def test_prices_of_orders_in_pence_are_pounds_and_zero_is_no_price():
    (found,) = orders.orders(ACCOUNT, [record(limit_price="71.5", stop_price="0.0000000000")])
    assert (found.limit_price, found.stop_price, found.currency) == (D("0.715"), None, "GBP")


def test_a_series_is_in_order_without_holes_that_look_like_zero():
    series = wire.BalanceHistory(
        currency="GBX",
        history=[
            wire.DayTotal("2026-09-20", D(200)),
            wire.DayTotal("2026-09-19", D(100)),
            wire.DayTotal("2026-09-18", None),
            wire.DayTotal("odd", D(1)),
        ],
    )
    rates = wire.ReturnRates(
        [wire.ReturnRate("1Y", D("5.97")), wire.ReturnRate(None, D(1)), wire.ReturnRate("ALL")]
    )
    found = performance.history(series, rates)
    assert [(point.day.day, point.total) for point in found.points] == [(19, 1), (20, 2)]
    assert found.currency == "GBP"
    assert [(one.period, one.rate) for one in found.returns] == [("1Y", D("0.0597"))]
