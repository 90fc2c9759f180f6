"""The world both faces tell of: consistent, deterministic, changeable without leaking."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_sandbox.data.securities import figi
from provider_sandbox.world import Holding, World

QUANTITIES = st.decimals(min_value=-10_000, max_value=10_000, places=4)


def test_two_worlds_are_equal_and_share_nothing():
    one, other = World.fresh(), World.fresh()
    assert one == other
    one.set_holding("schwab-demo", Holding("AAPL", Decimal(1), None))
    one.set_price("AAPL", None)
    assert other == World.fresh()
    assert one != other


def test_every_reference_resolves_and_every_total_can_be_computed():
    world = World.fresh()
    for account in world.accounts.values():
        assert account.institution in world.institutions
        assert all(holding.security_key in world.securities for holding in account.holdings)
        world.total(account)
    for login in world.logins.values():
        assert all(world.accounts[key].institution == login.institution for key in login.accounts)
    for security in world.securities.values():
        for key in (security.underlying, security.option.underlying if security.option else None):
            assert key is None or key in world.securities


def test_value_knows_contracts_face_amounts_and_pence():
    world = World.fresh()
    values = {
        Holding("AAPL280121C00250000", Decimal(2), None): Decimal(10460),
        Holding("UST-4.25-2034", Decimal(10000), None): Decimal(9850),
        Holding("ACME-5.10-2031", Decimal(25000), None): Decimal("24312.50"),
        Holding("VOD", Decimal(4000), None): Decimal(3696),
        Holding("GME", Decimal(-75), None): Decimal("-1672.5"),
        Holding("ES-Z28", Decimal(1), None): Decimal("345262.50"),
    }
    assert {holding: world.value(holding) for holding in values} == values
    assert world.value(Holding("PHNTM", Decimal(5), None)) is None


@given(QUANTITIES)
def test_the_total_moves_by_exactly_the_value_that_was_added(quantity):
    world = World.fresh()
    before = world.total(world.accounts["schwab-demo"])
    holding = Holding("JPM", quantity, None)
    world.set_holding("schwab-demo", holding)
    assert world.total(world.accounts["schwab-demo"]) - before == world.value(holding)
    world.remove_holding("schwab-demo", "JPM")
    assert world.total(world.accounts["schwab-demo"]) == before


def test_changing_a_holding_keeps_its_place_and_raises_the_version():
    world = World.fresh()
    order = [holding.security_key for holding in world.accounts["schwab-demo"].holdings]
    version = world.version
    world.set_holding("schwab-demo", Holding("MSFT", Decimal(1), None))
    assert [holding.security_key for holding in world.accounts["schwab-demo"].holdings] == order
    assert world.version > version


def test_a_margin_loan_is_what_the_account_owes():
    world = World.fresh()
    assert world.margin_loan(world.accounts["ibkr-margo"]) == Decimal("4200.50")
    assert world.margin_loan(world.accounts["schwab-demo"]) == 0


@pytest.mark.parametrize(("username", "accounts", "holdings"), [("bench-7", 1, 7), ("bench-3x11", 3, 11)])
def test_benchmark_logins_are_made_on_first_use_and_stay_the_same(username, accounts, holdings):
    one, other = World.fresh(), World.fresh()
    login = one.login(username, "chase")
    assert login == other.login(username, "chase") == one.login(username, "chase")
    assert len(login.accounts) == accounts
    assert {len(one.accounts[key].holdings) for key in login.accounts} == {holdings}
    assert one.login(username, "no-such-bank") is None
    assert one.login("bench-", "chase") is None


@pytest.mark.parametrize(
    ("today", "expected"),
    [(date(2026, 11, 23), date(2026, 11, 20)), (date(2026, 11, 25), date(2026, 11, 24))],
)
def test_prices_are_of_the_last_weekday(today, expected):
    assert World.fresh().securities["AAPL"].price_as_of(today) == expected


@given(st.text(max_size=12))
def test_invented_figis_are_well_formed(key):
    code = figi(key)
    assert len(code) == 12
    assert code.startswith("BBG")
    doubled = [int(char, 36) * (2 if index % 2 else 1) for index, char in enumerate(code[:11])]
    assert (sum(int(digit) for value in doubled for digit in str(value)) + int(code[11])) % 10 == 0
