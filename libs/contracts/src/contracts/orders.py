"""Orders as brokers report them, in provider-neutral terms."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from contracts.accounts import Snapshot
from contracts.instruments import Instrument
from contracts.struct import Record


class OrderStatus(StrEnum):
    """Where an order stands at the broker; a state we do not know reads as ``other``."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCEL_PENDING = "cancel_pending"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    REPLACED = "replaced"
    OTHER = "other"

    @classmethod
    def _missing_(cls, _value: object) -> "OrderStatus":
        return cls.OTHER


class Order(Record, frozen=True, kw_only=True):
    """An order as the broker reports it; quantities as in holdings, prices per share."""

    account_id: str
    broker_order_id: str
    status: OrderStatus
    raw_status: str
    side: str
    instrument: Instrument
    order_type: str
    time_in_force: str
    quantity: Decimal | None = None
    filled_quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    average_price: Decimal | None = None
    currency: str | None = None
    placed_at: datetime | None = None
    updated_at: datetime | None = None
    executed_at: datetime | None = None
    replaces: str | None = None
    """The broker's id of the order that this one took the place of."""


class OrdersSnapshot(Snapshot, frozen=True, kw_only=True):
    """Recent orders of one account (``onefolio.orders.snapshot.v1``)."""

    account_id: str
    orders: list[Order]
    run_id: str | None = None
