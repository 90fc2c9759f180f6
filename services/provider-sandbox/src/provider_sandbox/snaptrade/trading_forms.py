"""Reads the bodies that ask for orders: four forms, one `Asked`. Only what can be said without knowing the account.

Every refusal is the documented 400 for invalid input.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from provider_sandbox.snaptrade import errors
from provider_sandbox.snaptrade.trading_model import ACTIONS, Action, OrderType, PriceEffect, TimeInForce

_TYPES = {
    "limit": "Limit",
    "market": "Market",
    "stop": "Stop",
    "stop_limit": "StopLimit",
    "LIMIT": "Limit",
    "MARKET": "Market",
    "STOP_LOSS_MARKET": "Stop",
    "STOP_LOSS_LIMIT": "StopLimit",
}
_LEAST, _MOST = Decimal("0.000001"), Decimal(1_000_000_000)
_STRICT = ("Market", "Limit", "Stop", "StopLimit")
_FORCES = ("Day", "GTC", "FOK", "IOC")
_LOWER = {"day": "Day", "gtc": "GTC", "fok": "FOK", "ioc": "IOC", "gtd": "GTD"}
_SIMPLE = frozenset(
    [
        "order_type",
        "time_in_force",
        "legs",
        "limit_price",
        "stop_price",
        "notional_value",
        "price_effect",
        "client_order_id",
        "expiry_date",
        "trading_session",
    ]
)


@dataclass(frozen=True, slots=True)
class AskedLeg:
    """A leg as the client names it: by `symbol` or by `universal_symbol_id`; `option` None where it may be either."""

    action: Action
    quantity: Decimal | None
    symbol: str | None = None
    universal_symbol_id: str | None = None
    option: bool | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a form asks for."""

    legs: tuple[AskedLeg, ...]
    order_type: OrderType
    time_in_force: TimeInForce
    limit: Decimal | None
    stop: Decimal | None
    notional: Decimal | None = None
    price_effect: PriceEffect | None = None
    extended: bool = False
    expires: datetime | None = None

    def checked(self) -> "Asked":
        """Return itself, or raise the 400 for a combination no broker takes."""
        if self.order_type in {"Limit", "StopLimit"} and self.limit is None and self.price_effect != "EVEN":
            raise errors.invalid(f"price is required for {self.order_type} orders.")
        if self.order_type in {"Stop", "StopLimit"} and self.stop is None:
            raise errors.invalid(f"stop is required for {self.order_type} orders.")
        quantities = [leg.quantity for leg in self.legs]
        if (self.notional is None) == (None in quantities):
            raise errors.invalid("Exactly one of units and notional_value is required.")
        if self.notional is not None and (self.order_type, self.time_in_force) != ("Market", "Day"):
            raise errors.invalid("notional_value is only supported for Market orders with time in force Day.")
        if self.extended and self.order_type != "Limit":
            raise errors.invalid("Only Limit orders are supported in the extended trading session.")
        if (self.time_in_force == "GTD") != (self.expires is not None):
            raise errors.invalid("expiry_date is required for GTD orders and only for those.")
        return self


def impact(body: Any) -> Asked:
    """`POST /trade/impact`: an equity by its universal symbol id."""
    form = _object(body)
    action = _choice(form, "action", ("BUY", "SELL"))
    symbol_id = _uuid(form, "universal_symbol_id")
    if symbol_id is None:
        raise errors.invalid("universal_symbol_id: This field is required.")
    leg = AskedLeg(
        cast("Action", action), _number(form, "units"), universal_symbol_id=symbol_id, option=False
    )
    return _manual(form, leg, _FORCES)


def place(body: Any) -> Asked:
    """`POST /trade/place`: an equity or an option by exactly one of `symbol` and `universal_symbol_id`."""
    form = _object(body)
    action = _choice(form, "action", ACTIONS)
    symbol, symbol_id = _text(form, "symbol"), _uuid(form, "universal_symbol_id")
    if (symbol is None) == (symbol_id is None):
        raise errors.invalid("Exactly one of symbol and universal_symbol_id is required.")
    _uuid(form, "client_order_id")
    leg = AskedLeg(cast("Action", action), _number(form, "units"), symbol, symbol_id)
    return _manual(form, leg, (*_FORCES, "GTD"))


def replacement(body: Any) -> Asked:
    """`POST /accounts/{accountId}/trading/replace`; the quantity may stay away and is then the old one."""
    form = _object(body)
    action = _choice(form, "action", ACTIONS)
    units = _number(form, "units")
    leg = AskedLeg(cast("Action", action), Decimal(1) if units is None else units, _text(form, "symbol"))
    return _manual({**form, "notional_value": None}, leg, _FORCES)


def _manual(form: Mapping[str, Any], leg: AskedLeg, forces: Iterable[str]) -> Asked:
    session = _optional_choice(form, "trading_session", ("REGULAR", "EXTENDED"))
    return Asked(
        legs=(leg,),
        order_type=cast("OrderType", _choice(form, "order_type", _STRICT)),
        time_in_force=cast("TimeInForce", _choice(form, "time_in_force", forces)),
        limit=_number(form, "price"),
        stop=_number(form, "stop"),
        notional=_number(form, "notional_value", text=True),
        extended=session == "EXTENDED",
        expires=_moment(form, "expiry_date"),
    ).checked()


