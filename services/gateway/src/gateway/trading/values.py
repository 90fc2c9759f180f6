"""What guards look at, and what they say. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from contracts.errors import ErrorCode
from contracts.trading import OrderRequest, Quote


class Source(StrEnum):
    """Where a number comes from."""

    BROKER = "broker"
    ESTIMATE = "estimate"
    UNAVAILABLE = "unavailable"


class Severity(StrEnum):
    """What a finding does to an order."""

    REFUSAL = "refusal"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one guard has to say; ``code`` of a refusal is an ``ErrorCode``, of a warning a lowercase word."""

    guard: str
    severity: Severity
    code: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def refuses(self) -> bool:
        """Whether it stops the order."""
        return self.severity is Severity.REFUSAL


def refusing(guard: str, code: ErrorCode, message: str, details: Mapping[str, Any] | None = None) -> Finding:
    """A finding that stops the order."""
    return Finding(guard, Severity.REFUSAL, code.value, message, details or {})


def warning(guard: str, code: str, message: str, details: Mapping[str, Any] | None = None) -> Finding:
    """A finding that the user should see, and no more."""
    return Finding(guard, Severity.WARNING, code, message, details or {})


@dataclass(frozen=True, slots=True)
class Limits:
    """What orders are held to. The notional ones are amounts in the currency of the order.

    ``collar`` is the part of the quote by which a price may be worse than it; ``duplicate_window`` how long an equal
    order is taken for a second click; ``gap`` the least time between two orders of an account.
    """

    max_order_notional: Decimal
    max_day_notional: Decimal
    collar: Decimal = Decimal("0.1")
    duplicate_window: timedelta = timedelta(seconds=60)
    gap: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What the user confirmed although it looks like a mistake."""

    duplicate: bool = False
    unverified: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """An account as far as trading needs it, with the connection it is seen through.

    ``as_of`` is when its holdings were read from the institution, ``realtime`` whether that is at every call.
    """

    account_id: UUID
    connection_id: UUID
    provider: str
    institution: str
    external_id: str
    currency: str
    status: str
    trading: bool
    connection_status: str
    connection_type: str | None
    name: str | None = None
    type: str | None = None
    holds_securities: bool = True
    realtime: bool = False
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why an account cannot trade at all; ``reason`` is a stable word, ``guard`` the guard that says so."""

    guard: str
    code: ErrorCode
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Switch:
    """A switch that is off."""

    scope: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Spendable:
    """The money of an account in one currency; None is unknown."""

    cash: Decimal | None = None
    buying_power: Decimal | None = None
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """One leg of an order, at the broker or on its way there.

    ``quantity`` is None where it is for an amount of money, or unknown. ``moved_at`` is when anything last happened to
    it, None where nobody says: then nothing that was read can be trusted to include it.
    """

    symbol: str
    side: str
    quantity: Decimal | None
    filled: Decimal
    is_open: bool
    moved_at: datetime | None
    notional: Decimal | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class KnownIntent:
    """An order of ours that is young, or whose fate is not known."""

    intent_id: UUID
    state: str
    order: OrderRequest
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Priced:
    """What an order is worth: ``price`` per share, and ``notional``, which limits are held against.

    ``cost`` is what the account pays (negative: receives), without fees. None is unknown.
    """

    currency: str
    price: Decimal | None = None
    notional: Decimal | None = None
    cost: Decimal | None = None
    source: Source = Source.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that guards know of one account at one moment.

    ``holdings`` are quantities by instrument key, ``ordered_today`` what the user has ordered on the day, over all
    accounts, by currency. ``priced`` and ``quote`` are of the order at hand.
    """

    account: Account
    day: date
    obstacles: tuple[Obstacle, ...] = ()
    switch: Switch | None = None
    holdings: Mapping[str, Decimal] = field(default_factory=dict)
    balances: Mapping[str, Spendable] = field(default_factory=dict)
    orders: tuple[KnownOrder, ...] = ()
    intents: tuple[KnownIntent, ...] = ()
    ordered_today: Mapping[str, Decimal] = field(default_factory=dict)
    last_order_at: datetime | None = None
    priced: Priced | None = None
    quote: Quote | None = None
