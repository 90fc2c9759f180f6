"""Which provider accounts are one real account: a pure function of evidence, decisions and weights."""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from itertools import combinations
from uuid import UUID, uuid5

import msgspec

from consolidator.domain.evidence import Evidence, Profile, compare, profile
from consolidator.domain.values import TYPED, Decision
from consolidator.domain.weights import Weights
from contracts.struct import Record

_REAL = UUID("6f1d0b52-3c0e-5c4e-9d0f-2f6f0d3a7e11")
UNDONE = "undone"
Pair = tuple[str, str]


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
    """The provider accounts of one real account; ``needs_decision`` when it does not hold for sure."""

    real_account_id: str
    institution: str
    members: tuple[str, ...]
    needs_decision: bool
    waiting: bool = False
    """Not described yet, and perhaps another sight of an account that is."""


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
    """The pairs that could be one account: same institution, different connections.

    Whoever enters two accounts by hand says by that that they are two.
    """
    by_institution: dict[str, list[Evidence]] = {}
    for account in accounts:
        by_institution.setdefault(account.institution, []).append(account)
    return [
        (one, other)
        for group in by_institution.values()
        if len(group) > 1
        for one, other in combinations(sorted(group, key=_id), 2)
        if one.connection_id != other.connection_id
        and not (one.provider in TYPED and other.provider in TYPED)
    ]


def judge(one: Profile, other: Profile, decision: Decision | None, weights: Weights) -> Link:
    """The verdict on one pair: the user's decision, else one stable id or two, else the score."""
    mine, theirs = one.evidence, other.evidence
    pair = (mine.account_id, theirs.account_id)
    if decision is not None and decision.verdict != UNDONE:
        said = f"decided_at:{decision.decided_at.isoformat()}"
        return _sure(pair, Verdict(decision.verdict), "decision", said)
    if mine.stable_id and mine.stable_id == theirs.stable_id:
        return _sure(pair, Verdict.SAME, "stable_id", "stable_id_equal")
    if mine.stable_id and theirs.stable_id and mine.provider is not None and mine.provider == theirs.provider:
        return _sure(pair, Verdict.DIFFERENT, "stable_id", "stable_id_differs")
    result = compare(one, other, weights)
    verdict = Verdict.NEEDS_DECISION
    if result.value >= weights.verdict.same:
        verdict = Verdict.SAME
    elif result.value <= weights.verdict.different:
        verdict = Verdict.DIFFERENT
    return Link(accounts=pair, verdict=verdict, rule="score", score=result.value, reasons=result.reasons)


def identify(accounts: Iterable[Evidence], decisions: Iterable[Decision], weights: Weights) -> Identity:
    """Group a user's accounts into real accounts.

    Two accounts of one connection are never the same, not even through a third; a ``different`` decision
    and two stable ids of one provider keep their two accounts apart in the same way. Sure pairs join
    before grey ones, best score first. A grey pair joins no accounts whose scores say that they differ; where
    sure pairs do, somebody must decide. An account that no list described yet is judged by decisions alone;
    while it could be another one it waits, joined with nobody.
    """
    known = {account.account_id: account for account in accounts}
    decided = latest(decisions)
    pairs = _with_decided(candidates(known.values()), decided, known)
    compared = {one.account_id: one for pair in pairs for one in pair}
    profiles = {account_id: profile(one) for account_id, one in compared.items()}
    links, waiting = [], set()
    for one, other in pairs:
        decision = decided.get((one.account_id, other.account_id))
        if decision or (one.described and other.described):
            links.append(judge(profiles[one.account_id], profiles[other.account_id], decision, weights))
        else:
            waiting |= {mine.account_id for mine, its in ((one, other), (other, one)) if _waits(mine, its)}
    said = {one for link in links if _said_same(link) for one in link.accounts}
    groups = _Groups(known, links)
    return Identity(groups=groups.result(waiting - said), links=groups.links())


def latest(decisions: Iterable[Decision]) -> dict[Pair, Decision]:
    """The newest decision of each pair, by time and then by id; a pair whose newest is ``undone`` has none."""
    found: dict[Pair, Decision] = {}
    for decision in sorted(decisions, key=lambda one: (one.decided_at, one.decision_id, one.verdict)):
        first, second = sorted(decision.accounts)
        found[first, second] = decision
    return {pair: decision for pair, decision in found.items() if decision.verdict != UNDONE}


