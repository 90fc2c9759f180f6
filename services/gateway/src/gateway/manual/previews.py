"""Previews of imports, and how each user's files were read last time, in the tables of the gateway."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import class_row
from psycopg.types.json import Json

from contracts.holdings import Holding
from gateway.manual.entries import read, shown
from gateway.manual.holdings import Line
from gateway.manual.sheet.layout import Choices
from persistence.database import Connection

TTL = timedelta(minutes=30)
REPLAYED_FOR = timedelta(days=1)
"""How long a committed preview still answers what it answered."""
MOST = 10
"""Previews one user may have waiting; the oldest make room."""
MAPPINGS = 200
"""Kinds of files remembered for one user; the one used longest ago makes room."""
_HOLDING = msgspec.json.Decoder(Holding)
_ENCODER = msgspec.json.Encoder(decimal_format="string")


@dataclass(frozen=True, slots=True)
class Preview:
    """What an import would bring; ``lines`` is JSON, ``result`` what committing it answered."""

    user_id: str
    preview_id: UUID
    account_id: UUID
    base_version: int
    mode: str
    lines: Any
    bad_rows: int
    signature: str
    choices: Any
    created_at: datetime
    expires_at: datetime
    result: Any = None


def packed(lines: Sequence[Line]) -> str:
    """Lines as the JSON that is stored."""
    return json.dumps(
        [[shown(line.entry), _ENCODER.encode(line.holding).decode()] for line in lines], ensure_ascii=False
    )


def unpacked(lines: Any) -> list[Line]:
    """The lines that ``packed`` made this of."""
    return [Line(read(entry), _HOLDING.decode(holding)) for entry, holding in lines]


async def insert(conn: Connection, preview: Preview) -> None:
    """Store a preview, and make room for it: what expired goes, and the oldest beyond the limit."""
    await conn.execute(
        """DELETE FROM gateway.import_previews WHERE user_id = %(user)s
        AND (expires_at < %(old)s OR (result IS NULL AND (expires_at < %(now)s OR preview_id IN (
            SELECT preview_id FROM gateway.import_previews WHERE user_id = %(user)s AND result IS NULL
            ORDER BY created_at DESC, preview_id OFFSET %(most)s))))""",
        {
            "user": preview.user_id,
            "now": preview.created_at,
            "old": preview.created_at - REPLAYED_FOR,
            "most": MOST - 1,
        },
    )
    await conn.execute(
        """INSERT INTO gateway.import_previews (user_id, preview_id, account_id, base_version, mode, lines, bad_rows,
            signature, choices, created_at, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            preview.user_id,
            preview.preview_id,
            preview.account_id,
            preview.base_version,
            preview.mode,
            preview.lines,
            preview.bad_rows,
            preview.signature,
            Json(preview.choices),
            preview.created_at,
            preview.expires_at,
        ),
    )


async def find(conn: Connection, user_id: str, account_id: UUID, preview_id: UUID) -> Preview | None:
    """A preview, locked until the transaction ends: two commits of it come one after the other."""
    async with conn.cursor(row_factory=class_row(Preview)) as cursor:
        await cursor.execute(
            """SELECT user_id, preview_id, account_id, base_version, mode, lines, bad_rows, signature, choices,
                created_at, expires_at, result
            FROM gateway.import_previews WHERE user_id = %s AND account_id = %s AND preview_id = %s FOR UPDATE""",
            (user_id, account_id, preview_id),
        )
        return await cursor.fetchone()


async def committed(conn: Connection, preview: Preview, result: dict[str, Any]) -> None:
    """Keep what committing a preview answered, in place of its lines."""
    await conn.execute(
        """UPDATE gateway.import_previews SET result = %s, lines = '[]'
        WHERE user_id = %s AND preview_id = %s""",
        (Json(result), preview.user_id, preview.preview_id),
    )


async def remembered(conn: Connection, user_id: str, signature: str) -> Choices | None:
    """How a file with this header was read last time."""
    cursor = await conn.execute(
        "SELECT choices FROM gateway.import_mappings WHERE user_id = %s AND signature = %s",
        (user_id, signature),
    )
    row = await cursor.fetchone()
    return Choices(**row[0]) if row else None


async def remember(conn: Connection, user_id: str, signature: str, choices: Any, now: datetime) -> None:
    """Keep how a file with this header was read."""
    await conn.execute(
        """INSERT INTO gateway.import_mappings (user_id, signature, choices, used_at) VALUES (%s, %s, %s, %s)
        ON CONFLICT (user_id, signature) DO UPDATE SET choices = EXCLUDED.choices, used_at = EXCLUDED.used_at""",
        (user_id, signature, Json(choices), now),
    )
    await conn.execute(
        """DELETE FROM gateway.import_mappings WHERE user_id = %s AND signature IN (
            SELECT signature FROM gateway.import_mappings WHERE user_id = %s
            ORDER BY used_at DESC, signature OFFSET %s)""",
        (user_id, user_id, MAPPINGS),
    )


def plain(choices: Choices) -> dict[str, Any]:
    """Choices as JSON."""
    return asdict(choices) | {"mapping": dict(choices.mapping)}
