"""The settings that say what providers charge, and what may be spent."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from gateway.guards.budget import Limits
from gateway.guards.prices import Basis, PriceList, Subscription, Terms
from service_kit.settings import ServiceSettings

_PRICE = {"ge": 0, "le": 1000, "max_digits": 12, "decimal_places": 6}
_INTERVAL = {"ge": 60, "le": 30 * 86_400}


class PricingSettings(ServiceSettings):
    """Prices are in US dollars; a price of zero means that the contract includes it."""

    snaptrade_refresh_price: Annotated[
        Decimal,
        Field(
            validation_alias="SNAPTRADE_REFRESH_PRICE",
            description="What SnapTrade charges for a manual refresh, in USD.",
            **_PRICE,
        ),
    ] = Decimal("0.05")
    plaid_refresh_price: Annotated[
        Decimal,
        Field(
            validation_alias="PLAID_REFRESH_PRICE",
            description="What Plaid charges for an investments refresh, in USD; shown as an estimate.",
            **_PRICE,
        ),
    ] = Decimal("0.10")
    snaptrade_user_month_price: Annotated[
        Decimal,
        Field(
            validation_alias="SNAPTRADE_USER_MONTH_PRICE",
            description="What SnapTrade charges for a connected user and month, in USD.",
            **_PRICE,
        ),
    ] = Decimal("2.00")
    plaid_item_month_price: Annotated[
        Decimal,
        Field(
            validation_alias="PLAID_ITEM_MONTH_PRICE",
            description="What Plaid charges for an Item and month, all its products together, in USD; an estimate.",
            **_PRICE,
        ),
    ] = Decimal("0.35")
    snaptrade_refresh_min_interval: Annotated[
        int,
        Field(
            validation_alias="SNAPTRADE_REFRESH_MIN_INTERVAL",
            description="Seconds between two refreshes of one SnapTrade connection.",
            **_INTERVAL,
        ),
    ] = 300
    plaid_refresh_min_interval: Annotated[
        int,
        Field(
            validation_alias="PLAID_REFRESH_MIN_INTERVAL",
            description="Seconds between two refreshes of one Plaid connection, unless its user confirms the cost.",
            **_INTERVAL,
        ),
    ] = 86_400
    refresh_min_interval: Annotated[
        int,
        Field(
            validation_alias="REFRESH_MIN_INTERVAL",
            description="Seconds between two refreshes of one connection that cost nothing.",
            **_INTERVAL,
        ),
    ] = 300
    user_daily_budget: Annotated[
        Decimal | None,
        Field(
            validation_alias="USER_DAILY_BUDGET",
            description="What one user's refreshes may cost a day (UTC), in USD, where admins set nothing else.",
            **_PRICE,
        ),
    ] = Decimal("1.00")
    global_daily_budget: Annotated[
        Decimal | None,
        Field(
            validation_alias="GLOBAL_DAILY_BUDGET",
            description="What all refreshes may cost a day (UTC), in USD, where admins set nothing else.",
            ge=0,
            max_digits=15,
            decimal_places=6,
        ),
    ] = Decimal("25.00")

    @property
    def prices(self) -> PriceList:
        """What providers charge, and how often they may be asked to."""
        return PriceList(
            refreshes={
                "snaptrade": Terms(
                    price=self.snaptrade_refresh_price,
                    every=timedelta(seconds=self.snaptrade_refresh_min_interval),
                ),
                "plaid": Terms(
                    price=self.plaid_refresh_price,
                    every=timedelta(seconds=self.plaid_refresh_min_interval),
                    estimated=True,
                    override=True,
                ),
            },
            subscriptions={
                "snaptrade": Subscription(self.snaptrade_user_month_price, Basis.USER),
                "plaid": Subscription(self.plaid_item_month_price, Basis.CONNECTION, estimated=True),
            },
            read_again_every=timedelta(seconds=self.refresh_min_interval),
        )

    @property
    def budgets(self) -> Limits:
        """Daily budgets where admins set no others."""
        return Limits(user=self.user_daily_budget, everybody=self.global_daily_budget)
