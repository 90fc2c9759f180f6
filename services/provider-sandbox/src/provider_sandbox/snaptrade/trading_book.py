"""Every order the sandbox's brokers have, and what each was like at any time."""

from collections.abc import Iterator
from datetime import datetime

from provider_sandbox.snaptrade.trading_model import TradeOrder


class Book:
    """Orders by world account; what the broker knows, whoever asks."""

    def __init__(self) -> None:
        self._versions: dict[str, list[TradeOrder]] = {}
        self._of_account: dict[str, dict[str, None]] = {}
        self._open: dict[str, dict[str, None]] = {}

    def put(self, order: TradeOrder) -> None:
        """Keep an order, new or changed."""
        self._versions.setdefault(order.id, []).append(order)
        self._of_account.setdefault(order.account_key, {})[order.id] = None
        still_open = self._open.setdefault(order.account_key, {})
        if order.is_open:
            still_open[order.id] = None
        else:
            still_open.pop(order.id, None)

    def get(self, order_id: str, account_key: str | None = None) -> TradeOrder | None:
        """Find an order, only in one account if that is given."""
        versions = self._versions.get(order_id)
        if versions is None or account_key not in {None, versions[-1].account_key}:
            return None
        return versions[-1]

    def open_in(self, account_key: str) -> list[TradeOrder]:
        """The open orders of an account, oldest first."""
        return [self._versions[order_id][-1] for order_id in self._open.get(account_key, ())]

    def accounts_with_open(self) -> list[str]:
        """The accounts with open orders."""
        return [key for key, orders in self._open.items() if orders]

    def listed(self, account_key: str, now: datetime, seen_at: datetime) -> Iterator[TradeOrder]:
        """The orders of an account that show by `now`, newest first, as they were at `seen_at`."""
        for order_id in reversed(self._of_account.get(account_key, {})):
            versions = self._versions[order_id]
            if versions[-1].visible > now:
                continue
            known = [order for order in versions if order.updated <= seen_at]
            if known:
                yield known[-1]

    def orders(self, account_key: str | None = None) -> list[TradeOrder]:
        """Every order as it is now, oldest first."""
        names = self._versions if account_key is None else self._of_account.get(account_key, {})
        return [self._versions[order_id][-1] for order_id in names]

    def clear(self) -> None:
        """Forget everything."""
        self._versions.clear()
        self._of_account.clear()
        self._open.clear()
