"""How far the transactions of an Item have been read: the cursor's text, and what is to be read next. Pure.

``/investments/transactions/get`` has no cursor of its own. A range of days is read page by page with both dates
fixed; once its last page was read, whatever is booked in it and did not come is retracted. The first range of an
account is its whole history, every later one begins a month before the end of the last.
"""

from datetime import date, timedelta
from typing import NamedTuple

import msgspec

from contracts.accounts import ProviderAccount

HISTORY_YEARS = 2
"""Plaid has at most 24 months."""
TRAILING = timedelta(days=30)
ASKED_AGAIN = timedelta(days=7)
"""How long an institution that has no transactions is believed."""
CANCELLED_KEPT = 100
RESTARTS = 4
"""A history that moves more often than this during one run is left to the next."""


class Window(msgspec.Struct, frozen=True, omit_defaults=True):
    """A range of days that is being read.

    ``since`` is the version of the run that began it and ``told`` that of the last page; ``accounts`` are Plaid's ids
    of those it covers; ``whole`` is the last day that is whole once it was read; ``mark`` is what the Item said when
    it began; ``tally`` numbers rows without an id. ``stained``: rows were told under the same version by an attempt
    that was given up, so that this one cannot tell which of them are gone.
    """

    start: date
    end: date
    since: int
    accounts: list[str]
    whole: date | None = None
    mark: str | None = None
    told: int | None = None
    offset: int = 0
    total: int | None = None
    last: str | None = None
    tally: dict[str, int] = {}
    restarts: int = 0
    stained: bool = False

    def begun_anew(self, version: int, accounts: list[str]) -> "Window":
        """The same days from their first page on."""
        stained = self.told == version or (self.stained and self.since == version)
        return Window(
            start=self.start,
            end=self.end,
            since=version,
            accounts=accounts,
            whole=self.whole,
            mark=self.mark,
            restarts=self.restarts + 1 if self.since == version else 1,
            stained=stained,
        )


class Investments(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is behind us of the investment accounts.

    ``known`` are the accounts whose history is whole up to ``through``; ``again`` is where the next range must begin
    to find what an interrupted one could not; ``cancelled`` are rows that were taken back and must not come again.
    """

    known: list[str] = []
    through: date | None = None
    mark: str | None = None
    version: int = -1
    again: date | None = None
    cancelled: list[str] = []
    refused_on: date | None = None
    window: Window | None = None

    def finished(self, window: Window, version: int, everyone: list[str]) -> "Investments":
        """After the last page of a range; one of new accounts alone says nothing of the others."""
        known = [*dict.fromkeys([*(one for one in self.known if one in everyone), *window.accounts])]
        if not set(window.accounts) >= set(everyone):
            return msgspec.structs.replace(self, known=known, window=None)
        return msgspec.structs.replace(
            self,
            known=known,
            through=window.end,
            mark=window.mark,
            version=version,
            again=window.start if window.stained else None,
            refused_on=None,
            window=None,
        )


class Bank(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is behind us of the bank accounts: Plaid's own cursor after the last whole round."""

    cursor: str | None = None
    mark: str | None = None
    version: int = -1


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """The whole cursor."""

    investments: Investments = Investments()
    bank: Bank = Bank()


class Now(NamedTuple):
    """What is known when the next page is asked for; ``as_of`` is when Plaid last fetched, ``mark`` its own word."""

    today: date
    version: int
    mark: str | None
    as_of: date | None


_DECODER = msgspec.json.Decoder(Cursor)


def read(text: str | None) -> Cursor:
    """The cursor of a text; one that cannot be read is the beginning, which loses nothing."""
    if not text:
        return Cursor()
    try:
        return _DECODER.decode(text)
    except msgspec.DecodeError:
        return Cursor()


def write(cursor: Cursor) -> str:
    """The text of a cursor."""
    return msgspec.json.encode(cursor).decode()


def next_window(past: Investments, accounts: list[ProviderAccount], now: Now) -> Window | None:
    """The range to read on, or the one to begin; ``None`` when there is nothing new."""
    everyone = [one.external_id for one in accounts]
    if not everyone or (past.refused_on and now.today - past.refused_on < ASKED_AGAIN):
        return None
    if past.window:
        return past.window
    fresh = [name for name in everyone if name not in past.known]
    if fresh or past.through is None:
        return _begun(_earliest(now.today), fresh or everyone, now)
    if past.again and now.version > past.version:
        return _begun(min(past.again, past.through - TRAILING), everyone, now)
    if not moved(now.mark, past.mark, past.version, now.version):
        return None
    return _begun(max(past.through - TRAILING, _earliest(now.today)), everyone, now)


def moved(now: str | None, before: str | None, read_in: int, version: int) -> bool:
    """Whether there may be news; where Plaid does not say, there may be some once in every run."""
    if now is None or before is None:
        return version != read_in
    return now != before


def whole_through(as_of: date | None, today: date) -> date:
    """The last day that is over in every American time zone when Plaid fetched at ``as_of``."""
    return min(as_of or today, today) - timedelta(days=1)


def _begun(start: date, accounts: list[str], now: Now) -> Window:
    whole = whole_through(now.as_of, now.today)
    return Window(
        start=start,
        end=now.today,
        since=now.version,
        accounts=accounts,
        whole=whole if whole >= start else None,
        mark=now.mark,
    )


def _earliest(today: date) -> date:
    try:
        return today.replace(year=today.year - HISTORY_YEARS)
    except ValueError:  # the 29th of February
        return today.replace(year=today.year - HISTORY_YEARS, day=28)
