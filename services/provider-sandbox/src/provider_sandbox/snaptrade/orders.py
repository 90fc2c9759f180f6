"""A few deterministic orders per account, those control gave it, and their three wire shapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from provider_sandbox.snaptrade.identifiers import stable_id
from provider_sandbox.snaptrade.instruments import instrument
from provider_sandbox.snaptrade.numbers import moment, text
from provider_sandbox.snaptrade.reference import SEARCHABLE, option_symbol, universal_symbol
from provider_sandbox.snaptrade.seen import Seen
from provider_sandbox.world import Security, World

STATUSES = frozenset({"EXECUTED", "ACCEPTED", "PARTIAL", "PENDING", "CANCELED", "REJECTED"})
OPEN, EXECUTED = frozenset({"ACCEPTED", "PARTIAL", "PENDING"}), frozenset({"EXECUTED", "PARTIAL"})
_SCRIPT = (
    ("EXECUTED", "BUY", Decimal(1), timedelta(hours=3)),
    ("ACCEPTED", "BUY", Decimal(0), timedelta(hours=5)),
    ("PARTIAL", "SELL", Decimal("0.5"), timedelta(days=2)),
    ("CANCELED", "SELL", Decimal(0), timedelta(days=6)),
    ("REJECTED", "BUY", Decimal(0), timedelta(days=12)),
)


@dataclass(frozen=True, slots=True)
class Order:
    """One single-leg limit order."""

    id: str
    status: str
    action: str
    security: Security
    quantity: Decimal
    filled: Decimal
    price: Decimal
    placed: datetime

    @property
    def executed(self) -> datetime | None:
        """When the last fill was."""
        return self.placed + timedelta(seconds=2) if self.filled else None

    @property
    def canceled(self) -> Decimal:
        """How much was taken back."""
        return self.quantity if self.status == "CANCELED" else Decimal(0)


def orders_of(seen: Seen, connected: datetime) -> list[Order]:
    """Return the account's orders, newest first: one per status, some time before it was connected."""
    priced = [seen.securities[h.security_key] for h in seen.account.holdings]
    tradeable = [s for s in priced if s.price is not None and (s.kind in {"stock", "etf", "option"})]
    made = []
    for index, (status, action, share, age) in enumerate(_SCRIPT[: len(tradeable)]):
        security = tradeable[index]
        quantity = Decimal(2)
        made.append(
            Order(
                id=stable_id("order", f"{seen.account.key}/{index}"),
                status=status,
                action=_opening(action) if security.kind == "option" else action,
                security=security,
                quantity=quantity,
                filled=quantity * share,
                price=security.price or Decimal(0),
                placed=connected - age,
            )
        )
    return made


def given(row: Mapping[str, Any], seen: Seen, world: World) -> Order:
    """An order that control gave; what it is on need not be held."""
    security = world.securities[row["security"]]
    seen.securities.setdefault(security.key, security)
    under = security.option.underlying if security.option else None
    if under is not None:
        seen.securities.setdefault(under, world.securities[under])
    return Order(
        id=row["id"],
        status=row["status"],
        action=row["action"],
        security=security,
        quantity=Decimal(row["quantity"]),
        filled=Decimal(row["filled"]),
        price=Decimal(row["price"]),
        placed=datetime.fromisoformat(row["placed"]),
    )


def _opening(action: str) -> str:
    return f"{action}_OPEN" if action == "BUY" else f"{action}_CLOSE"


def select(orders: list[Order], state: str, since: datetime) -> list[Order]:
    """Return the orders placed since a moment, in a state `all`, `open` or `executed`."""
    wanted = {"open": OPEN, "executed": EXECUTED}.get(state)
    return [o for o in orders if o.placed >= since and (wanted is None or o.status in wanted)]


