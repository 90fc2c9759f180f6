"""What is on its way out of an account: quantities that are offered or sold, money that is bound. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from gateway.trading.values import Facts, KnownOrder

NONE = Decimal(0)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One order with its legs, under the broker's ids, from one of the two records there are of it."""

    broker_order_ids: frozenset[str]
    legs: tuple[KnownOrder, ...]

    @property
    def is_open(self) -> bool:
        """Whether anything of it can still happen."""
        return any(leg.is_open for leg in self.legs)


def together(at_broker: Iterable[Recorded], own: Sequence[Recorded]) -> tuple[KnownOrder, ...]:
    """The legs of all orders, each order once: our record where it is final or the broker's list has none of it."""
    listed = list(at_broker)
    seen = frozenset[str]().union(*(order.broker_order_ids for order in listed))
    kept = [order for order in own if not order.is_open or not order.broker_order_ids & seen]
    settled = frozenset[str]().union(*(order.broker_order_ids for order in kept))
    kept += [order for order in listed if not order.broker_order_ids & settled]
    return tuple(leg for order in kept for leg in order.legs)


def leaving(facts: Facts, symbol: str, side: str) -> Decimal | None:
    """How much of what the account showed is offered, or gone since it was read; None where nobody can say.

    ``side`` is the first word of the sides that count: ``SELL`` or ``BUY``.
    """
    total = NONE
    for order in facts.orders:
        if order.symbol == symbol and order.side.startswith(side):
            part = _part(order, facts.account.as_of)
            if part is None:
                return None
            total += part
    return total


def bound(facts: Facts, currency: str, as_of: datetime | None) -> Decimal:
    """The money of purchases that happened, or were sent, after a balance was read; those of unknown size left out."""
    return sum(
        (
            order.notional or NONE
            for order in facts.orders
            if order.currency == currency
            and order.side.startswith("BUY")
            and _since(order, as_of)
            and (order.is_open or order.filled > 0)
        ),
        NONE,
    )


def _part(order: KnownOrder, as_of: datetime | None) -> Decimal | None:
    """What one order takes from what was read at a moment.

    An open one that has moved since counts whole: how much of it was filled before, the reading included or not, is
    not known, and the larger number errs to the safe side.
    """
    moved = _since(order, as_of)
    if not order.is_open:
        return order.filled if moved else NONE
    if order.quantity is None:
        return None
    return order.quantity if moved else max(order.quantity - order.filled, NONE)


def _since(order: KnownOrder, as_of: datetime | None) -> bool:
    return as_of is None or order.moved_at is None or order.moved_at > as_of
