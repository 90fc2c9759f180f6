"""Changing accounts entered by hand: one transaction for the rows, the events and the note, then a short wait."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from contracts.errors import ErrorCode
from contracts.messages import Event
from gateway import commands
from gateway.context import Gateway
from gateway.decisions import once
from gateway.decisions.decider import Decider
from gateway.manual import accounts, store
from gateway.manual.accounts import MAX_ACCOUNTS, ManualAccount
from gateway.manual.applied import shows
from gateway.manual.entries import Entry, EntryError
from gateway.manual.holdings import MAX_HOLDINGS, Line, line, repeated
from gateway.manual.instruments import PROVIDER
from gateway.manual.refused import Located, bad_entries, because, check_match, too_many
from gateway.manual.store import Row
from gateway.refusals import not_found, refusal
from messaging.bus import MessageTooLargeError
from persistence.database import Connection

ACCOUNT = "account"
CREATED = "manual_account.created"
DEFAULT_INSTITUTION = (PROVIDER, "Manual")


@dataclass(frozen=True, slots=True)
class Target:
    """Whose account is to change, from which state on (``If-Match``), and in which request."""

    user_id: str
    account_id: UUID
    request_id: str
    if_match: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """An account after a change; ``applied`` says whether the portfolio shows it already."""

    account: ManualAccount
    rows: Sequence[Row]
    applied: bool


Alteration = tuple[ManualAccount, Sequence[Row]]
Alter = Callable[[ManualAccount, Sequence[Row]], Alteration]
"""Decides what becomes of an account and its rows; pure, it may refuse."""


async def create(
    gateway: Gateway, who: Decider, account: ManualAccount, entries: Sequence[Entry], asked: Mapping[str, Any]
) -> tuple[Outcome, bool]:
    """Add an account with what it holds; ``asked`` is the request that a key of its sender's stands for.

    Returns:
        The account, and whether the key had made it before.

    Raises:
        ApiError: 422, an entry cannot be a holding, the user has too many such accounts, or the key came with
            another request before.
    """
    rows = store.kept([], lines_of(entries, account.currency))
    async with gateway.database.transaction(who.user_id) as conn:
        earlier = await once.made_before(
            conn, who, CREATED, asked, object_id=account.account_id, now=account.created_at
        )
        if earlier is not None:
            account = await known(conn, who.user_id, earlier)
            rows = await store.rows(conn, who.user_id, earlier)
        else:
            await _add(conn, account, rows, who.request_id)
    gateway.wake()
    return Outcome(account, rows, await shows(gateway, account)), earlier is not None


async def _add(conn: Connection, account: ManualAccount, rows: Sequence[Row], request_id: str) -> None:
    if await store.reserve(conn, account.user_id) >= MAX_ACCOUNTS:
        raise too_many("accounts entered by hand", MAX_ACCOUNTS)
    await store.insert(conn, account)
    await store.replace(conn, account, [], rows)
    await _tell(conn, account, [accounts.linked(account), *_snapshots(account, rows)])
    await _note(conn, account, CREATED, {"holdings": len(rows)}, request_id)


async def change(gateway: Gateway, target: Target, action: str, alter: Alter) -> Outcome:
    """Change an account: whoever comes second sees what the first has made of it.

    Raises:
        ApiError: 404, no such account; 409, not entered by hand; 412, changed since ``If-Match``; or what
            ``alter`` refuses.
    """
    now = gateway.clock.now()
    async with gateway.database.transaction(target.user_id) as conn:
        account, rows = await change_in(conn, target, action, alter, now)
    gateway.wake()
    return Outcome(account, rows, await shows(gateway, account))


async def change_in(conn: Connection, target: Target, action: str, alter: Alter, now: datetime) -> Alteration:
    """The same, inside a transaction of the caller's, who wakes the relay and waits."""
    before = await known(conn, target.user_id, target.account_id, lock=True)
    check_match(before, target.if_match)
    held = await store.rows(conn, target.user_id, target.account_id)
    altered, rows = alter(before, held)
    account = changed(altered, version=before.version + 1, updated_at=now)
    await store.update(conn, account)
    await store.replace(conn, account, held, rows)
    moved = account.institution != before.institution
    await _tell(conn, account, [*([accounts.linked(account)] if moved else []), *_snapshots(account, rows)])
    await _note(conn, account, action, {"holdings": len(rows)}, target.request_id)
    return account, rows


