"""The rules of the portfolio, restated slowly: from all messages of one user to the rows that must be stored.

It reads the whole set of messages at once, in any order and with any repetition, and computes everything anew: sort by
version, then loop. It shares no code with the consolidator; only how alike two accounts look to the score is taken
from there, because a labelled set judges that. Numbers are ``Decimal`` and rows are JSON text with one form for equal
values, so that two answers can be compared byte by byte.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, localcontext
from hashlib import blake2b
from itertools import combinations
from operator import itemgetter
from typing import Any
from uuid import UUID, uuid5

from consolidator.domain.evidence import Evidence
from consolidator.domain.identity import identify
from consolidator.domain.values import InstrumentRef, Line
from consolidator.rules import DEFAULT_WEIGHTS
from contracts import ids
from contracts.accounts import AccountsSnapshot, BalancesSnapshot, ProviderAccount
from contracts.decisions import IdentityDecided, PortfolioDefined, SnapshotJudged
from contracts.envelope import encode_data
from contracts.holdings import Holding, HoldingsSnapshot
from contracts.instruments import Instrument
from contracts.messages import ConnectionLinked, ConnectionStatusChanged

PRIORITY = {"snaptrade": 3, "plaid": 2, "manual": 1}
UNHEALTHY = {"stale_cache", "broken", "revoked", "removed"}
NO_JOINING_FIGI = {"option", "future_option", "cash", "crypto"}
REAL_ACCOUNTS = UUID("6f1d0b52-3c0e-5c4e-9d0f-2f6f0d3a7e11")
"""The namespace of real-account ids: part of what is stored, so part of what must be equal."""


@dataclass(frozen=True)
class Policy:
    """How old, how long, how much."""

    max_age: timedelta = timedelta(hours=72)
    hysteresis: timedelta = timedelta(minutes=30)
    confirm_after: timedelta = timedelta(hours=1)


@dataclass
class Sighted:
    """What is known of one provider account."""

    account_id: str
    provider: str
    connection_id: str
    institution: str
    listed: ProviderAccount | None
    seen: int
    current: HoldingsSnapshot | None = None
    quarantined: HoldingsSnapshot | None = None
    first_quarantined_at: datetime | None = None
    trusted_since: datetime | None = None
    gap: HoldingsSnapshot | None = None
    present: bool = True
    waiting: bool = False
    real: str = ""

    @property
    def version(self) -> int:
        """The version of the counted snapshot."""
        return self.current.clocks.version if self.current else 0


@dataclass(frozen=True, order=True)
class Link:
    """What is known of two accounts: by whose word, how surely, and what it makes of them."""

    strength: int
    unlike: Decimal
    pair: tuple[str, str]
    rule: str
    verdict: str


@dataclass
class Source:
    """One sight of a real account that can be counted, and what speaks against it."""

    account: Sighted
    problem: str | None
    recovers_at: datetime | None


@dataclass
class Real:
    """A real account, and which of its sights is counted."""

    real_account_id: str
    members: list[Sighted]
    grey: bool
    counted: Sighted | None = None
    reason: str = ""
    stale: bool = False
    excluded: list[tuple[Sighted, str]] = field(default_factory=list)
    held_back_until: datetime | None = None


@dataclass
class Answer:
    """What must be stored of one user."""

    positions: list[str]
    real_accounts: list[str]
    accounts: list[str]
    sights: dict[str, Sighted]
    sure: list[set[str]]
    """Accounts that a stable id or a decision says are one, where nothing speaks against it."""


def reference(messages: Iterable[Any], now: datetime, policy: Policy | None = None) -> Answer:
    """What one user's stored rows must be after these messages, whatever their order."""
    with localcontext(Context(prec=100)):
        return _Reading(messages, now, policy or Policy()).answer()


def canonical(row: dict[str, Any]) -> str:
    """A row as text that is equal when the row is."""
    return json.dumps(row, sort_keys=True, ensure_ascii=False)


