"""A provider that exists only in memory, and an adapter to it: for the engine's own tests and as a pattern.

The adapter serves the least a portfolio needs. Every method first asks ``failures`` whether it shall fail.
"""

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from connector_kit import calls
from contracts.accounts import AccountType, Balance, ProviderAccount
from contracts.connectors import AccountRead
from contracts.errors import ErrorCode, GoneError
from contracts.holdings import Holding
from contracts.ids import account_id
from contracts.instruments import Instrument, InstrumentKind, cash_key
from contracts.linking import (
    BeginLink,
    ConnectionAccess,
    ConnectionState,
    FinishLink,
    LinkBegun,
    LinkedConnection,
    LinkOutcome,
    LinkStart,
    UserAccess,
)
from contracts.money import Money
from contracts.signals import Signal, WebhookDelivery
from contracts.statuses import ConnectionStatus, LinkStatus

NEVER = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class FakeConnection:
    """A connection as the provider has it: what it holds, account by account."""

    external_id: str
    token: str
    institution_ref: str | None = "ins_1"
    institution_name: str | None = "Example Brokerage"
    status: ConnectionStatus = ConnectionStatus.ACTIVE
    data_ready: bool = True
    accounts: dict[str, dict[str, Decimal]] = field(
        default_factory=lambda: {"acc-1": {"AAPL": Decimal(10), "CUR:USD": Decimal("250.5")}}
    )
    removed: bool = False


@dataclass(slots=True)
class FakeSession:
    """A link session: the connections it brings once, and how it stands."""

    brings: list[FakeConnection] = field(default_factory=list)
    status: LinkStatus = LinkStatus.PENDING
    exchanged: set[str] = field(default_factory=set)


class FakeAdapter:
    """An adapter to a provider in memory; with ``keeps_users`` it has a secret per user, else per connection."""

    def __init__(self, provider: str = "fake", *, keeps_users: bool = False) -> None:
        self.provider = provider
        self.keeps_users = keeps_users
        self.connections: dict[str, FakeConnection] = {}
        self.sessions: dict[str, FakeSession] = {}
        self.users: dict[str, str] = {}
        self.asked: list[str] = []
        self.failures: dict[str, list[Exception]] = defaultdict(list)
        self.expires_at = NEVER

    async def enroll(self, user_id: str) -> UserAccess | None:
        """Register a user, if this provider keeps users."""
        self._ask("enroll")
        if not self.keeps_users:
            return None
        self.users[user_id] = f"secret-of-{user_id}"
        return UserAccess(external_user_id=user_id, secret=self.users[user_id])

    async def forget(self, user: UserAccess) -> None:
        """Forget a user."""
        self._ask("forget")
        self.users.pop(user.external_user_id, None)

    async def begin_link(self, link: BeginLink) -> LinkBegun:
        """Begin a session whose token is named after it."""
        self._ask("begin_link")
        token = f"link-{link.request.link_session_id}"
        self.sessions.setdefault(token, FakeSession())
        start = LinkStart(
            url=f"https://provider.invalid/{token}", expires_at=self.expires_at, link_token=token
        )
        return LinkBegun(start=start, session_token=token)

    async def finish_link(self, link: FinishLink) -> AsyncIterator[LinkedConnection | LinkOutcome]:
        """Exchange what the session brings, each once and for all."""
        self._ask("finish_link")
        session = self.sessions[link.session_token or ""]
        for brought in session.brings:
            source = f"public-{brought.external_id}"
            if source in link.done:
                continue
            if source in session.exchanged:
                raise self.gone("the public token was exchanged before")
            self._ask("exchange")
            session.exchanged.add(source)
            self.connections[brought.external_id] = brought
            yield LinkedConnection(
                external_id=brought.external_id,
                secret=brought.token,
                institution_ref=brought.institution_ref,
                institution_name=brought.institution_name,
                connection_type="read",
                source=source,
            )
        yield LinkOutcome(status=session.status)

    async def state(self, connection: ConnectionAccess) -> ConnectionState:
        """How a connection stands."""
        self._ask("state")
        found = self._found(connection)
        return ConnectionState(
            status=found.status,
            connection_type="read",
            realtime=False,
            data_as_of=datetime(2026, 11, 21, tzinfo=UTC),
            data_ready=found.data_ready,
            institution_ref=found.institution_ref,
            institution_name=found.institution_name,
            reason=None if found.status is ConnectionStatus.ACTIVE else "LOGIN_REQUIRED",
        )

    async def accounts(self, connection: ConnectionAccess, state: ConnectionState) -> list[ProviderAccount]:
        """The accounts of a connection."""
        self._ask("accounts")
        found = self._found(connection)
        return [_account(connection.user_id, self.provider, name, state) for name in found.accounts]

    async def holdings(
        self, connection: ConnectionAccess, state: ConnectionState, accounts: list[ProviderAccount]
    ) -> AsyncIterator[AccountRead]:
        """The holdings of each account; ``failures["holdings:<account>"]`` fails one after the rest."""
        self._ask("holdings")
        found = self._found(connection)
        failed: list[Exception] = []
        for account in accounts:
            if waiting := self.failures[f"holdings:{account.external_id}"]:
                failed.append(waiting.pop(0))
                continue
            yield _read(account, found.accounts[account.external_id], complete=state.data_ready)
        if failed:
            raise failed[0]

    async def unlink(self, connection: ConnectionAccess) -> None:
        """Remove a connection; one that is gone counts as done."""
        self._ask("unlink")
        if found := self.connections.get(connection.external_id):
            found.removed = True

    def signals(self, delivery: WebhookDelivery) -> list[Signal]:
        """The body is a list of signals as JSON."""
        return msgspec.json.decode(delivery.body, type=list[Signal])

    def gone(self, text: str) -> GoneError:
        """The error of this provider for what is no more."""
        return GoneError(text, code=ErrorCode.CONNECTION_GONE, provider=self.provider)

    def _found(self, connection: ConnectionAccess) -> FakeConnection:
        found = self.connections.get(connection.external_id)
        if found is None or found.removed or (not self.keeps_users and connection.secret != found.token):
            raise self.gone("no such connection")
        return found

    def _ask(self, question: str) -> None:
        calls.count()
        self.asked.append(question)
        if waiting := self.failures[question]:
            raise waiting.pop(0)


def _account(user_id: str, provider: str, name: str, state: ConnectionState) -> ProviderAccount:
    return ProviderAccount(
        account_id=account_id(provider, user_id, name),
        external_id=name,
        name=name,
        type=AccountType.BROKERAGE,
        raw_type="brokerage",
        currency="USD",
        total=Money(amount=Decimal(1), currency="USD"),
        holdings_as_of=state.data_as_of,
    )


def _read(account: ProviderAccount, held: dict[str, Decimal], *, complete: bool) -> AccountRead:
    rows = [
        Holding(
            instrument=Instrument(
                key=key, kind=InstrumentKind.CASH if key.startswith("CUR:") else InstrumentKind.STOCK
            ),
            quantity=quantity,
            currency="USD",
            market_value=quantity,
        )
        for key, quantity in held.items()
    ]
    cash = held.get(cash_key("USD"))
    return AccountRead(
        account=account,
        holdings=rows,
        balances=[Balance(currency="USD", cash=cash)],
        complete=complete,
        gap=None if complete else "the first fetch runs",
    )
