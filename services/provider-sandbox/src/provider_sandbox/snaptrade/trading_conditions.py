"""How the sandbox's brokers behave when they trade; control sets it for everyone or for one account."""

from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any, Literal, get_args

Market = Literal["open", "closed", "queueing"]
CancelOutcome = Literal["done", "pending", "too_late", "fills_anyway"]
ReplaceOutcome = Literal["new_id", "same_id", "too_late"]


MEANING = {
    "market": "open; closed: 400 but for extended limit orders; queueing: orders wait as QUEUED until it opens",
    "fills": "whether orders fill by themselves; false: only when control says so",
    "fill_delay_seconds": "from accepting an order to its first fill",
    "fill_share": "the part of a single-leg order that fills by itself",
    "cancel": "what a cancel comes to",
    "cancel_seconds": "how long CANCEL_PENDING lasts with pending and fills_anyway",
    "replace": "what a replace comes to",
    "impact": "whether the broker previews orders; false: 400",
    "commission": "per order",
    "commission_known": "false: the preview shows null for it",
    "option_fee": "per contract",
    "fractional": "whether fractions of a share and notional orders are taken",
    "sync_after_fill": "sync the account and announce its holdings after a fill",
    "pace": "true: a second order on an account within a second is refused with 429",
    "recent_page": "how many orders recentOrders shows at most",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The conditions of trading, see `MEANING`."""

    market: Market = "open"
    fills: bool = True
    fill_delay_seconds: float = 0.0
    fill_share: Decimal = Decimal(1)
    cancel: CancelOutcome = "done"
    cancel_seconds: float = 0.0
    replace: ReplaceOutcome = "new_id"
    impact: bool = True
    commission: Decimal = Decimal(0)
    commission_known: bool = True
    option_fee: Decimal = Decimal("0.65")
    fractional: bool = True
    sync_after_fill: bool = True
    pace: bool = False
    recent_page: int = 100

    def changed(self, values: dict[str, Any]) -> "Conditions":
        """Return conditions with some values as JSON gives them; raises ValueError naming what is wrong."""
        return replace(self, **{name: _read(name, value) for name, value in values.items()})


_FIELDS = {item.name: item for item in fields(Conditions)}
_CHOICES: dict[str, tuple[str, ...]] = {
    "market": get_args(Market),
    "cancel": get_args(CancelOutcome),
    "replace": get_args(ReplaceOutcome),
}


def _read(name: str, value: Any) -> Any:
    if name not in _FIELDS:
        raise ValueError(f"{name} is not one of {', '.join(_FIELDS)}")
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise ValueError(f"{name} must be one of {', '.join(_CHOICES[name])}")
        return value
    return _READ[type(_FIELDS[name].default)](name, value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false")  # noqa: TRY004 - the caller's body, not our type
    return value


def _amount(name: str, value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
    except ArithmeticError as error:
        raise ValueError(f"{name} must be a decimal number") from error
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{name} must be a finite number of at least 0")
    return amount


_READ: dict[type, Any] = {
    bool: _flag,
    Decimal: _amount,
    float: lambda name, value: float(_amount(name, value)),
    int: lambda name, value: int(_amount(name, value)),
}
