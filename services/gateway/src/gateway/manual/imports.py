"""Importing a file: first a preview that changes nothing, then all of it or nothing."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from dataclasses import replace as changed
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

from contracts.errors import ErrorCode
from gateway.context import Gateway
from gateway.manual import previews, store
from gateway.manual.accounts import ManualAccount
from gateway.manual.applied import shows
from gateway.manual.changes import Alteration, Target, change_in, known
from gateway.manual.difference import Difference, Mode, after, difference
from gateway.manual.holdings import MAX_HOLDINGS
from gateway.manual.previews import TTL, Preview
from gateway.manual.refused import because, too_many
from gateway.manual.sheet.faults import UnreadableError
from gateway.manual.sheet.layout import Choices, Layout, layout
from gateway.manual.sheet.reading import Reading, read
from gateway.manual.sheet.text import decode
from gateway.manual.store import Row
from gateway.refusals import not_found, refusal
from persistence.database import Connection
from service_kit.api_errors import ApiError

T = TypeVar("T")
PREVIEW = "preview"
READERS = 2
"""Files read at once in one process. A file of 100,000 rows takes its seconds; other work has other threads."""
_READERS = ThreadPoolExecutor(READERS, thread_name_prefix="sheet")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it was sent, bytes or text, and what its sender chose."""

    content: bytes | str
    choices: Choices
    mode: Mode


@dataclass(frozen=True, slots=True)
class Understood:
    """A file as it was read; ``remembered`` says whether its like was imported before."""

    encoding: str
    reading: Reading
    choices: Choices
    remembered: bool


@dataclass(frozen=True, slots=True)
class Previewed:
    """What a file would do; ``preview`` is None where it cannot be committed at all."""

    account: ManualAccount
    understood: Understood
    would: Difference
    mode: Mode
    preview: Preview | None


@dataclass(frozen=True, slots=True)
class Imported:
    """What committing a preview did, now or the first time."""

    account: ManualAccount
    result: dict[str, Any]
    applied: bool
    replayed: bool


async def preview(gateway: Gateway, user_id: str, account_id: UUID, upload: Upload) -> Previewed:
    """Read a file and say what importing it would do.

    Raises:
        ApiError: 404, no such account; 409, not entered by hand; 422 ``FILE_UNREADABLE``, it is no table.
    """
    async with gateway.database.transaction(user_id) as conn:
        account = await known(conn, user_id, account_id)
    try:
        understood = await _understood(gateway, account, upload)
    except UnreadableError as error:
        raise unreadable(error) from error
    return await _kept(gateway, account, upload.mode, understood)


async def commit(gateway: Gateway, target: Target, preview_id: UUID, *, skip_bad_rows: bool) -> Imported:
    """Import what a preview showed: all of it, or nothing. Committing it again answers the same.

    Raises:
        ApiError: 404, no such account or preview; 409 ``PREVIEW_EXPIRED``, it ran out of time or the account has
            changed since; 422 ``IMPORT_HAS_ERRORS``, it has bad rows and they are not to be skipped.
    """
    now = gateway.clock.now()
    async with gateway.database.transaction(target.user_id) as conn:
        account = await known(conn, target.user_id, target.account_id, lock=True)
        found = await previews.find(conn, target.user_id, target.account_id, preview_id)
        if found is None:
            raise not_found(PREVIEW)
        result = found.result
        if result is None:
            check_ready(found, account, skip_bad_rows=skip_bad_rows, expired=now >= found.expires_at)
            account, result = await _bring_in(conn, target, found, now)
    gateway.wake()
    meant = changed(account, version=result["version"])
    return Imported(account, result, await shows(gateway, meant), found.result is not None)


async def _bring_in(
    conn: Connection, target: Target, found: Preview, now: datetime
) -> tuple[ManualAccount, dict[str, Any]]:
    """Make the preview's lines what the account holds, and keep what is answered to that."""
    before = await store.rows(conn, target.user_id, target.account_id)
    then = after(Mode(found.mode), before, previews.unpacked(found.lines))

    def alter(current: ManualAccount, _rows: Sequence[Row]) -> Alteration:
        return current, then

    account, _ = await change_in(conn, target, "manual_account.imported", alter, now)
    counts = {"version": account.version, "holdings": len(then), "skipped_rows": found.bad_rows}
    result = asdict(difference(before, then)) | counts
    await previews.committed(conn, found, result)
    await previews.remember(conn, target.user_id, found.signature, found.choices, now)
    return account, result


