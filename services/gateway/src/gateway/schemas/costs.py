"""What providers cost, for admins."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from gateway.routes.deciding import UserId
from gateway.schemas.values import Currency, Cursor, Id, Number, Provider, Shown, Slug, Taken, Time

GroupBy = Literal["provider", "user", "day", "kind"]
Amount = Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,6})?$", examples=["5.00"])]
Scope = Literal["global", "everybody", "user"]


class CostSums(Shown):
    """Charges summed: `reserved` and `unknown` ones may yet be charged; `released` ones never were."""

    charged: Number
    reserved: Number
    unknown: Number
    charges: int
    open: int
    released: int
    estimated: Annotated[bool, Field(description="Some price in it is an estimate.")]


class CostGroup(CostSums):
    """The sums of one provider, user, day or kind."""

    key: Annotated[str, Field(examples=["snaptrade"])]


class Costs(Shown):
    """What was spent, both days included."""

    from_: Annotated[date, Field(alias="from")]
    to: date
    group_by: GroupBy
    currency: Currency
    items: list[CostGroup]
    total: CostSums
    next_cursor: Cursor


class UnsettledCharge(Shown):
    """A refresh of which nobody has said (for certain) what became of it."""

    charge_id: Id
    user_id: str
    provider: Provider
    institution: Slug | None
    connection_id: Id | None
    state: Literal["reserved", "unknown"]
    amount: Number
    currency: Currency
    estimated: bool
    confirmed: bool
    requested_by: str
    requested_at: Time
    error_code: str | None
    error: str | None


class UnsettledCharges(Shown):
    """A page of them, oldest first."""

    items: list[UnsettledCharge]
    next_cursor: Cursor


class RefreshForecast(Shown):
    """One provider's refreshes this month: charged, still open, and the rest of the month at the same rate."""

    provider: Provider
    charged: Number
    open: Number
    run_rate_rest_of_month: Number
    forecast: Number
    estimated: bool


class SubscriptionForecast(Shown):
    """What one provider bills this month for the users or connections that exist there now."""

    provider: Provider
    per: Literal["user", "connection"]
    count: int
    price: Number
    forecast: Number
    estimated: bool


class Forecast(Shown):
    """What the month will cost, and of what that is made."""

    month: Annotated[str, Field(examples=["2026-11"])]
    as_of: Time
    currency: Currency
    refreshes: list[RefreshForecast]
    subscriptions: list[SubscriptionForecast]
    total: Number


class BudgetBody(Taken):
    """A daily budget (UTC) for refreshes; `daily_limit` null is no limit, `default` drops what was set."""

    scope: Annotated[
        Scope, Field(description="All refreshes together; each user who has none of their own; one user.")
    ]
    user_id: Annotated[UserId | None, Field(description="Where the scope is `user`.")] = None
    daily_limit: Amount | Literal["default"] | None


class Budget(Shown):
    """A daily budget that holds; `set_by` is null where it is the settings'."""

    scope: Scope
    user_id: str | None
    daily_limit: Number | None
    currency: Currency
    set_by: str | None
    set_at: Time | None


class Budgets(Shown):
    """Every budget."""

    items: list[Budget]