async def delete(gateway: Gateway, target: Target) -> Outcome:
    """Delete an account with all it holds; doing it again is harmless.

    Raises:
        ApiError: 404, no such account; 409, not entered by hand; 412, changed since ``If-Match``.
    """
    now = gateway.clock.now()
    async with gateway.database.transaction(target.user_id) as conn:
        await store.lock(conn, target.user_id, target.account_id)
        account = await store.find(conn, target.user_id, target.account_id, deleted=True)
        if account is None:
            before = await known(conn, target.user_id, target.account_id)
            check_match(before, target.if_match)
            account = changed(before, version=before.version + 1, updated_at=now)
            await store.forget(conn, account)
            await _tell(conn, account, [accounts.removed(account)])
            await _note(conn, account, "manual_account.deleted", {}, target.request_id)
    gateway.wake()
    return Outcome(account, [], await shows(gateway, account, removed=True))


async def known(conn: Connection, user_id: str, account_id: UUID, *, lock: bool = False) -> ManualAccount:
    """The account, as it is.

    Raises:
        ApiError: 404, none of the user's; 409, it comes from a provider.
    """
    account = await store.find(conn, user_id, account_id, lock=lock)
    if account is not None:
        return account
    cursor = await conn.execute(
        "SELECT provider FROM portfolio.v_accounts WHERE user_id = %s AND account_id = %s AND provider <> %s",
        (user_id, account_id, PROVIDER),
    )
    if row := await cursor.fetchone():
        raise refusal(ErrorCode.NOT_A_MANUAL_ACCOUNT, details={"provider": row[0]})
    raise not_found(ACCOUNT)


def lines_of(
    entries: Sequence[Entry], currency: str, place: Sequence[str | int] = ("body", "holdings")
) -> list[Line]:
    """The holdings that entries mean.

    Raises:
        ApiError: 422, they are too many, one of them is none, or two are of the same thing.
    """
    if len(entries) > MAX_HOLDINGS:
        raise too_many("holdings in an account", MAX_HOLDINGS)
    lines: list[Line] = []
    errors: list[Located] = []
    for number, entry in enumerate(entries):
        try:
            lines.append(line(entry, currency))
        except EntryError as error:
            errors.append(((*place, number), error))
    if errors:
        raise bad_entries(errors)
    if again := [((*place, second), _twice(lines[second], first)) for second, first in repeated(lines)]:
        raise bad_entries(again)
    return lines


def _twice(second: Line, first: int) -> EntryError:
    key, currency = second.slot
    return EntryError(
        "symbol", "duplicate", f"{key} in {currency} is in holding {first} already (counted from 0)."
    )


def _snapshots(account: ManualAccount, rows: Iterable[Row]) -> list[Event]:
    return accounts.snapshots(account, [row.line.holding for row in rows])


async def _tell(conn: Connection, account: ManualAccount, events: Sequence[Event]) -> None:
    try:
        for event in events:
            await commands.send_event(conn, event, account.updated_at)
    except MessageTooLargeError as error:
        message = "Together these holdings are too large; use shorter names, or two accounts."
        raise because("too_large", message, ErrorCode.VALIDATION_FAILED) from error


async def _note(
    conn: Connection, account: ManualAccount, action: str, details: Mapping[str, Any], request_id: str
) -> None:
    """Write down what was done; how much of what is held stays out of it."""
    await commands.note(
        conn,
        account.user_id,
        action,
        account.account_id,
        details={"institution": account.institution, "version": account.version} | dict(details),
        request_id=request_id,
        now=account.updated_at,
    )


def new_account(user_id: str, now: datetime, **described: Any) -> ManualAccount:
    """A new account as it will be stored; ``described`` are its name, institution, type, currency and mask."""
    external_id = uuid4()
    connection_id, account_id = accounts.ids_of(user_id, external_id)
    return ManualAccount(
        user_id=user_id,
        account_id=account_id,
        connection_id=connection_id,
        external_id=external_id,
        version=1,
        created_at=now,
        updated_at=now,
        **described,
    )