def check_ready(found: Preview, account: ManualAccount, *, skip_bad_rows: bool, expired: bool) -> None:
    """Refuse to commit what the user did not see, or not all of what they saw.

    Raises:
        ApiError: 409 or 422, as ``commit`` says.
    """
    if expired:
        raise because(
            "expired", "The preview ran out of time; preview the file again.", ErrorCode.PREVIEW_EXPIRED
        )
    if account.version != found.base_version:
        message = "The account has changed since the preview; preview the file again."
        raise because("account_changed", message, ErrorCode.PREVIEW_EXPIRED)
    if found.bad_rows and not skip_bad_rows:
        details = {"bad_rows": found.bad_rows}
        raise refusal(ErrorCode.IMPORT_HAS_ERRORS, details=details)


def unreadable(error: UnreadableError) -> ApiError:
    """The refusal of a file that is no table."""
    where = {"row": error.row, "byte_offset": error.offset}
    details = {"reason": error.code} | {name: value for name, value in where.items() if value is not None}
    return refusal(ErrorCode.FILE_UNREADABLE, error.message, details=details)


def _text(content: bytes | str) -> tuple[str, str]:
    return decode(content) if isinstance(content, bytes) else (content.removeprefix("\ufeff"), "utf-8")


async def _understood(gateway: Gateway, account: ManualAccount, upload: Upload) -> Understood:
    """Read a file, off the event loop.

    Raises:
        UnreadableError: it is no table.
    """
    text, encoding = await _aside(partial(_text, upload.content))
    table = await _aside(partial(layout, text, upload.choices))
    table, choices, remembered = await _as_before(gateway, account.user_id, text, table, upload.choices)
    now = gateway.clock.now()
    reading = await _aside(partial(read, text, table, choices, account.currency, now))
    return Understood(encoding, reading, choices, remembered)


async def _as_before(
    gateway: Gateway, user_id: str, text: str, table: Layout, choices: Choices
) -> tuple[Layout, Choices, bool]:
    """The table as the user had files with this header read before, unless they choose otherwise now."""
    async with gateway.database.transaction(user_id) as conn:
        before = await previews.remembered(conn, user_id, table.signature)
    if before is None:
        return table, choices, False
    together = Choices(
        mapping={**before.mapping, **choices.mapping},
        delimiter=choices.delimiter or table.delimiter,
        decimal=choices.decimal,
        dates=choices.dates,
        usual_decimal=before.usual_decimal,
        usual_dates=before.usual_dates,
    )
    return await _aside(partial(layout, text, together)), together, True


async def _aside(work: Callable[[], T]) -> T:
    """Do it off the event loop, when its turn has come."""
    return await asyncio.get_running_loop().run_in_executor(_READERS, work)


async def _kept(gateway: Gateway, account: ManualAccount, mode: Mode, understood: Understood) -> Previewed:
    """Compare the file with what is held now, and keep what can be committed."""
    reading = understood.reading
    lines = [line for _, line in reading.lines]
    now = gateway.clock.now()
    async with gateway.database.transaction(account.user_id) as conn:
        # Locked, so that a preview is never kept for an account that is being deleted.
        current = await known(conn, account.user_id, account.account_id, lock=True)
        before = await store.rows(conn, account.user_id, account.account_id)
        then = after(mode, before, lines)
        ready = bool(lines) and not reading.fatal
        if ready and len(then) > MAX_HOLDINGS:
            raise too_many("holdings in an account", MAX_HOLDINGS)
        found = Preview(
            user_id=account.user_id,
            preview_id=uuid4(),
            account_id=account.account_id,
            base_version=current.version,
            mode=mode.value,
            lines=previews.packed(lines) if ready else "[]",
            bad_rows=reading.bad_rows,
            signature=reading.table.signature,
            choices=previews.plain(_learnt(understood)),
            created_at=now,
            expires_at=now + TTL,
        )
        if ready:
            await previews.insert(conn, found)
    return Previewed(current, understood, difference(before, then), mode, found if ready else None)


def _learnt(understood: Understood) -> Choices:
    """What to do with the next file of this header: its columns as they were read, and what had to be chosen."""
    table, choices = understood.reading.table, understood.choices
    mapping: dict[str, str | None] = {field: table.columns[place] for field, place in table.mapping.items()}
    dropped = {field: None for field, name in choices.mapping.items() if name is None}
    return Choices(
        mapping | dropped,
        usual_decimal=choices.decimal or choices.usual_decimal,
        usual_dates=choices.dates or choices.usual_dates,
    )
