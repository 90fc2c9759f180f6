"""What is needed to trade, in provider-neutral terms: requests, previews, quotes, symbols."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import field

from contracts.instruments import Instrument
from contracts.money import Money
from contracts.orders import Order
from contracts.struct import Record


class Side(StrEnum):
    """What is done; the long forms are of options, where opening and closing differ."""

    BUY = "BUY"
    SELL = "SELL"
    BUY_TO_OPEN = "BUY_TO_OPEN"
    BUY_TO_CLOSE = "BUY_TO_CLOSE"
    SELL_TO_OPEN = "SELL_TO_OPEN"
    SELL_TO_CLOSE = "SELL_TO_CLOSE"


class OrderType(StrEnum):
    """How the price is found."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"


class TimeInForce(StrEnum):
    """How long the order stands."""

    DAY = "DAY"
    GTC = "GTC"
    GTD = "GTD"
    IOC = "IOC"
    FOK = "FOK"


class AccountRef(Record, frozen=True, kw_only=True):
    """An account by our id and by the provider's."""

    account_id: str
    external_id: str


class OrderLeg(Record, frozen=True, kw_only=True):
    """One leg of an order of options; ``symbol`` is the OCC symbol, or the ticker of the shares beside them."""

    symbol: str
    side: Side
    quantity: Decimal
    kind: str = "option"


class OrderRequest(Record, frozen=True, kw_only=True):
    """What the user wants placed.

    Exactly one of ``quantity`` (shares, or contracts) and ``notional`` (in ``currency``) is given. Options: ``legs``,
    with the quantity in each; ``symbol`` is then the first leg's. ``provider_symbol_id`` is the provider's own id of
    the instrument, where a search gave it. ``limit_price`` and ``stop_price`` are per share.
    """

    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    extended_hours: bool = False
    expires_on: date | None = None
    legs: list[OrderLeg] = field(default_factory=list)
    price_effect: str | None = None
    """Of several legs: ``DEBIT``, ``CREDIT`` or ``EVEN``."""
    provider_symbol_id: str | None = None
    currency: str = "USD"


class OrderImpact(Record, frozen=True, kw_only=True):
    """The broker's own preview of an order; what it does not tell is ``None``, never zero."""

    cost: Money | None = None
    fees: Money | None = None
    remaining_cash: Money | None = None
    warnings: list[str] = field(default_factory=list)
    provider_request_id: str | None = None


class Placed(Record, frozen=True, kw_only=True):
    """What the broker answered to a placement: it has the order, under these ids (one per leg)."""

    broker_order_ids: list[str]
    orders: list[Order]
    provider_request_id: str | None = None


class Quote(Record, frozen=True, kw_only=True):
    """What an instrument is quoted at, by the broker of an account; may be delayed."""

    symbol: str
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    currency: str | None = None
    as_of: datetime | None = None


class SymbolMatch(Record, frozen=True, kw_only=True):
    """One result of a symbol search."""

    instrument: Instrument
    provider_symbol_id: str
    tradable: bool | None = None
    fractional: bool | None = None
