"""One instrument has one key, however a provider spells it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.instruments import crypto_key, occ_symbol, security_key, ticker
from contracts.money import InexactNumberError, amount, product, quantity


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("ACMX  261218C00050000", "ACMX261218C00050000"),
        ("ACMX261218C00050000", "ACMX261218C00050000"),
        ("brk.b 270115p00400000", "BRK.B270115P00400000"),
        ("AAPL", None),
        ("ACMX 2612C00050000", None),
    ],
)
def test_occ_symbols_lose_their_padding(text: str, key: str | None) -> None:
    assert occ_symbol(text) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (" aapl ", "AAPL"),
        ("BRK-B", "BRK.B"),
        ("BRK/B", "BRK.B"),
        ("RY.TO", "RY.TO"),
        ("\uff21\uff21\uff30\uff2c", None),
        ("A\u0420PL", None),
        ("AAPL\x00", None),
        ("\u202eLPAA", None),
        ("", None),
        (None, None),
    ],
)
def test_tickers_are_canonical_and_look_alikes_are_refused(text: str | None, key: str | None) -> None:
    assert ticker(text) == key


def test_the_strongest_identifier_names_a_security_without_a_ticker() -> None:
    def key(**known: str | None) -> str:
        given_: dict[str, str | None] = {"symbol": None, "figi": None, "isin": None, "cusip": None} | known
        return security_key(**given_, provider="plaid", security_id="s1")

    assert key(symbol="VTI", figi="BBG1") == "VTI"
    assert key(figi="bbg1", isin="US1") == "FIGI:BBG1"
    assert key(isin="us1", cusip="1") == "ISIN:US1"
    assert key(cusip="1") == "CUSIP:1"
    assert key() == "plaid:s1"


@pytest.mark.parametrize("spelling", ["BTC", "btc", "XBT", "XXBT", "CUR:BTC", "BTC-USD"])
def test_venues_spell_bitcoin_differently_but_it_is_one_asset(spelling: str) -> None:
    assert crypto_key(spelling) == "CRYPTO:BTC"


@given(st.decimals())
def test_a_number_is_either_stored_exactly_or_refused(value: Decimal) -> None:
    for rule, places in ((amount, 10), (quantity, 18)):
        try:
            kept = rule(value)
        except InexactNumberError:
            continue
        assert kept.is_finite()
        assert -int(kept.as_tuple().exponent) <= places
        assert rule(kept) is kept


def test_products_are_exact_before_they_are_rounded() -> None:
    assert product(Decimal("0.1"), Decimal("0.2"), Decimal(100)) == Decimal(2)
    assert product(Decimal("123456789.123456789"), Decimal("0.000000001")) == Decimal("0.1234567891")


@pytest.mark.parametrize("alike", ["M\u017fFT", "\ufb01X", "AAPL\u066270115C00260000"])
def test_a_look_alike_never_becomes_the_real_one(alike: str) -> None:
    assert ticker(alike) is None
    assert occ_symbol(alike) is None
