"""Random portfolios: what happens to a person's accounts, told as the messages of an unreliable world.

Everything follows from the seed. Every portfolio ends at ``NOW``, so that many of them can be judged at one moment.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from securities import CURRENCIES, SECURITIES, Security
from world import NO_CASH, Sight, Tie, TrueAccount, view, worth

from contracts import ids
from contracts.accounts import AccountsSnapshot, AccountType, Balance, BalancesSnapshot
from contracts.decisions import (
    ConsolidationRequested,
    IdentityDecided,
    IdentityVerdict,
    PortfolioDefined,
    SnapshotJudged,
    SnapshotVerdict,
)
from contracts.holdings import Holding, HoldingsSnapshot, content_hash
from contracts.messages import ConnectionLinked, ConnectionStatusChanged, Message
from contracts.money import product
from contracts.statuses import ConnectionStatus

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
"""When all that was told is judged."""
MINUTE = timedelta(minutes=1)
GAPS = (0, 0, 1, 1, 5, 5, 10, 20, 20, 30, 45, 60, 61, 90, 180, 720, 1800, 4320)
"""Minutes between two things that happen: around every limit the rules know."""
TAILS = (0, 1, 1, 5, 10, 10, 20, 29, 30, 31, 45, 90, 600, 4319, 4320)
"""Minutes from the last of them to the moment of judgement."""
CLEAN_SYNCS, CLEAN_GAP = 3, 61
"""How often, and how many minutes apart, all is synced to settle what is owned."""
INSTITUTIONS = ("fidelity", "charles-schwab", "chase")
PROVIDERS = ("snaptrade", "plaid")
TYPES = (AccountType.BROKERAGE, AccountType.BROKERAGE, AccountType.RETIREMENT, AccountType.OTHER)
UNUSABLE = (ConnectionStatus.BROKEN, ConnectionStatus.STALE_CACHE, ConnectionStatus.REVOKED)


@dataclass(frozen=True)
class Portfolio:
    """One person's messages, in the order in which they were told, and what is true at the end."""

    seed: int
    user: str
    messages: tuple[Message, ...]
    accounts: tuple[TrueAccount, ...]
    settled: bool
    """Whether everything was repaired and synced at the end: the positions must be what is owned."""
    decided: bool
    """Whether anybody said which accounts are one."""


def portfolio(seed: int) -> Portfolio:
    """The portfolio of this seed."""
    return _Life(random.Random(seed), seed).lived()


