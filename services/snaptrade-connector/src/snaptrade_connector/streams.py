"""Reading what an account did and what it was worth: transactions page by page, orders, history."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import httpx

from contracts.accounts import ProviderAccount
from contracts.connectors import HistoryRead, TransactionPage
from contracts.errors import ErrorCode, GoneError, RefusedError, TransientError
from contracts.linking import UserAccess
from contracts.orders import Order
from snaptrade_connector import orders, performance, progress, wire
from snaptrade_connector.client import SnapTradeClient
from snaptrade_connector.errors import protocol_error
from snaptrade_connector.progress import Cursor, Progress

_NO_RATES = frozenset({httpx.codes.FORBIDDEN, httpx.codes.GONE, httpx.codes.NOT_IMPLEMENTED})


class Streams:
    """Reads through a client; ``page`` rows at once, an account's transactions once in ``every`` at most."""

    def __init__(
        self, client: SnapTradeClient, now: Callable[[], datetime], page: int, every: timedelta
    ) -> None:
        self._client = client
        self._now = now
        self._page = page
        self._every = every

    async def transactions(
        self, user: UserAccess | None, accounts: Sequence[ProviderAccount], cursor: str | None, version: int
    ) -> TransactionPage:
        """The next page of the first account that has something to read; none without a call."""
        known = progress.parsed(cursor)
        for account, so_far in progress.due(known, accounts, self._now(), version, self._every):
            step = await self._step(user, account, so_far, version)
            moved = progress.having(known, account, step.progress)
            return TransactionPage(
                parts=[step.part] if step.part else [],
                cursor=progress.written(moved),
                has_more=self._has_more(moved, accounts, version),
            )
        return TransactionPage(parts=[], cursor=cursor or progress.written(known), has_more=False)

    async def orders(self, user: UserAccess | None, account: ProviderAccount) -> list[Order]:
        """The orders of the last 30 days."""
        return orders.orders(account, await self._client.orders(user, account.external_id))

    async def history(self, user: UserAccess | None, account: ProviderAccount) -> HistoryRead:
        """Daily totals of up to a year, and rates of return where SnapTrade still tells them."""
        found = await self._client.balance_history(user, account.external_id)
        return performance.history(found, await self._rates(user, account))

    async def _step(
        self, user: UserAccess | None, account: ProviderAccount, known: Progress, version: int
    ) -> progress.Step:
        """Ask for a page; an account that cannot be read now does not stop the others."""
        window = progress.opened(known)
        try:
            page = await self._client.activities(
                user,
                account.external_id,
                start=window.start,
                offset=progress.asked(window),
                limit=self._page,
            )
            return progress.stepped(account, known, page, version=version, limit=self._page)
        except GoneError:
            # It is listed no longer, or will be so with the next list.
            return progress.Step(progress.parked(known, version), None)
        except TransientError as error:
            if error.code is not ErrorCode.DATA_NOT_READY:
                raise
            return progress.Step(progress.parked(known, version), None)
        except RefusedError as error:
            if error.code is not ErrorCode.NOT_SUPPORTED:
                raise
            return progress.Step(progress.refused(known, self._now()), None)
        except ValueError as error:
            raise protocol_error(f"the transactions cannot be read to their end: {error}") from error

    def _has_more(self, cursor: Cursor, accounts: Sequence[ProviderAccount], version: int) -> bool:
        return any(progress.due(cursor, accounts, self._now(), version, self._every))

    async def _rates(self, user: UserAccess | None, account: ProviderAccount) -> wire.ReturnRates | None:
        try:
            return await self._client.return_rates(user, account.external_id)
        except RefusedError as error:
            if error.status not in _NO_RATES:
                raise
            return None
