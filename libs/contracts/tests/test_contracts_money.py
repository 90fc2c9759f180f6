"""Exact numbers: the fast answer for short numbers is the same as the slow one."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.money import InexactNumberError, amount, product, quantity

WIDE = Context(prec=120, rounding=ROUND_HALF_EVEN)
texts = st.builds(
    lambda sign, digits, exponent: f"{sign}{digits}E{exponent}",
    st.sampled_from(["", "-"]),
    st.integers(0, 10**22),
    st.integers(-30, 6),
)


def _expected(value: Decimal, places: int, digits: int) -> Decimal | None:
    if value and value.adjusted() >= digits:
        return None
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    return value.quantize(Decimal(1).scaleb(-places), context=WIDE) if exponent < -places else value


@pytest.mark.parametrize(("rule", "places", "digits"), [(amount, 10, 18), (quantity, 18, 20)])
@given(text=texts)
def test_a_number_is_rounded_only_when_it_has_too_many_places(rule, places, digits, text):
    value = Decimal(text)
    expected = _expected(value, places, digits)
    if expected is None:
        with pytest.raises(InexactNumberError):
            rule(value)
    else:
        assert str(rule(value)) == str(expected)
        if str(expected) == str(value):
            assert rule(value) is value


@pytest.mark.parametrize("rule", [amount, quantity])
@pytest.mark.parametrize("text", ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "1E+20", "1E+999999"])
def test_what_is_no_number_or_too_large_is_refused(rule, text):
    with pytest.raises(InexactNumberError):
        rule(Decimal(text))


@pytest.mark.parametrize(
    ("text", "rounded"),
    [
        ("0.00000000005", "0E-10"),
        ("0.00000000015", "2E-10"),
        ("1E-11", "0E-10"),
        ("-0", "-0"),
        ("1E+5", "1E+5"),
        ("12345678901.1234567891", "12345678901.1234567891"),
        ("1.00000000000", "1.0000000000"),
    ],
)
def test_amounts_are_rounded_half_to_even_at_ten_places(text, rounded):
    assert str(amount(Decimal(text))) == rounded


@given(st.decimals(-(10**8), 10**8, places=8), st.decimals(-(10**8), 10**8, places=8))
def test_a_product_is_exact_before_it_is_rounded_once(first, second):
    exact = WIDE.multiply(first, second)
    assert product(first, second) == exact.quantize(Decimal(1).scaleb(-10), context=WIDE)
