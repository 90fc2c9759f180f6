"""A provider that exists only in memory, and an adapter to it: for the engine's own tests and as a pattern.

The adapter serves every power; trading is in ``connector_kit.testing_trading``. Every method first asks ``failures`` whether it shall fail.
"""

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec

from connector_kit import calls
from connector_kit.testing_trading import FakeDesk, FakeTrading
from contracts.accounts import AccountType, Balance, BalancePoint, Capabilities, PeriodReturn, ProviderAccount
from contracts.connectors import (
    AccountRead,
    AccountTransactions,
    CatalogueInstitution,
    CatalogueInstrument,
    HistoryRead,
    RemoteConnection,
    TransactionPage,
)
from contracts.errors import ErrorCode, GoneError, RefusedError
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
from contracts.orders import Order, OrderStatus
from contracts.signals import Signal, WebhookDelivery
from contracts.statuses import ConnectionStatus, LinkStatus
from contracts.transactions import Transaction, TransactionType

NEVER = datetime(2100, 1, 1, tzinfo=UTC)
FETCHED = datetime(2026, 11, 21, tzinfo=UTC)
FIRST_DAY = date(2026, 1, 1)


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
    fetched_at: datetime | None = FETCHED
    """When the provider last fetched from the institution; None for one that does not say."""
    marked: bool = False
    """Whether the connection's state carries a mark."""
    realtime: bool = False
    repair_by: datetime | None = None
    activities: list[tuple[str, Transaction | str]] = field(default_factory=list)
    """What happened, in order: account and transaction, or account and the id of one that was taken back."""
    orders: dict[str, list[Order]] = field(default_factory=dict)
    history: bool = True
    connection_type: str = "read"
    accepted: int = 0
    """Refreshes that the provider took."""

    @property
    def mark(self) -> str:
        """Changes whenever anything of the connection does."""
        return f"{self.fetched_at} {len(self.activities)}"

    def trade(self, account: str, number: int) -> None:
        """Let a trade happen."""
        self.activities.append((account, trade_of(account, number)))


@dataclass(slots=True)
class FakeSession:
    """A link session: the connections it brings once, and how it stands."""

    brings: list[FakeConnection] = field(default_factory=list)
    status: LinkStatus = LinkStatus.PENDING
    exchanged: set[str] = field(default_factory=set)
    mask: str | None = None
    """Of the account the user chose: one that is linked already makes a login a duplicate."""


