"""The bodies of orders: what SnapTrade documents, with the digits that were asked for, or no order at all."""

import json
from datetime import date
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ErrorCode, RefusedError
from contracts.trading import OrderLeg, OrderRequest, OrderType, Side, TimeInForce
from snaptrade_connector import trading_bodies, trading_mapping, trading_wire, wire

D = Decimal


def order(**changes: object) -> OrderRequest:
    values = {
        "symbol": "AAPL",
        "side": Side.BUY,
        "order_type": OrderType.MARKET,
        "time_in_force": TimeInForce.DAY,
        "quantity": D(2),
    }
    return OrderRequest(**values | changes)


def placed(**changes: object) -> dict[str, object]:
    return trading_bodies.placement("acc", order(**changes), "uuid")


LIMIT = {"order_type": OrderType.LIMIT, "limit_price": D("1.5")}


@pytest.mark.parametrize(
    ("changes", "members"),
    [
        ({}, {"order_type": "Market", "time_in_force": "Day", "units": 2}),
        ({"quantity": D("2.00")}, {"units": 2}),
        ({"quantity": D("0.5")}, {"units": D("0.5")}),
        ({"quantity": None, "notional": D("100.10")}, {"notional_value": "100.10", "units": None}),
        (LIMIT, {"order_type": "Limit", "price": D("1.5")}),
        ({"order_type": OrderType.STOP, "stop_price": D(3)}, {"order_type": "Stop", "stop": 3}),
        (
            {"order_type": OrderType.STOP_LIMIT, "stop_price": D(3), "limit_price": D(4)},
            {"order_type": "StopLimit", "stop": 3, "price": 4},
        ),
        ({**LIMIT, "extended_hours": True}, {"trading_session": "EXTENDED"}),
        (
            {**LIMIT, "time_in_force": TimeInForce.GTD, "expires_on": date(2026, 12, 1)},
            {"time_in_force": "GTD", "expiry_date": "2026-12-01T23:59:59Z"},
        ),
        ({"time_in_force": TimeInForce.GTC}, {"time_in_force": "GTC"}),
        ({"provider_symbol_id": "id-1"}, {"universal_symbol_id": "id-1", "symbol": None}),
        ({"symbol": "brk-b"}, {"symbol": "BRK.B", "universal_symbol_id": None}),
        (
            {"symbol": "AAPL270115C00260000", "side": Side.BUY_TO_OPEN},
            {"symbol": "AAPL  270115C00260000", "action": "BUY_TO_OPEN"},
        ),
    ],
)
def test_shares_are_ordered_in_snaptrades_words(changes, members):
    body = placed(**changes)
    assert {name: body[name] for name in members} == members
    assert body["client_order_id"] == "uuid"
    assert ("price" in body, "stop" in body) == ("limit_price" in changes, "stop_price" in changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": None},
        {"notional": D(5)},
        {"quantity": None, "notional": D(5), **LIMIT},
        {"quantity": None, "notional": D(5), "time_in_force": TimeInForce.GTC},
        {"order_type": OrderType.LIMIT},
        {"order_type": OrderType.STOP},
        {"order_type": OrderType.STOP_LIMIT, "limit_price": D(1)},
        {"extended_hours": True},
        {"time_in_force": TimeInForce.GTD},
        {"expires_on": date(2026, 12, 1)},
        {"quantity": D(0)},
        {"quantity": D(-1)},
        {"quantity": D("NaN")},
        {"quantity": D("Infinity")},
        {"quantity": D("0.12345678901234567891")},
        {"symbol": "\N{CYRILLIC CAPITAL LETTER A}APL"},
        {"symbol": ""},
        {"side": Side.BUY_TO_OPEN},
        {"symbol": "AAPL270115C00260000"},
    ],
)
def test_what_cannot_be_said_is_refused_and_not_sent(changes):
    with pytest.raises(RefusedError) as refused:
        placed(**changes)
    assert refused.value.code is ErrorCode.ORDER_REJECTED


LEGS = [
    OrderLeg(symbol="AAPL270115C00260000", side=Side.BUY_TO_OPEN, quantity=D(1)),
    OrderLeg(symbol="AAPL", side=Side.SELL, quantity=D(100), kind="equity"),
]


def test_legs_are_ordered_in_whole_units_and_exact_prices():
    wanted = order(legs=LEGS, price_effect="DEBIT", **(LIMIT | {"limit_price": D("1.50")}))
    assert trading_bodies.combination(wanted) == {
        "order_type": "LIMIT",
        "time_in_force": "Day",
        "legs": [
            {
                "instrument": {"symbol": "AAPL  270115C00260000", "instrument_type": "OPTION"},
                "action": "BUY_TO_OPEN",
                "units": 1,
            },
            {"instrument": {"symbol": "AAPL", "instrument_type": "EQUITY"}, "action": "SELL", "units": 100},
        ],
        "limit_price": "1.50",
        "price_effect": "DEBIT",
    }
    even = order(legs=LEGS, price_effect="EVEN", order_type=OrderType.LIMIT)
    assert "limit_price" not in trading_bodies.combination(even)
    stop = order(legs=LEGS[:1], order_type=OrderType.STOP, stop_price=D(2))
    assert trading_bodies.combination(stop)["order_type"] == "STOP_LOSS_MARKET"


