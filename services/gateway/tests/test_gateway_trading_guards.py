"""Guards: each refuses what it should, and no sequence of orders gets past them."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ErrorCode
from contracts.trading import OrderLeg, OrderRequest, OrderType, Quote, Side, TimeInForce
from gateway.trading import estimate, guards, limits
from gateway.trading.guards import guard
from gateway.trading.outstanding import Recorded, together
from gateway.trading.refused import refused
from gateway.trading.values import (
    Account,
    Confirmed,
    Facts,
    KnownIntent,
    KnownOrder,
    Limits,
    Obstacle,
    Priced,
    Spendable,
    Switch,
)

NOW = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
DAY = date(2026, 11, 23)
QUOTE = Quote(symbol="AAPL", bid=Decimal("9.9"), ask=Decimal("10.1"), last=Decimal(10), currency="USD")
LIMITS = Limits(max_order_notional=Decimal(1000), max_day_notional=Decimal(3000))
CALL, HIGHER_CALL = "AAPL261218C00250000", "AAPL261218C00260000"
PUT, LATER_PUT = "AAPL261218P00200000", "AAPL270115P00190000"


def account(**more):
    usual = {
        "account_id": uuid4(),
        "connection_id": uuid4(),
        "provider": "snaptrade",
        "institution": "charles-schwab",
        "external_id": "e",
        "currency": "USD",
        "status": "open",
        "trading": True,
        "connection_status": "active",
        "connection_type": "trade",
        "as_of": NOW,
    }
    return Account(**(usual | more))


def order(side="BUY", quantity="10", limit="10", **more):
    usual = {
        "symbol": "AAPL",
        "side": Side(side),
        "order_type": OrderType.MARKET if limit is None else OrderType.LIMIT,
        "time_in_force": TimeInForce.DAY,
        "quantity": None if quantity is None else Decimal(quantity),
        "limit_price": None if limit is None else Decimal(limit),
    }
    return OrderRequest(**(usual | more))


def option(side, quantity="1", limit="1.5", symbol=CALL):
    leg = OrderLeg(symbol=symbol, side=Side(side), quantity=Decimal(quantity))
    return order(side, quantity, limit, symbol=symbol, legs=[leg])


def spread(*legs, **more):
    made = [OrderLeg(symbol=s, side=Side(side), quantity=Decimal(n)) for s, side, n in legs]
    return order(legs[0][1], legs[0][2], symbol=legs[0][0], legs=made, **more)


def facts(wanted=None, **more):
    usual = {
        "account": account(),
        "day": DAY,
        "holdings": {"AAPL": Decimal(50)},
        "balances": {"USD": Spendable(Decimal(500), Decimal(800), NOW)},
        "quote": QUOTE,
    }
    made = Facts(**(usual | more))
    return made if wanted is None else replace(made, priced=estimate.priced(wanted, made.quote))


def codes(wanted, known=None, **options):
    known = facts(wanted) if known is None else known
    return [one.code for one in guard(known, wanted, LIMITS, NOW, **options)]


def refusals(wanted, known=None, held_to=LIMITS):
    known = facts(wanted) if known is None else known
    return {one.code for one in guard(known, wanted, held_to, NOW) if one.refuses}


def test_an_ordinary_order_passes_without_a_word():
    assert codes(order()) == []


@pytest.mark.parametrize("name", ["capability", "connection"])
def test_what_stands_in_the_way_comes_first_and_carries_its_reason(name):
    hindered = facts(order(), obstacles=(Obstacle(name, ErrorCode.CONNECTION_BROKEN, "broken", "no"),))
    found = guard(hindered, order(quantity="900"), LIMITS, NOW)
    assert found[0].guard == name
    answer = refused(found)
    assert answer.details["reason"] == "broken"
    assert answer.code == "CONNECTION_BROKEN"
    assert answer.status == 409


def test_a_switch_refuses():
    assert codes(order(), facts(order(), switch=Switch("user:alice", "why")))[0] == "TRADING_DISABLED"


@pytest.mark.parametrize(("ago", "refuses"), [("0", True), ("0.999", True), ("1", False), ("-5", True)])
def test_orders_of_an_account_come_at_least_a_second_apart(ago, refuses):
    last = NOW - timedelta(seconds=float(ago))
    found = guard(facts(order(), last_order_at=last), order(), LIMITS, NOW, among=guards.PLACING)
    assert any(one.code == "ORDER_RATE_LIMITED" for one in found) is refuses
    if refuses:
        assert int(refused(found).headers["Retry-After"]) >= 1


def known(wanted, state="ACCEPTED", ago=30):
    return KnownIntent(uuid4(), state, wanted, NOW - timedelta(seconds=ago))


@pytest.mark.parametrize(
    ("before", "refuses"),
    [
        (known(order()), True),
        (known(order(limit="9.5")), True),
        (known(order(), ago=60), False),
        (known(order(), state="REJECTED"), False),
        (known(order(quantity="11")), False),
        (known(order("SELL")), False),
        (known(order(symbol="MSFT")), False),
    ],
)
def test_an_equal_order_within_a_minute_is_a_second_click(before, refuses):
    found = codes(order(), facts(order(), intents=(before,)))
    assert ("DUPLICATE_SUSPECTED" in found) is refuses
    confirmed = codes(order(), facts(order(), intents=(before,)), confirmed=Confirmed(duplicate=True))
    assert confirmed == (["duplicate_confirmed"] if refuses else [])


@pytest.mark.parametrize("state", ["CONFIRMED", "SUBMITTING", "UNKNOWN", "NEEDS_USER"])
def test_while_an_order_is_being_verified_nothing_else_of_its_symbol_goes(state):
    before = known(order("SELL", "3"), state, ago=86_400)
    assert "ORDER_BEING_VERIFIED" in codes(order(), facts(order(), intents=(before,)))
    confirmed = Confirmed(unverified=True)
    assert codes(order(), facts(order(), intents=(before,)), confirmed=confirmed) == ["unverified_confirmed"]
    other = order(symbol="MSFT")
    assert "ORDER_BEING_VERIFIED" not in codes(other, facts(other, intents=(before,)))


def test_legs_share_the_fate_of_their_symbols():
    before = known(option("BUY_TO_OPEN"), "UNKNOWN")
    wanted = spread((HIGHER_CALL, "SELL_TO_OPEN", 1), (CALL, "BUY_TO_OPEN", 1), price_effect="DEBIT")
    assert "ORDER_BEING_VERIFIED" in codes(wanted, facts(wanted, intents=(before,)))


@pytest.mark.parametrize(
    ("wanted", "held", "refuses"),
    [
        (order("SELL", "50"), {"AAPL": 50}, False),
        (order("SELL", "50.000000001"), {"AAPL": 50}, True),
        (order("SELL", "1"), {}, True),
        (order("SELL", "1"), {"AAPL": -5}, True),
        (option("SELL_TO_CLOSE", "2"), {CALL: 2}, False),
        (option("SELL_TO_CLOSE", "3"), {CALL: 2}, True),
        (option("BUY_TO_CLOSE", "2"), {CALL: -2}, False),
        (option("BUY_TO_CLOSE", "3"), {CALL: -2}, True),
        (option("BUY_TO_CLOSE", "1"), {CALL: 2}, True),
        (option("BUY_TO_OPEN", "1"), {}, False),
        (option("SELL_TO_OPEN", "1"), {}, False),
    ],
)
def test_nothing_is_closed_that_is_not_held(wanted, held, refuses):
    seen = facts(wanted, holdings={key: Decimal(value) for key, value in held.items()})
    assert ("INSUFFICIENT_QUANTITY" in codes(wanted, seen)) is refuses


def test_selling_to_open_is_allowed_and_said():
    assert "opens_short_position" in codes(option("SELL_TO_OPEN"))


@pytest.mark.parametrize(("amount", "refuses"), [("495", False), ("496", True)])
def test_a_sale_for_an_amount_of_money_is_counted_in_shares(amount, refuses):
    wanted = order("SELL", None, None, notional=Decimal(amount))
    assert ("INSUFFICIENT_QUANTITY" in codes(wanted)) is refuses
    unquoted = facts(wanted, quote=None)
    assert "INSUFFICIENT_QUANTITY" in codes(wanted, unquoted)


def at_broker(quantity, *, filled="0", is_open=True, moved=-5, side="SELL", notional=None):
    return KnownOrder(
        "AAPL",
        side,
        None if quantity is None else Decimal(quantity),
        Decimal(filled),
        is_open,
        None if moved is None else NOW + timedelta(minutes=moved),
        notional,
        "USD",
    )


@pytest.mark.parametrize(
    ("before", "free"),
    [
        (at_broker("20"), 30),
        (at_broker("20", filled="5"), 35),
        (at_broker("20", filled="5", moved=5), 30),
        (at_broker("20", filled="5", moved=None), 30),
        (at_broker("20", filled="20", is_open=False), 50),
        (at_broker("20", filled="20", is_open=False, moved=5), 30),
        (at_broker("20", is_open=False, moved=5), 50),
        (at_broker(None), 0),
        (at_broker("20", side="BUY"), 50),
        (at_broker("70"), 0),
    ],
)
def test_what_is_offered_or_gone_cannot_be_sold_again(before, free):
    assert guards.free_to_close(facts(orders=(before,)), "AAPL", Side.SELL) == free


def test_an_order_in_two_records_counts_once_and_a_final_word_of_ours_stands():
    listed = Recorded(frozenset({"b"}), (at_broker("20"),))
    for ours, expected in ((at_broker("20", moved=5), listed.legs), (at_broker("20", is_open=False), None)):
        own = Recorded(frozenset({"b"}), (ours,))
        assert together([listed], [own]) == (expected or own.legs)
    unsent = Recorded(frozenset(), (at_broker("1"),))
    assert set(together([listed], [unsent])) == {*listed.legs, *unsent.legs}


@pytest.mark.parametrize(
    ("wanted", "refuses"),
    [
        (order(quantity="100", limit="10"), set()),
        (order(quantity="100", limit="10.01"), {"ORDER_TOO_LARGE"}),
        (order("SELL", "10", limit="101"), {"ORDER_TOO_LARGE"}),
        (option("BUY_TO_OPEN", "1", limit="10.01"), {"ORDER_TOO_LARGE"}),
        (option("SELL_TO_OPEN", "1", limit="0.01"), {"ORDER_TOO_LARGE", "DAILY_LIMIT_EXCEEDED"}),
        (
            spread(
                (CALL, "BUY_TO_OPEN", 1), (HIGHER_CALL, "SELL_TO_OPEN", 1), limit="1", price_effect="DEBIT"
            ),
            set(),
        ),
        (
            spread((PUT, "SELL_TO_OPEN", 1), (LATER_PUT, "BUY_TO_OPEN", 1), limit="1", price_effect="CREDIT"),
            set(),
        ),
        (
            spread((LATER_PUT, "SELL_TO_OPEN", 1), (PUT, "BUY_TO_OPEN", 1), limit="1", price_effect="CREDIT"),
            {"ORDER_TOO_LARGE", "DAILY_LIMIT_EXCEEDED"},
        ),
        (
            spread((CALL, "BUY_TO_OPEN", 1), (PUT, "BUY_TO_OPEN", 1), limit=None),
            {"ORDER_TOO_LARGE", "DAILY_LIMIT_EXCEEDED"},
        ),
    ],
)
def test_one_order_is_worth_so_much_at_most_with_what_it_obliges_to(wanted, refuses):
    money = {"USD": Spendable(Decimal(10**6), Decimal(10**6), NOW)}
    rich = facts(wanted, balances=money, quote=None if wanted.legs else QUOTE)
    assert refusals(wanted, rich) == refuses


@pytest.mark.parametrize("wanted", [order(limit=None), order("SELL", limit=None)])
def test_an_order_that_nobody_can_value_is_not_taken_for_a_small_one(wanted):
    unquoted = facts(wanted, quote=None)
    assert {"ORDER_TOO_LARGE", "DAILY_LIMIT_EXCEEDED"} <= refusals(wanted, unquoted)
    unpriced = replace(unquoted, priced=None)
    assert {"ORDER_TOO_LARGE", "DAILY_LIMIT_EXCEEDED"} <= refusals(wanted, unpriced)


def stopped(side, stop, limit=None):
    kind = OrderType.STOP if limit is None else OrderType.STOP_LIMIT
    return order(side, limit=limit, order_type=kind, stop_price=Decimal(stop))


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (order(limit="11.11"), None),
        (order(limit="11.12"), "PRICE_OUT_OF_RANGE"),
        (order(limit="9.08"), "far_from_quote"),
        (order("SELL", limit="8.91"), None),
        (order("SELL", limit="8.90"), "PRICE_OUT_OF_RANGE"),
        (order("SELL", limit="11"), "far_from_quote"),
        (stopped("SELL", "9.5"), None),
        (stopped("SELL", "10"), "stop_triggers_at_once"),
        (stopped("SELL", "12"), "PRICE_OUT_OF_RANGE"),
        (stopped("SELL", "5"), "far_from_quote"),
        (stopped("BUY", "10.5"), None),
        (stopped("BUY", "9"), "PRICE_OUT_OF_RANGE"),
        (stopped("BUY", "10.5", "11.6"), "PRICE_OUT_OF_RANGE"),
        (stopped("SELL", "9.5", "8"), "PRICE_OUT_OF_RANGE"),
        (order(limit=None), None),
    ],
)
def test_prices_are_held_against_the_last_quote(wanted, code):
    assert codes(wanted, among=[guards.price_collar]) == ([] if code is None else [code])


@pytest.mark.parametrize("quote", [None, Quote(symbol="AAPL"), Quote(symbol="AAPL", bid=Decimal(0))])
def test_without_a_quote_the_user_is_told_that_nobody_checked(quote):
    assert codes(order(), facts(order(), quote=quote), among=[guards.price_collar]) == ["price_not_checked"]


@pytest.mark.parametrize(
    ("wanted", "money", "before", "code"),
    [
        (order(quantity="80"), Spendable(Decimal(0), Decimal(800), NOW), (), None),
        (order(quantity="81"), Spendable(Decimal(0), Decimal(800), NOW), (), "INSUFFICIENT_BUYING_POWER"),
        (order(quantity="81"), Spendable(Decimal(810), None, NOW), (), None),
        (order(), Spendable(None, None, NOW), (), "buying_power_unknown"),
        (order(), None, (), "buying_power_unknown"),
        (order(), Spendable(Decimal(-5), Decimal(-5), NOW), (), "INSUFFICIENT_BUYING_POWER"),
        (
            order(),
            Spendable(Decimal(0), Decimal(800), NOW),
            (at_broker("70", side="BUY", moved=5, notional=Decimal(701)),),
            "INSUFFICIENT_BUYING_POWER",
        ),
        (
            order(),
            Spendable(Decimal(0), Decimal(800), NOW),
            (at_broker("70", side="BUY", notional=Decimal(701)),),
            None,
        ),
        (order("SELL"), Spendable(Decimal(0), Decimal(0), NOW), (), None),
    ],
)
def test_what_is_bought_must_be_affordable_as_far_as_it_is_known(wanted, money, before, code):
    seen = facts(wanted, balances={} if money is None else {"USD": money}, orders=before)
    assert codes(wanted, seen, among=[guards.buying_power]) == ([] if code is None else [code])


def test_old_holdings_and_a_closed_market_are_notices():
    old = facts(order(), account=account(as_of=NOW - timedelta(days=2)))
    night = NOW.replace(hour=3)
    found = guard(old, order(), LIMITS, night)
    assert {one.code for one in found} == {"holdings_old", "market_closed"}
    assert refused(found) is None


def test_the_answer_names_the_first_refusal_and_the_codes_of_the_others():
    wanted = order("SELL", "500")
    answer = refused(guard(facts(wanted), wanted, LIMITS, NOW))
    assert answer.code == "INSUFFICIENT_QUANTITY"
    assert answer.details["also"] == ["ORDER_TOO_LARGE", "DAILY_LIMIT_EXCEEDED"]


money = st.decimals(min_value="0.01", max_value="5000", places=2)
quantities = st.decimals(min_value="0.0001", max_value="200", places=4)
prices = st.one_of(st.none(), st.decimals(min_value="0.01", max_value="50", places=2))
wishes = st.builds(
    order,
    st.sampled_from(["BUY", "SELL"]),
    quantities,
    prices,
)


@given(st.lists(wishes, max_size=20), money, money)
def test_no_sequence_of_orders_passes_the_daily_limit(sequence, most_order, most_day):
    held_to = Limits(most_order, most_day)
    total = Decimal(0)
    for wanted in sequence:
        seen = facts(
            wanted,
            ordered_today={"USD": total, "CAD": Decimal(10**9)},
            holdings={"AAPL": Decimal(10**6)},
            balances={"USD": Spendable(None, Decimal(10**9), NOW)},
        )
        if not any(one.refuses for one in guard(seen, wanted, held_to, NOW)):
            assert seen.priced.notional <= most_order
            total += seen.priced.notional
    assert total <= most_day


@given(
    st.lists(
        st.tuples(quantities, st.sampled_from(["open", "partly", "filled", "canceled"]), st.booleans()),
        max_size=20,
    ),
    st.decimals(min_value="0", max_value="300", places=4),
)
def test_sells_never_exceed_what_is_held_minus_what_is_offered(sequence, held):
    """Orders that were let through stay open, fill or are canceled; the holdings may show a fill, or not yet."""
    loose = Limits(Decimal(10**9), Decimal(10**9), gap=timedelta(0))
    before, really, shown = [], held, held
    for quantity, fate, synced in sequence:
        wanted = order("SELL", quantity)
        seen = facts(wanted, holdings={"AAPL": shown}, orders=tuple(before))
        if any(one.code == "INSUFFICIENT_QUANTITY" for one in guard(seen, wanted, loose, NOW)):
            continue
        filled = {"open": Decimal(0), "partly": quantity / 2, "filled": quantity, "canceled": Decimal(0)}[
            fate
        ]
        really -= filled
        if synced:
            shown = shown - filled
        moved = -5 if synced else 5
        before.append(at_broker(quantity, filled=filled, is_open=fate in {"open", "partly"}, moved=moved))
    still_open = sum((one.quantity - one.filled for one in before if one.is_open), Decimal(0))
    assert really >= still_open
    assert really >= 0


rows = st.tuples(st.one_of(st.none(), money), st.one_of(st.none(), money))


@given(wishes, money, money, rows, st.decimals(min_value="0.01", max_value="0.5", places=2), st.booleans())
def test_tightening_a_limit_never_admits_more(wanted, most_order, most_day, row, collar, wider):
    loose = Limits(most_order, most_day, collar=collar)
    tight = replace(limits.tightened(loose, row), collar=collar / 2)
    if wider:
        tight = replace(tight, duplicate_window=timedelta(minutes=5), gap=timedelta(minutes=1))
    seen = facts(
        wanted,
        ordered_today={"USD": Decimal(100)},
        intents=(known(wanted, ago=120),),
        last_order_at=NOW - timedelta(seconds=30),
    )
    assert refusals(wanted, seen, loose) <= refusals(wanted, seen, tight)


@given(rows, rows, money, money)
def test_a_users_limits_are_never_looser_than_everybodys(everybody, user, most_order, most_day):
    own = Limits(most_order, most_day)
    shared = limits.tightened(own, everybody)
    both = limits.tightened(shared, user)
    assert both.max_order_notional <= shared.max_order_notional <= most_order
    assert both.max_day_notional <= shared.max_day_notional <= most_day
    assert limits.looser(shared, (both.max_order_notional, both.max_day_notional)) == []


def test_a_price_is_never_worth_less_than_the_order_can_cost():
    buy = estimate.priced(order(limit="10.05"), QUOTE)
    assert (buy.notional, buy.cost) == (Decimal("100.50"), Decimal("100.50"))
    sell = estimate.priced(order("SELL", limit="9"), QUOTE)
    assert (sell.notional, sell.cost) == (Decimal("99.0"), Decimal(-90))
    assert estimate.priced(stopped("BUY", "10.5"), QUOTE).notional == 105
    assert estimate.priced(order(limit=None), None) == Priced("USD")
    put = estimate.priced(option("SELL_TO_OPEN", limit="1", symbol=PUT), None)
    assert (put.notional, put.cost) == (Decimal(20_000), Decimal(-100))
