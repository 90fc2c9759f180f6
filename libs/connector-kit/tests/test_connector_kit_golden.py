"""The golden files are what they say: four ways to write each case, every number exact."""

from decimal import Decimal

import pytest

from connector_kit.golden import Case, accounts, body, exact, facts, positions
from contracts.holdings import Holding
from contracts.instruments import Instrument, InstrumentKind

PROVIDERS = ("snaptrade", "plaid")
ONE_PROVIDER = {"a bond whose price does not explain its value"}


@pytest.mark.parametrize("case", positions(), ids=str)
def test_every_position_is_written_in_four_ways_by_two_providers(case: Case):
    if case.name not in ONE_PROVIDER:
        assert len(case.encodings) >= 4
        assert all(case.of(provider) for provider in PROVIDERS)
    assert len({(one.provider, one.name) for one in case.encodings}) == len(case.encodings)


@pytest.mark.parametrize("case", accounts(), ids=str)
def test_every_account_is_written_by_both_providers_and_its_own_sum_is_right(case: Case):
    assert all(case.of(provider) for provider in PROVIDERS)
    rates = {name: Decimal(rate) for name, rate in case.truth.get("rates", {}).items()}
    # In a case with rates the currency of a listed share is not in its key; the suite sums those.
    if not rates:
        worth = sum((Decimal(one) for one in case.truth["worth"].values() if one is not None), Decimal(0))
        assert worth - Decimal(case.truth["total"]) == Decimal(case.truth["difference"])


def test_no_number_of_a_golden_file_is_a_float():
    def floats(value):
        if isinstance(value, dict):
            return any(floats(one) for one in value.values())
        if isinstance(value, list):
            return any(floats(one) for one in value)
        return isinstance(value, float)

    for case in [*positions(), *accounts()]:
        assert not floats(case.truth)
        assert not any(floats(one.parts) for one in case.encodings)


def test_a_body_has_the_digits_of_its_decimals():
    assert body({"a": Decimal("268.50"), "b": [Decimal("1E+2")]}) == b'{"a":268.50,"b":[1E+2]}'


def test_the_facts_of_a_holding_are_those_a_golden_position_states():
    held = Holding(
        instrument=Instrument(key="AAPL", kind=InstrumentKind.STOCK), quantity=Decimal(1), currency="USD"
    )
    stated = facts(held)
    for case in positions():
        assert case.truth["position"].keys() <= stated.keys()
    assert (exact("price", "1.50"), exact("price", None), exact("key", "1")) == (Decimal("1.5"), None, "1")