class FakeAdapter(FakeTrading):
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
        self.page_size = 1000
        self.desk = FakeDesk()
        self.catalogue: dict[CatalogueInstitution, list[CatalogueInstrument]] = {}

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
        same = [one for one in link.accounts if session.mask is not None and one.mask == session.mask]
        if same and link.reconnect_external_id is None:
            first = same[0].external_connection_id
            yield LinkOutcome(status=LinkStatus.FAILED, reason=ErrorCode.ALREADY_LINKED, duplicate_of=first)
            return
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
                connection_type=brought.connection_type,
                source=source,
            )
        yield LinkOutcome(status=session.status)

    async def state(self, connection: ConnectionAccess) -> ConnectionState:
        """How a connection stands."""
        self._ask("state")
        found = self._found(connection)
        return ConnectionState(
            status=found.status,
            connection_type=found.connection_type,
            realtime=found.realtime,
            data_as_of=found.fetched_at,
            data_ready=found.data_ready,
            institution_ref=found.institution_ref,
            institution_name=found.institution_name,
            reason=None if found.status is ConnectionStatus.ACTIVE else "LOGIN_REQUIRED",
            mark=found.mark if found.marked else None,
            repair_by=found.repair_by,
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

    async def transactions(
        self,
        connection: ConnectionAccess,
        state: ConnectionState,
        accounts: list[ProviderAccount],
        cursor: str | None,
        version: int,  # noqa: ARG002  the port's; this provider says itself what it takes back
    ) -> TransactionPage:
        """A page of what happened, in order; the cursor is how much of it was told, and of what mark."""
        told, _, mark = (cursor or "0").partition(" ")
        if state.mark is not None and mark == state.mark:
            return TransactionPage(parts=[], cursor=cursor or "0", has_more=False)
        self._ask("transactions")
        found = self._found(connection)
        start, end = int(told), int(told) + self.page_size
        page, more = found.activities[start:end], end < len(found.activities)
        reached = f"{min(end, len(found.activities))}" + ("" if more or not state.mark else f" {state.mark}")
        parts = [_part(account, page, whole=not more) for account in accounts]
        return TransactionPage(parts=[part for part in parts if part], cursor=reached, has_more=more)

    async def orders(self, connection: ConnectionAccess, account: ProviderAccount) -> list[Order]:
        """The orders of one account; one that has none on record is of an institution that tells none."""
        self._ask("orders")
        found = self._found(connection).orders.get(account.external_id)
        if found is None:
            raise self.unsupported("no orders here")
        return [msgspec.structs.replace(order, account_id=account.account_id) for order in found]

    async def history(self, connection: ConnectionAccess, account: ProviderAccount) -> HistoryRead:
        """Two days of an account's life."""
        self._ask("history")
        if not self._found(connection).history:
            raise self.unsupported("no history here")
        days = [FIRST_DAY, FIRST_DAY + timedelta(days=1)]
        points = [BalancePoint(day=day, total=Decimal(number + 1)) for number, day in enumerate(days)]
        returns = [PeriodReturn(period="1Y", rate=Decimal("0.05"))]
        return HistoryRead(currency=account.currency, points=points, returns=returns)

    async def refresh(self, connection: ConnectionAccess) -> None:
        """Fetch from the institution; ``failures["refresh:after"]`` fails one that was taken."""
        self._ask("refresh")
        found = self._found(connection)
        found.accepted += 1
        found.fetched_at = (found.fetched_at or FETCHED) + timedelta(minutes=1)
        if waiting := self.failures["refresh:after"]:
            raise waiting.pop(0)

    async def remotes(self, users: list[UserAccess]) -> AsyncIterator[RemoteConnection]:
        """Every user and, of those given (all where no users are kept), every connection."""
        self._ask("remotes")
        for name in self.users:
            yield RemoteConnection(external_user_id=name, external_id=None)
        owner = users[0].external_user_id if users else None
        for found in self.connections.values():
            if not found.removed and (users or not self.keeps_users):
                yield RemoteConnection(external_user_id=owner, external_id=found.external_id)

    async def institutions(self) -> list[CatalogueInstitution]:
        """The institutions of the catalogue."""
        self._ask("institutions")
        return list(self.catalogue)

    async def instruments(self, institution_ref: str) -> list[CatalogueInstrument]:
        """What can be traded at one of them."""
        self._ask("instruments")
        return [row for one, rows in self.catalogue.items() if one.ref == institution_ref for row in rows]

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

    def unsupported(self, text: str) -> RefusedError:
        """The error of this provider for what an institution does not have."""
        return RefusedError(text, code=ErrorCode.NOT_SUPPORTED, provider=self.provider)

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
        mask=name[-4:],
        holdings_as_of=state.data_as_of,
        capabilities=Capabilities(trading=state.connection_type == "trade", realtime=state.realtime),
    )


def trade_of(account: str, number: int) -> Transaction:
    """A trade that never looks like another."""
    return Transaction(
        account_id=account,
        external_id=f"t-{number}",
        type=TransactionType.BUY,
        raw_type="buy",
        description=f"trade {number}",
        currency="USD",
        amount=Decimal(-number),
        quantity=Decimal(number),
        price=Decimal(1),
        booked_on=FIRST_DAY + timedelta(days=number % 300),
    )


def order_of(account: str, number: int) -> Order:
    """An order that was filled."""
    return Order(
        account_id=account,
        broker_order_id=f"o-{number}",
        status=OrderStatus.FILLED,
        raw_status="EXECUTED",
        side="BUY",
        instrument=Instrument(key="AAPL", kind=InstrumentKind.STOCK),
        order_type="Market",
        time_in_force="Day",
        quantity=Decimal(number),
    )


def _part(
    account: ProviderAccount, page: list[tuple[str, Transaction | str]], *, whole: bool
) -> AccountTransactions | None:
    """What a page has of one account; None for nothing. Its days are whole when the page is the last."""
    mine = [what for name, what in page if name == account.external_id]
    told = [
        msgspec.structs.replace(what, account_id=account.account_id)
        for what in mine
        if isinstance(what, Transaction)
    ]
    removed = [what for what in mine if isinstance(what, str)]
    if not told and not removed and not whole:
        return None
    days = [one.booked_on for one in told if one.booked_on]
    return AccountTransactions(
        account_id=account.account_id,
        transactions=told,
        removed=removed,
        covers_from=min(days, default=None) if whole else None,
        covers_through=max(days, default=None) if whole else None,
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