def number(value: Decimal | None) -> str | None:
    """A number as text without anything that does not change its value."""
    if value is None:
        return None
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def moment(value: datetime | None) -> str | None:
    """A moment as text, in UTC."""
    return None if value is None else value.astimezone(UTC).isoformat()


def instrument_id(one: Instrument) -> str:
    """The id of a description of an instrument: a digest of all of it."""
    return str(UUID(bytes=blake2b(encode_data(one), digest_size=16).digest()))


def joining_figi(one: Instrument) -> str | None:
    """The FIGI, where one FIGI is one thing."""
    return None if one.kind.value in NO_JOINING_FIGI else one.figi


Left = tuple[tuple[str, Decimal, str], dict[str, Any]]
"""What was left out, with what orders it."""


class _Reading:
    """One user's messages, read from the first to the last rule."""

    def __init__(self, messages: Iterable[Any], now: datetime, policy: Policy) -> None:
        distinct = {(type(one).__name__, encode_data(one)): one for one in messages}
        self._now = now
        self._policy = policy
        self._messages = list(distinct.values())
        self._user = self._messages[0].user_id if self._messages else ""

    def answer(self) -> Answer:
        self._connections()
        self._accounts()
        self._decisions()
        self._groups()
        for real in self._reals:
            self._choose(real)
        return Answer(
            positions=sorted(canonical(row) for row in self._all_positions()),
            real_accounts=sorted(canonical(_real_row(real)) for real in self._reals),
            accounts=sorted(
                canonical(self._account_row(one)) for one in self._sights.values() if one.present
            ),
            sights=self._sights,
            sure=self._sure_groups(),
        )

    def _of(self, *kinds: type) -> list[Any]:
        return [one for one in self._messages if isinstance(one, kinds)]

    # Connections: the newest status holds, removed for ever; a link says active.

    def _connections(self) -> None:
        self._status: dict[str, tuple[Any, ...]] = {}
        self._institution: dict[str, str] = {}
        self._complete_list: dict[str, int] = {}
        marks: dict[str, list[tuple[Any, ...]]] = {}
        for one in self._of(ConnectionLinked):
            marks.setdefault(one.connection_id, []).append((False, one.version, 0, one.linked_at, "active"))
            self._institution[one.connection_id] = one.institution
        for one in self._of(ConnectionStatusChanged):
            said = (one.status == "removed", one.version, 1, one.changed_at, one.status.value)
            marks.setdefault(one.connection_id, []).append(said)
        for connection, said in marks.items():
            self._status[connection] = max(said)
        for one in self._of(AccountsSnapshot, HoldingsSnapshot, BalancesSnapshot):
            self._institution.setdefault(one.connection_id, one.institution)
        for one in self._of(AccountsSnapshot):
            if one.complete:
                version = max(self._complete_list.get(one.connection_id, 0), one.clocks.version)
                self._complete_list[one.connection_id] = version

    # Accounts: they belong to the connection that spoke of them last, by version.

    def _accounts(self) -> None:
        said: dict[str, list[Any]] = {}
        described: dict[str, tuple[int, ProviderAccount]] = {}
        for one in self._of(AccountsSnapshot):
            for listed in one.accounts:
                said.setdefault(listed.account_id, []).append(one)
                if one.clocks.version > described.get(listed.account_id, (0, None))[0]:
                    described[listed.account_id] = (one.clocks.version, listed)
        for one in self._of(HoldingsSnapshot, BalancesSnapshot):
            said.setdefault(one.account_id, []).append(one)
        self._sights: dict[str, Sighted] = {}
        for account_id, about in sorted(said.items()):
            newest = max(about, key=lambda one: one.clocks.version)
            self._sights[account_id] = Sighted(
                account_id=account_id,
                provider=newest.provider,
                connection_id=newest.connection_id,
                institution=newest.institution,
                listed=described[account_id][1] if account_id in described else None,
                seen=newest.clocks.version,
            )
        for one in self._sights.values():
            removed = self._status.get(one.connection_id, (False,))[0]
            one.present = not removed and one.seen >= self._complete_list.get(one.connection_id, 0)
            self._fold(one)

    # Snapshots: folded by version under the rule that nothing is erased by accident.

    def _fold(self, account: Sighted) -> None:
        snapshots = [one for one in self._of(HoldingsSnapshot) if one.account_id == account.account_id]
        gaps = [one for one in snapshots if not one.complete]
        account.gap = max(gaps, key=lambda one: one.clocks.version, default=None)
        whole = sorted((one for one in snapshots if one.complete), key=lambda one: one.clocks.version)
        judged = self._judgements(account.account_id)
        for one in whole:
            self._take(account, one, judged.get(one.clocks.version))

    def _judgements(self, account_id: str) -> dict[int, str]:
        said = [one for one in self._of(SnapshotJudged) if one.account_id == account_id]
        said.sort(key=lambda one: (one.judged_at, one.judgement_id))
        return {one.version: one.verdict.value for one in said}

    def _take(self, account: Sighted, new: HoldingsSnapshot, verdict: str | None) -> None:
        old = account.current
        if verdict == "reject":
            return
        if old is None:
            account.current = new
            return
        believed = verdict == "accept" or account.provider == "manual" or not erases(old, new)
        if not believed and account.first_quarantined_at is not None:
            believed = new.clocks.synced_at - account.first_quarantined_at >= self._policy.confirm_after
        if not believed:
            account.quarantined = new
            account.first_quarantined_at = account.first_quarantined_at or new.clocks.synced_at
            return
        if account.quarantined or new.clocks.synced_at - old.clocks.as_of >= self._policy.max_age:
            account.trusted_since = new.clocks.synced_at
        account.current, account.quarantined, account.first_quarantined_at = new, None, None

    # Decisions: the newest of a pair holds; what is taken back was never said.

    def _decisions(self) -> None:
        said = sorted(self._of(IdentityDecided), key=lambda one: (one.decided_at, one.decision_id))
        newest = {_pair(*one.account_ids): one for one in said}
        self._decided = {
            pair: one.verdict.value for pair, one in newest.items() if one.verdict.value != "undone"
        }

    # Real accounts: sure pairs join before grey ones, never two accounts of one connection.

    def _groups(self) -> None:
        there = [one for one in self._sights.values() if one.present]
        links = sorted(self._links(there))
        said = {
            one for link in links if (link.rule, link.verdict) == ("decision", "same") for one in link.pair
        }
        for one in there:
            open_question = any(
                _comparable(one, other)
                and _pair(one.account_id, other.account_id) not in self._decided
                and other.current is not None
                and (other.listed is not None or other.account_id < one.account_id)
                for other in there
            )
            one.waiting = one.listed is None and one.account_id not in said and open_question
        self._group = {one.account_id: {one.account_id} for one in there}
        self._apart = {link.pair for link in links if link.verdict == "different" and link.rule != "score"}
        unlike = {link.pair for link in links if link.verdict == "different" and link.rule == "score"}
        grey: set[str] = set()
        for link in links:
            if link.verdict == "same" and self._may_join(link.pair):
                # Accounts that look different are one through a third: somebody must say so.
                if link.rule == "score" and self._across(link.pair) & unlike:
                    grey |= set(link.pair)
                self._join(link.pair)
        for link in links:
            joins = link.verdict == "needs_decision" and self._may_join(link.pair)
            if joins and not self._across(link.pair) & unlike:
                grey |= set(link.pair)
                self._join(link.pair)
        self._name_groups(grey)

    def _name_groups(self, grey: set[str]) -> None:
        self._reals: list[Real] = []
        for anchor in sorted({min(members) for members in self._group.values()}):
            members = [self._sights[one] for one in sorted(self._group[anchor])]
            real_id = str(uuid5(REAL_ACCOUNTS, anchor))
            self._reals.append(Real(real_id, members, grey=bool(self._group[anchor] & grey)))
            for one in members:
                one.real = real_id

    def _join(self, pair: tuple[str, str]) -> None:
        joined = self._group[pair[0]] | self._group[pair[1]]
        self._group |= dict.fromkeys(joined, joined)

    def _across(self, pair: tuple[str, str]) -> set[tuple[str, str]]:
        """All pairs that would come together with this one."""
        return {_pair(one, other) for one in self._group[pair[0]] for other in self._group[pair[1]]}

    def _may_join(self, pair: tuple[str, str]) -> bool:
        first, second = self._group[pair[0]], self._group[pair[1]]
        connections = [{self._sights[one].connection_id for one in group} for group in (first, second)]
        return first is not second and not (
            connections[0] & connections[1] or self._across(pair) & self._apart
        )

    def _links(self, there: list[Sighted]) -> Iterable["Link"]:
        """Every pair of which something is known, strongest first when sorted."""
        for one, other in combinations(there, 2):
            pair = _pair(one.account_id, other.account_id)
            if one.connection_id == other.connection_id:
                continue
            if decided := self._decided.get(pair):
                yield Link(0, Decimal(0), pair, "decision", decided)
            elif _comparable(one, other) and one.listed and other.listed:
                stable = _by_stable_id(one, other)
                yield Link(1, Decimal(0), pair, "stable_id", stable) if stable else _by_score(one, other)

    # The counted source.

    def _choose(self, real: Real) -> None:
        if all(one.waiting for one in real.members):
            real.reason = "not_described"
            return
        sources = [self._source(one) for one in real.members if one.current is not None]
        if not sources:
            real.reason = "no_snapshot"
            return
        ranked = sorted(sources, key=_best_first)
        healthy = [one for one in ranked if one.problem is None]
        ready = [one for one in healthy if one.recovers_at is None]
        if healthy:
            best = (ready or healthy)[0]
            better = ranked[: ranked.index(best)]
            real.reason = _why(best, better, ranked)
            returning = [one.recovers_at for one in better if one.problem is None and one.recovers_at]
            real.held_back_until = min(returning, default=None)
        else:
            best = min(sources, key=_freshest_first)
            real.reason, real.stale = f"freshest_of_unhealthy:{best.problem}", True
        real.counted = best.account
        others = [one for one in sources if one is not best]
        real.excluded = [
            (one.account, _why_not(one, best))
            for one in sorted(others, key=lambda one: one.account.account_id)
        ]

    def _source(self, account: Sighted) -> Source:
        assert account.current is not None
        _, _, rank, at, status = self._status.get(account.connection_id, (False, 0, 0, None, "active"))
        problem = None
        if status in UNHEALTHY:
            problem = f"connection_{status}"
        elif account.quarantined is not None:
            problem = "quarantined"
        elif self._now - account.current.clocks.as_of >= self._policy.max_age:
            problem = "too_old"
        began = [account.trusted_since, at if status == "active" and rank == 1 else None]
        since = max((one for one in began if one is not None), default=None)
        until = since + self._policy.hysteresis if since is not None else None
        return Source(account, problem, until if until is not None and self._now < until else None)

    # Positions.

    def _all_positions(self) -> Iterable[dict[str, Any]]:
        yield from self._positions(ids.portfolio_id(self._user), self._reals)
        newest: dict[str, PortfolioDefined] = {}
        for one in sorted(self._of(PortfolioDefined), key=lambda one: one.version):
            newest[one.portfolio_id] = one
        for one in newest.values():
            if not one.deleted:
                named = set(one.account_ids)
                chosen = [
                    real for real in self._reals if named & {member.account_id for member in real.members}
                ]
                yield from self._positions(one.portfolio_id, chosen)

    def _positions(self, portfolio: str, reals: list[Real]) -> Iterable[dict[str, Any]]:
        counted = [real for real in reals if real.counted is not None]
        name = _one_name(
            held.instrument
            for real in counted
            for one in [real.counted, *(other for other, _ in real.excluded)]
            for held in _lines(one)
        )
        parts: dict[tuple[str, str], list[tuple[Real, Holding]]] = {}
        left: dict[tuple[str, str], list[Left]] = {}
        for real in counted:
            for held in _lines(real.counted):
                if held.quantity or held.market_value:
                    slot = (name.get(held.instrument.key, held.instrument.key), held.currency)
                    parts.setdefault(slot, []).append((real, held))
            for other, rule in real.excluded:
                for held in _lines(other):
                    slot = (name.get(held.instrument.key, held.instrument.key), held.currency)
                    order = (other.account_id, held.quantity, instrument_id(held.instrument))
                    left.setdefault(slot, []).append((order, _left_out(real, other, rule, held)))
        for slot, found in parts.items():
            row = _position(portfolio, slot, found, left.get(slot, []))
            if row is not None:
                yield row

    def _account_row(self, one: Sighted) -> dict[str, Any]:
        real = next(real for real in self._reals if real.real_account_id == one.real)
        gap = one.gap.gap if one.gap and one.gap.clocks.version > one.version else None
        return {
            "account_id": one.account_id,
            "connection_id": one.connection_id,
            "real_account_id": one.real,
            "suspect": one.quarantined is not None or gap is not None,
            "suspect_reason": "quarantined" if one.quarantined else gap,
            "counted": real.counted is one,
            "waiting": real.reason == "not_described",
            "excluded_rule": next((rule for other, rule in real.excluded if other is one), None),
            "snapshot_id": _snapshot_id(one) if one.current else None,
            "as_of": moment(one.current.clocks.as_of) if one.current else None,
        }

    # What is surely one account, for the check that nothing is counted twice.

    def _sure_groups(self) -> list[set[str]]:
        there = [one for one in self._sights.values() if one.present]
        links = [link for link in self._links(there) if link.rule != "score"]
        group = {one.account_id: {one.account_id} for one in there}
        for link in links:
            if link.verdict == "same":
                joined = group[link.pair[0]] | group[link.pair[1]]
                group |= dict.fromkeys(joined, joined)
        found = {min(members): members for members in group.values() if len(members) > 1}
        return [members for members in found.values() if not self._contradictory(members)]

    def _contradictory(self, members: set[str]) -> bool:
        connections = [self._sights[one].connection_id for one in members]
        return len(set(connections)) < len(members) or any(
            _pair(one, other) in self._apart for one, other in combinations(members, 2)
        )


