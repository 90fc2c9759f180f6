"""What the control routes of the Plaid face can be told."""

from datetime import date
from decimal import Decimal
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from provider_sandbox.plaid.quirks import Available, CashRow


class Order(BaseModel):
    """An order with no fields but the ones named."""

    model_config = ConfigDict(extra="forbid")


class ErrorOrder(Order):
    """Answer an endpoint with a Plaid error code, `times` times or until reset."""

    endpoint: str
    code: str
    times: int | None = Field(default=None, ge=1)


class BreakOrder(Order):
    """The error an Item gets."""

    code: str = "ITEM_LOGIN_REQUIRED"


class WebhookOrder(Order):
    """A webhook: the body of a known type and code is filled in, whatever `fields` holds replaces or adds to it."""

    webhook_type: str
    webhook_code: str
    fields: dict[str, Any] = Field(default_factory=dict)
    expired_key: bool = False


class HoldingOrder(Order):
    """A position to set; a quantity of zero removes it."""

    account: str
    security: str
    quantity: Decimal
    average_cost: Decimal | None = None


class LimitOrder(Order):
    """Calls per minute of an endpoint; what is absent keeps its number, 0 is no limit."""

    endpoint: str
    per_item: int | None = Field(default=None, ge=0)
    per_client: int | None = Field(default=None, ge=0)


class QuirkOrder(Order):
    """Habits of an institution to change."""

    cash_row: CashRow | None = None
    available: Available | None = None
    lots: bool | None = None
    hidden_tickers: tuple[str, ...] | None = None
    per_share_cost: bool | None = None
    persistent_ids: bool | None = None
    steals_logins: bool | None = None


class SpellingOrder(Order):
    """How SESSION_FINISHED spells its status."""

    spelling: Literal["upper", "lower"]


class SurpriseOrder(Order):
    """What is done to every answer of the face."""

    unknown_fields: bool = False
    missing_optional: bool = False


class PullOrder(Order):
    """The Items whose institution is read; absent means all."""

    items: tuple[str, ...] | None = None


class ConsentOrder(Order):
    """When the user's consent ends; null is never."""

    ends_at: AwareDatetime | None


class TradeOrder(Order):
    """An investment transaction; quantities are real (contracts of options), cash that leaves has a positive amount.

    What is absent is made from the rest: a trade from quantity and price, its day from `days_ago`. `cancels` is the
    name of another one of the account, `#3` the fourth of the made-up ones. A name used before replaces.
    """

    name: str | None = None
    on: date | None = None
    days_ago: int = Field(default=0, ge=0)
    text: str | None = None
    security: str | None = None
    quantity: Decimal = Decimal(0)
    price: Decimal = Decimal(0)
    amount: Decimal | None = None
    fees: Decimal | None = None
    type: str | None = None
    subtype: str | None = None
    at: AwareDatetime | None = None
    cancels: str | None = None


class TradesOrder(Order):
    """Investment transactions to write into an account's history."""

    transactions: tuple[TradeOrder, ...] = Field(min_length=1)
    announce: bool = True


class PaymentOrder(Order):
    """A bank transaction; a positive amount leaves the account. A name used before is modified.

    `posts` is the name of a pending one: it is removed, and this one says that it follows it.
    """

    name: str | None = None
    on: date | None = None
    days_ago: int = Field(default=0, ge=0)
    text: str = "CARD PAYMENT"
    amount: Decimal
    pending: bool = False
    posts: str | None = None


class PaymentsOrder(Order):
    """Bank transactions to write into an account's history."""

    transactions: tuple[PaymentOrder, ...] = Field(min_length=1)
    announce: bool = True


class BulkOrder(Order):
    """Items to make without Link: `users` names (or that many made-up ones), each with `items` Items.

    Each Item is a login of its own with `accounts` investment accounts of `holdings` holdings and `activities`
    transactions, and `deposits` bank accounts.
    """

    users: int | tuple[str, ...] = Field(default=1)
    items: int = Field(default=1, ge=1, le=100)
    institution: str = "fidelity"
    accounts: int = Field(default=1, ge=0, le=50)
    deposits: int = Field(default=0, ge=0, le=50)
    holdings: int = Field(default=3, ge=0, le=1000)
    activities: int = Field(default=0, ge=0, le=100_000)
    products: tuple[str, ...] = ("investments",)
    webhook: str | None = None


class HistoryOrder(Order):
    """How many activities an account's made-up history has; nothing is sent unless `announce` says so."""

    activities: int = Field(ge=0, le=100_000)
    announce: bool = False


class DisorderOrder(Order):
    """Chances of doubling, losing and overtaking, and the longest extra wait in seconds."""

    duplicate: float = Field(default=0, ge=0, le=1)
    drop: float = Field(default=0, ge=0, le=1)
    reorder: float = Field(default=0, ge=0, le=1)
    max_delay: float = Field(default=0, ge=0)
    seed: int = 0
