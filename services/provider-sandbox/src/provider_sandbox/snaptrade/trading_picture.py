"""What is remembered of trading: orders as they are, the ledger of placements, the conditions. Chaos is forgotten."""

from dataclasses import dataclass

from provider_sandbox.snaptrade.trading_conditions import Conditions
from provider_sandbox.snaptrade.trading_desk import Desk
from provider_sandbox.snaptrade.trading_ledger import Placement
from provider_sandbox.snaptrade.trading_model import Preview, TradeOrder


@dataclass(frozen=True, slots=True)
class TradingPicture:
    """A desk as plain values."""

    orders: tuple[TradeOrder, ...]
    placements: tuple[Placement, ...]
    previews: dict[str, Preview]
    conditions: Conditions
    special: dict[str, Conditions]


def take(desk: Desk) -> TradingPicture:
    """Return what a desk remembers."""
    return TradingPicture(
        orders=tuple(desk.book.orders()),
        placements=tuple(desk.placements.all()),
        previews=dict(desk.previews),
        conditions=desk.conditions,
        special=dict(desk.special),
    )


def put_back(desk: Desk, picture: TradingPicture | None) -> None:
    """Fill a desk that was just built; what was due meanwhile happens at the next look."""
    if picture is None:
        return
    for order in picture.orders:
        desk.book.put(order)
    desk.placements.restore(picture.placements)
    desk.previews.update(picture.previews)
    desk.conditions = picture.conditions
    desk.special.update(picture.special)
