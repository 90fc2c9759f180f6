"""How far a connection's transactions are read: what the cursor says, and which page is next. Pure.

An account is read in *windows*: first its whole history, later the days since some days before the last confirmed
one. A window is read page by page, newest first. Each page but the first begins with the row the last one ended
with: where that row or the total is another, rows have shifted, and the window begins again. A window that was read
to its end says which days are whole and what in them has to be retracted.

The whole history is read again once a week (late bookings, and rows without a trade date, which a range may leave
out), when it begins earlier than before, and when a window had to begin again within one run: then rows told before
and after have the same version, and nothing tells what is gone.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from contracts.accounts import ProviderAccount
from contracts.connectors import AccountTransactions
from contracts.transactions import Sweep
from snaptrade_connector import activities, wire

OVERLAP = timedelta(days=14)
"""Brokers book late, and correct what they booked."""
MARGIN = timedelta(days=1)
"""The first day of a range may be cut in another time zone: nothing is retracted on it."""
WHOLE_AGAIN = timedelta(days=7)
REFUSED_FOR = timedelta(days=7)
RESTARTS_MAX = 3
"""A list that keeps changing while it is read is left to the next run."""
VERSION = 1
S = TypeVar("S", bound=msgspec.Struct)


class Window(msgspec.Struct, frozen=True, omit_defaults=True):
    """A range of days that is being read.

    ``since`` is the version of the run it began in; ``offset`` is how many rows have been read, ``anchor`` the last
    of them, ``seen`` the equal rows without an id on that row's day, ``told`` the run that read them. It is
    ``tainted`` when rows were told in the run in which it had to begin again.
    """

    since: int
    through: date
    start: date | None = None
    first: date | None = None
    offset: int = 0
    total: int | None = None
    anchor: str | None = None
    seen: dict[str, int] = {}
    oldest: date | None = None
    undated: bool = False
    restarts: int = 0
    told: int | None = None
    tainted: bool = False


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far one account is read; ``covered`` and ``through`` are the first and last day known whole.

    ``begun`` is when its last window began, ``whole_at`` when it was last read whole. ``undated``: it has rows
    without a trade date. ``doubtful``: read it whole next time. ``parked`` is a run that shall leave it alone,
    ``refused_at`` when SnapTrade said that it tells no transactions of it.
    """

    covered: date | None = None
    through: date | None = None
    first: date | None = None
    begun: datetime | None = None
    whole_at: datetime | None = None
    undated: bool = False
    doubtful: bool = False
    parked: int | None = None
    refused_at: datetime | None = None
    window: Window | None = None


class Cursor(msgspec.Struct, frozen=True):
    """The progress of every account of a connection, by SnapTrade's id."""

    v: int = VERSION
    accounts: dict[str, Progress] = {}


_DECODER = msgspec.json.Decoder(Cursor)


def parsed(cursor: str | None) -> Cursor:
    """The progress a cursor stands for; one that cannot be read is as none: reading again does no harm."""
    try:
        found = _DECODER.decode(cursor or "{}")
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Cursor()
    return found if found.v == VERSION else Cursor()


def written(cursor: Cursor) -> str:
    """The cursor as text."""
    return msgspec.json.encode(cursor).decode()


def having(cursor: Cursor, account: ProviderAccount, progress: Progress) -> Cursor:
    """The cursor with the progress of one account replaced."""
    return Cursor(accounts=cursor.accounts | {account.external_id: progress})


def due(
    cursor: Cursor, accounts: Sequence[ProviderAccount], now: datetime, version: int, every: timedelta
) -> Iterator[tuple[ProviderAccount, Progress]]:
    """The accounts that have something to read now, each with its open window."""
    for account in accounts:
        known = cursor.accounts.get(account.external_id, Progress())
        if known.parked == version or _recent(known.refused_at, now, REFUSED_FOR):
            continue
        if known.window is not None:
            yield account, known
        elif (window := _opened(account, known, now, version, every)) is not None:
            yield account, _changed(known, window=window, begun=now, parked=None, refused_at=None)


def _opened(
    account: ProviderAccount, known: Progress, now: datetime, version: int, every: timedelta
) -> Window | None:
    """The window that begins now; None where nothing is confirmed that was not read, or it was read just now."""
    through, first = account.transactions_through, account.transactions_from
    if through is None:
        return None
    if known.through is None:
        return Window(since=version, through=through, first=first)
    deeper = first is not None and (known.first is None or first < known.first)
    moved = through > known.through
    if not (moved or deeper or known.doubtful) or _recent(known.begun, now, every):
        return None
    whole = deeper or known.doubtful or not _recent(known.whole_at, now, WHOLE_AGAIN)
    start = None if whole else known.through - OVERLAP
    return Window(since=version, through=max(through, known.through), first=first, start=start)


