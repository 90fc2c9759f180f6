"""The connector ports: small protocols, one per power.

Capabilities are derived from the protocols an adapter serves (``powers``), never listed a second time.
An adapter builds a request, calls, maps the answer; it never sleeps, retries, stores or publishes. It
raises the errors of ``contracts.errors`` and nothing else.
"""

from collections.abc import AsyncIterator
from datetime import date
from typing import Protocol, runtime_checkable

from msgspec import field

from contracts.accounts import Balance, BalancePoint, PeriodReturn, ProviderAccount
from contracts.holdings import Holding
from contracts.linking import (
    BeginLink,
    ConnectionAccess,
    ConnectionState,
    FinishLink,
    LinkBegun,
    LinkedConnection,
    LinkOutcome,
    UserAccess,
)
from contracts.orders import Order
from contracts.signals import Signal, WebhookDelivery
from contracts.struct import Record
from contracts.trading import AccountRef, OrderImpact, OrderRequest, Placed, Quote, SymbolMatch
from contracts.transactions import Sweep, Transaction


class AccountRead(Record, frozen=True, kw_only=True):
    """The holdings and balances of one account, read together because they correct one another.

    Cash appears once among the holdings (``CUR:…``). ``complete`` is false when anything is missing;
    ``gap`` says what.
    """

    account: ProviderAccount
    holdings: list[Holding]
    balances: list[Balance]
    complete: bool
    gap: str | None = None


class AccountTransactions(Record, frozen=True, kw_only=True):
    """What one page has of one account; the members are those of ``TransactionsBatch``."""

    account_id: str
    transactions: list[Transaction]
    removed: list[str] = field(default_factory=list)
    covers_from: date | None = None
    covers_through: date | None = None
    sweep: Sweep | None = None


class TransactionPage(Record, frozen=True, kw_only=True):
    """A page of a connection's transactions.

    ``cursor`` is opaque and owned by the adapter: asking with it goes on behind this page, also in a later run or
    after a crash. It never moves beyond what the provider has confirmed to be whole.
    """

    parts: list[AccountTransactions]
    cursor: str
    has_more: bool


class HistoryRead(Record, frozen=True, kw_only=True):
    """An account's series of daily totals and its rates of return, as far as the provider has them."""

    currency: str | None
    points: list[BalancePoint]
    returns: list[PeriodReturn]


class RemoteConnection(Record, frozen=True, kw_only=True):
    """A connection (or, with no ``external_id``, a bare user) that exists at the provider."""

    external_user_id: str | None
    external_id: str | None


class CatalogueInstitution(Record, frozen=True, kw_only=True):
    """An institution as the provider lists it; flags are ``None`` where it does not say."""

    ref: str
    name: str
    allows_trading: bool | None = None
    available: bool | None = None
    logo_url: str | None = None


class CatalogueInstrument(Record, frozen=True, kw_only=True):
    """An instrument that can be traded at an institution."""

    symbol: str
    name: str | None = None
    provider_symbol_id: str | None = None
    tradable: bool | None = None
    fractional: bool | None = None


@runtime_checkable
class Connector(Protocol):
    """What every adapter serves: who it is, and the life of a connection."""

    provider: str

    async def enroll(self, user_id: str) -> UserAccess | None:
        """Register a user at the provider once; ``None`` where the provider keeps no users."""
        ...

    async def forget(self, user: UserAccess) -> None:
        """Delete a user at the provider; already gone counts as done."""
        ...

    async def begin_link(self, link: BeginLink) -> LinkBegun:
        """Make the page to which the user is sent, to link or (with ``reconnect``) to repair."""
        ...

    def finish_link(self, link: FinishLink) -> AsyncIterator[LinkedConnection | LinkOutcome]:
        """Hand over each connection of the session as soon as it exists, then how the session stands.

        The caller stores each connection's secret before asking for the next.
        """
        ...

    async def state(self, connection: ConnectionAccess) -> ConnectionState:
        """How the connection stands at the provider, the cheapest question there is."""
        ...

    async def unlink(self, connection: ConnectionAccess) -> None:
        """Remove the connection at the provider; already gone counts as done."""
        ...


@runtime_checkable
class ReadsAccounts(Protocol):
    """Lists a connection's accounts."""

    async def accounts(self, connection: ConnectionAccess, state: ConnectionState) -> list[ProviderAccount]:
        """Every account of the connection, complete or an error."""
        ...


@runtime_checkable
class ReadsHoldings(Protocol):
    """Reads holdings and balances."""

    def holdings(
        self, connection: ConnectionAccess, state: ConnectionState, accounts: list[ProviderAccount]
    ) -> AsyncIterator[AccountRead]:
        """Each account's holdings and balances as they arrive; an account that fails raises after the rest."""
        ...


@runtime_checkable
class ReadsTransactions(Protocol):
    """Reads transactions page by page."""

    async def transactions(
        self,
        connection: ConnectionAccess,
        state: ConnectionState,
        accounts: list[ProviderAccount],
        cursor: str | None,
        version: int,
    ) -> TransactionPage:
        """The page after ``cursor`` (None: from the very beginning).

        ``accounts`` are all accounts of the connection; one that the cursor does not know yet begins with its whole
        history. ``version`` is the run's, for the ``sweep`` of a range that begins now. A call that would answer
        nothing new must cost no provider call.
        """
        ...


