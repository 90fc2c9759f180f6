"""How transactions and orders become rows of text."""

from consolidator.domain.orders import Standing
from consolidator.domain.transactions import Entry
from consolidator.store.arrays import Cell, Row, number, time, truth
from consolidator.store.entries import Of
from consolidator.store.rows import json_text
from contracts.orders import Order
from contracts.transactions import Transaction

_NO_CONTENT: tuple[Cell, ...] = (None,) * 15


def transaction_row(of: Of, entry: Entry, one: Transaction | None) -> Row:
    """A row of ``transactions``; without content, of one of which nothing but its removal is known."""
    return (
        *of,
        entry.external_id,
        *_state(entry),
        str(entry.digest),
        entry.booked_on.isoformat() if entry.booked_on else None,
        entry.fingerprint,
        entry.replaces,
        truth(one.pending if one else False),
        *(_NO_CONTENT if one is None else _content(one)),
    )


def state_row(of: Of, entry: Entry) -> Row:
    """What changes of a stored transaction while its content stays."""
    return (*of, entry.external_id, *_state(entry))


def order_row(of: Of, standing: Standing, one: Order) -> Row:
    """A row of ``orders``."""
    return (
        *of,
        one.broker_order_id,
        str(standing.version),
        str(standing.digest),
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


def _state(entry: Entry) -> Row:
    return (
        str(entry.version),
        str(entry.first_version),
        str(entry.removed_version),
        truth(entry.removed),
        entry.transaction_id,
    )


def _content(one: Transaction) -> Row:
    return (
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
        one.option_action,
        number(one.fx_rate),
        one.broker_reference,
    )