def erases(old: HoldingsSnapshot, new: HoldingsSnapshot) -> bool:
    """Whether the new snapshot is suddenly empty, or nearly, and cash does not explain it."""
    before, after = _things(old), _things(new)
    if not before:
        return bool(old.holdings) and not new.holdings
    if after and len(after) * 10 >= len(before):
        return False
    return not _sold(old, new)


def _things(snapshot: HoldingsSnapshot) -> list[Holding]:
    """What is held besides cash."""
    return [one for one in snapshot.holdings if not _is_cash(one) and (one.quantity or one.market_value)]


def _sold(old: HoldingsSnapshot, new: HoldingsSnapshot) -> bool:
    """Whether cash of every currency rose by what vanished in it, within two hundredths of that."""
    rest = [one for snapshot in (old, new) for one in snapshot.holdings if not _is_cash(one)]
    if any(one.market_value is None for one in rest):
        return False
    for currency in {one.currency for one in old.holdings if not _is_cash(one)}:
        gone = _worth(old, currency) - _worth(new, currency)
        rise = _cash(new, currency) - _cash(old, currency)
        if gone <= 0 or abs(rise - gone) > gone * Decimal("0.02"):
            return False
    return True


def _worth(snapshot: HoldingsSnapshot, currency: str) -> Decimal:
    values = [
        one.market_value or Decimal(0)
        for one in snapshot.holdings
        if one.currency == currency and not _is_cash(one)
    ]
    return sum(values, Decimal(0))


