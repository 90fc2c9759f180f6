"""What control wrote into histories outlives the process, to the letter."""

from datetime import UTC, date, datetime
from decimal import Decimal

from pydantic import TypeAdapter

from provider_sandbox.plaid import picture
from provider_sandbox.plaid.books import Books, Payment, Trade, made_index
from provider_sandbox.plaid.config import PlaidConfig
from provider_sandbox.plaid.face import PlaidFace
from provider_sandbox.plaid.picture import PlaidPicture
from provider_sandbox.state import State


def face() -> PlaidFace:
    made = PlaidFace(State(), PlaidConfig("id", "secret"))
    made.state.faces["plaid"] = made
    return made


def test_books_are_put_back_as_they_were():
    before, after = face(), face()
    accounts = before.state.world.accounts
    invested = next(account for account in accounts.values() if account.family == "investment")
    bank = next(account for account in accounts.values() if account.family == "deposit")
    trade = Trade(
        name="t",
        on=date(2026, 11, 3),
        text="T",
        type="buy",
        subtype="buy",
        quantity=Decimal("1.50"),
        amount=Decimal(3),
        price=Decimal(2),
        currency="USD",
        at=datetime(2026, 11, 2, tzinfo=UTC),
        security="AAPL",
    )
    before.books.of(invested).trades["t"] = trade
    before.books.of(invested).struck.add(3)
    payment = Payment("p", date(2026, 11, 4), "P", Decimal("1.10"), pending=True)
    before.books.record(bank, "added", "p", payment)
    before.books.resize(bank, bank.activities + 2)
    adapter = TypeAdapter(PlaidPicture)
    picture.put_back(after, adapter.validate_json(adapter.dump_json(picture.take(before))))

    assert after.books == before.books
    assert [one.name for one in after.books.payments(bank)] == ["p"]


def test_a_picture_of_an_earlier_version_has_no_books_and_is_read():
    before, after = face(), face()
    adapter = TypeAdapter(PlaidPicture)
    old = adapter.dump_python(picture.take(before), mode="json")
    del old["books"]
    picture.put_back(after, adapter.validate_python(old))

    assert after.books == Books(after.today())


def test_made_up_rows_have_names():
    assert [made_index(name) for name in ("#0", "#12", "12", "#", "#x", "p")] == [
        0,
        12,
        None,
        None,
        None,
        None,
    ]
