"""What can go wrong between a client and a broker while an order is placed; on demand, or by chance from a seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal, get_args

ChaosKind = Literal[
    "none",  # nothing goes wrong with the answer; for `invisible_seconds` or `foreign` alone
    "accept_then_drop",  # the order is accepted, then the connection is cut
    "drop_before",  # the connection is cut, nothing was accepted
    "accept_then_wait",  # accepted at once, answered after `seconds`
    "accept_late",  # nothing for `seconds`, then accepted and answered
    "drop_then_accept",  # the connection is cut at once, the order is accepted `seconds` later
    "accept_then_error",  # accepted, answered with `status` (500)
    "error_before",  # answered with `status` (500), nothing was accepted
    "accept_then_timed_out",  # accepted, answered 400 with a text of a time-out
    "accept_then_malformed",  # accepted, answered 200 with a body that is no answer (`shape`)
    "reject",  # refused by the broker: 400 `1068`
    "reject_later",  # accepted, answered 200, and then REJECTED by the broker
]
Shape = Literal["truncated", "html", "empty", "no_id"]
KINDS: tuple[str, ...] = get_args(ChaosKind)
SHAPES: tuple[str, ...] = get_args(Shape)
BEFORE: frozenset[str] = frozenset({"drop_before", "error_before", "reject"})
PLACING_AND_REPLACING = frozenset({"place", "trade", "options", "simple", "replace"})


@dataclass(frozen=True, slots=True)
class Chaos:
    """What happens to one placement. `foreign` also places an order of the same shape that is not the client's."""

    kind: ChaosKind = "none"
    seconds: float = 1.0
    invisible_seconds: float = 0.0
    foreign: bool = False
    status: int = 500
    code: str = "1000"
    detail: str = "Request to the brokerage timed out"
    shape: Shape = "truncated"

    @property
    def name(self) -> str | None:
        """What the ledger says about it; None when nothing happens."""
        parts: list[str] = [self.kind] if self.kind != "none" else []
        parts += ["invisible"] if self.invisible_seconds else []
        parts += ["foreign"] if self.foreign else []
        return "+".join(parts) or None


@dataclass(slots=True)
class Rule:
    """Chaos for the next `times` requests (None: for ever), of one world account or of all, of some kinds."""

    chaos: Chaos
    account_key: str | None = None
    kinds: frozenset[str] = PLACING_AND_REPLACING
    times: int | None = 1


@dataclass(frozen=True, slots=True)
class Chances:
    """Chaos by chance: how probable each kind is, and between which bounds the waits lie."""

    seed: int = 0
    probabilities: Mapping[str, float] = field(default_factory=dict)
    foreign: float = 0.0
    invisible: float = 0.0
    seconds: tuple[float, float] = (0.05, 1.0)
    invisible_seconds: tuple[float, float] = (0.05, 1.0)


class ChaosSource:
    """Decides the fate of each request: the first rule that fits, else chance, else nothing."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self._chances: Chances | None = None
        self._random = Random(0)  # noqa: S311 - repeatable on purpose

    @property
    def chances(self) -> Chances | None:
        """The random mode in force."""
        return self._chances

    def gamble(self, chances: Chances | None) -> None:
        """Switch the random mode on from its seed, or off."""
        self._chances = chances
        self._random.seed(chances.seed if chances else 0)

    def draw(self, kind: str, account_key: str | None) -> Chaos:
        """Return the fate of a request and use it up."""
        for rule in self.rules:
            if kind in rule.kinds and rule.account_key in {None, account_key}:
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times <= 0:
                        self.rules.remove(rule)
                return rule.chaos
        if self._chances is None or kind not in PLACING_AND_REPLACING:
            return Chaos()
        return drawn(self._chances, self._random)

    def clear(self) -> None:
        """Remove every rule and the random mode."""
        self.rules.clear()
        self.gamble(None)


def drawn(chances: Chances, random: Random) -> Chaos:
    """Draw one fate; always the same number of draws, so that one outcome does not shift the next."""
    kind, foreign, invisible = random.random(), random.random(), random.random()
    seconds, unseen = random.uniform(*chances.seconds), random.uniform(*chances.invisible_seconds)
    shape = random.choice(SHAPES)
    return Chaos(
        kind=_picked(chances.probabilities, kind),
        seconds=seconds,
        invisible_seconds=unseen if invisible < chances.invisible else 0.0,
        foreign=foreign < chances.foreign,
        shape=shape,  # type: ignore[arg-type]  # one of the literal's own values
    )


def _picked(probabilities: Mapping[str, float], point: float) -> ChaosKind:
    reached = 0.0
    for kind, probability in probabilities.items():
        reached += probability
        if point < reached:
            return kind  # type: ignore[return-value]  # the control API checks the names
    return "none"
