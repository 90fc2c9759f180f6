"""The messages: facts (events) and commands, and the one table that names them all."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from contracts.accounts import AccountsSnapshot, BalanceHistorySnapshot, BalancesSnapshot
from contracts.decisions import ConsolidationRequested, IdentityDecided, PortfolioDefined, SnapshotJudged
from contracts.holdings import HoldingsSnapshot
from contracts.money import Money
from contracts.orders import OrdersSnapshot
from contracts.signals import WebhookDelivery
from contracts.statuses import ConnectionStatus, SyncStatus
from contracts.struct import Record
from contracts.transactions import TransactionsBatch


class ConnectionLinked(Record, frozen=True, kw_only=True):
    """A user's connection exists (``onefolio.connection.linked.v1``)."""

    user_id: str
    provider: str
    connection_id: str
    external_id: str
    institution: str
    institution_name: str | None
    connection_type: str
    link_session_id: str | None
    linked_at: datetime
    version: int


class ConnectionStatusChanged(Record, frozen=True, kw_only=True):
    """A connection's state moved (``onefolio.connection.status_changed.v1``).

    ``version`` orders changes of one connection, as in snapshots. ``repair_by`` is when access will end unless the
    user renews it; a change without it says that nothing of the kind is known (any more).
    """

    user_id: str
    provider: str
    connection_id: str
    status: ConnectionStatus
    reason: str | None
    provider_code: str | None
    changed_at: datetime
    version: int
    repair_by: datetime | None = None


class SyncStarted(Record, frozen=True, kw_only=True):
    """One sync run began (``onefolio.sync.started.v1``)."""

    user_id: str
    provider: str
    connection_id: str
    institution: str
    run_id: str
    kind: str
    trigger: str
    started_at: datetime
    version: int


class SyncProgressed(Record, frozen=True, kw_only=True):
    """How far a long sync run has come (``onefolio.sync.progressed.v1``), for whoever watches."""

    user_id: str
    provider: str
    connection_id: str
    run_id: str
    stream: str
    """``holdings``, ``transactions``, ``orders`` or ``history``."""
    done: int
    """Accounts read, or transactions read."""
    total: int | None
    at: datetime


class SyncFinished(Record, frozen=True, kw_only=True):
    """One sync run ended (``onefolio.sync.finished.v1``); ``cost`` is what the provider charges for it.

    ``kind`` is ``initial`` (the first whole run), ``incremental``, or ``check`` (nothing had changed, nothing was
    fetched). ``unchanged`` counts accounts of which nothing was fetched. ``covers_*`` is the range of days of
    transactions that were read.
    """

    user_id: str
    provider: str
    connection_id: str
    institution: str
    run_id: str
    kind: str
    trigger: str
    status: SyncStatus
    accounts: int
    holdings: int
    provider_calls: int
    cost: Money
    started_at: datetime
    finished_at: datetime
    version: int
    error_code: str | None = None
    error: str | None = None
    unchanged: int = 0
    transactions: int = 0
    orders: int = 0
    covers_from: date | None = None
    covers_through: date | None = None


class RefreshOutcome(StrEnum):
    """What became of a refresh that was ordered at a provider."""

    ACCEPTED = "accepted"
    """The provider took it: it is charged."""
    REFUSED = "refused"
    """The provider did not take it, or it was never asked: nothing is charged."""
    UNKNOWN = "unknown"
    """No answer came. What the provider has fetched since will tell; nothing is asked again."""


class RefreshSettled(Record, frozen=True, kw_only=True):
    """What became of one ordered refresh (``onefolio.refresh.settled.v1``).

    ``unknown`` may be followed by one of the others for the same ``charge_id``; nothing follows those.
    """

    user_id: str
    provider: str
    connection_id: str
    charge_id: str
    outcome: RefreshOutcome
    settled_at: datetime
    error_code: str | None = None
    error: str | None = None


class CurrencyTotal(Record, frozen=True, kw_only=True):
    """What a portfolio is worth in one currency; incomplete while any position has no value."""

    currency: str
    market_value: Decimal
    complete: bool


class PositionsConsolidated(Record, frozen=True, kw_only=True):
    """A portfolio's positions changed (``onefolio.positions.consolidated.v1``)."""

    user_id: str
    portfolio_id: str
    version: int
    positions: int
    changed: int
    removed: int
    totals: list[CurrencyTotal]
    breaks: int
    consolidated_at: datetime


class AccountDecisionNeeded(Record, frozen=True, kw_only=True):
    """Two accounts may be one; the user or an admin must say (``onefolio.account.decision_needed.v1``)."""

    user_id: str
    account_ids: list[str]
    score: Decimal
    reasons: list[str]


