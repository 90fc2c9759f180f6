"""The table ``gateway.order_previews``: what a user was shown, for five minutes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import dict_row
from psycopg.types.json import Json

from contracts.trading import OrderRequest
from gateway.trading.values import Priced, Source
from persistence.database import Connection

TTL = timedelta(minutes=5)
KEPT = timedelta(days=7)
"""How long previews are kept after they expired."""
_COLUMNS = """user_id, preview_id, account_id, connection_id, provider, request, fingerprint, shown, notional,
    currency, created_at, expires_at"""


@dataclass(frozen=True, slots=True)
class Preview:
    """An order that was previewed; ``shown`` is the answer, as it was given."""

    user_id: str
    preview_id: UUID
    account_id: UUID
    connection_id: UUID
    provider: str
    order: OrderRequest
    fingerprint: str
    shown: dict[str, Any]
    notional: Decimal | None
    currency: str
    created_at: datetime
    expires_at: datetime

    @property
    def priced(self) -> Priced:
        """What the order was worth when it was previewed."""
        figures = self.shown["figures"]
        price, cost = figures["price"]["amount"], figures["cost"]
        paid = cost["amount"] if cost["currency"] == self.currency else None
        return Priced(
            self.currency,
            None if price is None else Decimal(price),
            self.notional,
            None if paid is None else Decimal(paid),
            Source(cost["source"]),
        )


async def insert(conn: Connection, preview: Preview) -> None:
    """Keep a preview, and forget the user's old ones."""
    await conn.execute(
        "DELETE FROM gateway.order_previews WHERE user_id = %s AND expires_at < %s",
        (preview.user_id, preview.created_at - KEPT),
    )
    await conn.execute(
        f"""INSERT INTO gateway.order_previews ({_COLUMNS})
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",  # noqa: S608 - constants of this module
        (
            preview.user_id,
            preview.preview_id,
            preview.account_id,
            preview.connection_id,
            preview.provider,
            Json(stored(preview.order)),
            preview.fingerprint,
            Json(preview.shown),
            preview.notional,
            preview.currency,
            preview.created_at,
            preview.expires_at,
        ),
    )


async def find(conn: Connection, user_id: str, preview_id: UUID, *, lock: bool = False) -> Preview | None:
    """A preview of the user's, expired or not; ``lock`` keeps others from it until the commit."""
    query = f"SELECT {_COLUMNS} FROM gateway.order_previews WHERE user_id = %s AND preview_id = %s"  # noqa: S608 - above
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query + (" FOR UPDATE" if lock else ""), (user_id, preview_id))
        row = await cursor.fetchone()
    if row is None:
        return None
    return Preview(order=request(row.pop("request")), **row)


def stored(order: OrderRequest) -> dict[str, Any]:
    """An order as JSON values, numbers as strings; ``request`` reads it."""
    built: dict[str, Any] = msgspec.to_builtins(order)
    return built


def request(value: Any) -> OrderRequest:
    """The order in a stored row."""
    return msgspec.convert(value, OrderRequest)
