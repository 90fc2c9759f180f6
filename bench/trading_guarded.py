"""What must never reach a broker: orders beyond a limit, in accounts that may not trade, expired, foreign, or forged."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import jwt
import psycopg
from local_demo.client import development_token

from fresh_rig import Rig
from trading_people import Account, Crowd
from trading_runs import Wish
from trading_tabs import PLACE, Answer, Tabs, new_key

DAY_LIMIT = Decimal(400)
"""Of those who order as much as they can."""
ORDERS = 8
"""That each of them wants in each of their accounts."""
EXPIRE = "UPDATE gateway.order_previews SET expires_at = clock_timestamp() WHERE preview_id = %s"
PLAIN = {"confirm_duplicate": False, "confirm_unverified": False}
INSISTING = {"confirm_duplicate": True, "confirm_unverified": True}


@dataclass(slots=True)
class Guarded:
    """What was tried, what was said, and what should have been refused and was not."""

    wanted: Counter[tuple[str | None, ...]] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def expect(self, what: str, answer: Answer, code: str, reason: str | None = None) -> None:
        """Note a refusal that is not the one that was expected."""
        self.told[f"{what}: {answer.status} {answer.code}"] += 1
        if answer.code != code or (reason is not None and answer.details.get("reason") != reason):
            self.wrong.append(f"{what} was answered {answer.status} {answer.code} {dict(answer.details)}")


async def tighten(place: Rig, tabs: Tabs, crowd: Crowd) -> None:
    """Give people a limit of their own."""
    for user in crowd.users:
        body = {
            "scope": "user",
            "user_id": user,
            "max_order_notional": None,
            "max_day_notional": str(DAY_LIMIT),
        }
        answer = await tabs.once("PUT", "/v1/admin/trading/limits", _admin(place), body)
        if answer.status != 200:
            raise RuntimeError(f"a limit could not be set: {answer.status} {answer.code}")


async def greedy(tabs: Tabs, crowd: Crowd, prices: Mapping[str, Decimal], found: Guarded) -> None:
    """People with a tightened limit preview far too much and place all of it at once, in all their accounts."""
    await asyncio.gather(*(_grabs(tabs, account, prices, found) for account in crowd.accounts))


async def _grabs(tabs: Tabs, account: Account, prices: Mapping[str, Decimal], found: Guarded) -> None:
    symbols = sorted(prices)
    wishes = [Wish(symbols[number], "BUY", Decimal(number + 1), None) for number in range(1, ORDERS + 1)]
    shown = await asyncio.gather(
        *(tabs.preview(account.user_id, wish.body(account), tab=number) for number, wish in enumerate(wishes))
    )
    for wish, preview in zip(wishes, shown, strict=True):
        if preview.status >= 400:
            found.told[f"greedy preview: {preview.status} {preview.code}"] += 1
            continue
        found.wanted[wish.shape(account)] += 1
        preview_id = str(preview.body["preview_id"])
        answer = await tabs.place(account.user_id, preview_id, new_key(), INSISTING, tab=len(found.told))
        if answer is not None and not answer.made:
            found.wanted[wish.shape(account)] -= 1
        code = "still under way" if answer is None else answer.code or answer.body.get("state")
        found.told[f"greedy order: {code}"] += 1


async def refused(
    place: Rig, tabs: Tabs, trader: Crowd, readers: Crowd, prices: Mapping[str, Decimal], found: Guarded
) -> None:
    """Everything that is refused before anything is sent; nothing of it is in ``found.wanted``."""
    symbol = min(prices)
    wish = Wish(symbol, "BUY", Decimal(1), None)
    mine, other = (
        trader.accounts[0],
        next(one for one in trader.accounts if one.user_id != trader.accounts[0].user_id),
    )
    for account in readers.accounts:
        shown = await tabs.preview(account.user_id, wish.body(account))
        found.expect("read-only connection", shown, "TRADING_NOT_SUPPORTED", "read_only_connection")
    huge = Wish(symbol, "BUY", Decimal(5000), None)
    found.expect("too large an order", await tabs.preview(mine.user_id, huge.body(mine)), "ORDER_TOO_LARGE")
    stranger = await tabs.preview(mine.user_id, wish.body(other))
    found.expect("another's account", stranger, "NOT_FOUND")
    await _forged(place, tabs, mine, other, wish, found)
    await _off(place, tabs, mine, wish, found)


async def _forged(place: Rig, tabs: Tabs, mine: Account, other: Account, wish: Wish, found: Guarded) -> None:
    async def preview() -> str:
        shown = await tabs.preview(mine.user_id, wish.body(mine))
        if shown.status >= 400:
            raise RuntimeError(f"a preview was refused: {shown.status} {shown.code}")
        return str(shown.body["preview_id"])

    async def place_it(token: str | None, body: Mapping[str, Any], key: str | None) -> Answer:
        return await tabs.once("POST", PLACE, token, body, {} if key is None else {"Idempotency-Key": key})

    token, preview_id = tabs.token(mine.user_id), await preview()
    body = {"preview_id": preview_id, **PLAIN}
    tries: list[tuple[str, Callable[[], Awaitable[Answer]], str]] = [
        ("no key", lambda: place_it(token, body, None), "IDEMPOTENCY_KEY_MISSING"),
        ("no token", lambda: place_it(None, body, new_key()), "UNAUTHENTICATED"),
        (
            "an expired token",
            lambda: place_it(_expired(place, mine.user_id), body, new_key()),
            "UNAUTHENTICATED",
        ),
        ("another's preview", lambda: place_it(tabs.token(other.user_id), body, new_key()), "NOT_FOUND"),
        (
            "an order instead of a preview",
            lambda: place_it(token, wish.body(mine), new_key()),
            "VALIDATION_FAILED",
        ),
    ]
    for what, ask, code in tries:
        found.expect(what, await ask(), code)
    _expire(place, mine.user_id, preview_id)
    found.expect("an old preview", await place_it(token, body, new_key()), "PREVIEW_EXPIRED")
    await _reused(place_it, preview, token, mine, wish, found)


async def _reused(
    place_it: Callable[[str | None, Mapping[str, Any], str | None], Awaitable[Answer]],
    preview: Callable[[], Awaitable[str]],
    token: str,
    mine: Account,
    wish: Wish,
    found: Guarded,
) -> None:
    """One order is placed; its key with another body, and its preview with another key, place none."""
    key, first = new_key(), {"preview_id": await preview(), **PLAIN}
    second = {"preview_id": await preview(), **PLAIN}
    found.wanted[wish.shape(mine)] += 1
    placed = await place_it(token, first, key)
    if placed.status != 201:
        found.wrong.append(f"a good order was answered {placed.status} {placed.code}")
    found.expect("a key with another body", await place_it(token, second, key), "IDEMPOTENCY_KEY_REUSED")
    found.expect("a used preview", await place_it(token, first, new_key()), "PREVIEW_EXPIRED", "used")
    await asyncio.sleep(1.1)
    found.expect("the same order again", await place_it(token, second, new_key()), "DUPLICATE_SUSPECTED")


async def _off(place: Rig, tabs: Tabs, mine: Account, wish: Wish, found: Guarded) -> None:
    """Switched off after the preview, an order goes nowhere."""
    insisting = {**wish.body(mine), **INSISTING}
    shown = await tabs.preview(mine.user_id, insisting)
    body = {"scope": "user", "user_id": mine.user_id, "enabled": False, "reason": "a check"}
    await tabs.once("PUT", "/v1/admin/trading/switches", _admin(place), body)
    answer = await tabs.place(mine.user_id, str(shown.body.get("preview_id")), new_key(), INSISTING)
    found.expect("switched off", answer or Answer(0, {}), "TRADING_DISABLED")
    await tabs.once("PUT", "/v1/admin/trading/switches", _admin(place), body | {"enabled": True})


def _expire(place: Rig, user: str, preview_id: str) -> None:
    """Let a preview be old: five minutes are long."""
    with psycopg.connect(place.program("gateway").environment["DATABASE_URL"]) as conn:
        conn.execute("SELECT set_config('app.user_id', %s, true)", (user,))
        if conn.execute(EXPIRE, (preview_id,)).rowcount != 1:
            raise RuntimeError("the preview to let expire is not there")


def _admin(place: Rig) -> str:
    now = int(time.time())
    claims = {
        "iss": "onefolio-development",
        "aud": "onefolio",
        "sub": "check-operator",
        "roles": ["user", "admin"],
        "iat": now,
        "exp": now + 3600,
    }
    return jwt.encode(claims, place.stack.state.secrets["jwt"], algorithm="HS256")


def _expired(place: Rig, user: str) -> str:
    return development_token(place.stack.state.secrets["jwt"], user, seconds=-3600)
