"""Plaid's published rate limits of its sandbox, per Item and per client, and the counting of calls."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from provider_sandbox.plaid.errors import PlaidError

WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Limit:
    """Calls per minute of one endpoint and the error code that answers one call too many."""

    per_item: int | None
    per_client: int
    code: str


LIMITS: dict[str, Limit] = {
    "/accounts/get": Limit(100, 5000, "ACCOUNTS_LIMIT"),
    "/accounts/balance/get": Limit(25, 100, "ACCOUNTS_BALANCE_GET_LIMIT"),
    "/investments/holdings/get": Limit(100, 1000, "INVESTMENT_HOLDINGS_GET_LIMIT"),
    "/investments/transactions/get": Limit(100, 1000, "INVESTMENT_TRANSACTIONS_LIMIT"),
    "/investments/refresh": Limit(1, 100, "RATE_LIMIT"),
    "/transactions/sync": Limit(50, 1000, "TRANSACTIONS_SYNC_LIMIT"),
    "/item/get": Limit(40, 5000, "ITEM_GET_LIMIT"),
    "/item/remove": Limit(100, 500, "RATE_LIMIT"),
    "/institutions/get_by_id": Limit(None, 400, "INSTITUTIONS_GET_BY_ID_LIMIT"),
    "/institutions/get": Limit(None, 10, "INSTITUTIONS_GET_LIMIT"),
}


@dataclass(slots=True)
class RateLimits:
    """Sliding one-minute windows; `clock` gives seconds, and a number of 0 means no limit.

    `violations` counts the calls beyond a limit per endpoint. `shared` holds what the control API set for all endpoints at once: `plaid` per client, `plaid-item` per Item.
    """

    clock: Callable[[], float]
    shared: Mapping[str, int] = field(default_factory=dict)
    limits: dict[str, Limit] = field(default_factory=lambda: dict(LIMITS))
    violations: Counter[str] = field(default_factory=Counter)
    _calls: dict[tuple[str, str], deque[float]] = field(default_factory=dict)

    def check(self, path: str, client_id: str, item_id: str | None) -> None:
        """Count one call, or raise the endpoint's 429 when a window is full."""
        limit = self.limits.get(path)
        if limit is None:
            return
        allowed = {f"client:{client_id}": self.shared.get("plaid", limit.per_client)}
        if item_id is not None:
            allowed[f"item:{item_id}"] = self.shared.get("plaid-item", limit.per_item or 0)
        windows = [(self._window(path, subject), number) for subject, number in allowed.items() if number]
        if any(len(calls) >= number for calls, number in windows):
            self.violations[path] += 1
            raise PlaidError(limit.code)
        for calls, _ in windows:
            calls.append(self.clock())

    def override(self, path: str, per_item: int | None, per_client: int | None) -> None:
        """Replace one endpoint's numbers and forget its counted calls."""
        known = self.limits.get(path, Limit(None, 5000, "RATE_LIMIT"))
        per_client = known.per_client if per_client is None else per_client
        self.limits[path] = Limit(known.per_item if per_item is None else per_item, per_client, known.code)
        self._calls = {key: calls for key, calls in self._calls.items() if key[0] != path}

    def reset(self) -> None:
        """Forget all counted calls and overrides."""
        self.limits = dict(LIMITS)
        self.violations.clear()
        self._calls.clear()

    def _window(self, path: str, subject: str) -> deque[float]:
        calls = self._calls.setdefault((path, subject), deque())
        horizon = self.clock() - WINDOW_SECONDS
        while calls and calls[0] <= horizon:
            calls.popleft()
        return calls
