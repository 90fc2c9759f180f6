"""Accounts entered by hand and their holdings, in the tables of the gateway."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import msgspec
from psycopg.rows import class_row

from contracts.holdings import Holding
from gateway.manual.accounts import ManualAccount
from gateway.manual.entries import read, shown
from gateway.manual.holdings import Line
from persistence.database import Connection

_COLUMNS = """user_id, account_id, connection_id, external_id, name, institution, institution_name, type, currency,
    mask, version, created_at, updated_at"""
_HOLDING = msgspec.json.Decoder(Holding)
_ENCODER = msgspec.json.Encoder(decimal_format="string")


@dataclass(frozen=True, slots=True)
class Row:
    """A stored holding."""

    holding_id: UUID
    line: Line


async def reserve(conn: Connection, user_id: str) -> int:
    """Let nobody else add an account of this user until the transaction ends; returns how many there are."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('manual:' || %s, 0))", (user_id,))
    cursor = await conn.execute(
        "SELECT count(*) FROM gateway.manual_accounts WHERE user_id = %s AND NOT deleted", (user_id,)
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def insert(conn: Connection, account: ManualAccount) -> None:
    """Store a new account."""
    await conn.execute(
        f"""INSERT INTO gateway.manual_accounts ({_COLUMNS}) VALUES (%(user_id)s, %(account_id)s, %(connection_id)s,
        %(external_id)s, %(name)s, %(institution)s, %(institution_name)s, %(type)s, %(currency)s, %(mask)s,
        %(version)s, %(created_at)s, %(updated_at)s)""",  # noqa: S608 - a constant of this module
        {field: getattr(account, field) for field in ManualAccount.__dataclass_fields__},
    )


async def find(
    conn: Connection, user_id: str, account_id: UUID, *, lock: bool = False, deleted: bool = False
) -> ManualAccount | None:
    """The account; locked until the transaction ends where it is to be changed."""
    query = f"""SELECT {_COLUMNS} FROM gateway.manual_accounts
        WHERE user_id = %s AND account_id = %s AND deleted = %s"""  # noqa: S608 - a constant of this module
    async with conn.cursor(row_factory=class_row(ManualAccount)) as cursor:
        await cursor.execute(query + (" FOR UPDATE" if lock else ""), (user_id, account_id, deleted))
        return await cursor.fetchone()


async def lock(conn: Connection, user_id: str, account_id: UUID) -> None:
    """Let nobody else change the account until the transaction ends, deleted or not."""
    await conn.execute(
        "SELECT 1 FROM gateway.manual_accounts WHERE user_id = %s AND account_id = %s FOR UPDATE",
        (user_id, account_id),
    )


async def update(conn: Connection, account: ManualAccount, *, deleted: bool = False) -> None:
    """Store a changed account, locked before."""
    await conn.execute(
        """UPDATE gateway.manual_accounts SET name = %s, institution = %s, institution_name = %s, type = %s,
        mask = %s, version = %s, updated_at = %s, deleted = %s WHERE user_id = %s AND account_id = %s""",
        (
            account.name,
            account.institution,
            account.institution_name,
            account.type,
            account.mask,
            account.version,
            account.updated_at,
            deleted,
            account.user_id,
            account.account_id,
        ),
    )


async def rows(conn: Connection, user_id: str, account_id: UUID) -> list[Row]:
    """What the account holds, in the order it was entered."""
    cursor = await conn.execute(
        """SELECT holding_id, entry, holding::text FROM gateway.manual_holdings
        WHERE user_id = %s AND account_id = %s ORDER BY place""",
        (user_id, account_id),
    )
    return [
        Row(holding_id, Line(read(entry), _HOLDING.decode(holding)))
        for holding_id, entry, holding in await cursor.fetchall()
    ]


async def replace(
    conn: Connection, account: ManualAccount, before: Sequence[Row], after: Sequence[Row]
) -> None:
    """Make ``after`` all that the account holds; rows that are as they were stay untouched."""
    known = {one.holding_id: (place, one.line) for place, one in enumerate(before)}
    wanted = {one.holding_id: (place, one.line) for place, one in enumerate(after)}
    gone = [one for one in known if known[one] != wanted.get(one)]
    new = [one for one in wanted if wanted[one] != known.get(one)]
    key = (account.user_id, account.account_id)
    if gone:
        await conn.execute(
            """DELETE FROM gateway.manual_holdings
            WHERE user_id = %s AND account_id = %s AND holding_id = ANY (%s)""",
            (*key, gone),
        )
    if new:
        await _insert(conn, key, [(one, *wanted[one]) for one in new])


async def _insert(conn: Connection, key: tuple[str, UUID], new: Sequence[tuple[UUID, int, Line]]) -> None:
    # One JSON value: thousands of texts in an array each take their time to be quoted.
    listed = [
        {
            "holding_id": own,
            "place": place,
            "instrument_key": line.slot[0],
            "currency": line.slot[1],
            "entry": shown(line.entry),
            "holding": line.holding,
        }
        for own, place, line in new
    ]
    await conn.execute(
        """INSERT INTO gateway.manual_holdings
            (user_id, account_id, holding_id, place, instrument_key, currency, entry, holding)
        SELECT %s, %s, n.* FROM json_to_recordset(%s::json) AS n(holding_id uuid, place int, instrument_key text,
            currency text, entry json, holding json)""",
        (*key, _ENCODER.encode(listed).decode()),
    )


def kept(before: Sequence[Row], lines: Sequence[Line]) -> list[Row]:
    """Lines as rows: what an account held before keeps its id."""
    known = {one.line.slot: one.holding_id for one in before}
    return [Row(known.get(line.slot) or uuid4(), line) for line in lines]


async def forget(conn: Connection, account: ManualAccount) -> None:
    """Mark an account deleted and drop all that was entered for it; its version and ids stay."""
    key = (account.user_id, account.account_id)
    await conn.execute("DELETE FROM gateway.manual_holdings WHERE user_id = %s AND account_id = %s", key)
    await conn.execute("DELETE FROM gateway.import_previews WHERE user_id = %s AND account_id = %s", key)
    await update(conn, account, deleted=True)