def _cash(snapshot: HoldingsSnapshot, currency: str) -> Decimal:
    rows = [one.quantity for one in snapshot.holdings if one.currency == currency and _is_cash(one)]
    return sum(rows, Decimal(0))


def _is_cash(one: Holding) -> bool:
    return one.instrument.kind.value == "cash"


def _pair(one: str, other: str) -> tuple[str, str]:
    return (min(one, other), max(one, other))


def _comparable(one: Sighted, other: Sighted) -> bool:
    """Whether nothing rules out from the start that two accounts are one."""
    if one.provider == other.provider == "manual":
        return False
    return one.institution == other.institution and one.connection_id != other.connection_id


def _by_stable_id(one: Sighted, other: Sighted) -> str | None:
    mine = one.listed.stable_id if one.listed else None
    theirs = other.listed.stable_id if other.listed else None
    if not mine or not theirs:
        return None
    if mine == theirs:
        return "same"
    return "different" if one.provider == other.provider else None


def _by_score(one: Sighted, other: Sighted) -> Link:
    """What the score says of two accounts, all other evidence left out."""
    found = identify([_evidence(one), _evidence(other)], (), DEFAULT_WEIGHTS).links[0]
    return Link(2, -found.score, _pair(one.account_id, other.account_id), "score", found.verdict.value)


