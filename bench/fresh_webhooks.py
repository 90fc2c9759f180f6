"""Bad mail: webhooks that are dropped, doubled and late. After one cycle of polling every account is current."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from fresh_rig import Rig, Say, rig

DISORDER = {"drop": 0.2, "duplicate": 0.2, "max_delay": 20.0, "reorder": 0.2, "seed": 1}
INSTITUTIONS = {"plaid": "chase", "snaptrade": "charles-schwab"}
SETTINGS = {
    "SANDBOX_SNAPTRADE_RATE_LIMIT": "100000",
    "SANDBOX_WEBHOOK_TIMESCALE": "0.5",
}
ACCOUNTS = 2
BEFORE, AFTER = Decimal(10), Decimal(25)
SECURITY = "AAPL"
CYCLE = 15
"""Seconds over which one cycle of the schedule is spread here, instead of hours."""
STANDING = """SELECT a.mask, a.connection_id::text, coalesce(sum(h.quantity), 0)
    FROM portfolio.v_accounts a
    LEFT JOIN portfolio.v_holdings h ON h.user_id = a.user_id AND h.account_id = a.account_id AND h.ticker = %s
    GROUP BY a.user_id, a.account_id, a.mask, a.connection_id"""
BEGIN_CYCLE = """UPDATE sync.sync_state SET next_sync_at = clock_timestamp() + random() * %s * interval '1 second'
    RETURNING clock_timestamp()"""
UNFINISHED = """SELECT count(*) FROM sync.sync_state
    WHERE started_at IS NULL OR started_at < %s OR lease_holder IS NOT NULL"""
PATIENCE = 240.0


@dataclass(frozen=True)
class Mail:
    """What came of it."""

    accounts: int
    sent: int
    by_mail: int
    stale: int
    seconds: float

    @property
    def lines(self) -> list[str]:
        """For people."""
        return [
            f"{self.accounts} accounts changed at their institutions; 20 % of the webhooks dropped, 20 % doubled, all late",
            f"{self.sent} deliveries; {self.by_mail} accounts were current by webhook alone",
            f"after one cycle ({self.seconds:.0f} s, spread over {CYCLE} s): {self.stale} are not current",
        ]


async def mailed(folder: Path, users: int, say: Say) -> Mail:
    """Change everything under bad mail, run one cycle, and count what is not current."""
    async with rig(folder / "webhooks", SETTINGS, say) as place:
        await _linked(place, users)
        accounts = users * ACCOUNTS * len(INSTITUTIONS)
        await place.until(lambda: _current(place, BEFORE) == accounts, "all to be read first", PATIENCE)
        say(f"webhooks: {accounts} accounts linked")
        await place.asked("PUT", "/_control/plaid/webhooks/disorder", DISORDER)
        for key in _keys(users):
            await place.asked(
                "PUT",
                f"/_control/accounts/{key}/holdings",
                {"security": SECURITY, "quantity": str(AFTER), "announce": True},
            )
        await asyncio.sleep(DISORDER["max_delay"])
        by_mail = await asyncio.to_thread(_current, place, AFTER)
        began = time.monotonic()
        since: datetime = place.rows("snaptrade-connector", BEGIN_CYCLE, CYCLE)[0][0]
        await place.until(lambda: not _unfinished(place, since), "one cycle to end", PATIENCE)
        await _drained(place, accounts)
        sent = len((await place.asked("GET", "/_control/webhooks"))["webhooks"])
        stale = accounts - await asyncio.to_thread(_current, place, AFTER)
        return Mail(accounts, sent, by_mail, stale, time.monotonic() - began)


def _people(users: int) -> Iterator[tuple[str, str, str]]:
    for number in range(users):
        for provider, institution in INSTITUTIONS.items():
            yield f"reader-{number:03d}", provider, institution


def _keys(users: int) -> list[str]:
    return [
        f"{institution}/{user}/{place + 1}"
        for user, _, institution in _people(users)
        for place in range(ACCOUNTS)
    ]


async def _linked(place: Rig, users: int) -> None:
    slots = asyncio.Semaphore(4)

    async def one(user: str, provider: str, institution: str, number: int) -> None:
        async with slots:
            accounts: list[dict[str, Any]] = [
                {
                    "number": f"{institution[:2].upper()}{number:06d}{position}",
                    "cash": {"USD": "100"},
                    "holdings": [{"security": SECURITY, "quantity": str(BEFORE)}],
                }
                for position in range(ACCOUNTS)
            ]
            await place.asked("PUT", f"/_control/logins/{institution}/{user}", {"accounts": accounts})
            await asyncio.to_thread(place.link, user, institution, provider, username=user)

    await asyncio.gather(*(one(*who, number) for number, who in enumerate(_people(users))))


def _current(place: Rig, quantity: Decimal) -> int:
    return sum(row[2] == quantity for row in place.rows("consolidator", STANDING, SECURITY))


def _unfinished(place: Rig, since: datetime) -> int:
    return int(place.rows("snaptrade-connector", UNFINISHED, since)[0][0])


async def _drained(place: Rig, accounts: int) -> None:
    """Wait until the consolidator has applied what was read; what stays wrong after that is stale."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if await asyncio.to_thread(_current, place, AFTER) == accounts:
            return
        await asyncio.sleep(0.5)
