"""Orders of ours: placing, what became of them, cancelling, replacing, and what operators decide."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from gateway.schemas.trading import Leg, Positive
from gateway.schemas.values import PLAIN_TEXT, Currency, Cursor, Id, Number, Provider, Shown, Taken, Time

StateName = Annotated[
    Literal[
        "CONFIRMED",
        "SUBMITTING",
        "ACCEPTED",
        "REJECTED",
        "UNKNOWN",
        "NEEDS_USER",
        "PARTIALLY_FILLED",
        "FILLED",
        "CANCELLED",
        "REPLACED",
        "EXPIRED",
    ],
    Field(description="`UNKNOWN` and `NEEDS_USER`: the broker may have it or not; it is being verified."),
]
BrokerOrderId = Annotated[str, Field(min_length=1, max_length=200, pattern=PLAIN_TEXT)]
ConfirmDuplicate = Annotated[bool, Field(description="It is meant, although one like it was placed.")]
ConfirmUnverified = Annotated[
    bool, Field(description="It is meant, although an earlier one is being verified.")
]


class PlaceBody(Taken):
    """Place what was previewed."""

    preview_id: Annotated[str, Field(max_length=64)]
    confirm_duplicate: ConfirmDuplicate = False
    confirm_unverified: ConfirmUnverified = False


class ReplaceBody(Taken):
    """What is to be different; what is left out stays."""

    quantity: Positive | None = None
    limit_price: Positive | None = None
    stop_price: Positive | None = None
    confirm_duplicate: ConfirmDuplicate = False
    confirm_unverified: ConfirmUnverified = False

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.quantity is None and self.limit_price is None and self.stop_price is None:
            raise ValueError("give a quantity, a limit_price or a stop_price")
        return self

    @property
    def numbers(self) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
        """Quantity, limit and stop."""
        quantity, limit, stop = (
            None if text is None else Decimal(text)
            for text in (self.quantity, self.limit_price, self.stop_price)
        )
        return quantity, limit, stop


class ResolveBody(Taken):
    """What an operator found out."""

    model_config = ConfigDict(populate_by_name=True)

    found: Annotated[Literal["accepted", "rejected"], Field(alias="as")]
    broker_order_id: Annotated[
        BrokerOrderId | None, Field(description="With `accepted`: the broker's id of the order.")
    ] = None
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=PLAIN_TEXT)]

    @model_validator(mode="after")
    def _with_id(self) -> Self:
        if (self.found == "accepted") != (self.broker_order_id is not None):
            raise ValueError("broker_order_id goes with accepted, and only with it")
        return self


class OrderError(Shown):
    """Why an order was not placed."""

    code: str
    message: str


class OwnOrder(Shown):
    """An order that was placed here; `final` once nothing can happen to it any more."""

    order_id: Id
    account_id: Id
    connection_id: Id
    provider: Provider
    state: StateName
    message: Annotated[str, Field(description="A sentence for people.")]
    final: bool
    symbol: str
    side: str
    order_type: str
    time_in_force: str
    quantity: Number | None
    notional: Number | None
    limit_price: Number | None
    stop_price: Number | None
    price_effect: str | None
    extended_hours: bool
    expires_on: date | None
    legs: list[Leg]
    currency: Currency
    worth: Annotated[Number | None, Field(description="What counts against the limits.")]
    filled_quantity: Number | None
    average_price: Number | None
    broker_order_ids: list[str]
    client_order_id: Id
    replaces_order_id: Id | None
    error: OrderError | None
    cancel_requested_at: Time | None
    created_at: Time
    submitted_at: Time | None
    settled_at: Time | None
    updated_at: Time


class OrderStep(Shown):
    """One thing that happened to an order."""

    move: int
    from_: Annotated[str | None, Field(alias="from")]
    to: str
    by: Annotated[str, Field(description="user, admin, reconciler or follower.", examples=["user"])]
    reason: str | None
    provider_request_id: str | None
    at: Time


class OrderStory(OwnOrder):
    """An order with everything that happened to it, the oldest first."""

    replaced_by_order_id: Id | None
    history: list[OrderStep]


class OwnOrderPage(Shown):
    """A page of orders that were placed here, newest first."""

    items: list[OwnOrder]
    next_cursor: Cursor


class UnknownOrder(OwnOrder):
    """An order of unknown fate, with what is needed to find it at its broker."""

    user_id: str
    baseline: Annotated[list[str] | None, Field(description="The broker's order ids from before.")]
    looks: int
    next_look_at: Time | None


class UnknownOrderPage(Shown):
    """A page of orders of unknown fate, oldest first."""

    items: list[UnknownOrder]
    next_cursor: Cursor
