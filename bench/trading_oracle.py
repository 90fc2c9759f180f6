"""What became of orders, by the brokers' own ledger: twice placed, lost, stuck, beyond a limit. Pure.

The ledger alone says what was placed. Our tables are what is judged: they say where each order is believed to stand.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

PLACING = frozenset({"place", "trade", "options", "simple"})
UNSETTLED = frozenset({"CONFIRMED", "SUBMITTING", "UNKNOWN"})
WAITING = "NEEDS_USER"
REJECTED = "REJECTED"
ENDS = {
    "FILLED": {"EXECUTED"},
    "CANCELLED": {"CANCELED", "PARTIAL_CANCELED"},
    "EXPIRED": {"EXPIRED"},
    "REJECTED": {"REJECTED"},
    "REPLACED": {"REPLACED"},
}
"""Final states, and what the broker must say of an order in one. The others say that it is open."""

Row = Mapping[str, Any]
Shape = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Believed:
    """What is written of an order: its id at the broker's door, its state, and the broker's ids of it."""

    intent_id: str
    user_id: str
    client_order_id: str
    state: str
    broker_order_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What orders are held to, by user where that differs; prices are those of market orders."""

    order: Decimal
    day: Mapping[str, Decimal]
    usual_day: Decimal
    prices: Mapping[str, Decimal]


@dataclass(slots=True)
class Verdict:
    """What was found; lists name the orders, so that one can look for them."""

    intents: int = 0
    accepted: int = 0
    double: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    mistaken: list[Believed] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


def judge(
    rows: Iterable[Row], believed: Sequence[Believed], wanted: Mapping[Shape, int], limits: Limits
) -> Verdict:
    """Judge all orders.

    Args:
        rows: the ledger of placements, whole.
        believed: every order of ours.
        wanted: how often people asked for an order of a shape to be placed; each shape is of one account.
        limits: what was configured.
    """
    placed = [row for row in rows if row["kind"] in PLACING]
    accepted = [row for row in placed if row["accepted"]]
    verdict = Verdict(intents=len(believed), accepted=len(accepted))
    verdict.double = _doubles(accepted, wanted)
    verdict.violations = [*_unwanted(placed, wanted), *_beyond(accepted, limits)]
    by_id = {one.client_order_id: one for one in believed}
    for row in accepted:
        _placed(verdict, row, by_id.get(row["client_order_id"] or ""))
    there = {row["client_order_id"] for row in accepted}
    for one in believed:
        if one.state in UNSETTLED:
            verdict.stuck.append(f"{one.intent_id} is {one.state}")
        elif one.state == WAITING:
            verdict.waiting.append(one.intent_id)
        elif one.state != REJECTED and one.client_order_id not in there:
            verdict.mistaken.append(one)
    return verdict


def shape(row: Row) -> Shape:
    """What two placements of the same order have in common, its account among it."""
    return (
        row["account"],
        row["symbol"],
        row["side"],
        _plain(row["quantity"]),
        str(row["order_type"]).upper(),
        _plain(row["limit_price"]),
    )


def worth(row: Row, prices: Mapping[str, Decimal]) -> Decimal:
    """What an order is worth: at its limit, or at the market."""
    price = row["limit_price"] or prices[str(row["symbol"])]
    return Decimal(str(row["quantity"])) * Decimal(str(price))


def _doubles(accepted: Iterable[Row], wanted: Mapping[Shape, int]) -> list[str]:
    """Everything that was taken more often than it was wished for, by shape and by the id that we gave."""
    groups: dict[Shape, list[Row]] = defaultdict(list)
    for row in accepted:
        groups[shape(row)].append(row)
    found: list[str] = []
    for one, members in groups.items():
        ids = Counter(row["client_order_id"] for row in members)
        too_many = max(len(members) - wanted.get(one, 0), sum(ids.values()) - len(ids))
        found += [f"{' '.join(str(part) for part in one)} was taken {len(members)} times"] * max(too_many, 0)
    return found


def _unwanted(placed: Iterable[Row], wanted: Mapping[Shape, int]) -> list[str]:
    """Everything that reached a broker, taken or not, although nobody asked for it or it was refused to them."""
    return [
        f"{' '.join(str(part) for part in shape(row))} reached the broker"
        for row in placed
        if not wanted.get(shape(row)) and row["symbol"] is not None
    ]


def _beyond(accepted: Iterable[Row], limits: Limits) -> list[str]:
    found, days = [], defaultdict[tuple[str, str], Decimal](Decimal)
    for row in accepted:
        value = worth(row, limits.prices)
        days[str(row["user"]), str(row["received_at"])[:10]] += value
        if value > limits.order:
            found.append(f"{row['broker_order_id']} is worth {value}, more than {limits.order}")
    for (user, day), total in days.items():
        most = limits.day.get(user, limits.usual_day)
        if total > most:
            found.append(f"{user} ordered {total} on {day}, more than {most}")
    return found


def _placed(verdict: Verdict, row: Row, one: Believed | None) -> None:
    """An order that the broker has must be known by its id, wait for a person, or still be looked for."""
    name = f"{row['broker_order_id']} ({row['chaos'] or 'no chaos'})"
    if one is None:
        verdict.lost.append(f"{name} belongs to no order of ours")
    elif one.state in UNSETTLED or one.state == WAITING:
        return
    elif row["broker_order_id"] not in one.broker_order_ids:
        verdict.lost.append(f"{name} is unknown to {one.intent_id}, which is {one.state}")
    elif not _true(one.state, str(row["order_status"])):
        verdict.untrue.append(f"{one.intent_id} is {one.state}, {name} is {row['order_status']}")


def _true(state: str, status: str) -> bool:
    every_end = frozenset[str]().union(*ENDS.values())
    return status in ENDS[state] if state in ENDS else status not in every_end


def _plain(number: Any) -> str | None:
    return None if number is None else format(Decimal(str(number)).normalize(), "f")
