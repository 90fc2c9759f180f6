"""The brokers' side of trading: takes orders, fills them at the world's prices, cancels and replaces them."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Protocol
from uuid import uuid4

from provider_sandbox.snaptrade import errors
from provider_sandbox.snaptrade.trading_book import Book
from provider_sandbox.snaptrade.trading_chaos import ChaosSource
from provider_sandbox.snaptrade.trading_conditions import Conditions
from provider_sandbox.snaptrade.trading_fills import after_fill, marketable, triggered
from provider_sandbox.snaptrade.trading_instruments import Instruments
from provider_sandbox.snaptrade.trading_ledger import Placements
from provider_sandbox.snaptrade.trading_model import Ending, Leg, Preview, Status, Ticket, TradeOrder
from provider_sandbox.state import State

_UNIT = Decimal("0.000001")
_DAY = timedelta(days=1)
_MARGIN = 0.005


class Audience(Protocol):
    """Who hears of changes."""

    def changed(self, order: TradeOrder) -> None:
        """An order has a new status."""

    def traded(self, account_key: str) -> None:
        """An account's holdings and cash changed by a fill."""


class Desk:
    """Everything that is traded in the sandbox. No method awaits, so each is atomic."""

    def __init__(self, state: State, audience: Audience) -> None:
        self._state, self._audience = state, audience
        self.book, self.placements, self.chaos = Book(), Placements(), ChaosSource()
        self.instruments = Instruments()
        self.previews: dict[str, Preview] = {}
        self.last_accepted: dict[str, datetime] = {}
        self.conditions, self.special = Conditions(), dict[str, Conditions]()
        self._timers: set[asyncio.TimerHandle] = set()

    def conditions_for(self, account_key: str) -> Conditions:
        """The conditions of one account."""
        return self.special.get(account_key, self.conditions)

    def reset(self) -> None:
        """Forget orders, placements, chaos and conditions."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self.book.clear()
        self.placements.clear()
        self.chaos.clear()
        self.previews.clear()
        self.last_accepted.clear()
        self.instruments = Instruments()
        self.conditions = Conditions()
        self.special.clear()

    # Orders

    def submit(
        self,
        account_key: str,
        ticket: Ticket,
        *,
        connection: str | None,
        request_id: str | None = None,
        invisible_seconds: float = 0.0,
        at_once: bool = True,
        replaces: TradeOrder | None = None,
        rejected_after: float | None = None,
    ) -> TradeOrder:
        """Take an order; market orders fill at once where the conditions let them. Nothing is checked here.

        `connection` None is somebody else's order. With `at_once` False it fills after the answer; with
        `rejected_after` it never fills.
        """
        now, conditions = self._state.clock(), self.conditions_for(account_key)
        keeps_id = replaces is not None and conditions.replace == "same_id"
        delay = conditions.fill_delay_seconds if rejected_after is None else rejected_after
        order = TradeOrder(
            id=replaces.id if replaces is not None and keeps_id else str(uuid4()),
            account_key=account_key,
            connection=connection,
            request_id=request_id,
            ticket=ticket,
            status=self._first_status(ticket, conditions),
            placed=now,
            updated=now,
            due=now + timedelta(seconds=delay),
            visible=now + timedelta(seconds=invisible_seconds),
            replaces=replaces.id if replaces is not None and not keeps_id else None,
            ends_as=None if rejected_after is None else "REJECTED",
        )
        self.book.put(order)
        self._tell(order)
        if not at_once or delay > 0 or order.ends_as is not None:
            self._later(delay, account_key)
            return order
        self.tick(account_key)
        return self.book.get(order.id) or order

    def _first_status(self, ticket: Ticket, conditions: Conditions) -> Status:
        if conditions.market == "queueing":
            return "QUEUED"
        return "PENDING" if ticket.order_type in {"Market", "Stop"} and ticket.stop is None else "ACCEPTED"

    def cancel(self, order: TradeOrder) -> TradeOrder:
        """Cancel an open order as the conditions say; raises 400 when it is too late."""
        conditions = self.conditions_for(order.account_key)
        if conditions.cancel == "too_late":
            order = self.fill(order)
        if not order.is_open or order.status == "CANCEL_PENDING":
            raise errors.invalid(f"Order cannot be cancelled: its status is {order.status}.")
        if conditions.cancel == "done":
            return self.end(order, "CANCELED")
        now = self._state.clock()
        due = now + timedelta(seconds=conditions.cancel_seconds)
        comes_to: Ending = "EXECUTED" if conditions.cancel == "fills_anyway" else "CANCELED"
        order = self._put(replace(order, status="CANCEL_PENDING", due=due, ends_as=comes_to))
        self._later(conditions.cancel_seconds, order.account_key)
        return order

    def replaceable(self, order: TradeOrder) -> None:
        """Raise 400 unless the order can still be replaced."""
        if self.conditions_for(order.account_key).replace == "too_late" and order.is_open:
            order = self.fill(order)
        if not order.is_open or order.status == "CANCEL_PENDING":
            raise errors.invalid(f"Order cannot be replaced: its status is {order.status}.")

    def end(self, order: TradeOrder, status: Status) -> TradeOrder:
        """End an order; what is filled stays filled."""
        if status == "CANCELED" and order.filled:
            status = "PARTIAL_CANCELED"
        return self._put(replace(order, status=status))

    def fill(
        self, order: TradeOrder, quantity: Decimal | None = None, price: Decimal | None = None
    ) -> TradeOrder:
        """Fill an open order, wholly or in part, at a price or at the world's; holdings and cash follow."""
        ticket, legs = order.ticket, list[Leg]()
        fills = [(leg, *self._terms(ticket, leg, quantity, price)) for leg in ticket.legs]
        if any(units <= 0 or at <= 0 for _, units, at in fills):
            return order
        for leg, units, at in fills:
            fee = self._fee(order, leg, units, first=not order.filled and not legs)
            self._book_fill(order.account_key, leg, units, at, fee=fee)
            legs.append(leg.with_fill(units, at))
        status: Status = order.status if order.status == "CANCEL_PENDING" else "PARTIAL"
        if all(leg.left == 0 for leg in legs):
            status = "EXECUTED"
        changed = replace(ticket, legs=tuple(legs))
        now = self._state.clock()
        filled = self._put(replace(order, ticket=changed, status=status, executed=now, triggered=True))
        self._audience.traded(order.account_key)
        return filled

    def _terms(
        self, ticket: Ticket, leg: Leg, quantity: Decimal | None, price: Decimal | None
    ) -> tuple[Decimal, Decimal]:
        """Units and price of a leg's fill; 0 for a price nobody knows. Several legs only fill whole."""
        units = leg.left if quantity is None or len(ticket.legs) > 1 else min(quantity, leg.left)
        known = price if price is not None else self._state.world.securities[leg.security_key].price
        return units, known or Decimal(0)

    def _fee(self, order: TradeOrder, leg: Leg, units: Decimal, *, first: bool) -> Decimal:
        conditions = self.conditions_for(order.account_key)
        per_contract = conditions.option_fee * units if "_TO_" in leg.action else Decimal(0)
        return per_contract + (conditions.commission if first else Decimal(0))

    def _book_fill(self, account_key: str, leg: Leg, units: Decimal, price: Decimal, *, fee: Decimal) -> None:
        world = self._state.world
        account = world.accounts[account_key]
        changed = after_fill(account, leg, units, price, fee=fee, securities=world.securities)
        world.replace_holdings(account_key, changed.holdings)
        for currency, amount in changed.cash.items():
            if account.cash.get(currency) != amount:
                world.set_cash(account_key, currency, amount)

    # Time and prices

    def tick(self, account_key: str | None = None) -> None:
        """Let time and prices work on the open orders of one account, or of all."""
        for key in self.book.accounts_with_open() if account_key is None else [account_key]:
            for order in self.book.open_in(key):
                self._work(order, self.conditions_for(key))

    def end_of_day(self) -> int:
        """Expire every open Day order; returns how many there were."""
        every = [o for key in self.book.accounts_with_open() for o in self.book.open_in(key)]
        todays = [order for order in every if order.ticket.time_in_force == "Day"]
        for order in todays:
            self.end(order, "EXPIRED")
        return len(todays)

    def _work(self, order: TradeOrder, conditions: Conditions) -> None:
        now = self._state.clock()
        if order.ends_as is not None:
            if now >= order.due:
                self._finish(order, order.ends_as)
        elif self._expired(order, now):
            self.end(order, "EXPIRED")
        elif conditions.market != "open" and not order.ticket.extended:
            return
        elif order.status == "QUEUED":
            self._work(self._put(replace(order, status="ACCEPTED")), conditions)
        elif conditions.fills and now >= order.due:
            self._try(order, conditions)

    def _finish(self, order: TradeOrder, status: Ending) -> None:
        if status == "EXECUTED":
            self.fill(order)
        else:
            self.end(order, status)

    @staticmethod
    def _expired(order: TradeOrder, now: datetime) -> bool:
        ticket = order.ticket
        if ticket.time_in_force == "Day":
            return now >= order.placed + _DAY
        return ticket.expires is not None and now >= ticket.expires

    def _try(self, order: TradeOrder, conditions: Conditions) -> None:
        securities = self._state.world.securities
        if triggered(order, securities):
            if order.ticket.stop is not None and not order.triggered:
                order = self._put(replace(order, triggered=True))
            if marketable(order.ticket, securities):
                order = self._fill_share(order, conditions)
            elif order.status == "PENDING":
                order = self._put(replace(order, status="ACCEPTED"))
        if order.is_open and order.ticket.time_in_force in {"IOC", "FOK"}:
            self.end(order, "CANCELED")

    def _fill_share(self, order: TradeOrder, conditions: Conditions) -> TradeOrder:
        leg = order.ticket.legs[0]
        if conditions.fill_share >= 1 or len(order.ticket.legs) > 1:
            return self.fill(order)
        if order.ticket.time_in_force == "FOK":
            return order
        unit = Decimal(1) if leg.quantity == leg.quantity.to_integral_value() else _UNIT
        share = (leg.quantity * conditions.fill_share).quantize(unit, ROUND_DOWN) - leg.filled
        return self.fill(order, share) if share > 0 else order

    # Telling

    def _put(self, order: TradeOrder) -> TradeOrder:
        order = replace(order, updated=self._state.clock())
        self.book.put(order)
        self._tell(order)
        self._state.changed()
        return order

    def _tell(self, order: TradeOrder) -> None:
        if order.connection is not None:
            self._audience.changed(order)

    def _later(self, seconds: float, account_key: str) -> None:
        def ring() -> None:
            self._timers.discard(timer)
            self.tick(account_key)

        # A little later than due: the loop's clock and the state's are not the same.
        timer = asyncio.get_running_loop().call_later(seconds + _MARGIN, ring)
        self._timers.add(timer)