def parked(known: Progress, version: int) -> Progress:
    """Progress of an account that this run leaves alone from now on."""
    return _changed(known, parked=version)


def refused(known: Progress, now: datetime) -> Progress:
    """Progress of an account of which SnapTrade tells no transactions; it is asked again in a week."""
    return _changed(known, refused_at=now, window=None)


def opened(known: Progress) -> Window:
    """The open window of an account that is due."""
    if known.window is None:
        raise AssertionError("an account that is due has an open window")
    return known.window


class Step(msgspec.Struct, frozen=True):
    """What one page changes; no ``part`` where its window has to begin again."""

    progress: Progress
    part: AccountTransactions | None


def asked(window: Window) -> int:
    """The offset to ask with: the row the last page ended with comes again."""
    return max(0, window.offset - 1)


def stepped(
    account: ProviderAccount,
    known: Progress,
    page: wire.Activities,
    *,
    version: int,
    limit: int,
) -> Step:
    """What the page at ``asked`` of the open window means; asked for with ``limit``, in the run of ``version``.

    Raises:
        ValueError: it is empty although the total says that more rows follow.
    """
    window = opened(known)
    rows, total = page.data, page.pagination.total
    if _shifted(window, rows, total):
        return Step(_begun_again(account, known, window, version), None)
    fresh = rows[1:] if window.offset else rows
    read = window.offset + len(fresh)
    ended = read >= total if total is not None else len(rows) < limit
    if not ended and not fresh:
        raise ValueError("an empty page before the last one")
    seen = dict(window.seen)
    part = AccountTransactions(
        account_id=account.account_id, transactions=activities.transactions(account, fresh, seen)
    )
    moved = _further(window, fresh, total, seen, version)
    if not ended:
        return Step(_changed(known, window=moved), part)
    return _closed(known, moved, part)


def _shifted(window: Window, rows: Sequence[wire.Activity], total: int | None) -> bool:
    if not window.offset:
        return False
    return total != window.total or not rows or activities.identity(rows[0]) != window.anchor


def _begun_again(account: ProviderAccount, known: Progress, window: Window, version: int) -> Progress:
    restarts = window.restarts + 1
    anew = Window(
        since=version,
        through=max(window.through, account.transactions_through or window.through),
        start=window.start,
        first=account.transactions_from or window.first,
        restarts=restarts,
        tainted=window.told == version,
    )
    return _changed(known, window=anew, parked=version if restarts % RESTARTS_MAX == 0 else known.parked)


def _further(
    window: Window, fresh: Sequence[wire.Activity], total: int | None, seen: dict[str, int], version: int
) -> Window:
    days = [day for row in fresh if (day := activities.booked_on(row))]
    if window.oldest:
        days.append(window.oldest)
    return _changed(
        window,
        offset=window.offset + len(fresh),
        total=total,
        anchor=activities.identity(fresh[-1]) if fresh else window.anchor,
        seen=activities.carried(fresh, seen, window.seen) if fresh else window.seen,
        oldest=min(days, default=None),
        undated=window.undated or not all(row.trade_date for row in fresh),
        told=version,
    )


def _closed(known: Progress, window: Window, part: AccountTransactions) -> Step:
    """The window was read to its end: its days are whole, and what of them was not told is retracted."""
    whole = window.start is None
    undated = window.undated if whole else known.undated or window.undated
    begins = min((day for day in (window.first, window.oldest) if day), default=None)
    if not whole:
        begins = known.covered
    progress = Progress(
        covered=begins,
        through=window.through,
        first=window.first if whole else known.first,
        begun=known.begun,
        whole_at=known.begun if whole else known.whole_at,
        undated=undated,
        doubtful=window.tainted,
    )
    part = msgspec.structs.replace(
        part, covers_from=begins, covers_through=window.through, sweep=_sweep(window, undated=undated)
    )
    return Step(progress, part)


def _sweep(window: Window, *, undated: bool) -> Sweep | None:
    """The range in which what was not told is gone.

    What is older than all SnapTrade has is kept: its history may be shorter than it was. So is everything where a
    whole history is suddenly empty, and where a range may have left out rows without a trade date.
    """
    if window.start is not None:
        return None if undated else _range(window.start + MARGIN, window)
    return _range(window.oldest, window) if window.oldest else None


def _range(start: date, window: Window) -> Sweep | None:
    if start > window.through:
        return None
    return Sweep(from_date=start, through=window.through, since_version=window.since)


def _recent(at: datetime | None, now: datetime, span: timedelta) -> bool:
    return at is not None and now - at < span


def _changed(value: S, **members: Any) -> S:
    return msgspec.structs.replace(value, **members)
