"""Transactions, their totals and their marks for a journal."""

from datetime import date
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from gateway.schemas.values import (
    Currency,
    Cursor,
    Id,
    Instrument,
    Number,
    Provider,
    Shown,
    Slug,
    Taken,
    Time,
)

Day = Annotated[date, Field(examples=["2026-11-20"])]
Text = r"^[^\x00]*$"
MOST_AT_ONCE = 500


class Journal(Shown):
    """What the user's journal has made of a transaction."""

    synced_to_journal: bool
    journal_trade_id: str | None
    sync_notes: str | None
    updated_at: Annotated[Time | None, Field(description="When it was last marked; null for never.")]


class Transaction(Shown):
    """One activity of an account."""

    id: Id
    account_id: Id
    connection_id: Id
    provider: Provider
    institution: Slug
    real_account_id: Id | None
    counted: Annotated[bool, Field(description="Whether its account is the counted source of the real one.")]
    type: Annotated[str | None, Field(examples=["BUY"], description="Normalized; `OTHER` where none fits.")]
    raw_type: Annotated[str | None, Field(description="The provider's own word.")]
    description: str | None
    instrument: Instrument | None
    currency: Currency | None
    amount: Annotated[Number | None, Field(description="The cash effect; positive is cash in.")]
    quantity: Annotated[
        Number | None, Field(description="Positive where the position grows; options in contracts.")
    ]
    price: Annotated[Number | None, Field(description="Per share.")]
    fee: Number | None
    booked_on: Annotated[Day | None, Field(description="The day by which it is filed and listed.")]
    traded_at: Time | None
    settlement_date: Day | None
    pending: Annotated[bool, Field(description="Not final yet; the posted one takes its place.")]
    option_action: Annotated[str | None, Field(examples=["BUY_TO_OPEN"])]
    fx_rate: Number | None
    broker_reference: Annotated[str | None, Field(description="The broker's own id of it.")]
    first_seen_at: Time
    journal: Journal


class TransactionTotal(Shown):
    """Sums in one currency; not whole unless `complete`: some amount is unknown."""

    currency: Currency | None
    count: int
    amount: Number
    fees: Number
    complete: bool


class TransactionTotals(Shown):
    """Sums over every transaction of the filter, all pages of them."""

    count: int
    pending: int
    currencies: list[TransactionTotal]


Totals = Annotated[
    TransactionTotals | None,
    Field(description="Over the whole filter; on the first page, null on the others."),
]


class TransactionPage(Shown):
    """A page of transactions."""

    totals: Totals
    items: list[Transaction]
    next_cursor: Cursor


class Coverage(Shown):
    """The days that are known whole, both included; null where nothing is known."""

    # the word is a keyword of Python, not of the wire
    from_: Annotated[Day | None, Field(alias="from")]
    through: Day | None


class AccountActivities(Shown):
    """A page of what one account did."""

    account_id: Id
    coverage: Coverage
    totals: Totals
    items: list[Transaction]
    next_cursor: Cursor


class JournalMark(Taken):
    """How to mark; what is left out stays as it is, and null empties a text."""

    synced_to_journal: bool | None = None
    journal_trade_id: Annotated[str | None, Field(max_length=200, pattern=Text)] = None
    sync_notes: Annotated[str | None, Field(max_length=2000, pattern=Text)] = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.wish:
            raise ValueError("at least one of synced_to_journal, journal_trade_id and sync_notes is needed")
        return self

    @property
    def wish(self) -> dict[str, bool | str | None]:
        """What was said, by name."""
        said = {name: getattr(self, name) for name in ("journal_trade_id", "sync_notes")}
        given = {name: value for name, value in said.items() if name in self.model_fields_set}
        return (
            given if self.synced_to_journal is None else given | {"synced_to_journal": self.synced_to_journal}
        )


class JournalMarks(JournalMark):
    """How to mark many transactions in the same way."""

    ids: Annotated[list[UUID], Field(min_length=1, max_length=MOST_AT_ONCE)]


class MarkedTransactions(Shown):
    """What became of marking many."""

    changed: list[Id]
    unchanged: Annotated[int, Field(description="How many were marked so already.")]
    not_found: list[Id]