def combination(body: Any) -> Asked:
    """`POST /accounts/{accountId}/trading/options`: one leg or several, whole units."""
    form = _object(body)
    legs = tuple(_combination_leg(item) for item in _list(form, "legs"))
    return Asked(
        legs=legs,
        order_type=cast("OrderType", _TYPES[_choice(form, "order_type", [n for n in _TYPES if n.isupper()])]),
        time_in_force=cast("TimeInForce", _choice(form, "time_in_force", _FORCES)),
        limit=_number(form, "limit_price", text=True),
        stop=_number(form, "stop_price", text=True),
        price_effect=cast(
            "PriceEffect | None", _optional_choice(form, "price_effect", ("CREDIT", "DEBIT", "EVEN"))
        ),
    ).checked()


def _combination_leg(item: Any) -> AskedLeg:
    leg = _object(item)
    instrument = _object(leg.get("instrument"))
    units = leg.get("units")
    if type(units) is not int or units < 1:
        raise errors.invalid("legs.units: A valid integer of at least 1 is required.")
    kind = _choice(instrument, "instrument_type", ("OPTION", "EQUITY"))
    action = cast("Action", _choice(leg, "action", ACTIONS))
    return AskedLeg(action, Decimal(units), _required(instrument, "symbol"), option=kind == "OPTION")


def simple(body: Any) -> Asked:
    """`POST /accounts/{accountId}/trading/simple`: lower-case vocabulary, no other members."""
    form = _object(body)
    unknown = sorted(set(form) - _SIMPLE)
    if unknown:
        raise errors.invalid(f"{unknown[0]}: Unexpected member.")
    _uuid(form, "client_order_id")
    effect = _optional_choice(form, "price_effect", ("credit", "debit", "even"))
    return Asked(
        legs=tuple(_simple_leg(item) for item in _list(form, "legs")),
        order_type=cast("OrderType", _TYPES[_choice(form, "order_type", [n for n in _TYPES if n.islower()])]),
        time_in_force=cast("TimeInForce", _LOWER[_choice(form, "time_in_force", _LOWER)]),
        limit=_number(form, "limit_price", text=True),
        stop=_number(form, "stop_price", text=True),
        notional=_number(form, "notional_value", text=True),
        price_effect=cast("PriceEffect | None", effect.upper() if effect else None),
        extended=_optional_choice(form, "trading_session", ("regular", "extended")) == "extended",
        expires=_moment(form, "expiry_date"),
    ).checked()


def _simple_leg(item: Any) -> AskedLeg:
    leg = _object(item)
    instrument = _object(leg.get("instrument"))
    kind = _choice(instrument, "kind", ("equity", "option", "future", "future_option"))
    if kind.startswith("future"):
        raise errors.invalid(f"{kind} orders are not supported by this brokerage.")
    action = _choice(leg, "action", [name.lower() for name in ACTIONS]).upper()
    units = _number(leg, "units", text=True)
    return AskedLeg(cast("Action", action), units, _required(instrument, "symbol"), option=kind == "option")


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise errors.invalid("Invalid data. Expected a dictionary.")
    return value


def _list(form: Mapping[str, Any], name: str) -> list[Any]:
    value = form.get(name)
    if not isinstance(value, list) or not value:
        raise errors.invalid(f"{name}: A list of at least one item is required.")
    return value


def _text(form: Mapping[str, Any], name: str) -> str | None:
    value = form.get(name)
    if value is not None and (not isinstance(value, str) or not value):
        raise errors.invalid(f"{name}: Not a valid string.")
    return value


def _required(form: Mapping[str, Any], name: str) -> str:
    value = _text(form, name)
    if value is None:
        raise errors.invalid(f"{name}: This field is required.")
    return value


def _choice(form: Mapping[str, Any], name: str, allowed: Iterable[str]) -> str:
    value = _required(form, name)
    if value not in allowed:
        raise errors.invalid(f'{name}: "{value}" is not a valid choice.')
    return value


def _optional_choice(form: Mapping[str, Any], name: str, allowed: Iterable[str]) -> str | None:
    return None if form.get(name) is None else _choice(form, name, allowed)


def _uuid(form: Mapping[str, Any], name: str) -> str | None:
    value = _text(form, name)
    try:
        return None if value is None else str(UUID(value))
    except ValueError as error:
        raise errors.invalid(f"{name}: Must be a valid UUID.") from error


def _number(form: Mapping[str, Any], name: str, *, text: bool = False) -> Decimal | None:
    """A positive number; as JSON number, and where `text` says so as string."""
    value = form.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str) if text else (int, float)):
        raise errors.invalid(f"{name}: A valid number is required.")
    try:
        number = Decimal(str(value))
    except ArithmeticError as error:
        raise errors.invalid(f"{name}: A valid number is required.") from error
    if not number.is_finite() or not _LEAST <= number <= _MOST:
        raise errors.invalid(f"{name}: A positive number is required.")
    return number


def _moment(form: Mapping[str, Any], name: str) -> datetime | None:
    value = _text(form, name)
    try:
        moment = None if value is None else datetime.fromisoformat(value)
    except ValueError as error:
        raise errors.invalid(f"{name}: Datetime has wrong format.") from error
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=UTC)
