"""Rolling-window rate limits, reported in headers as SnapTrade does."""

import math
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from provider_sandbox.snaptrade import errors

WINDOW = timedelta(seconds=60)


class RollingLimit:
    """Counts requests per key in the last 60 seconds against a limit that control can change (0 is off).

    `violations` counts the requests that were refused, `peak` is the most of one key in 60 seconds.
    """

    def __init__(self, limit: Callable[[], int], prefix: str) -> None:
        self._limit, self._prefix = limit, prefix
        self._seen: dict[str, deque[datetime]] = {}
        self.violations, self.peak = 0, 0

    def take(self, key: str, now: datetime) -> dict[str, str]:
        """Count one request and return the headers to report; raises the 429 when none is left."""
        limit = self._limit()
        if limit <= 0:
            return {}
        seen = self._seen.setdefault(key, deque())
        while seen and now - seen[0] >= WINDOW:
            seen.popleft()
        if len(seen) >= limit:
            self.violations += 1
            wait = max(1, math.ceil((seen[0] + WINDOW - now).total_seconds()))
            error = errors.throttled(wait)
            error.headers.update(self._headers(limit, 0, wait))
            raise error
        seen.append(now)
        self.peak = max(self.peak, len(seen))
        reset = max(0, math.ceil((seen[0] + WINDOW - now).total_seconds()))
        return self._headers(limit, limit - len(seen), reset)

    def reset(self) -> None:
        """Forget every request."""
        self._seen.clear()
        self.violations, self.peak = 0, 0

    def _headers(self, limit: int, remaining: int, reset: int) -> dict[str, str]:
        values = {"Limit": limit, "Remaining": remaining, "Reset": reset}
        return {f"X-RateLimit-{self._prefix}{name}": str(value) for name, value in values.items()}
