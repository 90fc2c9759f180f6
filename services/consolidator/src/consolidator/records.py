"""Messages that no position follows from: transactions, orders, series of totals and sync runs."""

from collections.abc import Callable
from typing import Any

from consolidator.counts import Counts
from consolidator.orders import Orders
from consolidator.pages import Pages
from consolidator.runs import Runs
from consolidator.series import Series
from consolidator.store import activity_tables as tables
from consolidator.store.saving import Changes
from contracts.accounts import BalanceHistorySnapshot
from contracts.messages import SyncFinished, SyncStarted
from contracts.orders import OrdersSnapshot
from contracts.transactions import TransactionsBatch
from persistence.database import Connection as Session


class Records:
    """What the messages of one batch say."""

    def __init__(self) -> None:
        self.pages = Pages()
        self.orders = Orders()
        self.series = Series()
        self.runs = Runs()

    async def into(self, conn: Session, changes: Changes) -> set[str]:
        """Add what is other than stored; returns the users of whom any transaction is other than it was."""
        counts = Counts()
        moved = await self.pages.into(conn, changes, counts)
        await self.orders.into(conn, changes, counts)
        await self.series.into(conn, changes)
        self.runs.into(changes)
        changes.put("add", tables.SYNC_COUNTS, counts.rows())
        return moved


RECORDS: dict[type, Callable[[Any, Records], None]] = {
    TransactionsBatch: lambda event, records: records.pages.add(event),
    OrdersSnapshot: lambda event, records: records.orders.add(event),
    BalanceHistorySnapshot: lambda event, records: records.series.add(event),
    SyncStarted: lambda event, records: records.runs.began(event),
    SyncFinished: lambda event, records: records.runs.ended(event),
}
