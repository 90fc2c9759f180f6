"""Health: alive is one thing, ready for traffic another."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[object]]
"""Returns normally when the dependency answers (False also counts as failed); raises otherwise."""


class Health:
    """What a process says about itself.

    Ready = started, not draining, and every check passes within its deadline. ``starting`` is set by the
    runner around the start hooks; outside a runner (tests) a process counts as started.
    """

    def __init__(self, check_timeout: float = 2.0) -> None:
        self.starting = False
        self._checks: dict[str, Check] = {}
        self._check_timeout = check_timeout
        self._draining = asyncio.Event()

    def add(self, name: str, check: Check) -> None:
        """Register a readiness check under a name that may be shown.

        Raises:
            ValueError: the name is taken.
        """
        if name in self._checks:
            raise ValueError(f"a readiness check named {name} exists")
        self._checks[name] = check

    @property
    def draining(self) -> bool:
        """Say whether the process is on its way out."""
        return self._draining.is_set()

    def drain(self) -> None:
        """Say from now on that no new work should come here."""
        self._draining.set()

    async def wait_draining(self) -> None:
        """Return once the process drains; long-lived responses end on it."""
        await self._draining.wait()

    async def readiness(self) -> tuple[bool, dict[str, str]]:
        """Run all checks at once; return whether the process is ready and ``ok``/``failed`` per name."""
        passed = await asyncio.gather(*(self._passes(n, c) for n, c in self._checks.items()))
        checks = {name: "ok" if ok else "failed" for name, ok in zip(self._checks, passed, strict=True)}
        return all(passed) and not self.starting and not self.draining, checks

    def state(self, *, ready: bool) -> str:
        """Name the present state in one word."""
        if self.draining:
            return "draining"
        if self.starting:
            return "starting"
        return "ready" if ready else "failing"

    async def _passes(self, name: str, check: Check) -> bool:
        try:
            async with asyncio.timeout(self._check_timeout):
                return await check() is not False
        except Exception as error:  # noqa: BLE001  whatever a check raises means: not ready
            log.warning("readiness.failed", check=name, error=f"{type(error).__name__}: {error}")
            return False
