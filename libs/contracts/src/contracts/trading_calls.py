"""What the gateway asks connectors about trading: the bodies of ``POST /internal/v1/trading/…``, and their answers.

``impact`` takes an ``ImpactCall`` and answers an ``OrderImpact``; ``place`` a ``PlaceCall`` and ``replace`` a
``ReplaceCall``, both answer ``Placed``; ``cancel`` a ``CancelCall``, answered by ``CancelAsked``; ``orders`` an
``OrdersCall``, answered by ``OrdersFound``; ``symbols`` and ``quotes`` likewise.
"""

from contracts.orders import Order
from contracts.struct import Record
from contracts.trading import OrderRequest, Quote, SymbolMatch

QUOTES_MOST = 10
"""Symbols of one call for quotes."""


class ImpactCall(Record, frozen=True, kw_only=True):
    """Preview an order at its broker; nothing is placed. ``external_id`` is the provider's id of the account."""

    user_id: str
    connection_id: str
    account_id: str
    external_id: str
    order: OrderRequest


class PlaceCall(Record, frozen=True, kw_only=True):
    """Place an order, once. ``client_order_id`` is the same for every look at the same intent."""

    user_id: str
    connection_id: str
    account_id: str
    external_id: str
    order: OrderRequest
    client_order_id: str


class CancelCall(Record, frozen=True, kw_only=True):
    """Ask to cancel an order."""

    user_id: str
    connection_id: str
    account_id: str
    external_id: str
    broker_order_id: str


class ReplaceCall(Record, frozen=True, kw_only=True):
    """Replace an open order by another."""

    user_id: str
    connection_id: str
    account_id: str
    external_id: str
    broker_order_id: str
    order: OrderRequest


class OrdersCall(Record, frozen=True, kw_only=True):
    """The orders of the last day, as the broker has them right now."""

    user_id: str
    connection_id: str
    account_id: str
    external_id: str


class SymbolsCall(Record, frozen=True, kw_only=True):
    """Search instruments: of an account's broker where the three ids are given, else all the provider knows."""

    user_id: str
    text: str
    connection_id: str | None = None
    account_id: str | None = None
    external_id: str | None = None


class QuotesCall(Record, frozen=True, kw_only=True):
    """Quotes of up to ten symbols."""

    user_id: str
    connection_id: str
    account_id: str
    external_id: str
    symbols: list[str]


class CancelAsked(Record, frozen=True, kw_only=True):
    """The broker took the wish to cancel; that the order is canceled shows in its status."""

    provider_request_id: str | None = None


class OrdersFound(Record, frozen=True, kw_only=True):
    """A connector's answer."""

    orders: list[Order]


class SymbolsFound(Record, frozen=True, kw_only=True):
    """A connector's answer, best first."""

    symbols: list[SymbolMatch]


class QuotesFound(Record, frozen=True, kw_only=True):
    """A connector's answer; a symbol that is not quoted is left out."""

    quotes: list[Quote]
