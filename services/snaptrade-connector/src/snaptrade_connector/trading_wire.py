"""What SnapTrade sends about trading: previews, placements, quotes; only what is read here."""

from decimal import Decimal

from msgspec import field

from snaptrade_connector.wire import Currency, OrderRecord, UniversalSymbol, Wire


class TradeSymbol(Wire, frozen=True, gc=False):
    """The security of a preview."""

    symbol: str | None = None
    universal_symbol_id: str | None = None
    currency: Currency | None = None


class Trade(Wire, frozen=True, gc=False):
    """The order a preview is of."""

    symbol: TradeSymbol | None = None


class TradeImpact(Wire, frozen=True, gc=False):
    """What an order does to the cash of an account; null is unknown."""

    remaining_cash: Decimal | None = None
    estimated_commission: Decimal | None = None
    forex_fees: Decimal | None = None


class RemainingBalance(Wire, frozen=True, gc=False):
    """The cash left after an order, and in which currency."""

    currency: Currency | None = None
    cash: Decimal | None = None


class Impact(Wire, frozen=True, gc=False):
    """The preview of an order of shares."""

    trade: Trade = Trade()
    trade_impacts: list[TradeImpact] = field(default_factory=list)
    combined_remaining_balance: RemainingBalance | None = None


class OptionImpact(Wire, frozen=True, gc=False):
    """The preview of an order of options; the change is before fees and has no sign, the direction is its sign."""

    estimated_cash_change: Decimal | None = None
    cash_change_direction: str | None = None
    estimated_fee_total: Decimal | None = None


class Combination(Wire, frozen=True, gc=False):
    """What was made of an order of options: one record per leg."""

    brokerage_order_id: str
    orders: list[OrderRecord] = field(default_factory=list)


class Cancelled(Wire, frozen=True, gc=False):
    """The order that was asked to be cancelled."""

    brokerage_order_id: str


class RecentOrders(Wire, frozen=True, gc=False):
    """The orders of the last day, one record per leg."""

    orders: list[OrderRecord]


class Quote(Wire, frozen=True, gc=False):
    """A quote; what the broker does not tell is absent."""

    symbol: UniversalSymbol | None = None
    last_trade_price: Decimal | None = None
    bid_price: Decimal | None = None
    ask_price: Decimal | None = None
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
