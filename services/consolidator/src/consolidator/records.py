"""Messages that are only kept: transactions, orders and sync runs, each row under its own version."""

from collections.abc import Callable
from typing import Any

from consolidator.store import tables
from consolidator.store.arrays import Row, number, time, truth
from consolidator.store.rows import json_text
from consolidator.store.saving import Changes
from consolidator.store.table import Table
from contracts.messages import SyncFinished
from contracts.orders import Order, OrdersSnapshot
from contracts.transactions import Transaction, TransactionsBatch

VERSION = 3
"""The place of the version in rows that have one: behind the three key cells."""


class Records:
    """Rows to keep; of two with one key the newer stays."""

    def __init__(self) -> None:
        self._rows: dict[Table, dict[Row, Row]] = {}

    def keep(self, table: Table, row: Row) -> None:
        """Keep a row, unless a newer one with its key is here already."""
        rows = self._rows.setdefault(table, {})
        key = row[: len(table.keys)]
        known = rows.get(key)
        if known is None or table is tables.SYNC_LOG or int(known[VERSION] or 0) < int(row[VERSION] or 0):
            rows[key] = row

    def into(self, changes: Changes) -> None:
        """Add the rows to what a batch writes; stored rows that are newer stay."""
        for table, rows in self._rows.items():
            changes.put("ignore" if table is tables.SYNC_LOG else "newer", table, rows.values())


def on_transactions(event: TransactionsBatch, records: Records) -> None:
    """Keep a page of transactions; removed ones leave a mark, so that a late page cannot bring them back."""
    version = str(event.clocks.version)
    for one in event.transactions:
        records.keep(tables.TRANSACTIONS, _transaction_row(event.user_id, version, event.account_id, one))
    width = len(tables.TRANSACTIONS.types)
    for external_id in event.removed:
        mark: Row = (event.user_id, event.account_id, external_id, version, "t")
        records.keep(tables.TRANSACTIONS, mark + (None,) * (width - len(mark)))


def on_orders(event: OrdersSnapshot, records: Records) -> None:
    """Keep recent orders; older ones stay as they were last seen."""
    for one in event.orders:
        row = _order_row(event.user_id, str(event.clocks.version), event.account_id, one)
        records.keep(tables.ORDERS, row)


def on_sync_finished(event: SyncFinished, records: Records) -> None:
    """Keep what a sync run did and cost."""
    records.keep(
        tables.SYNC_LOG,
        (
            event.user_id,
            event.run_id,
            event.connection_id,
            event.provider,
            event.institution,
            event.kind,
            event.trigger,
            event.status.value,
            str(event.accounts),
            str(event.holdings),
            str(event.provider_calls),
            str(event.cost.amount),
            event.cost.currency,
            time(event.started_at),
            time(event.finished_at),
            str(event.version),
            event.error_code,
            event.error,
        ),
    )


RECORDS: dict[type, Callable[[Any, Records], None]] = {
    TransactionsBatch: on_transactions,
    OrdersSnapshot: on_orders,
    SyncFinished: on_sync_finished,
}


def _transaction_row(user_id: str, version: str, account_id: str, one: Transaction) -> Row:
    return (
        user_id,
        account_id,
        one.external_id,
        version,
        truth(False),
        one.type.value,
        one.raw_type,
        one.description,
        one.currency,
        number(one.amount),
        number(one.quantity),
        number(one.price),
        number(one.fee),
        one.instrument.key if one.instrument else None,
        json_text(one.instrument) if one.instrument else None,
        time(one.traded_at),
        one.settlement_date.isoformat() if one.settlement_date else None,
    )


def _order_row(user_id: str, version: str, account_id: str, one: Order) -> Row:
    return (
        user_id,
        account_id,
        one.broker_order_id,
        version,
        one.status.value,
        one.raw_status,
        one.side,
        one.instrument.key,
        json_text(one.instrument),
        one.order_type,
        one.time_in_force,
        number(one.quantity),
        number(one.filled_quantity),
        number(one.limit_price),
        number(one.stop_price),
        number(one.average_price),
        one.currency,
        time(one.placed_at),
        time(one.updated_at),
        time(one.executed_at),
    )
