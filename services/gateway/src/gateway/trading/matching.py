"""Which of a broker's orders is ours: found by what is new there and looks exactly like it. Pure.

No provider gives back an id that we gave (SnapTrade forwards ``client_order_id`` and never returns it), so an order whose
answer was lost is known by difference alone.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from contracts.instruments import occ_symbol, ticker
from contracts.orders import Order
from contracts.trading import OrderRequest
from gateway.trading.intents import Intent, stem
from gateway.trading.orders import Sought, sought

EARLY = timedelta(seconds=60)
"""By how much a broker's clock may be behind ours."""
_TYPES = {
    "STOPLIMIT": "STOP_LIMIT",
    "STOPLOSSLIMIT": "STOP_LIMIT",
    "STOPLOSS": "STOP",
    "STOPLOSSMARKET": "STOP",
}
"""What brokers call types of orders, without what is no letter."""


class Certainty(StrEnum):
    """What a look has shown."""

    FOUND = "found"
    NOTHING = "nothing"
    SEVERAL = "several"


@dataclass(frozen=True, slots=True)
class Look:
    """What was found at the broker, and how sure that is; ``broker_order_ids`` where it is one order."""

    certainty: Certainty
    broker_order_ids: tuple[str, ...] = ()
    candidates: int = 0


def match(intent: Intent, at_broker: Iterable[Order], others: Sequence[Intent]) -> Look:
    """Which order at the broker is the intent's.

    Args:
        intent: an order that was submitted, with its baseline.
        at_broker: the broker's list, a record a leg.
        others: all other orders of ours in the account. An order of theirs is not ours, and one that could as well be
            theirs is nobody's for certain.
    """
    listed = list(at_broker)
    possible = _possible(intent, listed, _claimed(intent, others))
    if not possible:
        return Look(Certainty.NOTHING)
    rivals = [one for one in others if _may_own(one, possible, listed)]
    if len(possible) > 1 or rivals or not _certain(intent, possible[0], listed):
        return Look(Certainty.SEVERAL, (), len(possible))
    return Look(Certainty.FOUND, (possible[0],), 1)


def same(one: Sought, order: Order) -> bool:
    """Whether a broker's record of a leg says what was sought."""
    return (
        _symbol(order) == one.symbol
        and order.side.upper() == one.side
        and _type(order.order_type) == one.order_type
        and (one.quantity is None or order.quantity == one.quantity)
        and (one.limit_price is None or order.limit_price == one.limit_price)
        and (one.stop_price is None or order.stop_price == one.stop_price)
    )


def _possible(intent: Intent, listed: Sequence[Order], claimed: frozenset[str]) -> list[str]:
    """The ids of orders that were not there before, are nobody else's and look like the intent."""
    before = frozenset(intent.baseline or ()) - {intent.replaces_broker_order_id}
    ids = dict.fromkeys(stem(order.broker_order_id) for order in listed)
    return [
        order_id
        for order_id in ids
        if order_id not in before
        and order_id not in claimed
        and _is_like(intent.order, [one for one in listed if stem(one.broker_order_id) == order_id])
        and _in_time(intent, order_id, listed)
    ]


def _is_like(wanted: OrderRequest, legs: Sequence[Order]) -> bool:
    """Whether each leg that was sought is there once, and nothing else is."""
    parts = sought(wanted)
    return len(legs) == len(parts) and all(
        sum(1 for order in legs if same(part, order)) == 1 for part in parts
    )


def _in_time(intent: Intent, order_id: str, listed: Sequence[Order]) -> bool:
    """Whether it may have been placed since; an order that was changed in place keeps its old time."""
    since = (intent.submitted_at or intent.created_at) - EARLY
    if order_id == intent.replaces_broker_order_id:
        return True
    times = [one.placed_at for one in listed if stem(one.broker_order_id) == order_id]
    return all(placed is None or placed >= since for placed in times)


def _certain(intent: Intent, order_id: str, listed: Sequence[Order]) -> bool:
    """Whether the broker says when it was placed: without, a stale baseline could not be noticed."""
    if order_id == intent.replaces_broker_order_id:
        return True
    return all(one.placed_at is not None for one in listed if stem(one.broker_order_id) == order_id)


def _claimed(intent: Intent, others: Sequence[Intent]) -> frozenset[str]:
    """The broker's ids that belong to other orders of ours; the one being replaced may have given up its own."""
    return frozenset(
        stem(order_id)
        for one in others
        if one.intent_id != intent.replaces_intent_id
        for order_id in one.broker_order_ids
    )


def _may_own(other: Intent, possible: Sequence[str], listed: Sequence[Order]) -> bool:
    """Whether another order of ours, of which nobody knows whether the broker has it, could be one of these."""
    if other.submitted_at is None or other.broker_order_ids or other.settled_at is not None:
        return False
    return bool(set(_possible(other, listed, frozenset())) & set(possible))


def _symbol(order: Order) -> str | None:
    key = order.instrument.key
    return occ_symbol(key) or ticker(key)


def _type(text: str) -> str:
    letters = re.sub(r"[^A-Z]", "", text.upper())
    return _TYPES.get(letters, letters)