def record(order: Order, seen: Seen) -> dict[str, Any]:
    """Return an `AccountOrderRecord`."""
    plain = order.security.kind in SEARCHABLE
    left = order.quantity - order.filled - order.canceled
    return {
        "brokerage_order_id": order.id,
        "brokerage_group_order_id": None,
        "status": order.status,
        "universal_symbol": universal_symbol(order.security) if plain else None,
        "option_symbol": None if plain else option_symbol(order.security, seen.securities),
        "quote_universal_symbol": None,
        "quote_currency": None,
        "action": order.action,
        "total_quantity": text(order.quantity),
        "open_quantity": text(left if order.status in OPEN else Decimal(0)),
        "canceled_quantity": text(order.canceled),
        "filled_quantity": text(order.filled),
        "execution_price": text(order.price) if order.filled else None,
        "limit_price": text(order.price),
        "stop_price": None,
        "trailing_stop": None,
        "order_type": "Limit",
        "time_in_force": "GTC",
        "time_placed": moment(order.placed),
        "time_updated": moment(order.executed),
        "time_executed": moment(order.executed),
        "expiry_date": None,
        "symbol": stable_id("brokerage symbol", order.security.key),
        "child_brokerage_order_ids": None,
    }


def record_v2(order: Order) -> dict[str, Any]:
    """Return an `AccountOrderRecordV2`."""
    security = order.security
    return {
        "brokerage_order_id": order.id,
        "brokerage_group_order_id": None,
        "status": order.status,
        "order_type": "LIMIT",
        "time_in_force": "GTC",
        "time_placed": moment(order.placed),
        "time_executed": moment(order.executed),
        "price_currency": security.currency,
        "price_effect": "DEBIT" if order.action.startswith("BUY") else "CREDIT",
        "execution_price": text(order.price) if order.filled else None,
        "limit_price": text(order.price),
        "stop_price": None,
        "trailing_stop": None,
        "legs": [
            {
                "leg_id": None,
                "instrument": {
                    "symbol": security.symbol,
                    "description": security.name,
                    "asset_type": "OPTION" if security.kind == "option" else "EQUITY",
                    "exchange_mic_code": security.mic,
                    "figi_code": security.figi,
                },
                "action": _long_action(order.action),
                "execution_price": text(order.price) if order.filled else None,
                "total_quantity": text(order.quantity),
                "canceled_quantity": text(order.canceled),
                "filled_quantity": text(order.filled),
                "status": _LEG_STATUS[order.status],
            }
        ],
    }


def record_all(order: Order, seen: Seen) -> dict[str, Any]:
    """Return an `AccountOrder` of `orders/all`."""
    amounts = {
        "total_quantity": text(order.quantity),
        "filled_quantity": text(order.filled),
        "canceled_quantity": text(order.canceled),
        "execution_price": text(order.price) if order.filled else None,
    }
    leg_status = _LEG_STATUS[order.status]
    return {
        "brokerage_order_id": order.id,
        "status": leg_status,
        "order_type": {"kind": "limit", "limit_price": text(order.price)},
        "time_in_force": "GTC",
        "price_effect": "DEBIT" if order.action.startswith("BUY") else "CREDIT",
        "legs": [
            {
                "instrument": instrument(order.security, seen.securities),
                "action": _long_action(order.action),
                "leg_id": None,
                "status": leg_status,
                **amounts,
            }
        ],
        "expiry_date": None,
        "price_currency": order.security.currency,
        **amounts,
        "open_quantity": text(order.quantity - order.filled if order.status in OPEN else Decimal(0)),
        "time_placed": moment(order.placed),
        "time_updated": moment(order.executed),
        "time_executed": moment(order.executed),
        "group": None,
    }


_LEG_STATUS = {
    "EXECUTED": "EXECUTED",
    "ACCEPTED": "PENDING",
    "PENDING": "PENDING",
    "PARTIAL": "PARTIALLY_EXECUTED",
    "CANCELED": "CANCELED",
    "REJECTED": "REJECTED",
}


def _long_action(action: str) -> str:
    return action.replace("_OPEN", "_TO_OPEN").replace("_CLOSE", "_TO_CLOSE")
