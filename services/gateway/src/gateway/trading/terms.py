"""The settings of trading."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from gateway.trading.values import Limits
from service_kit.settings import ServiceSettings

_AMOUNT = {"gt": 0, "max_digits": 28, "decimal_places": 10}


class TradingSettings(ServiceSettings):
    """What orders are held to in this installation; admins can only tighten it."""

    trading_enabled: Annotated[
        bool,
        Field(validation_alias="TRADING_ENABLED", description="Let users place orders where brokers allow."),
    ] = True
    trading_max_order_notional: Annotated[
        Decimal,
        Field(
            validation_alias="TRADING_MAX_ORDER_NOTIONAL",
            description="What one order may be worth, in its own currency.",
            **_AMOUNT,
        ),
    ] = Decimal(25_000)
    trading_max_day_notional: Annotated[
        Decimal,
        Field(
            validation_alias="TRADING_MAX_DAY_NOTIONAL",
            description="What all orders of a user may be worth a day (UTC), each currency by itself.",
            **_AMOUNT,
        ),
    ] = Decimal(100_000)
    trading_price_collar: Annotated[
        Decimal,
        Field(
            validation_alias="TRADING_PRICE_COLLAR",
            description="By which part a price may be worse than the last quote: 0.1 is ten per cent.",
            gt=0,
            lt=1,
        ),
    ] = Decimal("0.1")
    trading_duplicate_seconds: Annotated[
        int,
        Field(
            validation_alias="TRADING_DUPLICATE_SECONDS",
            ge=1,
            le=3600,
            description="For how long an equal order is taken for a second click.",
        ),
    ] = 60

    @property
    def trading_limits(self) -> Limits:
        """The limits of this installation."""
        return Limits(
            max_order_notional=self.trading_max_order_notional,
            max_day_notional=self.trading_max_day_notional,
            collar=self.trading_price_collar,
            duplicate_window=timedelta(seconds=self.trading_duplicate_seconds),
        )
