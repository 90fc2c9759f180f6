"""What a run must fetch, from what the provider says now and what was noted before. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from connector_kit.streams import ANYTHING, NOT_SUPPORTED, WHOLE, Note, Notes, Stream
from contracts.accounts import AccountStatus, ProviderAccount
from contracts.linking import ConnectionState
from contracts.statuses import ConnectionStatus

ASK_AGAIN = timedelta(days=7)
"""After this what an institution did not have is asked for once more."""
CONFIRM_AFTER = timedelta(hours=1)
"""An account that is suddenly empty is believed when it still is after this."""
UNCONFIRMED = "unconfirmed"
"""The mark of an account that came back empty and is to be fetched once more."""
EMPTY = " empty"
CLOCK_SLACK = timedelta(minutes=5)
"""A note from further in our future than this was made by a wrong clock."""


def holdings_mark(account: ProviderAccount) -> str | None:
    """What the provider says of an account's holdings; None where it does not say when it read them."""
    if account.holdings_as_of is None:
        return None
    total = f"{_plain(account.total.amount)} {account.total.currency}" if account.total else "unknown"
    return f"{account.holdings_as_of.isoformat()} {total} {account.status}"


def orders_mark(account: ProviderAccount) -> str | None:
    """What the provider says of an account's orders; None where it does not."""
    return account.orders_as_of.isoformat() if account.orders_as_of else None


def nothing_moved(state: ConnectionState, kept: Note | None, now: datetime, full: timedelta) -> bool:
    """Whether the connection's own mark says that no further question is needed."""
    if state.mark is None or state.realtime or not state.data_ready:
        return False
    if state.status is not ConnectionStatus.ACTIVE or kept is None:
        return False
    return kept.mark == state.mark and fresh(kept.read_at, now, full)


def holdings_due(account: ProviderAccount, kept: Note | None, now: datetime, full: timedelta) -> bool:
    """Whether an account's holdings must be fetched."""
    mark = holdings_mark(account)
    if mark is None or account.capabilities.realtime or kept is None:
        return True
    return (kept.mark or "").removesuffix(EMPTY) != mark or not fresh(kept.read_at, now, full)


def holdings_read(account: ProviderAccount, kept: Note | None, *, empty: bool, now: datetime) -> Note:
    """What to note of holdings that were read whole.

    One empty answer of an account that held something may be a fault at the provider, of which its list says nothing:
    such an account is fetched again by the next runs, until it has been empty for a while.
    """
    note = Note(account.account_id, Stream.HOLDINGS, mark=holdings_mark(account), read_at=now)
    if not empty or note.mark is None:
        return note
    if kept is None or (kept.mark or "").endswith(EMPTY):
        return replace(note, mark=note.mark + EMPTY)
    if kept.mark != UNCONFIRMED or kept.read_at is None:
        return replace(note, mark=UNCONFIRMED)
    if now - kept.read_at < CONFIRM_AFTER:
        return kept
    return replace(note, mark=note.mark + EMPTY)


def unconfirmed(notes: Notes) -> bool:
    """Whether an account must be fetched again, whatever the provider says of it."""
    return any(note.mark == UNCONFIRMED for note in notes.values())


def orders_due(
    account: ProviderAccount, kept: Note | None, holdings: Note | None, now: datetime, full: timedelta
) -> bool:
    """Whether an account's orders must be fetched: they moved, or its holdings were read since they were.

    ``holdings`` is what is noted of its holdings, this run included.
    """
    if not account.holds_securities or account.status is not AccountStatus.OPEN:
        return False
    if kept is None or kept.read_at is None:
        return True
    if kept.mark == NOT_SUPPORTED:
        return not fresh(kept.read_at, now, ASK_AGAIN)
    mark = orders_mark(account)
    if mark is not None and (kept.mark != mark or not fresh(kept.read_at, now, full)):
        return True
    return holdings is not None and holdings.read_at is not None and holdings.read_at > kept.read_at


def history_due(account: ProviderAccount, kept: Note | None, now: datetime) -> bool:
    """Whether an account's history must be fetched: once a day (UTC)."""
    if account.status is not AccountStatus.OPEN:
        return False
    if kept is None or kept.read_at is None:
        return True
    if kept.mark == NOT_SUPPORTED:
        return not fresh(kept.read_at, now, ASK_AGAIN)
    return kept.read_at.date() != now.date()


def whole_since(accounts: list[ProviderAccount], notes: Notes, now: datetime) -> datetime:
    """Since when everything of a connection has been read: its oldest read, now where there is nothing to read."""
    kept = [notes.get((account.account_id, Stream.HOLDINGS)) for account in accounts]
    return min((note.read_at for note in kept if note and note.read_at), default=now)


def ever_whole(notes: Notes) -> bool:
    """Whether a run has ever come to its end with everything there was."""
    kept = notes.get((WHOLE, Stream.STATE))
    return kept is not None and kept.read_at is not None


def accounts_in(notes: Notes) -> int:
    """How many accounts were read before."""
    return sum(1 for _, stream in notes if stream == Stream.HOLDINGS)


def forgotten(notes: Notes) -> Notes:
    """The notes of a connection that was repaired: everything is fetched, but for what the institution does not have."""
    return {
        key: note
        if note.mark == NOT_SUPPORTED or note.stream not in {Stream.STATE, *ANYTHING}
        else replace(note, mark=None)
        for key, note in notes.items()
    }


def fresh(read_at: datetime | None, now: datetime, age: timedelta) -> bool:
    """Whether something was read less than ``age`` ago."""
    return read_at is not None and -CLOCK_SLACK <= now - read_at < age


def _plain(value: Decimal) -> str:
    """The same text for the same number: 10 and 10.0 are no change."""
    return format(value.normalize(), "f") if value else "0"
