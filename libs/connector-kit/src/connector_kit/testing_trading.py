"""The trading side of the provider in memory: it fills nothing, and counts every placement that reached it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from contracts.errors import ErrorCode, RefusedError
from contracts.instruments import Instrument, InstrumentKind
from contracts.linking import ConnectionAccess
from contracts.money import Money
from contracts.orders import Order, OrderStatus
from contracts.trading import AccountRef, OrderImpact, OrderRequest, Placed, Quote, SymbolMatch

PLACED_AT = datetime(2026, 11, 21, 15, tzinfo=UTC)


class HasOrders(Protocol):
    """A connection, as far as trading is concerned."""

    accounts: dict[str, dict[str, Decimal]]
    orders: dict[str, list[Order]]


@dataclass(frozen=True, slots=True)
class FakePlacement:
    """One order that reached the provider."""

    account: str
    order: OrderRequest
    client_order_id: str | None
    broker_order_id: str


@dataclass(slots=True)
class FakeDesk:
    """What the provider knows of trading: what was placed, and what its instruments cost."""

    placements: list[FakePlacement] = field(default_factory=list)
    prices: dict[str, Decimal] = field(default_factory=lambda: {"AAPL": Decimal(200), "AAPLX": Decimal(2)})


class FakeTrading(ABC):
    """Serves ``Trades`` and ``SearchesSymbols``.

    ``failures["place"]`` fails before the provider has the order, ``failures["place:after"]`` behind it; likewise
    ``replace`` and ``cancel``.
    """

    provider: str
    desk: FakeDesk
    failures: dict[str, list[Exception]]

    @abstractmethod
    def _found(self, connection: ConnectionAccess) -> HasOrders:
        """The connection, or an error that it is gone."""

    @abstractmethod
    def _ask(self, question: str) -> None:
        """Count a call; fail it if it shall."""

    async def impact(
        self, connection: ConnectionAccess, account: AccountRef, order: OrderRequest
    ) -> OrderImpact:
        """A preview with a fee of one; orders by amount have none."""
        self._ask("impact")
        self._found(connection)
        if order.quantity is None:
            raise self._refused("no preview of amounts", ErrorCode.NOT_SUPPORTED)
        cost = order.quantity * self._price(order.symbol)
        return OrderImpact(
            cost=Money(amount=cost, currency="USD"),
            fees=Money(amount=Decimal(1), currency="USD"),
            provider_request_id=f"fake-impact-{account.external_id}",
        )

    async def place(
        self, connection: ConnectionAccess, account: AccountRef, order: OrderRequest, client_order_id: str
    ) -> Placed:
        """Take an order; it stays open."""
        self._ask("place")
        placed = self._take(connection, account, order, client_order_id)
        self._fail("place:after")
        return placed

    async def cancel(self, connection: ConnectionAccess, account: AccountRef, broker_order_id: str) -> None:
        """Cancel an open order."""
        self._ask("cancel")
        self._close(connection, account, broker_order_id, OrderStatus.CANCELED)
        self._fail("cancel:after")

    async def replace(
        self, connection: ConnectionAccess, account: AccountRef, broker_order_id: str, order: OrderRequest
    ) -> Placed:
        """Replace an open order by a new one."""
        self._ask("replace")
        self._close(connection, account, broker_order_id, OrderStatus.REPLACED)
        placed = self._take(connection, account, order, None)
        self._fail("replace:after")
        return placed

    async def recent_orders(self, connection: ConnectionAccess, account: AccountRef) -> list[Order]:
        """Everything placed through the connection."""
        self._ask("recent_orders")
        found = self._found(connection).orders.get(account.external_id, [])
        return [msgspec.structs.replace(order, account_id=account.account_id) for order in found]

    async def search_symbols(
        self,
        connection: ConnectionAccess | None,
        account: AccountRef | None,  # noqa: ARG002  the port's; all accounts here can trade the same
        text: str,
    ) -> list[SymbolMatch]:
        """What contains the text, shortest first."""
        self._ask("search_symbols")
        if connection is not None:
            self._found(connection)
        found = sorted((one for one in self.desk.prices if text.upper() in one), key=len)
        return [
            SymbolMatch(instrument=_instrument(one), provider_symbol_id=f"id-{one}", tradable=True)
            for one in found
        ]

    async def quotes(
        self,
        connection: ConnectionAccess,
        account: AccountRef,  # noqa: ARG002  the port's; all accounts here see the same prices
        symbols: list[str],
    ) -> list[Quote]:
        """The price of each that has one."""
        self._ask("quotes")
        self._found(connection)
        known = [one for one in symbols if one in self.desk.prices]
        return [Quote(symbol=one, last=self.desk.prices[one], currency="USD") for one in known]

    def _take(
        self,
        connection: ConnectionAccess,
        account: AccountRef,
        order: OrderRequest,
        client_order_id: str | None,
    ) -> Placed:
        self._price(order.symbol)
        found = self._found(connection)
        if account.external_id not in found.accounts:
            raise self._refused("no such account", ErrorCode.ORDER_REJECTED)
        book = found.orders.setdefault(account.external_id, [])
        number = len(self.desk.placements) + 1
        made = Order(
            account_id=account.account_id,
            broker_order_id=f"broker-{number}",
            status=OrderStatus.ACCEPTED,
            raw_status="ACCEPTED",
            side=order.side,
            instrument=_instrument(order.symbol),
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            quantity=order.quantity,
            limit_price=order.limit_price,
            stop_price=order.stop_price,
            currency=order.currency,
            placed_at=PLACED_AT,
        )
        self.desk.placements.append(
            FakePlacement(account.external_id, order, client_order_id, made.broker_order_id)
        )
        book.append(made)
        return Placed(
            broker_order_ids=[made.broker_order_id], orders=[made], provider_request_id=f"fake-{number}"
        )

    def _close(
        self, connection: ConnectionAccess, account: AccountRef, broker_order_id: str, status: OrderStatus
    ) -> None:
        book = self._found(connection).orders.get(account.external_id, [])
        for index, order in enumerate(book):
            if order.broker_order_id == broker_order_id and order.status is OrderStatus.ACCEPTED:
                book[index] = msgspec.structs.replace(order, status=status, raw_status=status.upper())
                return
        raise self._refused("the order is not open", ErrorCode.ORDER_NOT_OPEN)

    def _price(self, symbol: str) -> Decimal:
        price = self.desk.prices.get(symbol)
        if price is None:
            raise self._refused("no such instrument", ErrorCode.ORDER_REJECTED)
        return price

    def _refused(self, text: str, code: ErrorCode) -> RefusedError:
        return RefusedError(text, code=code, provider=self.provider)

    def _fail(self, point: str) -> None:
        if waiting := self.failures.get(point):
            raise waiting.pop(0)


def _instrument(symbol: str) -> Instrument:
    return Instrument(key=symbol, kind=InstrumentKind.STOCK, symbol=symbol)
