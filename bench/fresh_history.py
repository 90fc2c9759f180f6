"""A long history with the power cut between any two pages: nothing is lost, nothing comes twice.

The connector is killed as soon as the cursor of a page is kept, so that it dies somewhere in the next page: while it
reads, after it published, or before its cursor is kept. What the sandbox tells when it is asked page by page, in the
end and by somebody else, is the truth.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from connector_kit.limits import Gate
from contracts.linking import UserAccess
from fresh_rig import Rig, Say, rig
from persistence.database import Database
from persistence.secrets import KeyRing, PostgresSecrets, user_secret
from service_kit.metrics import Metrics
from snaptrade_connector.client import Rates, connect
from snaptrade_connector.signing import SnapTradeAuth

INSTITUTION, PROVIDER = "charles-schwab", "snaptrade"
USER = "historian"
PAGE = 834
SETTINGS = {
    "SANDBOX_SNAPTRADE_RATE_LIMIT": "100000",
    "SNAPTRADE_PAGE": str(PAGE),
}
PAGE_SECONDS = 0.4
STORED = "SELECT external_id FROM portfolio.v_transactions WHERE user_id = %s"
CURSOR = "SELECT cursor FROM sync.streams WHERE stream = 'transactions' AND cursor IS NOT NULL"
# The dead process's lease ends by itself after a while; nobody need wait for that here.
LEASE_ENDS = """UPDATE sync.sync_state SET lease_until = clock_timestamp(), next_sync_at = clock_timestamp()
    WHERE lease_holder IS NOT NULL"""
# A run is only completed when every page was read.
WHOLE_RUN = "SELECT count(*) FROM portfolio.v_sync_log WHERE status = 'completed'"
ACCOUNT = "SELECT external_id FROM portfolio.v_accounts WHERE user_id = %s"
PATIENCE = 900.0


@dataclass(frozen=True)
class History:
    """What came of it."""

    transactions: int
    pages: int
    cuts: int
    lost: int
    doubled: int

    @property
    def lines(self) -> list[str]:
        """For people."""
        return [
            f"{self.transactions} transactions over {self.pages} pages; the connector was killed {self.cuts} times, after each",
            f"{self.lost} lost, {self.doubled} twice",
        ]


async def told(folder: Path, transactions: int, say: Say) -> History:
    """Link an account with a long history, cut the power after every page, and compare what is stored."""
    async with rig(folder / "history", SETTINGS, say) as place:
        account = {
            "number": "HIST000001",
            "cash": {"USD": "1"},
            "holdings": [{"security": "AAPL", "quantity": "1"}],
            "activities": transactions,
        }
        await place.asked("PUT", f"/_control/logins/{INSTITUTION}/{USER}", {"accounts": [account]})
        # A page takes a moment, so that the power can be cut in each.
        await place.asked(
            "PUT",
            "/_control/latency",
            {
                "provider": PROVIDER,
                "endpoint": "GET /accounts/{accountId}/activities",
                "seconds": PAGE_SECONDS,
            },
        )
        linking = asyncio.create_task(
            asyncio.to_thread(place.link, USER, INSTITUTION, PROVIDER, username=USER)
        )
        pages, cuts = await _cut(place, say)
        await linking
        await place.asked("DELETE", "/_control/faults")
        there = Counter(await _truth(place))
        await place.until(
            lambda: sum(_stored(place).values()) >= sum(there.values()), "every page to be applied", PATIENCE
        )
        stored = _stored(place)
        return History(
            transactions=sum(there.values()),
            pages=pages,
            cuts=cuts,
            lost=sum((there - stored).values()),
            doubled=sum((stored - there).values()),
        )


async def _cut(place: Rig, say: Say) -> tuple[int, int]:
    """Kill the connector after every page until a run has ended by itself; how many pages and kills there were."""
    seen: set[str] = set()
    kills, deadline = 0, time.monotonic() + PATIENCE
    while not place.rows("consolidator", WHOLE_RUN)[0][0]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the history was not read in {PATIENCE:.0f} s; {len(seen)} pages were")
        fresh = {row[0] for row in place.rows("snaptrade-connector", CURSOR)} - seen
        if fresh:
            seen |= fresh
            kills += await asyncio.to_thread(place.kill, "snaptrade-connector")
            place.rows("snaptrade-connector", LEASE_ENDS)
            if len(seen) % 10 == 0:
                say(f"history: {len(seen)} pages, {kills} kills")
        await asyncio.sleep(0.02)
    return len(seen), kills


def _stored(place: Rig) -> Counter[str]:
    return Counter(row[0] for row in place.rows("consolidator", STORED, USER))


async def _truth(place: Rig) -> list[str]:
    """The id of every activity, as the sandbox tells them."""
    environment = place.program("snaptrade-connector").environment
    database = Database(environment["DATABASE_URL"], max_size=2)
    await database.open()
    try:
        keys = KeyRing.parse(environment["SECRETS_MASTER_KEYS"])
        [(external_user,)] = place.rows(
            "snaptrade-connector", "SELECT external_user_id FROM sync.provider_users WHERE user_id = %s", USER
        )
        secret = await PostgresSecrets(database, keys).get(user_secret(PROVIDER, USER))
    finally:
        await database.close()
    auth = SnapTradeAuth(environment["SNAPTRADE_CLIENT_ID"], environment["SNAPTRADE_CONSUMER_KEY"])
    client = connect(
        environment["SNAPTRADE_BASE_URL"], auth, Metrics("check"), Gate(PROVIDER), Rates(100_000, 0)
    )
    user = UserAccess(external_user_id=external_user, secret=secret.value.get_secret_value())
    [(account,)] = place.rows("consolidator", ACCOUNT, USER)
    found: list[str] = []
    try:
        while True:
            page = await client.activities(user, account, start=None, offset=len(found), limit=1000)
            found += [str(one.id) for one in page.data]
            if not page.data:
                return found
    finally:
        await client.aclose()
