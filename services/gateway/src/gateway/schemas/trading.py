"""Trading: previews, symbols, quotes, switches and limits."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from contracts.trading import OrderType, Side, TimeInForce
from gateway.routes.deciding import UserId
from gateway.schemas.values import Currency, Id, Money, Number, Provider, Shown, Slug, Taken, Time
from gateway.trading.orders import Asked, AskedLeg

Positive = Annotated[
    str,
    Field(
        pattern=r"^\d{1,20}(\.\d{1,18})?$",
        description="A decimal number above zero, as a string.",
        examples=["10"],
    ),
]
AmountOf = Annotated[
    str,
    Field(
        pattern=r"^\d{1,18}(\.\d{1,10})?$", description="An amount of money, as a string.", examples=["500"]
    ),
]
SymbolText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[\x20-\x7e]+$",
        description="A ticker (`AAPL`, `RY.TO`), or an OCC option symbol.",
        examples=["AAPL"],
    ),
]
SideName = Literal["BUY", "SELL", "BUY_TO_OPEN", "BUY_TO_CLOSE", "SELL_TO_OPEN", "SELL_TO_CLOSE"]
TypeName = Literal["MARKET", "LIMIT", "STOP", "STOP_LIMIT"]
ForceName = Literal["DAY", "GTC", "GTD", "IOC", "FOK"]
EffectName = Literal["DEBIT", "CREDIT", "EVEN"]
SourceName = Annotated[
    Literal["broker", "estimate", "unavailable"],
    Field(description="Who says so: the broker, our own arithmetic, or nobody."),
]


class LegBody(Taken):
    """One leg of an order of options."""

    symbol: SymbolText
    side: SideName
    quantity: Positive
    kind: Annotated[Literal["option", "equity"], Field(description="`equity`: the shares beside.")] = "option"


class OrderBody(Taken):
    """An order: shares or one option by `symbol`, several legs by `legs`; either a `quantity` or a `notional`."""

    symbol: SymbolText | None = None
    legs: Annotated[list[LegBody] | None, Field(min_length=1, max_length=8)] = None
    side: SideName | None = None
    order_type: TypeName
    time_in_force: ForceName = "DAY"
    quantity: Positive | None = None
    notional: Annotated[AmountOf | None, Field(description="Instead of a quantity, at the market.")] = None
    limit_price: Positive | None = None
    stop_price: Positive | None = None
    extended_hours: bool = False
    expires_on: Annotated[date | None, Field(description="The last day of a `GTD` order.")] = None
    price_effect: Annotated[EffectName | None, Field(description="Of several legs.")] = None
    provider_symbol_id: Annotated[
        str | None,
        Field(pattern=r"^[\x21-\x7e]{1,64}$", description="As a symbol search gave it."),
    ] = None
    currency: Annotated[
        str | None, Field(pattern=r"^[A-Z]{3}$", description="By default the one it is quoted in.")
    ] = None

    def asked(self) -> Asked:
        """The order as the rules take it."""
        return Asked(
            order_type=OrderType(self.order_type),
            time_in_force=TimeInForce(self.time_in_force),
            symbol=self.symbol,
            side=None if self.side is None else Side(self.side),
            legs=[
                AskedLeg(leg.symbol, Side(leg.side), Decimal(leg.quantity), leg.kind)
                for leg in self.legs or ()
            ],
            quantity=_number(self.quantity),
            notional=_number(self.notional),
            limit_price=_number(self.limit_price),
            stop_price=_number(self.stop_price),
            extended_hours=self.extended_hours,
            expires_on=self.expires_on,
            price_effect=self.price_effect,
            provider_symbol_id=self.provider_symbol_id,
            currency=self.currency,
        )


class ImpactBody(OrderBody):
    """An order to preview, in which account, and what was confirmed after a refusal named it."""

    account_id: Annotated[str, Field(max_length=64)]
    confirm_duplicate: Annotated[bool, Field(description="It is meant, although one like it was placed.")] = (
        False
    )
    confirm_unverified: Annotated[
        bool, Field(description="It is meant, although an earlier one is being verified.")
    ] = False


class Leg(Shown):
    """One leg."""

    symbol: str
    side: str
    quantity: Number
    kind: str


class Order(Shown):
    """The order as it is placed."""

    symbol: str
    side: str
    order_type: str
    time_in_force: str
    quantity: Number | None
    notional: Number | None
    limit_price: Number | None
    stop_price: Number | None
    extended_hours: bool
    expires_on: date | None
    legs: list[Leg]
    price_effect: str | None
    provider_symbol_id: str | None
    currency: Currency


class Figure(Shown):
    """A number, and where it comes from; null where nobody knows, never zero."""

    amount: Number | None
    currency: Currency | None
    source: SourceName


class Figures(Shown):
    """The money of an order. `cost` is paid (negative: received) without `fees`; `notional` is held against limits."""

    price: Figure
    notional: Figure
    cost: Figure
    fees: Figure
    total: Figure
    remaining_cash: Figure
    cash: Figure
    buying_power: Figure


class Quote(Shown):
    """What the broker quotes; it may be delayed."""

    symbol: str
    bid: Number | None
    ask: Number | None
    last: Number | None
    bid_size: Number | None
    ask_size: Number | None
    currency: Currency | None
    as_of: Time | None


class TradingWarning(Shown):
    """Something to read before placing."""

    code: Annotated[str, Field(examples=["market_closed"])]
    message: str
    details: dict[str, Any]


class GuardResult(Shown):
    """A guard, and whether it had something to say."""

    guard: Annotated[str, Field(examples=["order_notional"])]
    result: Literal["passed", "warning"]
    code: str | None


class OrderPreview(Shown):
    """What an order would do; place it by its `preview_id` before `expires_at`."""

    preview_id: Id
    account_id: Id
    provider: Provider
    institution: Slug
    order: Order
    quote: Quote | None
    figures: Figures
    broker_preview: Annotated[bool, Field(description="Whether the broker itself previewed it.")]
    provider_request_id: str | None
    warnings: list[TradingWarning]
    guards: list[GuardResult]
    created_at: Time
    expires_at: Time


class SymbolFound(Shown):
    """One result; `tradable` and `fractional` are null where the broker does not say."""

    symbol: str
    name: str | None
    kind: str
    currency: Currency | None
    mic: str | None
    provider_symbol_id: str
    tradable: bool | None
    fractional: bool | None


class SymbolsAnswer(Shown):
    """What matches, best first."""

    account_id: Id | None
    provider: Provider
    items: list[SymbolFound]


class QuotesAnswer(Shown):
    """Quotes in the order they were asked for; `missing` are those the broker does not quote."""

    account_id: Id
    items: list[Quote]
    missing: list[str]


class TradingReason(Shown):
    """Why not, and what helps."""

    code: str
    reason: Annotated[str | None, Field(examples=["read_only_connection"])]
    message: str
    action: str


class TradingLimits(Shown):
    """What orders are held to, each in its own currency, and what is used of the day (UTC)."""

    max_order_notional: Number
    max_day_notional: Number
    price_collar: Number
    ordered_today: list[Money]


class MarketNow(Shown):
    """The exchanges of the United States at this moment."""

    session: Literal["regular", "extended", "closed"]
    opens_at: Time | None


class AccountTrading(Shown):
    """Whether an account can trade, and why not."""

    account_id: Id
    connection_id: Id
    provider: Provider
    institution: Slug
    can_trade: bool
    reasons: list[TradingReason]
    limits: TradingLimits
    market: MarketNow


SwitchScope = Literal["global", "provider", "user"]
LimitScope = Literal["global", "user"]


class SwitchBody(Taken):
    """A switch to throw; off holds from this moment on."""

    scope: SwitchScope
    provider: Annotated[
        str | None, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$", description="Where the scope is `provider`.")
    ] = None
    user_id: Annotated[UserId | None, Field(description="Where the scope is `user`.")] = None
    enabled: bool
    reason: Annotated[str | None, Field(max_length=500, description="Users are shown it.")] = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.provider is not None, self.user_id is not None) != (
            self.scope == "provider",
            self.scope == "user",
        ):
            raise ValueError("provider and user_id go with the scope of that name, and only with it")
        return self


class Switch(Shown):
    """A switch."""

    scope: SwitchScope
    provider: Provider | None
    user_id: str | None
    enabled: bool
    reason: str | None
    set_by: str
    set_at: Time


class Switches(Shown):
    """Every switch that was ever thrown; trading is on where none of them is off."""

    enabled_in_settings: bool
    items: list[Switch]


class LimitBody(Taken):
    """Limits to set, for everybody or for one user; null leaves what holds without, two nulls drop the row."""

    scope: LimitScope
    user_id: Annotated[UserId | None, Field(description="Where the scope is `user`.")] = None
    max_order_notional: AmountOf | None
    max_day_notional: AmountOf | None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.scope == "user") != (self.user_id is not None):
            raise ValueError("user_id goes with the scope `user`, and only with it")
        if any(value is not None and Decimal(value) <= 0 for value in self.row):
            raise ValueError("a limit is above zero; to stop orders, throw a switch")
        return self

    @property
    def row(self) -> tuple[Decimal | None, Decimal | None]:
        """The limits as they are kept."""
        return _number(self.max_order_notional), _number(self.max_day_notional)


class Limit(Shown):
    """Limits of a scope; `settings` are this installation's own, and nothing is looser."""

    scope: Literal["settings", "global", "user"]
    user_id: str | None
    max_order_notional: Number | None
    max_day_notional: Number | None
    set_by: str | None
    set_at: Time | None


class LimitsAnswer(Shown):
    """All limits; of those that apply to a user the least holds."""

    items: list[Limit]


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
