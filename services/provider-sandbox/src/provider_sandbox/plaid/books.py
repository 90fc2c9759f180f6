"""What control has written into the histories of accounts, and what keeps a made-up history the same. Pure.

A made-up history is anchored to one day and to the securities the account held when it was first asked for, so that a
transaction never changes behind its id, whatever happens to holdings and prices.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from provider_sandbox.world import Account

Change = Literal["added", "modified", "removed"]


@dataclass(frozen=True, slots=True)
class Trade:
    """An investment transaction written by control; quantities are real (contracts), `cancels` is another one's name."""

    name: str
    on: date
    text: str
    type: str
    subtype: str
    quantity: Decimal
    amount: Decimal
    price: Decimal
    currency: str
    fees: Decimal | None = None
    at: datetime | None = None
    security: str | None = None
    cancels: str | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """A bank transaction written by control; `posts` is the name of the pending one it follows."""

    name: str
    on: date
    text: str
    amount: Decimal
    pending: bool = False
    posts: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A change of a bank history; `number` orders the changes of all accounts. `made` is the index of a made-up row."""

    number: int
    change: Change
    name: str
    payment: Payment | None = None
    made: int | None = None


@dataclass(slots=True)
class Book:
    """One account's history: what it is made up from, and what was written into it or struck out."""

    securities: tuple[str, ...]
    base: int
    trades: dict[str, Trade] = field(default_factory=dict)
    struck: set[int] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class Books:
    """The books of all accounts by the truth's key, opened when first asked for."""

    anchor: date
    opened: dict[str, Book] = field(default_factory=dict)
    changes: int = 0

    def of(self, account: Account) -> Book:
        """The book of an account."""
        book = self.opened.get(account.key)
        if book is None:
            held = tuple(holding.security_key for holding in account.holdings)
            book = self.opened[account.key] = Book(held, account.activities)
        return book

    def record(
        self,
        account: Account,
        change: Change,
        name: str,
        payment: Payment | None = None,
        made: int | None = None,
    ) -> None:
        """Write a change of a bank history."""
        self.changes += 1
        self.of(account).events.append(Event(self.changes, change, name, payment, made))

    def resize(self, account: Account, activities: int) -> None:
        """Have a bank history grow or shrink to so many made-up rows."""
        before = account.activities
        self.of(account)
        for index in range(before, activities):
            self.record(account, "added", made_name(index), made=index)
        for index in range(activities, before):
            self.record(account, "removed", made_name(index))

    def payments(self, account: Account) -> Iterator[Payment]:
        """The payments written by control as they are now."""
        standing: dict[str, Payment] = {}
        for event in self.of(account).events:
            if event.change == "removed":
                standing.pop(event.name, None)
            elif event.payment is not None:
                standing[event.name] = event.payment
        yield from standing.values()


def made_name(index: int) -> str:
    """The name by which control calls a made-up row."""
    return f"#{index}"


def made_index(name: str) -> int | None:
    """The index of a made-up row by its name."""
    return int(name[1:]) if name.startswith("#") and name[1:].isdecimal() else None
