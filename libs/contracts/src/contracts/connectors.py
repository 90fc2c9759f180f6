"""The connector ports: small protocols, one per power.

Capabilities are derived from the protocols an adapter serves (``powers``), never listed a second time.
An adapter builds a request, calls, maps the answer; it never sleeps, retries, stores or publishes. It
raises the errors of ``contracts.errors`` and nothing else.
"""

from collections.abc import AsyncIterator
from datetime import date
from typing import Protocol, runtime_checkable

from contracts.accounts import Balance, ProviderAccount
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
from contracts.orders import Order, OrderImpact, OrderRequest, SymbolMatch
from contracts.signals import Signal, WebhookDelivery
from contracts.struct import Record
from contracts.transactions import Transaction


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


class TransactionPage(Record, frozen=True, kw_only=True):
    """A page of transactions; ``cursor`` is opaque and owned by the adapter."""

    transactions: list[Transaction]
    removed: list[str]
    cursor: str | None
    has_more: bool
    covers_from: date
    covers_through: date


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
        self, connection: ConnectionAccess, account: ProviderAccount, cursor: str | None
    ) -> TransactionPage:
        """The page after ``cursor``."""
        ...


@runtime_checkable
class ReadsOrders(Protocol):
    """Reads recent orders."""

    async def orders(self, connection: ConnectionAccess, account: ProviderAccount) -> list[Order]:
        """Recent orders of one account."""
        ...


@runtime_checkable
class Refreshes(Protocol):
    """Makes the provider fetch from the institution now; this costs money."""

    async def refresh(self, connection: ConnectionAccess) -> None:
        """Ask for a refresh; the data arrives later."""
        ...


@runtime_checkable
class Trades(Protocol):
    """Places orders. A placement is never retried: an unknown outcome raises ``OutcomeUnknownError``."""

    async def impact(
        self, connection: ConnectionAccess, account: ProviderAccount, order: OrderRequest
    ) -> OrderImpact:
        """The broker's preview."""
        ...

    async def place(
        self,
        connection: ConnectionAccess,
        account: ProviderAccount,
        order: OrderRequest,
        client_order_id: str,
    ) -> Order:
        """Place the order, once."""
        ...

    async def cancel(
        self, connection: ConnectionAccess, account: ProviderAccount, broker_order_id: str
    ) -> None:
        """Ask to cancel an order."""
        ...

    async def replace(
        self,
        connection: ConnectionAccess,
        account: ProviderAccount,
        broker_order_id: str,
        order: OrderRequest,
    ) -> Order:
        """Replace an open order; the broker's id may change."""
        ...


@runtime_checkable
class SearchesSymbols(Protocol):
    """Searches what an account can hold or trade."""

    async def search_symbols(
        self, connection: ConnectionAccess, account: ProviderAccount, text: str
    ) -> list[SymbolMatch]:
        """Instruments that match, best first."""
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
    "refresh": Refreshes,
    "trading": TradingConnector,
    "webhooks": TranslatesWebhooks,
}


def powers(adapter: object) -> frozenset[str]:
    """The names of the powers an adapter serves, read off its methods."""
    return frozenset(name for name, port in POWERS.items() if isinstance(adapter, port))