class AccountBreakFound(Record, frozen=True, kw_only=True):
    """Holdings do not add up to the provider's own total (``onefolio.account.break_found.v1``)."""

    user_id: str
    real_account_id: str
    account_id: str
    expected: Money
    difference: Money


class SyncConnection(Record, frozen=True, kw_only=True):
    """Command ``connector.<provider>.sync``: bring a connection up to date."""

    user_id: str
    connection_id: str
    kinds: list[str]
    trigger: str
    idempotency_id: str
    not_before: datetime | None = None
    charge_id: str | None = None
    """Of a refresh that was paid for: have the provider fetch first, once and never again under this id."""


class ConfigureConnection(Record, frozen=True, kw_only=True):
    """Command ``connector.<provider>.configure``: how a connection is kept up to date; ``None`` leaves as it is."""

    user_id: str
    connection_id: str
    idempotency_id: str
    asked_at: datetime
    auto_sync: bool | None = None
    frequency_seconds: int | None = None
    resume: bool = False
    """End a pause after failures and look at once."""


class LinkCompleted(Record, frozen=True, kw_only=True):
    """Command ``connector.<provider>.link_completed``: someone says a link session finished.

    ``hint`` is the external connection id they claim; the connector looks for itself.
    """

    user_id: str
    link_session_id: str
    hint: str | None = None


class RemoveConnection(Record, frozen=True, kw_only=True):
    """Command ``connector.<provider>.remove``: remove a connection at the provider, then forget its secret."""

    user_id: str
    connection_id: str
    reason: str


Event = (
    ConnectionLinked
    | ConnectionStatusChanged
    | AccountsSnapshot
    | HoldingsSnapshot
    | BalancesSnapshot
    | TransactionsBatch
    | OrdersSnapshot
    | BalanceHistorySnapshot
    | SyncStarted
    | SyncProgressed
    | SyncFinished
    | RefreshSettled
    | PositionsConsolidated
    | AccountDecisionNeeded
    | AccountBreakFound
    | IdentityDecided
    | SnapshotJudged
    | PortfolioDefined
    | ConsolidationRequested
)
Command = SyncConnection | ConfigureConnection | LinkCompleted | RemoveConnection | WebhookDelivery
Message = Event | Command

EVENTS: dict[str, type[Record]] = {
    "onefolio.connection.linked.v1": ConnectionLinked,
    "onefolio.connection.status_changed.v1": ConnectionStatusChanged,
    "onefolio.accounts.snapshot.v1": AccountsSnapshot,
    "onefolio.holdings.snapshot.v1": HoldingsSnapshot,
    "onefolio.balances.snapshot.v1": BalancesSnapshot,
    "onefolio.transactions.batch.v1": TransactionsBatch,
    "onefolio.orders.snapshot.v1": OrdersSnapshot,
    "onefolio.balance_history.snapshot.v1": BalanceHistorySnapshot,
    "onefolio.sync.started.v1": SyncStarted,
    "onefolio.sync.progressed.v1": SyncProgressed,
    "onefolio.sync.finished.v1": SyncFinished,
    "onefolio.refresh.settled.v1": RefreshSettled,
    "onefolio.positions.consolidated.v1": PositionsConsolidated,
    "onefolio.account.decision_needed.v1": AccountDecisionNeeded,
    "onefolio.account.break_found.v1": AccountBreakFound,
    "onefolio.identity.decided.v1": IdentityDecided,
    "onefolio.snapshot.judged.v1": SnapshotJudged,
    "onefolio.portfolio.defined.v1": PortfolioDefined,
    "onefolio.consolidation.requested.v1": ConsolidationRequested,
}
COMMANDS: dict[str, type[Record]] = {
    "onefolio.connector.sync.v1": SyncConnection,
    "onefolio.connector.configure.v1": ConfigureConnection,
    "onefolio.connector.link_completed.v1": LinkCompleted,
    "onefolio.connector.remove.v1": RemoveConnection,
    "onefolio.connector.webhook.v1": WebhookDelivery,
}
TYPES: dict[str, type[Record]] = EVENTS | COMMANDS
TYPE_OF: dict[type[Record], str] = {cls: name for name, cls in TYPES.items()}


def subject(message: Record) -> str:
    """The account, connection, portfolio or session a message is about."""
    for name in (
        "account_id",
        "real_account_id",
        "connection_id",
        "portfolio_id",
        "link_session_id",
        "delivery_id",
        "decision_id",
        "request_id",
    ):
        if value := getattr(message, name, None):
            return str(value)
    return str(getattr(message, "user_id", ""))
