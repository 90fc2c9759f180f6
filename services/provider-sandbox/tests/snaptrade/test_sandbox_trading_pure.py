"""Forms and fills, without a server: whatever comes in, and money and units that add up."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_sandbox.snaptrade import trading_forms
from provider_sandbox.snaptrade.errors import SnapTradeError
from provider_sandbox.snaptrade.trading_fills import after_fill
from provider_sandbox.snaptrade.trading_forms import Asked
from provider_sandbox.snaptrade.trading_instruments import Instruments
from provider_sandbox.snaptrade.trading_model import Leg
from provider_sandbox.world import Holding, World

WORLD = World.fresh()
ACCOUNT = replace(WORLD.accounts["schwab-demo"], cash={"USD": Decimal(100_000)})
NAMES = [
    "account_id",
    "action",
    "symbol",
    "universal_symbol_id",
    "order_type",
    "time_in_force",
    "units",
    "price",
    "stop",
    "notional_value",
    "legs",
    "trading_session",
    "expiry_date",
    "client_order_id",
    "limit_price",
    "stop_price",
    "price_effect",
    "instrument",
    "kind",
    "instrument_type",
    "brokerage_order_id",
]
WORDS = [
    "BUY",
    "SELL",
    "buy",
    "SELL_TO_CLOSE",
    "AAPL",
    "Market",
    "Limit",
    "StopLimit",
    "limit",
    "market",
    "LIMIT",
    "MARKET",
    "Day",
    "GTC",
    "GTD",
    "day",
    "gtd",
    "EXTENDED",
    "regular",
    "OPTION",
    "EQUITY",
    "equity",
    "option",
    "EVEN",
    "credit",
    "1.5",
    "2100-01-01T00:00:00Z",
    "550e8400-e29b-41d4-a716-446655440000",
]
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=5)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "form",
    [
        trading_forms.place,
        trading_forms.impact,
        trading_forms.replacement,
        trading_forms.combination,
        trading_forms.simple,
    ],
)
@given(body=st.dictionaries(st.sampled_from(NAMES), values, max_size=12) | values)
def test_any_body_is_an_order_or_a_refusal(form, body):
    status = None
    try:
        asked = form(json.loads(json.dumps(body)))
    except SnapTradeError as refusal:
        status = refusal.status
    assert status == 400 or isinstance(asked, Asked)


units = st.decimals(min_value=1, max_value=400, places=2)
prices = st.decimals(min_value=1, max_value=900, places=2)


@given(trades=st.lists(st.tuples(st.booleans(), units, prices), min_size=1, max_size=6))
def test_units_and_money_add_up_over_any_trades(trades):
    account, held, cash = ACCOUNT, Decimal(50), Decimal(100_000) + Decimal(2500)
    for buys, quantity, price in trades:
        leg = Leg("AAPL", "BUY" if buys else "SELL", quantity)
        account = after_fill(account, leg, quantity, price, fee=Decimal(1), securities=WORLD.securities)
        held += leg.signed(quantity)
        cash -= (leg.signed(quantity) * price + 1).quantize(Decimal("0.01"))
    rows = [h for h in account.holdings if h.security_key == "AAPL"]
    assert [row.quantity for row in rows] == ([held] if held else [])
    sweep = sum((h.quantity for h in account.holdings if h.cash_equivalent), Decimal(0))
    assert account.cash["USD"] + sweep == cash
    assert sweep >= 0
    others = [h.security_key for h in account.holdings if not h.cash_equivalent and h.security_key != "AAPL"]
    assert others == [h.security_key for h in ACCOUNT.holdings if not h.cash_equivalent][1:]


def test_the_average_cost_follows_what_was_paid():
    account = replace(ACCOUNT, holdings=(Holding("AAPL", Decimal(10), Decimal(100)),))

    def after(action, quantity, price, start=account):
        leg = Leg("AAPL", action, Decimal(quantity))
        return after_fill(
            start, leg, leg.quantity, Decimal(price), fee=Decimal(0), securities=WORLD.securities
        )

    assert after("BUY", 10, 200).holdings[0].average_cost == 150
    assert after("SELL", 4, 200).holdings[0].average_cost == 100
    assert after("SELL", 15, 200).holdings[0].average_cost == 200
    unknown = replace(account, holdings=(Holding("AAPL", Decimal(10), None),))
    assert after("BUY", 1, 200, unknown).holdings[0].average_cost is None
    two_rows = replace(account, holdings=(*account.holdings, Holding("AAPL", Decimal(10), Decimal(300))))
    (merged,) = after("SELL", 5, 200, two_rows).holdings
    assert (merged.quantity, merged.average_cost) == (15, 200)


def test_an_option_is_listed_when_it_is_named():
    world, instruments = World.fresh(), Instruments()
    made = instruments.by_symbol(world, "MSFT  281215P00500000")
    assert made is not None
    assert made.option is not None
    assert (made.option.strike, made.option.option_type, made.symbol) == (500, "PUT", "MSFT  281215P00500000")
    assert instruments.by_symbol(world, "MSFT281215P00500000") is made
    assert instruments.by_symbol(world, "MSFT  281315P00500000") is None
    assert instruments.by_symbol(world, "NOPE  281215P00500000") is None