def _evidence(one: Sighted) -> Evidence:
    listed = one.listed
    total = listed.total if listed else None
    return Evidence(
        account_id=one.account_id,
        connection_id=one.connection_id,
        institution=one.institution,
        provider=one.provider,
        mask=listed.mask if listed else None,
        type=listed.type if listed else None,
        raw_type=listed.raw_type if listed else None,
        name=listed.name if listed else None,
        total=total.amount if total else None,
        currency=total.currency if total else None,
        described=listed is not None,
        lines=tuple(_score_line(held) for held in one.current.holdings) if one.current else None,
        as_of=one.current.clocks.as_of if one.current else None,
    )


def _score_line(held: Holding) -> Line:
    about = held.instrument
    ref = InstrumentRef(
        instrument_id=instrument_id(about),
        key=about.key,
        kind=about.kind.value,
        ticker=about.symbol,
        figi=joining_figi(about),
    )
    return Line(
        ref=ref,
        currency=held.currency,
        quantity=held.quantity,
        price=held.price,
        market_value=held.market_value,
        cost_basis=held.cost_basis,
    )


def _best_first(one: Source) -> tuple[int, float, str]:
    return (-PRIORITY.get(one.account.provider, 0), -_age_mark(one), one.account.account_id)


def _freshest_first(one: Source) -> tuple[float, int, str]:
    return (-_age_mark(one), -PRIORITY.get(one.account.provider, 0), one.account.account_id)


