"""A chaos run: a handful of orders on one account, under what goes wrong in this run; all of it from one seed."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from time import monotonic
from typing import Any

from fresh_rig import Rig
from trading_oracle import Shape
from trading_people import Account
from trading_tabs import Answer, Tabs, new_key

CENT = Decimal("0.01")
KINDS = (
    "accept_then_drop",
    "drop_before",
    "drop_then_accept",
    "accept_then_wait",
    "accept_late",
    "accept_then_error",
    "error_before",
    "accept_then_timed_out",
    "accept_then_malformed",
    "reject",
    "reject_later",
)
SHAPES = ("truncated", "html", "empty", "no_id")
BEYOND_PATIENCE = (22.0, 26.0)
"""Seconds after which nobody waits for an answer any more."""
PACE = 1.05
"""One order a second and account."""
AWAY = 3.0
"""Seconds that people wait when they are told that nothing could be sent."""
FIRST_SYMBOL = 12
"""Of the symbols from here on every account holds more than a run sells."""


@dataclass(slots=True)
class Tally:
    """What people did, and what they were told."""

    wanted: Counter[Shape] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    chaos: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"preview": [], "place": []})
    runs: int = 0
    let_through: int = 0
    short: int = 0
    disagreements: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wish:
    """One order that somebody wants."""

    symbol: str
    side: str
    quantity: Decimal
    limit: Decimal | None

    def body(self, account: Account) -> dict[str, Any]:
        """As the API takes it."""
        return {
            "account_id": account.account_id,
            "symbol": self.symbol,
            "side": self.side,
            "order_type": "MARKET" if self.limit is None else "LIMIT",
            "time_in_force": "DAY",
            "quantity": str(self.quantity),
            **({} if self.limit is None else {"limit_price": str(self.limit)}),
        }

    def shape(self, account: Account) -> Shape:
        """As the ledger names it."""
        limit = None if self.limit is None else format(self.limit.normalize(), "f")
        kind = "MARKET" if self.limit is None else "LIMIT"
        quantity = format(self.quantity.normalize(), "f")
        return (account.external_id, self.symbol, self.side, quantity, kind, limit)


@dataclass(frozen=True, slots=True)
class Mix:
    """What goes wrong in a run, and how often."""

    kinds: tuple[str, ...]
    calm: float
    invisible: float
    foreign: float

    @staticmethod
    def of(rng: Random) -> "Mix":
        """Draw one."""
        return Mix(
            tuple(rng.sample(KINDS, 4)),
            rng.uniform(0.1, 0.5),
            rng.choice((0.0, 0.2, 0.5)),
            rng.choice((0.0, 0.0, 0.15)),
        )

    def rule(self, rng: Random, unseen: tuple[float, float]) -> dict[str, Any] | None:
        """What goes wrong with the next order; nothing, now and then."""
        kind = "none" if rng.random() < self.calm else rng.choice(self.kinds)
        late = rng.random() < 0.05 and kind in {"accept_then_wait", "accept_late"}
        rule: dict[str, Any] = {
            "kind": kind,
            "shape": rng.choice(SHAPES),
            "seconds": round(rng.uniform(*BEYOND_PATIENCE) if late else rng.uniform(0.05, 2.0), 2),
            "invisible_seconds": round(rng.uniform(*unseen), 2) if rng.random() < self.invisible else 0.0,
            "foreign": rng.random() < self.foreign,
        }
        plain = kind == "none" and not rule["invisible_seconds"] and not rule["foreign"]
        return None if plain else rule


@dataclass(frozen=True, slots=True)
class Shop:
    """Where runs happen, and what they share."""

    place: Rig
    tabs: Tabs
    prices: Mapping[str, Decimal]
    tally: Tally
    unseen: tuple[float, float] = (0.2, 8.0)


async def run(shop: Shop, account: Account, seed: int, size: int) -> None:
    """Place ``size`` orders on an account; what is refused is wished for otherwise."""
    rng = Random(seed)
    mix, done, last, before = Mix.of(rng), 0, None, 0.0
    await asyncio.sleep(rng.uniform(0.0, PACE * size))
    for number in range(1, 2 * size + 1):
        if done == size:
            break
        twin = last is not None and rng.random() < 0.08
        wish = last if last is not None and twin else _wish(rng, shop.prices, number)
        await asyncio.sleep(max(0.0, before + PACE - monotonic()))
        made = await _wished(shop, account, wish, mix, rng, meant=twin)
        before, last, done = monotonic(), wish if made else last, done + made
    shop.tally.runs += 1
    shop.tally.short += size - done


def _wish(rng: Random, prices: Mapping[str, Decimal], number: int) -> Wish:
    """No two of a run are alike: the quantity is the number of the wish."""
    symbols = sorted(prices)[FIRST_SYMBOL:]
    symbol = rng.choice(symbols[:4]) if rng.random() < 0.3 else rng.choice(symbols)
    side = "SELL" if number <= 8 and rng.random() < 0.3 else "BUY"
    limit = None
    if rng.random() < 0.5:
        # Half of the limits are crossed at once, the others rest until the day is over.
        away = rng.choice((Decimal("0.03"), Decimal("-0.02")))
        limit = (prices[symbol] * (1 + (away if side == "BUY" else -away))).quantize(CENT)
    return Wish(symbol, side, Decimal(number), limit)


async def _wished(shop: Shop, account: Account, wish: Wish, mix: Mix, rng: Random, *, meant: bool) -> bool:
    """Preview and place one; whether it was let through."""
    insisting = meant or rng.random() < 0.5
    flags = {"confirm_duplicate": meant, "confirm_unverified": insisting}
    began = monotonic()
    shown = await shop.tabs.preview(account.user_id, {**wish.body(account), **flags})
    shop.tally.seconds["preview"].append(monotonic() - began)
    if shown.status >= 400:
        shop.tally.refused[shown.code or str(shown.status)] += 1
        return False
    rule = mix.rule(rng, shop.unseen)
    if rule is not None:
        body = {**rule, "account": account.key, "endpoints": ["place"]}
        await shop.place.asked("POST", "/_control/trading/chaos", body)
        shop.tally.chaos[rule["kind"]] += 1
    shape = wish.shape(account)
    shop.tally.wanted[shape] += 1
    began = monotonic()
    answers = await _clicked(shop.tabs, account, str(shown.body["preview_id"]), flags, rng)
    shop.tally.seconds["place"].append(monotonic() - began)
    made = _noted(shop.tally, answers)
    if not made:
        shop.tally.wanted[shape] -= 1
    if any(one is not None and one.status == 503 for one in answers):
        await asyncio.sleep(AWAY)
    return made


async def _clicked(
    tabs: Tabs, account: Account, preview_id: str, flags: Mapping[str, Any], rng: Random
) -> list[Answer | None]:
    """Two tabs with one key at the same moment, and now and then a third with a key of its own."""
    key = new_key()
    clicks = [(0.0, key, 0), (rng.choice((0.0, 0.02, 0.3)), key, 1)]
    if rng.random() < 0.2:
        clicks.append((rng.uniform(0.0, 0.5), new_key(), rng.randrange(2)))

    async def click(wait: float, with_key: str, tab: int) -> Answer | None:
        await asyncio.sleep(wait)
        return await tabs.place(account.user_id, preview_id, with_key, flags, tab=tab)

    return list(await asyncio.gather(*(click(*one) for one in clicks)))


def _noted(tally: Tally, answers: list[Answer | None]) -> bool:
    """What the tabs were told; they must all speak of one order. Whether there is one."""
    orders = {one.order_id for one in answers if one is not None and one.made}
    if len(orders) > 1:
        tally.disagreements.append(f"tabs were told of {', '.join(sorted(map(str, orders)))}")
    for one in answers:
        tally.told[
            "still under way" if one is None else f"{one.status} {one.code or one.body.get('state')}"
        ] += 1
    # Who gave up waiting does not know; only a refusal is certain.
    made = bool(orders) or any(one is None or one.status >= 500 for one in answers)
    tally.let_through += made
    if not made:
        tally.refused[next((one.code for one in answers if one is not None), "?")] += 1
    return made
