"""How each provider retries webhooks, and the disorder a scenario may add. Pure."""

import random
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Seconds to wait before each retry, the statuses that count as received, and the patience per attempt."""

    delays: tuple[float, ...]
    accepted: frozenset[int]
    timeout: float

    def next_delay(self, attempts_made: int) -> float | None:
        """Seconds until the next attempt after `attempts_made` failed ones, or None when given up."""
        return self.delays[attempts_made - 1] if attempts_made <= len(self.delays) else None


# SnapTrade documents three retries starting at 30 minutes and no factor (doubling here) and no timeout (30 s here).
# Plaid documents a first retry after 30 s, each later one four times as long, within 24 hours: six retries.
POLICIES = {
    "snaptrade": RetryPolicy((1800.0, 3600.0, 7200.0), frozenset({200, 201, 202, 204}), 30.0),
    "plaid": RetryPolicy(tuple(30.0 * 4**n for n in range(6)), frozenset(range(200, 300)), 10.0),
}


@dataclass(frozen=True, slots=True)
class Disorder:
    """Chances (0 to 1) that a delivery is doubled, lost or overtaken, and the longest extra wait in seconds."""

    duplicate: float = 0.0
    drop: float = 0.0
    reorder: float = 0.0
    max_delay: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one delivery: how many copies are sent, the extra wait, and whether the next may overtake."""

    copies: int = 1
    delay: float = 0.0
    overtaken: bool = False


@dataclass(slots=True)
class FateSource:
    """Draws fates from a disorder; the same seed draws the same fates in the same order."""

    disorder: Disorder = field(default_factory=Disorder)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.disorder.seed)  # noqa: S311 - reproducible, not secret

    def draw(self) -> Fate:
        """The next delivery's fate."""
        rolls = [self._random.random() for _ in range(4)]
        disorder = self.disorder
        if rolls[0] < disorder.drop:
            return Fate(copies=0)
        copies = 2 if rolls[1] < disorder.duplicate else 1
        return Fate(copies, rolls[2] * disorder.max_delay, overtaken=rolls[3] < disorder.reorder)


def host_of(url: str) -> str:
    """The host a URL names, empty when it names none or cannot be read."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_loopback(url: str) -> bool:
    """Whether the URL names this machine by a loopback address or as localhost."""
    host = host_of(url)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
