"""Cash once, and bonds by the convention that adds up."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.holdings import Holding
from contracts.instruments import Instrument, InstrumentKind
from contracts.money import Money
from snaptrade_connector import wire
from snaptrade_connector.conservation import cash_holdings, settle_bonds

D = Decimal


def held(value: str | None, *, sweep=False, currency="USD", kind=InstrumentKind.STOCK, key="X") -> Holding:
    worth = None if value is None else D(value)
    return Holding(
        instrument=Instrument(key=key, kind=kind),
        quantity=D(1000),
        currency=currency,
        price=None if worth is None else worth / 1000,
        market_value=worth,
        cost_basis=worth,
        cash_equivalent=sweep,
    )


def bond(value: str) -> Holding:
    return held(value, kind=InstrumentKind.BOND, key="B")


def cash(amount: str | None, code: str = "USD") -> wire.Balance:
    return wire.Balance(currency=wire.Currency(code=code), cash=None if amount is None else D(amount))


def usd(amount: str) -> Money:
    return Money(amount=D(amount), currency="USD")


def found(balances, positions, total) -> dict[str, D]:
    rows = cash_holdings(balances, positions, total)
    assert all(row.market_value == row.quantity and row.price == 1 for row in rows)
    assert len({row.instrument.key for row in rows}) == len(rows)
    return {row.instrument.key: row.quantity for row in rows}


FUND = held("2500", sweep=True, key="SWVXX")


def test_a_sweep_fund_is_taken_out_of_the_cash_that_contains_it():
    assert found([cash("5500")], [held("10000"), FUND], usd("15500")) == {"CUR:USD": D(3000)}


def test_a_broker_whose_cash_is_already_without_the_fund_keeps_it():
    assert found([cash("3000")], [held("10000"), FUND], usd("15500")) == {"CUR:USD": D(3000)}


@pytest.mark.parametrize("total", [None, "99999", "13000.01"])
def test_where_nothing_reconciles_the_documented_reading_stands(total):
    money = None if total is None else usd(total)
    assert found([cash("5500")], [held("10000"), FUND], money) == {"CUR:USD": D(3000)}


def test_a_fund_within_the_noise_of_the_total_does_not_flip_the_reading():
    tiny = held("3", sweep=True)
    assert found([cash("10")], [held("100000"), tiny], usd("100012")) == {"CUR:USD": D(7)}


def test_other_currencies_cannot_be_compared_with_the_total():
    rows = found([cash("3000"), cash("5", "CAD")], [held("10000"), FUND], usd("15500"))
    assert rows == {"CUR:USD": D(500), "CUR:CAD": D(5)}


def test_a_fund_lowers_only_the_cash_of_its_own_currency():
    fund = held("2500", sweep=True, currency="CAD")
    assert found([cash("100"), cash("2600", "CAD")], [fund], None) == {"CUR:USD": D(100), "CUR:CAD": D(100)}


def test_a_loan_is_negative_cash():
    assert found([cash("-4200.50")], [], None) == {"CUR:USD": D("-4200.50")}


def test_unknown_cash_is_no_holding_and_never_zero():
    assert found([cash(None)], [], usd("10")) == {}


def test_an_unpriced_fund_leaves_the_cash_whole():
    assert found([cash("300")], [held(None, sweep=True)], None) == {"CUR:USD": D(300)}


def test_pence_are_pounds_and_two_rows_of_a_currency_are_one():
    assert found([cash("150", "GBX"), cash("2", "GBP")], [], None) == {"CUR:GBP": D("3.5")}


@given(
    cents=st.integers(-(10**9), 10**9),
    stock=st.integers(0, 10**9),
    fund=st.integers(0, 10**7),
    documented=st.booleans(),
)
def test_what_a_truthful_total_says_is_what_is_counted(cents, stock, fund, documented):
    reported = D(cents) / 100
    positions = [held(str(D(stock) / 100)), held(str(D(fund) / 100), sweep=True)]
    inside = D(fund) / 100 if documented else D(0)
    total = D(stock) / 100 + D(fund) / 100 + reported - inside
    rows = cash_holdings([cash(str(reported))], positions, Money(amount=total, currency="USD"))
    counted = sum((row.market_value or D(0) for row in [*positions, *rows]), D(0))
    # A reading may only be off by what could not be told apart from noise.
    assert abs(counted - total) <= max(D(1), abs(total) * D("0.005")) or abs(counted - total) == D(fund) / 100
    if documented:
        assert counted == total


def test_a_bond_priced_per_100_is_worth_a_hundredth():
    (settled,), undecided = settle_bonds([bond("97250")], [cash("100")], usd("1072.5"))
    assert not undecided
    assert (settled.price, settled.market_value, settled.cost_basis) == (D("0.9725"), D("972.5"), D("972.5"))


def test_a_bond_priced_per_unit_is_left_alone():
    positions = [bond("97250")]
    assert settle_bonds(positions, [cash("100")], usd("97350")) == (positions, False)


def test_a_price_up_to_two_can_only_be_per_one_of_face():
    positions = [bond("985")]
    assert settle_bonds(positions, [cash("100")], None) == (positions, False)


@pytest.mark.parametrize("total", [None, usd("50000"), Money(amount=D(972), currency="CAD")])
def test_a_bond_nothing_decides_is_flagged_and_left(total):
    positions = [bond("97250")]
    assert settle_bonds(positions, [], total) == (positions, True)


def test_an_unpriced_position_does_not_keep_a_bond_undecided():
    (settled, _), undecided = settle_bonds([bond("97250"), held(None)], [], usd("972.50"))
    assert not undecided
    assert settled.market_value == D("972.5")


def test_bonds_and_sweep_are_settled_together():
    positions, undecided = settle_bonds([bond("97250"), FUND], [cash("2600")], usd("3572.5"))
    assert not undecided
    assert found([cash("2600")], positions, usd("3572.5")) == {"CUR:USD": D(100)}