@pytest.mark.parametrize(
    "changes",
    [
        {"notional": D(1)},
        {"extended_hours": True},
        {"time_in_force": TimeInForce.GTD},
        {"price_effect": "FREE"},
        {"order_type": OrderType.LIMIT},
        {"order_type": OrderType.STOP},
        {"legs": [OrderLeg(symbol="AAPL270115C00260000", side=Side.BUY, quantity=D(1))]},
        {"legs": [OrderLeg(symbol="AAPL", side=Side.BUY_TO_OPEN, quantity=D(1))]},
        {"legs": [OrderLeg(symbol="AAPL270115C00260000", side=Side.BUY_TO_OPEN, quantity=D("1.5"))]},
        {"legs": [OrderLeg(symbol="AAPL270115C00260000", side=Side.BUY_TO_OPEN, quantity=D(0))]},
    ],
)
def test_a_combination_that_cannot_be_said_is_refused(changes):
    with pytest.raises(RefusedError):
        trading_bodies.combination(order(**{"legs": LEGS} | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": None, "notional": D(5)},
        {**LIMIT, "extended_hours": True},
        {"time_in_force": TimeInForce.GTD, "expires_on": date(2026, 12, 1)},
        {"symbol": "AAPL270115C00260000", "side": Side.BUY_TO_OPEN},
    ],
)
def test_where_snaptrade_has_no_preview_none_is_asked(changes):
    with pytest.raises(RefusedError) as refused:
        trading_bodies.preview("acc", order(**changes), "id")
    assert refused.value.code is ErrorCode.NOT_SUPPORTED


@pytest.mark.parametrize(
    "changes",
    [
        {"legs": LEGS},
        {"quantity": None, "notional": D(5)},
        {**LIMIT, "extended_hours": True},
        {"time_in_force": TimeInForce.GTD, "expires_on": date(2026, 12, 1)},
    ],
)
def test_a_replacement_that_cannot_be_said_is_refused(changes):
    with pytest.raises(RefusedError):
        trading_bodies.replacement("b-1", order(**changes))


def test_the_order_of_a_leg_is_named_without_it():
    assert trading_bodies.order_id("b-1#AAPL270115C00260000/SELL") == "b-1"
    assert trading_bodies.order_id("b-1") == "b-1"


@given(st.decimals(min_value=D("0.000000001"), max_value=D(10) ** 12, allow_nan=False, places=9))
def test_a_number_arrives_with_the_digits_it_had_or_is_refused(value):
    try:
        sent = trading_bodies.json_number(value)
    except RefusedError:
        assert Decimal(repr(float(value))) != value
        return
    text = msgspec.json.Encoder(decimal_format="number").encode(sent)
    assert json.loads(text, parse_float=Decimal) == value
    # What SnapTrade reads and signs is the same number.
    assert Decimal(repr(json.loads(text))) == value
    assert isinstance(json.loads(text), int) == (value == value.to_integral_value())


def impact_of(**effect: object) -> object:
    found = msgspec.convert(
        {
            "trade_impacts": [effect],
            "combined_remaining_balance": {"currency": {"code": "CAD"}, "cash": "9"},
        },
        trading_wire.Impact,
    )
    return trading_mapping.impact(found, "USD", "req")


def test_fees_nobody_knows_are_not_zero():
    unknown = impact_of(estimated_commission=None, forex_fees=None, remaining_cash=None)
    assert (unknown.fees, unknown.cost, unknown.remaining_cash.amount) == (None, None, 9)
    assert impact_of(estimated_commission=None, forex_fees=D(1)).fees is None
    known = impact_of(estimated_commission=D("1.5"), forex_fees=D("0.5"), remaining_cash=D(7))
    assert (known.fees.amount, known.fees.currency, known.remaining_cash.amount) == (2, "CAD", 7)
    assert trading_mapping.impact(trading_wire.Impact(), "USD", None).remaining_cash is None


@pytest.mark.parametrize(
    ("direction", "cost"),
    [("DEBIT", D(5)), ("CREDIT", D(-5)), ("EVEN", D(0)), ("UNKNOWN", None), (None, None)],
)
def test_the_cash_of_options_has_the_sign_of_its_direction(direction, cost):
    found = trading_wire.OptionImpact(estimated_cash_change=D(5), cash_change_direction=direction)
    shown = trading_mapping.options_impact(found, "USD", None)
    assert (shown.cost.amount if shown.cost else None) == cost
    assert shown.fees is None


def test_quotes_come_back_under_the_symbol_asked_for_in_whole_currency():
    on = wire.UniversalSymbol(id="i", symbol="VOD.L", raw_symbol="VOD", currency=wire.Currency(code="GBX"))
    found = trading_wire.Quote(symbol=on, last_trade_price=D(73), bid_price=D(0), ask_size=D(5))
    quote = trading_mapping.quote(found, ["vod.l"])
    assert (quote.symbol, quote.last, quote.currency) == ("vod.l", D("0.73"), "GBP")
    assert (quote.bid, quote.ask, quote.ask_size) == (None, None, 5)
    assert trading_mapping.quote(found, ["AAPL"]) is None
    assert trading_mapping.quote(trading_wire.Quote(), ["AAPL"]) is None


def test_the_exact_symbol_comes_first():
    names = [("TSLAX", "TSLAX"), ("X.TO", "X"), ("MSX", "MSX"), ("X", "X"), ("XOM", "XOM")]
    found = [wire.UniversalSymbol(id=f"i-{name}", symbol=name, raw_symbol=raw) for name, raw in names]
    ranked = [one.instrument.symbol for one in trading_mapping.matches(found, " x ")]
    assert ranked == ["X", "X.TO", "XOM", "TSLAX", "MSX"]
    assert trading_mapping.exact(found, "X").id == "i-X"
    assert trading_mapping.exact([*found, found[3]], "X") is None
    assert trading_mapping.exact(found, "NOPE") is None
