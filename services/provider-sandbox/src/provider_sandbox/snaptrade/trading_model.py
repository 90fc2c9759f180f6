"""What an order is at a broker of the sandbox; frozen values, no wire format.

Quantities are units, or contracts for options; they are positive, the action says which way. Prices are per unit (per
share for options). The limit of an order with several legs is the net price of one combination.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import reduce
from math import gcd
from typing import Literal, Self, get_args

Action = Literal["BUY", "SELL", "BUY_TO_OPEN", "BUY_TO_CLOSE", "SELL_TO_OPEN", "SELL_TO_CLOSE"]
OrderType = Literal["Market", "Limit", "Stop", "StopLimit"]
TimeInForce = Literal["Day", "GTC", "FOK", "IOC", "GTD"]
PriceEffect = Literal["CREDIT", "DEBIT", "EVEN"]
Status = Literal[
    "PENDING",
    "ACCEPTED",
    "QUEUED",
    "PARTIAL",
    "CANCEL_PENDING",
    "EXECUTED",
    "CANCELED",
    "PARTIAL_CANCELED",
    "REJECTED",
    "REPLACED",
    "EXPIRED",
]
Ending = Literal["CANCELED", "EXECUTED", "REJECTED"]
ACTIONS: tuple[str, ...] = get_args(Action)
OPEN: frozenset[str] = frozenset({"PENDING", "ACCEPTED", "QUEUED", "PARTIAL", "CANCEL_PENDING"})
EXECUTED: frozenset[str] = frozenset({"EXECUTED", "PARTIAL", "PARTIAL_CANCELED"})


@dataclass(frozen=True, slots=True)
class Leg:
    """One instrument of an order; `price` is the average of its fills."""

    security_key: str
    action: Action
    quantity: Decimal
    filled: Decimal = Decimal(0)
    price: Decimal | None = None

    @property
    def buys(self) -> bool:
        """Whether units come in."""
        return self.action.startswith("BUY")

    @property
    def left(self) -> Decimal:
        """What is not filled yet."""
        return self.quantity - self.filled

    def signed(self, quantity: Decimal) -> Decimal:
        """A quantity with the sign it has for the holding."""
        return quantity if self.buys else -quantity

    def with_fill(self, quantity: Decimal, price: Decimal) -> Self:
        """The leg after a fill."""
        filled = self.filled + quantity
        before = Decimal(0) if self.price is None else self.price * self.filled
        return replace(self, filled=filled, price=(before + price * quantity) / filled)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What somebody asks a broker to do. `notional` is kept for the record; quantities are already worked out."""

    legs: tuple[Leg, ...]
    order_type: OrderType
    time_in_force: TimeInForce
    limit: Decimal | None = None
    stop: Decimal | None = None
    notional: Decimal | None = None
    price_effect: PriceEffect | None = None
    extended: bool = False
    expires: datetime | None = None

    @property
    def combinations(self) -> int:
        """How often the smallest combination of the legs is in the order; 1 for a single leg."""
        if len(self.legs) == 1:
            return 1
        return reduce(gcd, (int(leg.quantity) for leg in self.legs))


@dataclass(frozen=True, slots=True)
class TradeOrder:
    """An order a broker has. `connection` is the one it was placed through, None when somebody else placed it.

    `due` is when it may fill at the earliest, `visible` when lists begin to show it. `triggered` tells that the stop
    was reached. `ends_as` is what becomes of it when `due` comes, whatever the prices are.
    """

    id: str
    account_key: str
    connection: str | None
    request_id: str | None
    ticket: Ticket
    status: Status
    placed: datetime
    updated: datetime
    due: datetime
    visible: datetime
    executed: datetime | None = None
    replaces: str | None = None
    triggered: bool = False
    ends_as: Ending | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can still fill."""
        return self.status in OPEN

    @property
    def filled(self) -> bool:
        """Whether any of it is filled."""
        return any(leg.filled for leg in self.ticket.legs)


@dataclass(frozen=True, slots=True)
class Preview:
    """A checked trade that can be placed once, within five minutes, by the user it was made for."""

    client_id: str
    user_id: str
    account_id: str
    account_key: str
    ticket: Ticket
    expires: datetime
