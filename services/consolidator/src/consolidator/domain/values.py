"""The values the rules work on: connections, accounts, what each account was last seen to hold."""

from datetime import datetime, timedelta
from decimal import Decimal

from contracts.accounts import Balance, ProviderAccount
from contracts.statuses import ConnectionStatus
from contracts.struct import Record

TYPED = frozenset({"manual"})
"""Providers whose accounts a person typed: they are as many as were typed, and what is gone was removed on purpose."""


class InstrumentRef(Record, frozen=True, kw_only=True):
    """What the rules need of an instrument; ``instrument_id`` names one provider's full description of it."""

    instrument_id: str
    key: str
    kind: str
    ticker: str | None
    figi: str | None
    """Only where a shared FIGI means the same thing: never for options, cash and crypto."""


class Line(Record, frozen=True, kw_only=True):
    """One holding of one provider account; numbers are in plain form, ``None`` is unknown."""

    ref: InstrumentRef
    currency: str
    quantity: Decimal
    price: Decimal | None = None
    market_value: Decimal | None = None
    cost_basis: Decimal | None = None
    price_as_of: datetime | None = None
    cash_equivalent: bool = False


class Worth(Record, frozen=True, kw_only=True):
    """What an account's holdings add up to; ``currency`` is ``None`` when they are in several or none."""

    currency: str | None
    value: Decimal
    unpriced: int
    empty: bool


class Sight(Record, frozen=True, kw_only=True):
    """One complete snapshot of an account's holdings; ``lines`` is ``None`` while not loaded."""

    version: int
    content_hash: str
    as_of: datetime
    synced_at: datetime
    holdings: int
    worth: Worth
    lines: tuple[Line, ...] | None = None


class Quarantine(Record, frozen=True, kw_only=True):
    """A complete but suddenly empty (or tiny) snapshot, kept aside until confirmed."""

    sight: Sight
    first_synced_at: datetime


class History(Record, frozen=True, kw_only=True):
    """The complete snapshots of an account that are kept; what came before ``floor`` was let go."""

    sights: tuple[Sight, ...] = ()
    floor: int = 0


class Gap(Record, frozen=True, kw_only=True):
    """The newest incomplete snapshot and what it says was missing."""

    version: int
    reason: str


class Held(Record, frozen=True, kw_only=True):
    """All that is known of one account's holdings: the last good snapshot and what is held against newer ones."""

    current: Sight | None = None
    quarantine: Quarantine | None = None
    gap: Gap | None = None
    trusted_since: datetime | None = None
    """When the account's snapshots became believable, or fresh, again; ``None`` while they always were."""

    @property
    def suspect(self) -> bool:
        """Whether something newer than the counted snapshot was seen that could not be believed."""
        if self.quarantine is not None:
            return True
        return self.gap is not None and (self.current is None or self.gap.version > self.current.version)

    @property
    def folded(self) -> int:
        """The version up to which complete snapshots are taken into account."""
        current = self.current.version if self.current else 0
        aside = self.quarantine.sight.version if self.quarantine else 0
        return max(current, aside)

    @property
    def version(self) -> int:
        """The newest version that proves the account exists."""
        return max(self.folded, self.gap.version if self.gap else 0)


LINKED, CHANGED = 0, 1
"""Ranks of what says a status: at one version, a status change outranks the link itself."""


class StatusMark(Record, frozen=True, kw_only=True):
    """A status and what orders it among others of the same connection; ``rank`` breaks ties of version."""

    status: ConnectionStatus
    version: int
    rank: int
    at: datetime
    reason: str | None = None
    provider_code: str | None = None
    repair_by: datetime | None = None

    @property
    def linked(self) -> bool:
        """Whether it is the word of the link itself, not of a change."""
        return self.rank == LINKED


class Connection(Record, frozen=True, kw_only=True):
    """A connection; a stub (``linked_version`` 0) exists as soon as anything of it was seen."""

    connection_id: str
    provider: str
    institution: str
    status: StatusMark | None = None
    external_id: str | None = None
    institution_name: str | None = None
    connection_type: str | None = None
    linked_at: datetime | None = None
    linked_version: int = 0
    accounts_version: int = 0
    """The version of the newest complete list of its accounts."""


class BalanceSheet(Record, frozen=True, kw_only=True):
    """The balances of one account per currency; ``balances`` is ``None`` where they are stored unchanged."""

    version: int
    content_hash: str
    as_of: datetime
    synced_at: datetime
    balances: tuple[Balance, ...] | None = None


class Account(Record, frozen=True, kw_only=True):
    """A provider account; ``listed`` is its description once a list of accounts named it."""

    account_id: str
    connection_id: str
    provider: str
    institution: str
    listed_at: datetime | None = None
    listed: ProviderAccount | None = None
    listed_version: int = 0
    spoken_version: int = 0
    """The highest version of what was said of it and left no other trace: it still tells whose account it is."""
    real_account_id: str | None = None


class Decision(Record, frozen=True, kw_only=True):
    """What the user or an admin said of two accounts; the newest of a pair holds."""

    accounts: tuple[str, str]
    verdict: str
    """``same``, ``different`` or ``undone``, which takes back what was said before."""
    decided_at: datetime
    decision_id: str = ""
    decided_by: str = ""


class Judgement(Record, frozen=True, kw_only=True):
    """What the user or an admin said of a quarantined snapshot; the newest of a version holds."""

    judgement_id: str
    account_id: str
    version: int
    verdict: str
    """``accept`` or ``reject``."""
    judged_by: str
    judged_at: datetime


class Portfolio(Record, frozen=True, kw_only=True):
    """A named set of real accounts: those that one of these provider accounts is a sight of."""

    portfolio_id: str
    name: str
    account_ids: tuple[str, ...]
    deleted: bool
    version: int
    defined_at: datetime


class RealAccount(Record, frozen=True, kw_only=True):
    """One account as it exists at the institution, and the one source that is counted for it."""

    real_account_id: str
    institution: str
    members: tuple[str, ...]
    counted_account_id: str | None
    reason: str
    stale: bool
    needs_decision: bool
    excluded: tuple[tuple[str, str], ...] = ()
    """The other sources, each with the rule that excluded it."""
    held_back_until: datetime | None = None
    """When a better source that recovers takes over."""
    due_at: datetime | None = None
    """When the next of its sources has recovered: the choice is made again then."""


class SourcePolicy(Record, frozen=True, kw_only=True):
    """How one source is chosen among several sights of one real account."""

    priorities: dict[str, int]
    max_age: timedelta
    hysteresis: timedelta = timedelta(minutes=30)
    """How long a source must be healthy again before it is preferred again."""

    def priority(self, provider: str) -> int:
        """The rank of a provider; one that is not listed ranks lowest."""
        return self.priorities.get(provider, 0)


class ErasePolicy(Record, frozen=True, kw_only=True):
    """When a smaller snapshot is believed."""

    confirm_after: timedelta
    max_age: timedelta = timedelta(hours=72)
    """From this age on the counted snapshot is too old: what follows it begins anew to be trusted."""
    smallest_share: Decimal = Decimal("0.1")
    """Below this share of the holdings it replaces, a snapshot is suspicious."""
    cash_tolerance: Decimal = Decimal("0.02")
    """How far, relative to the vanished value, cash may miss it and still explain it."""


class CheckPolicy(Record, frozen=True, kw_only=True):
    """How far holdings may miss the provider's own total."""

    relative: Decimal = Decimal("0.005")
    absolute: Decimal = Decimal(1)