@runtime_checkable
class ReadsOrders(Protocol):
    """Reads recent orders."""

    async def orders(self, connection: ConnectionAccess, account: ProviderAccount) -> list[Order]:
        """Recent orders of one account.

        Raises:
            RefusedError: code ``NOT_SUPPORTED``, the institution tells no orders.
        """
        ...


@runtime_checkable
class ReadsHistory(Protocol):
    """Reads an account's performance."""

    async def history(self, connection: ConnectionAccess, account: ProviderAccount) -> HistoryRead:
        """Its daily totals and rates of return.

        Raises:
            RefusedError: code ``NOT_SUPPORTED``, the provider has none of this account.
        """
        ...


@runtime_checkable
class ListsRemotes(Protocol):
    """Lists what exists at the provider, to find what we have forgotten there."""

    def remotes(self, users: list[UserAccess]) -> AsyncIterator[RemoteConnection]:
        """Every user of ours at the provider, and the connections of those in ``users`` (whose secrets we have)."""
        ...


@runtime_checkable
class ListsCatalogue(Protocol):
    """Lists institutions and what can be traded there."""

    async def institutions(self) -> list[CatalogueInstitution]:
        """Every institution our keys can use."""
        ...

    async def instruments(self, institution_ref: str) -> list[CatalogueInstrument]:
        """What can be traded at one institution; empty where the provider does not say."""
        ...


@runtime_checkable
class Refreshes(Protocol):
    """Makes the provider fetch from the institution now; this costs money."""

    async def refresh(self, connection: ConnectionAccess) -> None:
        """Ask for a refresh; the data arrives later. Returning means that the provider took (and charges) it.

        Raises:
            TransientError, RefusedError, RepairNeededError, GoneError: it was not taken and costs nothing.
            OutcomeUnknownError: the request may have been taken: no answer came.
        """
        ...


@runtime_checkable
class Trades(Protocol):
    """Places orders. A placement is sent once and never again, by nobody.

    Every method that changes something raises ``RefusedError`` only where the broker surely did not do it,
    ``TransientError`` only where nothing was sent, and ``OutcomeUnknownError`` in every other case: a timeout, a reset, a
    5xx, an answer that cannot be read, a refusal whose words leave doubt.
    """

    async def impact(
        self, connection: ConnectionAccess, account: AccountRef, order: OrderRequest
    ) -> OrderImpact:
        """The broker's preview.

        Raises:
            RefusedError: code ``NOT_SUPPORTED``, the broker has no preview of such an order; else it would refuse it.
        """
        ...

    async def place(
        self, connection: ConnectionAccess, account: AccountRef, order: OrderRequest, client_order_id: str
    ) -> Placed:
        """Place the order, once."""
        ...

    async def cancel(self, connection: ConnectionAccess, account: AccountRef, broker_order_id: str) -> None:
        """Ask to cancel an order; that it was asked does not mean that it is."""
        ...

    async def replace(
        self, connection: ConnectionAccess, account: AccountRef, broker_order_id: str, order: OrderRequest
    ) -> Placed:
        """Replace an open order; the broker's id may change."""
        ...

    async def recent_orders(self, connection: ConnectionAccess, account: AccountRef) -> list[Order]:
        """The orders of the last day as the broker has them right now, open and closed."""
        ...


@runtime_checkable
class SearchesSymbols(Protocol):
    """Searches what an account can hold or trade, and quotes it."""

    async def search_symbols(
        self, connection: ConnectionAccess | None, account: AccountRef | None, text: str
    ) -> list[SymbolMatch]:
        """Instruments that match, best first; of one account's broker where it is given."""
        ...

    async def quotes(
        self, connection: ConnectionAccess, account: AccountRef, symbols: list[str]
    ) -> list[Quote]:
        """Quotes of up to ten symbols; one that is not quoted is left out."""
        ...


@runtime_checkable
class TranslatesWebhooks(Protocol):
    """Says what a verified webhook means in our terms."""

    def signals(self, delivery: WebhookDelivery) -> list[Signal]:
        """What the delivery means; pure. An unknown one is ``ignored``, never an error."""
        ...


@runtime_checkable
class InvestmentsConnector(Connector, ReadsAccounts, ReadsHoldings, TranslatesWebhooks, Protocol):
    """The least an adapter must serve to be part of a portfolio."""


@runtime_checkable
class TradingConnector(Trades, SearchesSymbols, Protocol):
    """What an adapter serves besides where the provider can trade."""


POWERS: dict[str, type] = {
    "accounts": ReadsAccounts,
    "holdings": ReadsHoldings,
    "transactions": ReadsTransactions,
    "orders": ReadsOrders,
    "history": ReadsHistory,
    "refresh": Refreshes,
    "trading": TradingConnector,
    "webhooks": TranslatesWebhooks,
    "remotes": ListsRemotes,
    "catalogue": ListsCatalogue,
}


def powers(adapter: object) -> frozenset[str]:
    """The names of the powers an adapter serves, read off its methods."""
    return frozenset(name for name, port in POWERS.items() if isinstance(adapter, port))
