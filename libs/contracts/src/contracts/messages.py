"""The messages: facts (events) and commands, and the one table that names them all."""

from datetime import datetime
from decimal import Decimal

from contracts.accounts import AccountsSnapshot, BalancesSnapshot
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

    ``version`` orders changes of one connection, as in snapshots.
    """

    user_id: str
    provider: str
    connection_id: str
    status: ConnectionStatus
    reason: str | None
    provider_code: str | None
    changed_at: datetime
    version: int


class SyncFinished(Record, frozen=True, kw_only=True):
    """One sync run ended (``onefolio.sync.finished.v1``); ``cost`` is what the provider charges for it."""

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
    | SyncFinished
    | PositionsConsolidated
    | AccountDecisionNeeded
    | AccountBreakFound
    | IdentityDecided
    | SnapshotJudged
    | PortfolioDefined
    | ConsolidationRequested
)
Command = SyncConnection | LinkCompleted | RemoveConnection | WebhookDelivery
Message = Event | Command

EVENTS: dict[str, type[Record]] = {
    "onefolio.connection.linked.v1": ConnectionLinked,
    "onefolio.connection.status_changed.v1": ConnectionStatusChanged,
    "onefolio.accounts.snapshot.v1": AccountsSnapshot,
    "onefolio.holdings.snapshot.v1": HoldingsSnapshot,
    "onefolio.balances.snapshot.v1": BalancesSnapshot,
    "onefolio.transactions.batch.v1": TransactionsBatch,
    "onefolio.orders.snapshot.v1": OrdersSnapshot,
    "onefolio.sync.finished.v1": SyncFinished,
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