def _age_mark(one: Source) -> float:
    assert one.account.current is not None
    return one.account.current.clocks.as_of.timestamp()


def _why(best: Source, better: list[Source], ranked: list[Source]) -> str:
    if len(ranked) == 1:
        return "only_source"
    for one in better:
        if one.problem is None:
            return f"held_back:{one.account.account_id}"
    if better:
        return f"failover:{better[0].problem}"
    rank = PRIORITY.get(best.account.provider, 0)
    equals = [
        one
        for one in ranked
        if one is not best and one.problem is None and PRIORITY.get(one.account.provider, 0) == rank
    ]
    return "freshest_of_equals" if equals else "highest_priority"


def _why_not(other: Source, best: Source) -> str:
    if best.problem is not None:
        return "older_of_unhealthy"
    if other.problem is not None:
        return f"unhealthy:{other.problem}"
    if other.recovers_at is not None and best.recovers_at is None:
        return "recovering"
    if PRIORITY.get(other.account.provider, 0) < PRIORITY.get(best.account.provider, 0):
        return "lower_priority"
    return "same_priority_older" if _age_mark(other) < _age_mark(best) else "same_priority_and_age"


def _lines(account: Sighted | None) -> list[Holding]:
    return account.current.holdings if account and account.current else []


def _snapshot_id(account: Sighted) -> str:
    assert account.current is not None
    return ids.snapshot_id(account.account_id, account.version, account.current.content_hash)