def stream(rng: random.Random, messages: Sequence[Message]) -> list[Message]:
    """The messages as a queue may deliver them: in any order, some twice, some again much later."""
    told = [*messages, *rng.choices(messages, k=len(messages) // 4)] if messages else []
    rng.shuffle(told)
    return told


def batches(rng: random.Random, messages: Sequence[Message]) -> Iterator[list[Message]]:
    """The messages cut at random places."""
    rest = list(messages)
    while rest:
        size = rng.choice((1, 1, 2, 5, 17, 80))
        yield rest[:size]
        rest = rest[size:]


class _Life:
    """What happens to one person."""

    def __init__(self, rng: random.Random, seed: int) -> None:
        self._rng = rng
        self._seed = seed
        self._user = f"person-{seed}"
        self._version = rng.randint(1, 1000)
        self._ties: list[Tie] = []
        self._accounts: list[TrueAccount] = []
        self._messages: list[Message] = []
        self._prices = {one: Decimal(one.price) for one in SECURITIES}
        self._defined: dict[str, int] = {}
        self._decided: list[tuple[str, str]] = []
        self._gaps = [rng.choice(GAPS) for _ in range(rng.randint(4, 16))]
        self._settles = rng.random() < 0.3
        ending = CLEAN_SYNCS * CLEAN_GAP + 40 if self._settles else rng.choice(TAILS)
        self._now = NOW - (sum(self._gaps) + ending) * MINUTE

    def lived(self) -> Portfolio:
        self._begin()
        for gap in self._gaps:
            self._now += gap * MINUTE
            self._happens()
        if self._settles:
            self._settle()
        elif self._rng.random() < 0.4:
            self._heal()
        return Portfolio(
            self._seed,
            self._user,
            tuple(self._messages),
            tuple(self._accounts),
            self._settles,
            bool(self._decided),
        )

    def _happens(self) -> None:
        rng = self._rng
        active = [tie for tie in self._ties if tie.status is not ConnectionStatus.REMOVED]
        chosen = rng.choices(HAPPENINGS, weights=[weight for _, weight in HAPPENINGS])[0][0]
        if active:
            chosen(self, rng.choice(active))
        if rng.random() < 0.4:
            self._market()

    # How it begins: accounts, and connections that see some of them more than once.

    def _begin(self) -> None:
        rng = self._rng
        places = rng.sample(INSTITUTIONS, rng.choice((1, 1, 2)))
        for place in places:
            for _ in range(rng.randint(1, 3)):
                self._accounts.append(self._opened(place))
        for _ in range(rng.randint(1, 4)):
            self._connect(rng.choice(places), rng.choice((*PROVIDERS, *PROVIDERS, "manual")))

    def _opened(self, institution: str) -> TrueAccount:
        rng = self._rng
        number = str(rng.randint(10**7, 10**8 - 1))
        twins = [one for one in self._accounts if one.institution == institution]
        if twins and rng.random() < 0.25:
            number = number[:4] + twins[0].number[-4:]
        account = TrueAccount(institution, number, rng.choice(TYPES))
        for security in rng.sample(SECURITIES, rng.choice((0, 1, 3, 5, 12, 14))):
            self._buys(account, security)
        for currency in rng.choices(CURRENCIES, k=rng.randint(0, 2)):
            account.money[currency] = Decimal(rng.randint(-50_000, 900_000)).scaleb(-2)
        return account

    def _buys(self, account: TrueAccount, security: Security) -> None:
        rng = self._rng
        places = rng.choice((0, 0, 2, 6))
        quantity = Decimal(rng.randint(1, 3000)).scaleb(-places)
        if rng.random() < 0.1:
            quantity = -quantity
        if rng.random() < 0.02:
            quantity = NO_CASH
        twin = next((one for one in account.owned if one.figi and one.figi == security.figi), None)
        if twin is not None and rng.random() < 0.5:
            quantity = account.owned[twin]
        account.owned[security] = quantity
        account.cost[security] = abs(product(quantity, Decimal(rng.randint(1, 40_000)).scaleb(-2)))

    def _connect(self, institution: str, provider: str, moved: Sequence[Sight] = ()) -> None:
        rng = self._rng
        place = "manual" if provider == "manual" else institution
        tie = Tie(self._user, provider, place, f"{place}-{len(self._ties)}")
        self._ties.append(tie)
        if moved:
            tie.sights = list(moved)
        else:
            there = [one for one in self._accounts if one.institution == institution]
            for account in rng.sample(there, rng.randint(1, len(there))):
                tie.sight(rng, account, f"{place}-{provider}-{len(self._ties)}-{account.number}")
        linked_at, version = self._now, self._next()
        self._tell(
            ConnectionLinked(
                user_id=self._user,
                provider=provider,
                connection_id=tie.connection_id,
                external_id=tie.external_id,
                institution=place,
                institution_name=place.title(),
                connection_type="read",
                link_session_id=None,
                linked_at=linked_at,
                version=version,
            )
        )
        self._sync(tie)
        if provider == "manual":
            self._says_same(tie)

    def _says_same(self, tie: Tie) -> None:
        for sight in tie.sights:
            others = [one for one in sight.account.sights if one is not sight]
            if others and self._rng.random() < 0.8:
                self._decide(sight, self._rng.choice(others), IdentityVerdict.SAME)

    # What a sync run says.

    def _sync(self, tie: Tie, *, clean: bool = False) -> None:
        version, synced_at = (
            self._next(),
            self._now + (0 if clean else self._rng.randint(-90, 90)) * MINUTE / 60,
        )
        self._lists(tie, version, synced_at, clean=clean)
        for sight in tie.sights:
            if sight.account.open and (clean or self._rng.random() < 0.95):
                self._reads(tie, sight, version, synced_at, clean=clean)

    def _lists(self, tie: Tie, version: int, synced_at: datetime, *, clean: bool) -> None:
        rng = self._rng
        if not clean and rng.random() < 0.08:
            return
        gap = "page 2 failed" if not clean and rng.random() < 0.08 else None
        shown = [one for one in tie.sights if one.account.open and (gap is None or rng.random() < 0.5)]
        listed = [one.listed(worth(view(rng, one, self._prices, self._now))) for one in shown]
        rng.shuffle(listed)
        said = tie.says(version, synced_at, synced_at, gap)
        self._tell(AccountsSnapshot(accounts=listed, **said))

    def _reads(self, tie: Tie, sight: Sight, version: int, synced_at: datetime, *, clean: bool) -> None:
        rng = self._rng
        stuck = tie.status is not ConnectionStatus.ACTIVE and not clean
        held = sight.last if stuck and sight.last is not None else view(rng, sight, self._prices, self._now)
        gap = None
        if not clean:
            held, gap = self._spoiled(sight, held)
        as_of = sight.as_of if stuck and sight.as_of else self._as_of(sight, clean=clean)
        sight.as_of = as_of
        if gap is None:
            sight.last = held
            sight.versions.append(version)
        said = tie.says(version, as_of, synced_at, gap)
        digest = content_hash(held)
        self._tell(HoldingsSnapshot(account_id=sight.account_id, holdings=held, content_hash=digest, **said))
        if rng.random() < 0.3:
            self._balances(tie, sight, version, synced_at)

    def _balances(self, tie: Tie, sight: Sight, version: int, synced_at: datetime) -> None:
        gap = "no balances" if self._rng.random() < 0.1 else None
        rows = [Balance(currency=currency, cash=amount) for currency, amount in sight.account.money.items()]
        said = tie.says(version, synced_at, synced_at, gap)
        self._tell(BalancesSnapshot(account_id=sight.account_id, balances=rows, **said))

    def _spoiled(self, sight: Sight, held: list[Holding]) -> tuple[list[Holding], str | None]:
        """What a faulty answer makes of the holdings, and what it admits to be missing."""
        rng = self._rng
        dice = rng.random()
        if dice < 0.08:
            return rng.sample(held, len(held) // 2), "page 2 failed"
        if dice < 0.10:
            return [], "the list is missing"
        if dice < 0.15:
            return [], None
        if dice < 0.19:
            return [one for one in held if one.instrument.kind == "cash"], None
        if dice < 0.23:
            return held[:1], None
        if dice < 0.29 and sight.last is not None:
            return sight.last, None
        return held, None

    def _as_of(self, sight: Sight, *, clean: bool) -> datetime:
        rng = self._rng
        if clean:
            return self._now
        if sight.as_of is not None and rng.random() < 0.1:
            return sight.as_of - rng.choice((0, 0, 60)) * MINUTE
        return self._now - rng.choice((0, 0, 15, 60, 1440)) * MINUTE

    # What else happens.

    def _syncs(self, tie: Tie) -> None:
        self._sync(tie)

    def _all_sync(self, _tie: Tie) -> None:
        for tie in self._ties:
            if tie.status is not ConnectionStatus.REMOVED:
                self._sync(tie)

    def _market(self) -> None:
        for security in self._rng.sample(SECURITIES, 6):
            moved = self._prices[security] * Decimal(self._rng.randint(90, 110)).scaleb(-2)
            self._prices[security] = moved.quantize(Decimal("0.0001"))

    def _trades(self, tie: Tie) -> None:
        sight = self._rng.choice(tie.sights)
        owned = sight.account.owned
        if owned and self._rng.random() < 0.4:
            sold = self._rng.choice(list(owned))
            del owned[sold]
            sight.emptied.add(sold)
        else:
            self._buys(sight.account, self._rng.choice(SECURITIES))
        self._sync(tie)

    def _liquidates(self, tie: Tie) -> None:
        """All is sold, for about what it was last worth; or all is taken out."""
        account = self._rng.choice(tie.sights).account
        sold, account.owned = account.owned, {}
        if self._rng.random() < 0.7:
            for security, quantity in sold.items():
                value = product(self._prices[security], quantity, Decimal(security.multiplier))
                value = product(value, Decimal(self._rng.choice(("1", "0.99", "1.0199", "0.97"))))
                account.money[security.currency] = account.money.get(security.currency, NO_CASH) + value
        for sight in account.sights:
            sight.unpriced.clear()
        self._sync(tie)

    def _status(self, tie: Tie, status: ConnectionStatus, *, version: int | None = None) -> None:
        tie.status = status
        self._tell(
            ConnectionStatusChanged(
                user_id=self._user,
                provider=tie.provider,
                connection_id=tie.connection_id,
                status=status,
                reason="told so",
                provider_code=None,
                changed_at=self._now,
                version=self._next() if version is None else version,
            )
        )

    def _breaks_or_heals(self, tie: Tie) -> None:
        if tie.status is ConnectionStatus.ACTIVE:
            # A run that finds the connection broken says so under its own version.
            own = self._rng.random() < 0.5
            self._status(tie, self._rng.choice(UNUSABLE), version=self._version if own else None)
            if self._rng.random() < 0.5:
                self._sync(tie)
        else:
            self._status(tie, ConnectionStatus.ACTIVE)
            if self._rng.random() < 0.7:
                self._sync(tie)

    def _removes(self, tie: Tie) -> None:
        if len(self._ties) > 1:
            self._status(tie, ConnectionStatus.REMOVED)

    def _reconnects(self, tie: Tie) -> None:
        """The accounts are seen through a new connection from now on; their ids stay."""
        if tie.provider == "manual":
            return
        if self._rng.random() < 0.5:
            self._status(tie, ConnectionStatus.REMOVED)
        else:
            self._status(tie, ConnectionStatus.BROKEN)
        self._connect(tie.institution, tie.provider, moved=tie.sights)

    def _connects(self, tie: Tie) -> None:
        self._connect(tie.sights[0].account.institution, self._rng.choice((*PROVIDERS, "manual")))

    def _closes(self, tie: Tie) -> None:
        sight = self._rng.choice(tie.sights)
        sight.account.open = False
        self._sync(tie)

    def _decides(self, tie: Tie) -> None:
        rng = self._rng
        sight = rng.choice(tie.sights)
        others = [one for one in sight.account.sights if one is not sight]
        verdict = rng.choice((IdentityVerdict.SAME, IdentityVerdict.SAME, IdentityVerdict.DIFFERENT))
        if not others or rng.random() < 0.2:
            others = [one for other in self._ties for one in other.sights if one is not sight]
        if others:
            self._decide(sight, rng.choice(others), verdict)

    def _undoes(self, tie: Tie) -> None:
        if self._decided and self._rng.random() < 0.8:
            one, other = self._rng.choice(self._decided)
            self._decide(one, other, IdentityVerdict.UNDONE)
        else:
            self._decides(tie)

    def _decide(self, one: Sight | str, other: Sight | str, verdict: IdentityVerdict) -> None:
        pair = sorted(each if isinstance(each, str) else each.account_id for each in (one, other))
        if pair[0] == pair[1]:
            return
        self._decided.append((pair[0], pair[1]))
        self._tell(
            IdentityDecided(
                user_id=self._user,
                decision_id=self._id(),
                account_ids=pair,
                verdict=verdict,
                decided_by=self._user,
                decided_at=self._now,
            )
        )

    def _judges(self, tie: Tie) -> None:
        sight = self._rng.choice(tie.sights)
        if sight.versions:
            self._tell(
                SnapshotJudged(
                    user_id=self._user,
                    judgement_id=self._id(),
                    account_id=sight.account_id,
                    version=self._rng.choice(sight.versions[-2:]),
                    verdict=self._rng.choice((SnapshotVerdict.ACCEPT, SnapshotVerdict.REJECT)),
                    judged_by=self._user,
                    judged_at=self._now,
                )
            )

    def _names(self, _tie: Tie) -> None:
        rng = self._rng
        name = rng.choice(("retirement", "play money"))
        seen = sorted({sight.account_id for tie in self._ties for sight in tie.sights})
        self._defined[name] = self._defined.get(name, 0) + 1
        self._tell(
            PortfolioDefined(
                user_id=self._user,
                portfolio_id=ids.portfolio_id(self._user, name),
                name=name,
                account_ids=rng.sample(seen, rng.randint(0, len(seen))),
                deleted=rng.random() < 0.15,
                version=self._defined[name],
                defined_at=self._now,
            )
        )

    def _wants(self, _tie: Tie) -> None:
        self._tell(requested(self._user, self._id(), self._now))

    # How it ends.

    def _settle(self) -> None:
        """Every connection works again, and clean syncs confirm whatever there is to confirm."""
        self._heal()
        for _ in range(CLEAN_SYNCS):
            self._now += CLEAN_GAP * MINUTE
            for tie in self._ties:
                if tie.status is ConnectionStatus.ACTIVE:
                    self._sync(tie, clean=True)

    def _heal(self) -> None:
        for tie in self._ties:
            if tie.status in UNUSABLE:
                self._status(tie, ConnectionStatus.ACTIVE)
                self._sync(tie)

    def _next(self) -> int:
        self._version += self._rng.randint(1, 3)
        return self._version

    def _id(self) -> str:
        return str(UUID(int=self._rng.getrandbits(128), version=4))

    def _tell(self, message: Message) -> None:
        self._messages.append(message)


def requested(user: str, request_id: str, at: datetime) -> ConsolidationRequested:
    """Somebody wants all portfolios of a user summed anew."""
    return ConsolidationRequested(
        user_id=user, request_id=request_id, portfolio_ids=[], requested_by=user, requested_at=at
    )


HAPPENINGS: tuple[tuple[Callable[[Any, Tie], None], int], ...] = (
    (_Life._syncs, 30),
    (_Life._all_sync, 20),
    (_Life._trades, 16),
    (_Life._breaks_or_heals, 24),
    (_Life._decides, 8),
    (_Life._judges, 8),
    (_Life._names, 8),
    (_Life._undoes, 4),
    (_Life._liquidates, 5),
    (_Life._reconnects, 5),
    (_Life._connects, 4),
    (_Life._closes, 3),
    (_Life._wants, 3),
    (_Life._removes, 2),
)
