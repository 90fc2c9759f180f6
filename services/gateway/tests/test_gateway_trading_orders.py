"""The canonical order: equal wishes are equal bytes, and what no broker could take says which field is wrong."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.trading import OrderType, Side, TimeInForce
from gateway.trading import market_hours, orders, previews
from gateway.trading.market_hours import Session
from gateway.trading.orders import Asked, AskedLeg, OrderFaultsError

TODAY = date(2026, 11, 23)
CALL, PUT = "AAPL261218C00250000", "AAPL261218P00200000"


def asked(**more):
    usual = {
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.DAY,
        "symbol": "AAPL",
        "side": Side.BUY,
        "quantity": Decimal(10),
        "limit_price": Decimal("230.50"),
    }
    return Asked(**(usual | more))


def legs(*wanted, **more):
    made = [AskedLeg(symbol, Side(side), Decimal(quantity), kind) for symbol, side, quantity, kind in wanted]
    usual = {"symbol": None, "side": None, "quantity": None, "legs": made, "price_effect": "DEBIT"}
    return asked(**(usual | more))


VERTICAL = ((CALL, "BUY_TO_OPEN", 1, "option"), ("AAPL261218C00260000", "SELL_TO_OPEN", 1, "option"))


def read(wanted, today=TODAY):
    return orders.read(wanted, today=today)


def test_equal_wishes_have_equal_fingerprints():
    one = read(asked(symbol=" aapl ", limit_price=Decimal("230.5"), quantity=Decimal("10.000")))
    other = read(asked())
    assert orders.fingerprint("a", one) == orders.fingerprint("a", other)
    assert orders.fingerprint("b", one) != orders.fingerprint("a", one)


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": Decimal(11)},
        {"limit_price": Decimal("230.51")},
        {"side": Side.SELL},
        {"symbol": "MSFT"},
        {"time_in_force": TimeInForce.GTC},
        {"extended_hours": True},
        {"currency": "CAD"},
        {"provider_symbol_id": "x"},
    ],
)
def test_every_change_changes_the_fingerprint(change):
    assert orders.fingerprint("a", read(asked(**change))) != orders.fingerprint("a", read(asked()))


@given(st.decimals(min_value="0.000001", max_value="100000", places=6))
def test_an_order_survives_being_stored(quantity):
    order = read(asked(quantity=quantity))
    assert previews.request(previews.stored(order)) == order
    assert order.quantity == quantity


def test_an_option_by_its_symbol_is_an_order_of_one_leg():
    order = read(asked(symbol="AAPL  261218C00250000", side=Side.BUY_TO_OPEN, quantity=Decimal(2)))
    assert [(leg.symbol, leg.quantity, leg.kind) for leg in order.legs] == [(CALL, 2, "option")]
    assert (order.symbol, order.side, order.quantity) == (CALL, Side.BUY_TO_OPEN, 2)
    same = read(legs((CALL, "BUY_TO_OPEN", 2, "option"), price_effect=None))
    assert orders.fingerprint("a", same) == orders.fingerprint("a", order)


def test_several_legs_may_hold_shares():
    covered = legs(("AAPL", "BUY", 100, "equity"), (CALL, "SELL_TO_OPEN", 1, "option"))
    order = read(covered)
    assert orders.symbols(order) == {"AAPL", CALL}
    assert {one.limit_price for one in orders.sought(order)} == {None}


def test_an_amount_of_money_stands_in_place_of_a_quantity():
    order = read(
        asked(quantity=None, notional=Decimal("500.00"), order_type=OrderType.MARKET, limit_price=None)
    )
    assert (order.quantity, order.notional) == (None, 500)
    assert orders.sought(order)[0].quantity is None


@pytest.mark.parametrize(
    ("wanted", "place", "code"),
    [
        (asked(quantity=None), ("quantity",), "one_amount"),
        (asked(notional=Decimal(5)), ("quantity",), "one_amount"),
        (asked(quantity=Decimal(0)), ("quantity",), "not_positive"),
        (asked(quantity=Decimal(10) ** 12), ("quantity",), "too_large"),
        (asked(quantity=Decimal("1e-19")), ("quantity",), "too_fine"),
        (asked(quantity=Decimal("NaN")), ("quantity",), "number"),
        (asked(limit_price=Decimal(0)), ("limit_price",), "not_positive"),
        (asked(symbol=None), ("symbol",), "missing"),
        (asked(side=None), ("side",), "missing"),
        (asked(symbol="not a\nticker"), ("symbol",), "unknown_symbol"),
        (asked(quantity=None, notional=Decimal(5)), ("notional",), "market_day_only"),
        (asked(stop_price=Decimal(1)), ("stop_price",), "not_of_this_type"),
        (asked(order_type=OrderType.STOP_LIMIT), ("stop_price",), "missing"),
        (asked(order_type=OrderType.MARKET), ("limit_price",), "not_of_this_type"),
        (asked(side=Side.SELL_TO_CLOSE), ("side",), "side"),
        (asked(symbol=CALL), ("side",), "side"),
        (asked(symbol=CALL, side=Side.BUY_TO_OPEN, quantity=Decimal("1.5")), ("quantity",), "whole"),
        (asked(symbol="AAPL200117C00250000", side=Side.BUY_TO_OPEN), ("symbol",), "expired"),
        (asked(symbol="AAPL269999C00250000", side=Side.BUY_TO_OPEN), ("symbol",), "expired"),
        (asked(order_type=OrderType.MARKET, limit_price=None, extended_hours=True), ("extended_hours",), "limit_only"),
        (asked(symbol=CALL, side=Side.BUY_TO_OPEN, extended_hours=True), ("extended_hours",), "not_for_options"),
        (asked(time_in_force=TimeInForce.GTD), ("expires_on",), "missing"),
        (asked(expires_on=TODAY), ("expires_on",), "only_gtd"),
        (asked(time_in_force=TimeInForce.GTD, expires_on=date(2026, 11, 22)), ("expires_on",), "range"),
        (asked(price_effect="DEBIT"), ("price_effect",), "only_with_legs"),
        (legs(*VERTICAL, price_effect=None), ("price_effect",), "missing"),
        (legs(*VERTICAL, price_effect="EVEN"), ("limit_price",), "even"),
        (legs(*VERTICAL, symbol="AAPL"), ("symbol",), "not_with_legs"),
        (legs(*VERTICAL, order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(1)), ("order_type",), "not_with_legs"),
        (legs(VERTICAL[0], VERTICAL[0]), ("legs",), "twice"),
        (legs(*[(f"AAPL2612{n}C00250000", "BUY_TO_OPEN", 1, "option") for n in range(10, 15)]), ("legs",), "too_many"),
        (legs(("AAPL", "BUY", 1, "equity"), ("MSFT", "BUY", 1, "equity")), ("legs",), "no_option"),
        (legs(VERTICAL[0], ("nope", "SELL_TO_OPEN", 1, "option")), ("legs", "1", "symbol"), "unknown_symbol"),
        (legs(VERTICAL[0], (PUT, "SELL", 1, "option")), ("legs", "1", "side"), "side"),
        (legs(VERTICAL[0], (PUT, "SELL_TO_OPEN", 0, "option")), ("legs", "1", "quantity"), "whole"),
    ],
)  # fmt: skip
def test_what_no_broker_could_take_names_its_field(wanted, place, code):
    with pytest.raises(OrderFaultsError) as caught:
        read(wanted)
    assert (place, code) in [(fault.place, fault.code) for fault in caught.value.faults]


@pytest.mark.parametrize(
    "wanted",
    [
        asked(time_in_force=TimeInForce.GTD, expires_on=TODAY),
        asked(order_type=OrderType.STOP_LIMIT, stop_price=Decimal(229)),
        asked(extended_hours=True),
        asked(quantity=Decimal("0.123456")),
        legs(*VERTICAL),
        legs(*VERTICAL, price_effect="EVEN", limit_price=None),
        legs(*VERTICAL, price_effect=None, order_type=OrderType.MARKET, limit_price=None),
    ],
)
def test_what_brokers_take_is_read(wanted):
    assert read(wanted).order_type is wanted.order_type


def test_likeness_ignores_prices_and_the_order_of_legs():
    assert orders.likeness(read(asked())) == orders.likeness(read(asked(limit_price=Decimal(1))))
    one, other = read(legs(*VERTICAL)), read(legs(*reversed(VERTICAL)))
    assert orders.likeness(one) == orders.likeness(other)


HOLIDAYS = {
    2026: ["01-01", "01-19", "02-16", "04-03", "05-25", "06-19", "07-03", "09-07", "11-26", "12-25"],
    2027: ["01-01", "01-18", "02-15", "03-26", "05-31", "06-18", "07-05", "09-06", "11-25", "12-24"],
    2028: ["01-17", "02-21", "04-14", "05-29", "06-19", "07-04", "09-04", "11-23", "12-25"],
}
"""As the exchange publishes them."""
EARLY = {2026: ["11-27", "12-24"], 2027: ["11-26"], 2028: ["07-03", "11-24"]}


@pytest.mark.parametrize("year", sorted(HOLIDAYS))
def test_holidays_and_short_days_are_those_the_exchange_publishes(year):
    closed = {day for day in market_hours.holidays(year) if day.weekday() < 5}
    assert sorted(day.strftime("%m-%d") for day in closed) == HOLIDAYS[year]
    assert sorted(day.strftime("%m-%d") for day in market_hours.early_closes(year)) == EARLY[year]


@pytest.mark.parametrize(
    ("moment", "session", "opens"),
    [
        ("2026-11-23T14:30", Session.REGULAR, None),
        ("2026-11-23T14:29", Session.EXTENDED, "2026-11-23T14:30"),
        ("2026-11-23T21:00", Session.EXTENDED, "2026-11-24T14:30"),
        ("2026-11-24T02:00", Session.CLOSED, "2026-11-24T14:30"),
        ("2026-11-25T22:00", Session.EXTENDED, "2026-11-27T14:30"),
        ("2026-11-27T18:00", Session.EXTENDED, "2026-11-30T14:30"),
        ("2026-11-27T22:00", Session.CLOSED, "2026-11-30T14:30"),
        ("2026-07-01T13:30", Session.REGULAR, None),
        ("2026-12-31T23:00", Session.EXTENDED, "2027-01-04T14:30"),
    ],
)
def test_the_market_opens_and_closes_by_eastern_time(moment, session, opens):
    def at(text):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    found = market_hours.market(at(moment))
    assert found.session is session
    assert found.opens_at == (None if opens is None else at(opens))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (asked(), True),
        (asked(extended_hours=True), False),
        (asked(symbol="RY.TO"), False),
        (asked(symbol="BRK.B"), True),
    ],
)
def test_a_notice_is_given_outside_the_session_an_order_is_for(wanted, said):
    evening = datetime(2026, 11, 23, 22, tzinfo=UTC)
    assert (market_hours.notice(read(wanted), evening) is not None) is said
