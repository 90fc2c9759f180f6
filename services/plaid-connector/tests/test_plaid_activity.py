"""An investment transaction has our signs and units, whatever way the institution writes it."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.accounts import AccountType, ProviderAccount
from contracts.transactions import Transaction, TransactionType
from plaid_connector import activity, instruments, kinds, wire

ACCOUNT = ProviderAccount(
    account_id="ours", external_id="a", name="n", type=AccountType.BROKERAGE, raw_type="r", currency="USD"
)
TYPES = {
    "buy": "buy;buy to cover;assignment;contribution;dividend reinvestment;interest reinvestment;"
    "long-term capital gain reinvestment;short-term capital gain reinvestment",
    "sell": "sell;sell short;distribution;exercise",
    "cash": "deposit;withdrawal;contribution;dividend;qualified dividend;non-qualified dividend;interest;"
    "long-term capital gain;short-term capital gain;unqualified gain;stock distribution;pending credit;pending debit;"
    "account fee;legal fee;management fee;margin expense;transfer fee;trust fee;tax;tax withheld;non-resident tax",
    "fee": "account fee;adjustment;dividend;interest;interest receivable;legal fee;long-term capital gain;"
    "short-term capital gain;management fee;margin expense;non-qualified dividend;qualified dividend;non-resident tax;"
    "return of principal;stock distribution;tax;tax withheld;transfer fee;trust fee;unqualified gain;"
    "miscellaneous fee;fund fee",
    "transfer": "adjustment;assignment;exercise;expire;merger;request;send;spin off;split;trade;transfer",
}
STOCK = {"type": "equity", "ticker_symbol": "ACME"}
OPTION = {"type": "derivative", "subtype": "option", "ticker_symbol": "ACME270115C00260000"}


def row(**members: Any) -> wire.InvestmentTransaction:
    body = {
        "investment_transaction_id": "t",
        "account_id": "a",
        "security_id": "s",
        "date": "2026-11-10",
        "name": "something",
        "quantity": Decimal(10),
        "amount": Decimal(100),
        "price": Decimal(10),
        "fees": None,
        "type": "buy",
        "subtype": "buy",
        "iso_currency_code": "USD",
    }
    return msgspec.convert(body | members, wire.InvestmentTransaction)


def neutral(security: dict[str, Any] | None = None, **members: Any) -> Transaction:
    given_row = row(**members)
    if given_row.security_id is None:
        return activity.transaction(given_row, ACCOUNT, "x", None)
    body = {"security_id": "s", "iso_currency_code": "USD"} | (STOCK if security is None else security)
    known = instruments.known(msgspec.json.encode(body))
    return activity.transaction(given_row, ACCOUNT, "x", known)


@pytest.mark.parametrize(
    ("kind", "subtype", "expected"),
    [
        ("buy", "buy", "BUY"),
        ("buy", "buy to cover", "BUY"),
        ("buy", "contribution", "BUY"),
        ("buy", "dividend reinvestment", "REI"),
        ("buy", "short-term capital gain reinvestment", "REI"),
        ("buy", "assignment", "OPTIONASSIGNMENT"),
        ("sell", "sell short", "SELL"),
        ("sell", "distribution", "SELL"),
        ("sell", "exercise", "OPTIONEXERCISE"),
        ("cash", "deposit", "CONTRIBUTION"),
        ("cash", "withdrawal", "WITHDRAWAL"),
        ("cash", "qualified dividend", "DIVIDEND"),
        ("cash", "stock distribution", "STOCK_DIVIDEND"),
        ("cash", "margin expense", "FEE"),
        ("cash", "tax withheld", "TAX"),
        ("fee", "dividend", "DIVIDEND"),
        ("fee", "return of principal", "RETURN_OF_CAPITAL"),
        ("fee", "unqualified gain", "CAPITAL_GAIN"),
        ("transfer", "expire", "OPTIONEXPIRATION"),
        ("transfer", "spin off", "SPINOFF"),
        ("transfer", "merger", "STOCK_MERGER"),
        ("transfer", "split", "SPLIT"),
        ("transfer", "adjustment", "ADJUSTMENT"),
        ("transfer", "transfer", "TRANSFER"),
        ("fee", "a fee of next year", "FEE"),
        ("cash", "a word of next year", "OTHER"),
        ("a type of next year", "buy", "BUY"),
        (None, None, "OTHER"),
    ],
)
def test_plaids_words_become_ours_and_stay_beside_them(kind, subtype, expected):
    told = neutral(type=kind, subtype=subtype)
    assert told.type == expected
    assert told.raw_type == f"{kind or ''}/{subtype or ''}"


def test_no_documented_word_is_unknown():
    for kind, words in TYPES.items():
        for subtype in words.split(";"):
            assert kinds.kind(kind, subtype, traded=True, quantity=Decimal(1)) is not TransactionType.OTHER


def test_a_contribution_without_a_security_is_money_that_came():
    told = neutral(security_id=None, type="buy", subtype="contribution", quantity=0, amount=Decimal(-50))
    assert (told.type, told.amount, told.quantity, told.instrument) == ("CONTRIBUTION", 50, None, None)


def test_cash_is_positive_when_it_comes_in_and_fees_stay_beside_it():
    bought = neutral(amount=Decimal("1500.25"), fees=Decimal("7.99"))
    assert (bought.amount, bought.fee, bought.quantity, bought.price) == (
        Decimal("-1500.25"),
        Decimal("7.99"),
        10,
        10,
    )
    paid = neutral(type="cash", subtype="dividend", amount=Decimal("-37.5"), quantity=0, price=0)
    assert (paid.amount, paid.fee, paid.quantity, paid.price) == (Decimal("37.5"), None, None, None)
    nothing = neutral(type="transfer", subtype="transfer", amount=Decimal(0))
    assert str(nothing.amount) == "0"


@pytest.mark.parametrize("quantity", [10, -10])
def test_a_sell_lessens_the_position_whatever_its_sign(quantity):
    assert neutral(type="sell", subtype="sell", quantity=quantity).quantity == -10
    assert neutral(type="sell", subtype="sell short", quantity=quantity).quantity == -10
    assert neutral(type="buy", subtype="buy to cover", quantity=quantity).quantity == 10
    assert neutral(type="transfer", subtype="transfer", quantity=quantity).quantity == quantity


def test_the_shares_a_dividend_is_paid_on_move_nothing():
    told = neutral(type="cash", subtype="dividend", quantity=100, amount=Decimal(-25), price=Decimal("0.25"))
    assert (told.quantity, told.price, told.amount) == (None, None, 25)


@pytest.mark.parametrize(
    ("quantity", "price", "amount", "contracts"),
    [
        ("200", "2.5", "500", "2"),
        ("2", "2.5", "500", "2"),
        ("-200", "2.5", "-500", "-2"),
        ("200", "0", "0", "2"),
    ],
)
def test_options_are_counted_in_contracts(quantity, price, amount, contracts):
    kind = "sell" if quantity.startswith("-") else "buy"
    told = neutral(
        OPTION,
        type=kind,
        subtype=kind,
        quantity=Decimal(quantity),
        price=Decimal(price),
        amount=Decimal(amount),
    )
    assert told.quantity == Decimal(contracts)
    assert told.price == Decimal(price)
    assert told.instrument.key == "ACME270115C00260000"


def test_an_option_says_whether_it_opens_or_closes_where_plaid_does():
    assert neutral(OPTION, type="sell", subtype="sell short").option_action == "SELL_TO_OPEN"
    assert neutral(OPTION, type="buy", subtype="buy to cover").option_action == "BUY_TO_CLOSE"
    assert neutral(OPTION).option_action is None
    assert neutral(type="sell", subtype="sell short").option_action is None


def test_pence_become_pounds():
    told = neutral(
        amount=Decimal(7500),
        price=Decimal(75),
        quantity=Decimal(100),
        fees=Decimal(100),
        iso_currency_code=None,
        unofficial_currency_code="GBX",
    )
    assert (told.currency, told.amount, told.price, told.fee) == ("GBP", -75, Decimal("0.75"), 1)


def test_cash_that_is_a_security_is_money_and_no_instrument():
    cash = {"type": "cash", "subtype": "cash", "ticker_symbol": "CUR:USD"}
    told = neutral(cash, type="cash", subtype="deposit", quantity=500, price=1, amount=Decimal(-500))
    assert (told.instrument, told.quantity, told.amount) == (None, None, 500)


def test_days_and_times_are_kept_apart():
    told = neutral(date="2026-11-04", transaction_datetime="2026-11-03T15:04:05Z")
    assert told.booked_on == told.settlement_date == date(2026, 11, 4)
    assert told.traded_at == datetime(2026, 11, 3, 15, 4, 5, tzinfo=UTC)
    assert neutral().traded_at is None


def test_announced_money_is_pending():
    assert neutral(security_id=None, type="cash", subtype="pending credit", quantity=0).pending
    assert not neutral().pending


def test_a_cancellation_that_names_its_row_has_no_effect_of_its_own():
    named = neutral(type="cancel", subtype="cancel", cancel_transaction_id="t-1", fees=Decimal(1))
    assert (named.type, named.amount, named.quantity, named.fee) == ("CANCEL", None, None, None)
    silent = neutral(type="cancel", subtype="cancel", amount=Decimal(-100))
    assert (silent.type, silent.amount) == ("CANCEL", 100)
    assert activity.cancels(row(type="buy", cancel_transaction_id="t-1")) is None


@pytest.mark.parametrize(
    "members", [{"date": "soon"}, {"amount": Decimal("1e30")}, {"quantity": Decimal("1e40")}]
)
def test_what_cannot_be_read_is_an_error(members):
    with pytest.raises(ValueError):
        neutral(**members)


def nameless(count: int, **members: Any) -> list[wire.InvestmentTransaction]:
    return [row(investment_transaction_id=None, **members) for _ in range(count)]


def test_rows_without_an_id_are_known_by_content_and_numbered():
    names, tally = activity.identities([*nameless(3), *nameless(1, price=Decimal(11))], {})
    assert len(set(names)) == 4
    assert [name.rsplit(":", 1)[1] for name in names] == ["1", "2", "3", "1"]
    assert sorted(tally.values()) == [1, 3]


def test_a_number_written_differently_is_the_same_content():
    first = row(investment_transaction_id=None, price=Decimal("10.0"), quantity=Decimal("1E+1"))
    assert activity.key(first) == activity.key(row(investment_transaction_id=None))


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.booleans()), max_size=30), st.integers(1, 7)
)
def test_numbering_does_not_depend_on_where_pages_are_cut(rows, size):
    given_rows = [
        row(
            investment_transaction_id=str(n) if has_id else None,
            date=f"2026-11-{30 - day}",
            price=Decimal(price),
        )
        for n, (day, price, has_id) in enumerate(sorted(rows))
    ]
    whole, _ = activity.identities(given_rows, {})
    cut: list[str] = []
    tally: dict[str, int] = {}
    for start in range(0, len(given_rows), size):
        names, tally = activity.identities(given_rows[start : start + size], tally)
        cut += names
    assert cut == whole
    assert len(set(whole)) == len(whole)
