"""Positions become holdings: exact figures, every kind, nothing lost and nothing invented."""

import json
from decimal import Decimal, localcontext
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.instruments import InstrumentKind
from contracts.money import amount
from snaptrade_connector import wire
from snaptrade_connector.instruments import instrument
from snaptrade_connector.positions import GAP_NUMBER, GAP_QUANTITY, Rows, holdings

from .conftest import shared

D = Decimal

STOCK = {
    "kind": "stock",
    "id": "i-1",
    "symbol": "AAPL",
    "raw_symbol": "AAPL",
    "currency": "USD",
    "exchange": "XNAS",
    "figi_instrument": {"figi_code": "BBG000B9XRY4", "figi_share_class": "BBG001S5N8V8"},
}


def rows_of(*rows: dict[str, Any], account: str = "USD") -> Rows:
    body = msgspec.json.encode({"results": list(rows)})
    return holdings(msgspec.json.decode(body, type=wire.Positions).results, account)


def row(instrument: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    base = {"units": "1", "price": "1", "cost_basis": "1", "currency": "USD"}
    return base | {"instrument": STOCK if instrument is None else instrument} | members


def only(*rows: dict[str, Any]):
    (holding,) = rows_of(*rows).holdings
    return holding


def figures(result: Rows) -> list[tuple[Any, ...]]:
    return [
        (h.instrument.key, h.instrument.kind, h.quantity, h.currency, h.price, h.market_value, h.cost_basis)
        for h in result.holdings
    ]


def example(name: str) -> Rows:
    examples = json.loads(shared("snaptrade-examples.json").read_text(encoding="utf-8"))
    body = json.dumps(examples[f"GET /accounts/{{accountId}}/positions/all {name}"])
    return holdings(msgspec.json.decode(body, type=wire.Positions).results, "USD")


def test_the_reference_example_gives_exact_figures():
    result = example("200")
    kind = InstrumentKind
    assert figures(result) == [
        ("ACMX", kind.STOCK, D("10.5"), "USD", D("41.30"), D("433.650"), D("419.0025")),
        ("EXI.TO", kind.ETF, D(-20), "CAD", D("30.10"), D("-602.00"), D("-620.00")),
        ("XADR", kind.ADR, D(3), "USD", None, None, None),
        ("MMKTX", kind.MONEY_MARKET, D("250.00"), "USD", D(1), D("250.00"), D("250.00")),
        ("XCEF", kind.CLOSED_END_FUND, D(5), "USD", D("12.00"), D("60.00"), D("55.50")),
        ("CRYPTO:BTC", kind.CRYPTO, D("0.0125"), "USD", D("60000.10"), D("750.00125"), None),
        ("ESZ26", kind.FUTURE, D(-1), "USD", D("5900.25"), D("-295012.5"), D(-294500)),
        ("ACMX261218C00050000", kind.OPTION, D(-2), "USD", D("1.30"), D(-260), D(-220)),
        (
            "snaptrade:00000000-0000-4000-8000-00000000a008",
            kind.CFD,
            D(4),
            "USD",
            D("41.30"),
            D("165.20"),
            D(160),
        ),
    ]
    assert result.gaps == {GAP_QUANTITY}


def test_the_newer_kinds_give_exact_figures():
    result = example("200 (kinds of SDK 13.0.49)")
    kind = InstrumentKind
    assert figures(result) == [
        ("XBOND 4.5 2030", kind.BOND, D(1000), "USD", D("0.985"), D(985), D(970)),
        (
            "snaptrade:00000000-0000-4000-8000-00000000a00b",
            kind.FUTURE_OPTION,
            D(1),
            "USD",
            D("12.50"),
            D(625),
            D(500),
        ),
        (
            "snaptrade:00000000-0000-4000-8000-00000000a00c",
            kind.TOKENIZED_ASSET,
            D(2),
            "USD",
            D("41.30"),
            D("82.60"),
            D(82),
        ),
    ]
    assert result.holdings[2].cash_equivalent
    assert not result.gaps


def test_an_option_keeps_its_terms_and_counts_contracts():
    held = example("200").holdings[7]
    assert held.instrument.multiplier == 100
    terms = held.instrument.option
    assert terms is not None
    assert (terms.right, terms.strike, str(terms.expires), terms.underlying) == (
        "call",
        D(50),
        "2026-12-18",
        "ACMX",
    )


def test_an_instrument_keeps_every_identifier():
    found = only(row()).instrument
    assert (found.figi, found.figi_share_class, found.mic, found.provider_security_id) == (
        "BBG000B9XRY4",
        "BBG001S5N8V8",
        "XNAS",
        "i-1",
    )


def test_rows_of_one_instrument_are_summed():
    held = only(row(units="12", price="10", cost_basis="8"), row(units="5", price="10.5", cost_basis="9.00"))
    assert (held.quantity, held.market_value, held.cost_basis) == (D(17), D("172.5"), D(141))
    assert held.price == D(10)


def test_a_cost_that_one_row_lacks_is_unknown_for_the_sum():
    held = only(row(units="12", cost_basis=None), row(units="5", cost_basis="9"))
    assert held.cost_basis is None
    assert held.market_value == D(17)


def test_rows_in_two_currencies_stay_apart():
    assert len(rows_of(row(), row(currency="CAD")).holdings) == 2


@pytest.mark.parametrize("code", ["GBX", "GBp"])
def test_pence_become_pounds(code):
    held = only(row(units="4000", price="92.40", cost_basis="88.15", currency=code))
    assert (held.currency, held.price, held.market_value, held.cost_basis) == (
        "GBP",
        D("0.924"),
        D(3696),
        D(3526),
    )


def test_a_row_without_currency_takes_its_instruments_in_that_ones_unit():
    held = only(row(STOCK | {"currency": "GBX"}, price="92.40", currency=None))
    assert (held.currency, held.price) == ("GBP", D("0.924"))
    assert held.instrument.currency == "GBP"


def test_a_row_without_any_currency_is_unpriced():
    held = only(row(STOCK | {"currency": None}, price="92.40", currency=None))
    assert (held.currency, held.price, held.market_value, held.cost_basis) == ("USD", None, None, None)


def test_an_unknown_multiplier_leaves_the_value_unknown():
    future = {"kind": "future", "id": "f", "symbol": "ESZ26", "multiplier": None}
    held = only(row(future, units="-1", price="5900.25"))
    assert (held.quantity, held.price, held.market_value, held.cost_basis) == (-1, D("5900.25"), None, None)


@pytest.mark.parametrize("multiplier", ["0", "-100", "NaN", "Infinity", "1E+900000"])
def test_a_multiplier_that_makes_no_sense_is_unknown(multiplier):
    option = {"kind": "option", "id": "o", "symbol": "ACMX  261218C00050000", "multiplier": multiplier}
    assert only(row(option)).market_value is None


def test_a_position_of_nothing_is_not_held_and_not_a_gap():
    assert rows_of(row(units="0"), row(units="-0.00")) == Rows([], frozenset())


@pytest.mark.parametrize("units", ["NaN", "sNaN", "Infinity", "1E+20", "1e999999999", "abc", ""])
def test_units_that_are_no_quantity_are_a_gap(units):
    assert rows_of(row(units=units), row()) == Rows(rows_of(row()).holdings, frozenset({GAP_NUMBER}))


@pytest.mark.parametrize("member", ["price", "cost_basis"])
def test_a_price_that_is_no_number_is_a_gap(member):
    assert rows_of(row(**{member: "NaN"})).gaps == {GAP_NUMBER}


def test_a_value_too_large_to_keep_is_a_gap():
    assert rows_of(row(units="9" * 19, price="9" * 19)).gaps == {GAP_NUMBER}


def test_a_number_in_exponent_form_is_rounded_like_any_other():
    held = only(row(units="1E-9", price="1E-9"))
    assert held.market_value == 0
    assert held.quantity == D("1E-9")


@pytest.mark.parametrize("kind", ["perpetual", "", "STOCK", "structured_note"])
def test_a_kind_nobody_knows_reads_as_other(kind):
    assert only(row(STOCK | {"kind": kind})).instrument.kind is InstrumentKind.OTHER


@pytest.mark.parametrize(
    ("shape", "key"),
    [
        ({"symbol": "BRK-B"}, "BRK.B"),
        ({"symbol": "RY.TO"}, "RY.TO"),
        ({"symbol": "\u0410APL"}, "FIGI:BBG000B9XRY4"),  # a Cyrillic letter
        ({"symbol": "???", "figi_instrument": None}, "snaptrade:i-1"),
        ({"symbol": None, "raw_symbol": None, "figi_instrument": None}, "snaptrade:i-1"),
        ({"kind": "crypto", "symbol": "XXBT"}, "CRYPTO:BTC"),
        ({"kind": "crypto", "symbol": "ETH-USD"}, "CRYPTO:ETH"),
        ({"kind": "crypto", "symbol": "\uff22\uff34\uff23"}, "snaptrade:i-1"),
        ({"kind": "bond", "symbol": "91282ZZZ4", "figi_instrument": None}, "CUSIP:91282ZZZ4"),
        ({"kind": "bond", "symbol": "US91282ZZZ44", "figi_instrument": None}, "ISIN:US91282ZZZ44"),
        ({"kind": "bond", "symbol": "91282ZZZ4"}, "FIGI:BBG000B9XRY4"),
        ({"kind": "stock", "symbol": "912828124"}, "912828124"),
        ({"kind": "option", "symbol": "ACMX261218C00050000"}, "ACMX261218C00050000"),
        ({"kind": "option", "symbol": "weird"}, "snaptrade:i-1"),
        (
            {
                "kind": "option",
                "symbol": "-ACMX 50C",
                "option_type": "PUT",
                "strike_price": "50.5",
                "expiration_date": "2026-12-18",
                "underlying": {"raw_symbol": "ACMX", "symbol": "ACMX"},
            },
            "ACMX261218P00050500",
        ),
    ],
)
def test_an_instrument_is_keyed_by_the_strongest_thing_it_is_known_by(shape, key):
    assert instrument(msgspec.json.encode(STOCK | shape)).key == key


def test_the_same_instrument_is_decoded_once():
    raw = msgspec.json.encode(STOCK | {"id": "seen-once"})
    assert instrument(raw) is instrument(bytes(bytearray(raw)))


numbers = st.none() | st.decimals(-(10**12), 10**12, places=12).map(lambda value: f"{value:f}")
kinds = st.sampled_from(
    [*sorted({"stock", "etf", "mutualfund", "bond", "crypto", "option", "future", "cfd"}), "new-kind"]
)
currencies = st.sampled_from(["USD", "CAD", "GBX", "GBp", "usd", None, "EURC"])


@st.composite
def wire_rows(draw):
    symbol = draw(
        st.sampled_from(["AAPL", "MSFT", "VOD.L", "ACMX  261218C00050000", None]) | st.text(max_size=12)
    )
    extra = draw(
        st.dictionaries(st.sampled_from(["new", "tax_lots", "x"]), st.none() | st.integers() | st.text())
    )
    shape = {
        "kind": draw(kinds),
        "id": draw(st.sampled_from(["a", "b"])),
        "symbol": symbol,
        "currency": draw(currencies),
        "multiplier": draw(st.none() | st.just("100")),
    }
    return extra | {
        "instrument": shape | extra,
        "units": draw(numbers),
        "price": draw(numbers),
        "cost_basis": draw(numbers),
        "currency": draw(currencies),
        "cash_equivalent": draw(st.sampled_from([True, False, None])),
    }


def _expected(given_row: dict[str, Any], each: str) -> D | None:
    """What a row is worth, or cost, by the documented arithmetic, spelled out independently."""
    code = given_row["currency"] or given_row["instrument"]["currency"]
    derivative = given_row["instrument"]["kind"] in {"option", "future"}
    multiplier = given_row["instrument"]["multiplier"] if derivative else "1"
    if given_row[each] is None or code is None or multiplier is None:
        return None
    hundredth = D("0.01") if code in {"GBX", "GBp"} else D(1)
    return amount(D(given_row[each]) * hundredth * D(given_row["units"]) * D(multiplier))


@given(st.lists(wire_rows(), max_size=8))
def test_quantities_and_known_values_are_conserved(given_rows):
    result = rows_of(*given_rows)
    with localcontext(prec=100):
        kept = [r for r in given_rows if r["units"] is not None and D(r["units"])]
        try:
            values, _ = ([_expected(r, each) for r in kept] for each in ("price", "cost_basis"))
        except ValueError:
            # A figure is beyond what an amount can be: such a row is left out with a gap.
            assert GAP_NUMBER in result.gaps
            return
        assert sum((h.quantity for h in result.holdings), D(0)) == sum((D(r["units"]) for r in kept), D(0))
        if None not in values:
            assert sum((h.market_value for h in result.holdings), D(0)) == sum(values, D(0))
        assert (GAP_QUANTITY in result.gaps) == any(r["units"] is None for r in given_rows)
    assert len({(h.instrument.key, h.currency) for h in result.holdings}) == len(result.holdings)
    for h in result.holdings:
        assert all(v is None or isinstance(v, D) for v in (h.quantity, h.price, h.market_value, h.cost_basis))


@given(st.lists(wire_rows(), max_size=6), st.randoms())
def test_the_order_of_rows_changes_no_sum(given_rows, chance):
    shuffled = list(given_rows)
    chance.shuffle(shuffled)

    def sums(result: Rows):
        return {
            (h.instrument.key, h.currency): (h.quantity, h.market_value, h.cost_basis)
            for h in result.holdings
        }

    assert sums(rows_of(*given_rows)) == sums(rows_of(*shuffled))


@given(
    st.text(alphabet="0123456789.", min_size=1, max_size=9),
    st.text(alphabet="0123456789.", min_size=1, max_size=12),
)
def test_the_short_cut_for_short_numbers_never_changes_a_value(units, price):
    try:
        expected = amount(D(units) * D(price))
    except (ArithmeticError, ValueError):
        return
    if D(units):
        assert only(row(units=units, price=price)).market_value == expected
        assert str(only(row(units=units, price=price)).market_value) == str(expected)
