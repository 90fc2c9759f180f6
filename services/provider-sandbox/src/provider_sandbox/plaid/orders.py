"""What the control routes of the Plaid face can be told."""

from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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


class HistoryOrder(Order):
    """How many activities an account's history has."""

    activities: int = Field(ge=0, le=100_000)


class DisorderOrder(Order):
    """Chances of doubling, losing and overtaking, and the longest extra wait in seconds."""

    duplicate: float = Field(default=0, ge=0, le=1)
    drop: float = Field(default=0, ge=0, le=1)
    reorder: float = Field(default=0, ge=0, le=1)
    max_delay: float = Field(default=0, ge=0)
    seed: int = 0
