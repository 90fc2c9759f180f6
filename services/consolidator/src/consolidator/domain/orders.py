"""Which telling of an order holds. Pure; no order of tellings matters."""

from datetime import UTC, datetime
from hashlib import blake2b
from typing import NamedTuple

from contracts.envelope import encode_data
from contracts.orders import Order, OrderStatus

FINAL = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELED,
        OrderStatus.REJECTED,
        OrderStatus.EXPIRED,
        OrderStatus.REPLACED,
    }
)
"""Where an order's life ends: whatever says that it goes on was read before."""
_NEVER = datetime.min.replace(tzinfo=UTC)


class Standing(NamedTuple):
    """How much a telling of an order counts: of two, the greater one holds."""

    final: bool
    version: int
    updated_at: datetime
    digest: int
    """Of the content."""


def standing(one: Order, version: int) -> Standing:
    """What a snapshot of that version says of an order."""
    digest = blake2b(encode_data(one), digest_size=8).digest()
    return stored(one.status.value, version, one.updated_at, int.from_bytes(digest, "big", signed=True))


def stored(status: str, version: int, updated_at: datetime | None, digest: int) -> Standing:
    """How an order stands that is kept."""
    return Standing(status in FINAL, version, updated_at or _NEVER, digest)
