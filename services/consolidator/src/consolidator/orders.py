"""Recent orders: of what is told of each, that stays which counts most."""

from consolidator.counts import Counts
from consolidator.domain.orders import Standing, standing, stored
from consolidator.store import activity_tables as tables
from consolidator.store.arrays import Row, columns
from consolidator.store.entries import Of
from consolidator.store.posted import order_row
from consolidator.store.saving import Changes
from contracts.orders import Order, OrdersSnapshot
from persistence.database import Connection as Session

KNOWN = """SELECT o.user_id, o.account_id::text, o.broker_order_id, o.status, o.version, o.updated_at, o.digest
    FROM unnest(%s::text[], %s::uuid[], %s::text[]) AS k(user_id, account_id, sought)
    JOIN portfolio.orders o ON o.user_id = k.user_id AND o.account_id = k.account_id
        AND o.broker_order_id = k.sought"""
Key = tuple[Of, str]


class Orders:
    """The orders of one batch of messages."""

    def __init__(self) -> None:
        self._told: dict[Key, list[tuple[Standing, Order, str | None]]] = {}

    def add(self, event: OrdersSnapshot) -> None:
        """Take in a snapshot; orders that it does not name any more stay as they were last seen."""
        of, version = Of(event.user_id, event.account_id), event.clocks.version
        told = [(one.broker_order_id, (standing(one, version), one, event.run_id)) for one in event.orders]
        for broker_order_id, one in told:
            self._told.setdefault((of, broker_order_id), []).append(one)

    async def into(self, conn: Session, changes: Changes, counts: Counts) -> None:
        """Add the orders that are other than they were."""
        if not self._told:
            return
        known = await _known(conn, list(self._told))
        rows = []
        for key, told in self._told.items():
            row = _applied(key, known.get(key), told, counts)
            if row is not None:
                rows.append(row)
        changes.put("upsert", tables.ORDERS, rows)


def _applied(
    key: Key, before: Standing | None, told: list[tuple[Standing, Order, str | None]], counts: Counts
) -> Row | None:
    """The order's row, if anything that was told of it counts more than what is stored."""
    (of, _), kept, row = key, before, None
    for one, order, run_id in sorted(told, key=lambda one: one[0].version):
        if kept is not None and one <= kept:
            continue
        if kept is None:
            counts.new(of.user_id, run_id)
        elif kept.digest != one.digest:
            counts.updated(of.user_id, run_id)
        kept, row = one, order_row(of, one, order)
    return row


async def _known(conn: Session, keys: list[Key]) -> dict[Key, Standing]:
    values = columns([(*of, sought) for of, sought in keys], ("text", "uuid", "text"))
    rows = await (await conn.execute(KNOWN, values)).fetchall()
    return {
        (Of(user, account), order): stored(status, version, updated_at, digest)
        for user, account, order, status, version, updated_at, digest in rows
    }
