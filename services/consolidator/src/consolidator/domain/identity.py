"""Which provider accounts are one real account: a pure function of evidence, decisions and weights."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from itertools import combinations
from uuid import UUID, uuid5

from consolidator.domain.evidence import Evidence, Weights, score
from consolidator.domain.values import Decision
from contracts.struct import Record

_REAL = UUID("6f1d0b52-3c0e-5c4e-9d0f-2f6f0d3a7e11")


class Verdict(StrEnum):
    """What a pair of accounts is taken for."""

    SAME = "same"
    DIFFERENT = "different"
    NEEDS_DECISION = "needs_decision"


class Link(Record, frozen=True, kw_only=True):
    """The verdict on one pair of accounts of one institution and what it rests on."""

    accounts: tuple[str, str]
    verdict: Verdict
    rule: str
    score: Decimal
    reasons: tuple[str, ...]


class Group(Record, frozen=True, kw_only=True):
    """The provider accounts of one real account; ``needs_decision`` when a grey pair holds it together."""

    real_account_id: str
    institution: str
    members: tuple[str, ...]
    needs_decision: bool


class Identity(Record, frozen=True, kw_only=True):
    """Every real account of a user, and the pairs that were judged on the way."""

    groups: tuple[Group, ...]
    links: tuple[Link, ...]


_STRENGTH = {"decision": 0, "stable_id": 1, "score": 2}


@lru_cache(100_000)
def real_account_id(anchor: str) -> str:
    """The id of the real account whose member of lowest id is ``anchor``."""
    return str(uuid5(_REAL, anchor))


def candidates(accounts: Iterable[Evidence]) -> list[tuple[Evidence, Evidence]]:
    """The pairs that could be one account: same institution, different connections."""
    by_institution: dict[str, list[Evidence]] = {}
    for account in accounts:
        by_institution.setdefault(account.institution, []).append(account)
    return [
        (one, other)
        for group in by_institution.values()
        if len(group) > 1
        for one, other in combinations(sorted(group, key=_id), 2)
        if one.connection_id != other.connection_id
    ]


def judge(one: Evidence, other: Evidence, decision: Decision | None, weights: Weights) -> Link:
    """The verdict on one pair: the user's decision, else one stable id or two, else the score."""
    pair = (one.account_id, other.account_id)
    if decision is not None:
        return _sure(
            pair, Verdict(decision.verdict), "decision", f"decided_at:{decision.decided_at.isoformat()}"
        )
    if one.stable_id and one.stable_id == other.stable_id:
        return _sure(pair, Verdict.SAME, "stable_id", "stable_id_equal")
    if one.stable_id and other.stable_id and one.provider is not None and one.provider == other.provider:
        return _sure(pair, Verdict.DIFFERENT, "stable_id", "stable_id_differs")
    result = score(one, other, weights)
    verdict = Verdict.NEEDS_DECISION
    if result.value >= weights.same:
        verdict = Verdict.SAME
    elif result.value <= weights.different:
        verdict = Verdict.DIFFERENT
    return Link(accounts=pair, verdict=verdict, rule="score", score=result.value, reasons=result.reasons)


def identify(accounts: Iterable[Evidence], decisions: Iterable[Decision], weights: Weights) -> Identity:
    """Group a user's accounts into real accounts.

    Two accounts of one connection are never the same, not even through a third; a ``different`` decision
    and two stable ids of one provider keep their two accounts apart in the same way. Sure pairs join
    before grey ones, best score first.
    """
    known = {account.account_id: account for account in accounts}
    decided = latest(decisions)
    pairs = _with_decided(candidates(known.values()), decided, known)
    links = [
        judge(one, other, decided.get((one.account_id, other.account_id)), weights) for one, other in pairs
    ]
    apart = {link.accounts for link in links if link.verdict is Verdict.DIFFERENT and link.rule != "score"}
    groups = _Groups(known, apart)
    for link in sorted(links, key=_joining_order):
        if link.verdict is not Verdict.DIFFERENT:
            groups.join(link)
    return Identity(groups=groups.result(), links=tuple(sorted(links, key=lambda link: link.accounts)))


def latest(decisions: Iterable[Decision]) -> dict[tuple[str, str], Decision]:
    """The newest decision of each pair."""
    found: dict[tuple[str, str], Decision] = {}
    for decision in sorted(decisions, key=lambda one: (one.decided_at, one.verdict)):
        first, second = sorted(decision.accounts)
        found[first, second] = decision
    return found


def _with_decided(
    pairs: list[tuple[Evidence, Evidence]],
    decided: dict[tuple[str, str], Decision],
    known: dict[str, Evidence],
) -> list[tuple[Evidence, Evidence]]:
    """Add decided pairs that no rule would have compared (a manual account has its own institution)."""
    compared = {(one.account_id, other.account_id) for one, other in pairs}
    for first, second in sorted(decided.keys() - compared):
        one, other = known.get(first), known.get(second)
        if one and other and one.connection_id != other.connection_id:
            pairs.append((one, other))
    return pairs


def _joining_order(link: Link) -> tuple[bool, int, Decimal, tuple[str, str]]:
    return (link.verdict is Verdict.NEEDS_DECISION, _STRENGTH[link.rule], -link.score, link.accounts)


def _sure(pair: tuple[str, str], verdict: Verdict, rule: str, reason: str) -> Link:
    value = Decimal(1) if verdict is Verdict.SAME else Decimal(0)
    return Link(accounts=pair, verdict=verdict, rule=rule, score=value, reasons=(reason,))


class _Groups:
    """Accounts being joined, under the rule that some must stay apart."""

    def __init__(self, known: dict[str, Evidence], apart: set[tuple[str, str]]) -> None:
        self._known = known
        self._apart = apart
        self._of = {account_id: {account_id} for account_id in known}
        self._grey: set[str] = set()

    def join(self, link: Link) -> None:
        first, second = (self._of[account_id] for account_id in link.accounts)
        if first is second or not self._may(first, second):
            return
        first |= second
        for account_id in second:
            self._of[account_id] = first
        if link.verdict is Verdict.NEEDS_DECISION:
            self._grey |= set(link.accounts)

    def _may(self, first: set[str], second: set[str]) -> bool:
        connection: Callable[[str], str] = lambda account_id: self._known[account_id].connection_id  # noqa: E731
        if {connection(one) for one in first} & {connection(one) for one in second}:
            return False
        return not any((min(a, b), max(a, b)) in self._apart for a in first for b in second)

    def result(self) -> tuple[Group, ...]:
        distinct = {min(members): members for members in self._of.values()}
        return tuple(self._group(anchor, members) for anchor, members in sorted(distinct.items()))

    def _group(self, anchor: str, members: set[str]) -> Group:
        return Group(
            real_account_id=real_account_id(anchor),
            institution=self._known[anchor].institution,
            members=tuple(sorted(members)),
            needs_decision=bool(members & self._grey),
        )


def _id(account: Evidence) -> str:
    return account.account_id
