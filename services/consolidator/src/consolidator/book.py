"""The book of one user: everything stored that the rules need, loaded, changed in memory, then written back.

Values are frozen and replaced whole, so what changed is what is not the same object as before.
"""

from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from consolidator.domain.checks import Check
from consolidator.domain.identity import Link
from consolidator.domain.values import (
    Account,
    BalanceSheet,
    Connection,
    Decision,
    Held,
    History,
    Judgement,
    Portfolio,
    RealAccount,
    Sight,
)
from contracts.decisions import ConsolidationRequested
from contracts.ids import portfolio_id

replace = msgspec.structs.replace
K = TypeVar("K")
V = TypeVar("V")
EMPTY = Held()


@dataclass(slots=True)
class Book:
    """A user's connections, accounts, what the accounts hold, and what was concluded from it."""

    user_id: str
    connections: dict[str, Connection] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    sheets: dict[str, BalanceSheet] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    portfolios: dict[str, Portfolio] = field(default_factory=dict)
    links: dict[tuple[str, str], Link] = field(default_factory=dict)
    real_accounts: dict[str, RealAccount] = field(default_factory=dict)
    grey: frozenset[str] = frozenset()
    """The real accounts that wait for a decision."""
    waiting: frozenset[str] = frozenset()
    """The real accounts that are not counted until their provider describes them."""
    checks: dict[str, Check] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    """The version of each portfolio that was ever summed."""
    histories: dict[str, History] = field(default_factory=dict)
    """Of the accounts whose snapshots may have to be folded again."""
    sighted: dict[tuple[str, int], Sight] = field(default_factory=dict)
    """The complete snapshots that this batch brought, by account and version."""
    retold: bool = False
    """Whether this batch brought transactions."""
    fingerprints: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Of the transactions of accounts that must be compared."""
    requests: dict[str, ConsolidationRequested] = field(default_factory=dict)
    """What somebody wants summed anew."""

    def copy(self) -> "Book":
        """The book as it stands, untouched by later changes."""
        return Book(
            user_id=self.user_id,
            connections=dict(self.connections),
            accounts=dict(self.accounts),
            held=dict(self.held),
            sheets=dict(self.sheets),
            decisions=self.decisions,
            judgements=self.judgements,
            portfolios=dict(self.portfolios),
            links=dict(self.links),
            real_accounts=dict(self.real_accounts),
            grey=self.grey,
            waiting=self.waiting,
            checks=dict(self.checks),
            versions=dict(self.versions),
        )

    @property
    def lines_loaded(self) -> bool:
        """Whether the holdings of every account are in memory."""
        return all(held.current is None or held.current.lines is not None for held in self.held.values())

    def take_lines(self, other: "Book") -> None:
        """Take over from ``other`` the holdings that are not in memory; their content is the same."""
        for account_id, held in self.held.items():
            known = other.held.get(account_id)
            if (
                held.current is None
                or held.current.lines is not None
                or known is None
                or known.current is None
            ):
                continue
            current = replace(held.current, lines=known.current.lines)
            moved = replace(held, current=current)
            self.held[account_id] = known if moved == known else moved

    def present_accounts(self) -> list[Account]:
        """The accounts that still exist, by id."""
        return [account for _, account in sorted(self.accounts.items()) if self.present(account)]

    def holding(self, account_id: str) -> Held:
        """What is known of an account's holdings; nothing, for one never seen."""
        return self.held.get(account_id, EMPTY)

    def present(self, account: Account) -> bool:
        """Whether the account still exists at its connection.

        It is gone once a newer complete list of the connection's accounts does not name it, or once the
        connection was removed.
        """
        connection = self.connections.get(account.connection_id)
        if connection is None:
            return True
        if connection.status is not None and connection.status.status == "removed":
            return False
        return self.seen(account) >= connection.accounts_version

    def seen(self, account: Account) -> int:
        """The highest version under which anything was said of an account."""
        sheet = self.sheets.get(account.account_id)
        held = self.holding(account.account_id)
        other = max(account.listed_version, account.spoken_version)
        return max(other, held.version, sheet.version if sheet else 0)

    def known_hash(self, account_id: str, version: int) -> str | None:
        """The content of a version of an account that was seen before, as far as it is in memory."""
        held, history = self.holding(account_id), self.histories.get(account_id)
        known = [held.current, held.quarantine.sight if held.quarantine else None]
        known += [self.sighted.get((account_id, version)), *(history.sights if history else ())]
        return next((one.content_hash for one in known if one and one.version == version), None)

    def live_portfolios(self) -> list[str]:
        """The portfolios of the user, the default first."""
        named = sorted(one.portfolio_id for one in self.portfolios.values() if not one.deleted)
        return [portfolio_id(self.user_id), *named]

    def all_portfolios(self) -> list[str]:
        """The portfolios that have positions or may get some; dropped ones lose theirs."""
        live = self.live_portfolios()
        return [*live, *sorted(self.versions.keys() - set(live))]


def changed(before: dict[K, V], after: dict[K, V]) -> list[V]:
    """The values that are new or different."""
    if before == after:
        return []
    return [value for key, value in after.items() if before.get(key) != value]


def vanished(before: dict[K, V], after: dict[K, V]) -> list[V]:
    """The values whose keys are no longer there."""
    return [value for key, value in before.items() if key not in after]