def _with_decided(
    pairs: list[tuple[Evidence, Evidence]], decided: dict[Pair, Decision], known: dict[str, Evidence]
) -> list[tuple[Evidence, Evidence]]:
    """Add decided pairs that no rule would have compared (a manual account has its own institution)."""
    compared = {(one.account_id, other.account_id) for one, other in pairs}
    for first, second in sorted(decided.keys() - compared):
        one, other = known.get(first), known.get(second)
        if one and other and one.connection_id != other.connection_id:
            pairs.append((one, other))
    return pairs


def _waits(one: Evidence, other: Evidence) -> bool:
    """Whether an account that no list described may be a second sight of what is counted as the other.

    Of several that nobody described the first is counted: nothing vanishes while the lists are on their way.
    """
    counts = other.described or other.account_id < one.account_id
    return not one.described and other.lines is not None and counts


def _said_same(link: Link) -> bool:
    return link.rule == "decision" and link.verdict is Verdict.SAME


def _sure(pair: Pair, verdict: Verdict, rule: str, reason: str) -> Link:
    value = Decimal(1) if verdict is Verdict.SAME else Decimal(0)
    return Link(accounts=pair, verdict=verdict, rule=rule, score=value, reasons=(reason,))


class _Groups:
    """Accounts being joined, under the rule that some must stay apart."""

    def __init__(self, known: dict[str, Evidence], links: Iterable[Link]) -> None:
        self._known = known
        self._of = {account_id: {account_id} for account_id in known}
        self._links = {link.accounts: link for link in sorted(links, key=_joining_order)}
        self._grey: set[str] = set()
        different = [link for link in self._links.values() if link.verdict is Verdict.DIFFERENT]
        self._apart = {link.accounts for link in different if link.rule != "score"}
        self._unlike = {link.accounts for link in different if link.rule == "score"}
        self._join_all()

    def _join_all(self) -> None:
        """Join what the links say: sure pairs first, the strongest before others."""
        for link in list(self._links.values()):
            if link.verdict is Verdict.SAME:
                self._join(link)
        grey = [link for link in self._links.values() if link.verdict is Verdict.NEEDS_DECISION]
        for link in grey:
            if not self._may(link):
                # One of the two is surely another account, so there is nothing to decide.
                self._settle(link, Verdict.DIFFERENT, "belongs_elsewhere")
        for link in grey:
            if self._may(link) and not self._across(link) & self._unlike:
                self._join(link)

    def _join(self, link: Link) -> None:
        first, second = (self._of[account_id] for account_id in link.accounts)
        if first is second or not self._may(link):
            return
        contested = self._across(link) & self._unlike if link.rule == "score" else set()
        for pair in contested:
            self._settle(self._links[pair], Verdict.NEEDS_DECISION, "joined_through_another")
        if contested or link.verdict is Verdict.NEEDS_DECISION:
            self._grey |= set(link.accounts)
        first |= second
        for account_id in second:
            self._of[account_id] = first

    def _across(self, link: Link) -> set[Pair]:
        first, second = (self._of[account_id] for account_id in link.accounts)
        return {(min(a, b), max(a, b)) for a in first for b in second}

    def _may(self, link: Link) -> bool:
        first, second = (self._of[account_id] for account_id in link.accounts)
        if first is second:
            return True
        mine, theirs = ({self._known[one].connection_id for one in group} for group in (first, second))
        return not mine & theirs and not self._across(link) & self._apart

    def _settle(self, link: Link, verdict: Verdict, reason: str) -> None:
        settled = msgspec.structs.replace(link, verdict=verdict, reasons=(*link.reasons, reason))
        self._links[link.accounts] = settled

    def links(self) -> tuple[Link, ...]:
        return tuple(link for _, link in sorted(self._links.items()))

    def result(self, waiting: set[str]) -> tuple[Group, ...]:
        distinct = {min(members): members for members in self._of.values()}
        return tuple(
            Group(
                real_account_id=real_account_id(anchor),
                institution=self._known[anchor].institution,
                members=tuple(sorted(members)),
                needs_decision=bool(members & self._grey),
                waiting=anchor in waiting,
            )
            for anchor, members in sorted(distinct.items())
        )


def _joining_order(link: Link) -> tuple[int, Decimal, Pair]:
    return (_STRENGTH[link.rule], -link.score, link.accounts)


def _id(account: Evidence) -> str:
    return account.account_id