def _one_name(instruments: Iterable[Instrument]) -> dict[str, str]:
    """For every key, the one name of all keys that a FIGI says are the same thing: a ticker, then by alphabet."""
    figis: dict[str, set[str]] = {}
    for one in instruments:
        if figi := joining_figi(one):
            figis.setdefault(figi, set()).add(one.key)
    names = {key: {key} for keys in figis.values() for key in keys}
    for keys in figis.values():
        joined = set().union(*(names[key] for key in keys))
        names |= dict.fromkeys(joined, joined)
    return {key: min(joined, key=lambda one: (":" in one, one)) for key, joined in names.items()}


def _left_out(real: Real, other: Sighted, rule: str, held: Holding) -> dict[str, Any]:
    assert real.counted is not None
    return {
        "real_account_id": real.real_account_id,
        "account_id": other.account_id,
        "provider": other.provider,
        "quantity": number(held.quantity),
        "market_value": number(held.market_value),
        "cost_basis": number(held.cost_basis),
        "instrument_id": instrument_id(held.instrument),
        "counted_account_id": real.counted.account_id,
        "rule": f"{rule}:needs_decision" if real.grey else rule,
    }


def _part_order(part: tuple[Real, Holding]) -> tuple[int, float, str, str]:
    real, held = part
    assert real.counted is not None
    fresh = -held.price_as_of.timestamp() if held.price_as_of else 0.0
    rank = -PRIORITY.get(real.counted.provider, 0)
    return (rank, fresh, real.counted.account_id, instrument_id(held.instrument))


def _position(
    portfolio: str, slot: tuple[str, str], parts: list[tuple[Real, Holding]], left: list[Left]
) -> dict[str, Any] | None:
    parts.sort(key=_part_order)
    values = [held.market_value for _, held in parts]
    costs = [held.cost_basis for _, held in parts]
    quantity = sum((held.quantity for _, held in parts), Decimal(0))
    value = _known_sum(values)
    if not quantity and not value:
        return None
    first, held = parts[0]
    assert first.counted is not None
    return {
        "position_id": ids.position_id(portfolio, *slot),
        "portfolio_id": portfolio,
        "instrument_key": slot[0],
        "currency": slot[1],
        "quantity": number(quantity),
        "market_value": number(value),
        "value_complete": None not in values,
        "cost_basis": number(_known_sum(costs)),
        "cost_basis_complete": None not in costs,
        "price": number(held.price),
        "price_as_of": moment(held.price_as_of),
        "ticker": held.instrument.symbol,
        "type": held.instrument.kind.value,
        "provider": first.counted.provider,
        "account_id": first.counted.account_id,
        "position_source": first.counted.provider if len(parts) == 1 else "consolidated",
        "stale": any(real.stale for real, _ in parts),
        "contributions": [_part(real, held) for real, held in parts],
        "excluded": [row for _, row in sorted(left, key=itemgetter(0))],
    }


def _part(real: Real, held: Holding) -> dict[str, Any]:
    account = real.counted
    assert account is not None
    assert account.current is not None
    return {
        "real_account_id": real.real_account_id,
        "account_id": account.account_id,
        "provider": account.provider,
        "quantity": number(held.quantity),
        "market_value": number(held.market_value),
        "cost_basis": number(held.cost_basis),
        "instrument_id": instrument_id(held.instrument),
        "price": number(held.price),
        "price_as_of": moment(held.price_as_of),
        "as_of": moment(account.current.clocks.as_of),
        "synced_at": moment(account.current.clocks.synced_at),
        "version": account.version,
        "snapshot_id": _snapshot_id(account),
        "content_hash": account.current.content_hash,
    }


def _known_sum(values: list[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if known else None


def _real_row(real: Real) -> dict[str, Any]:
    return {
        "real_account_id": real.real_account_id,
        "institution": real.members[0].institution,
        "members": [one.account_id for one in real.members],
        "counted_account_id": real.counted.account_id if real.counted else None,
        "reason": real.reason,
        "stale": real.stale,
        "needs_decision": real.grey,
        "excluded": [[other.account_id, rule] for other, rule in real.excluded],
        "held_back_until": moment(real.held_back_until),
    }
