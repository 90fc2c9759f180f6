"""Messages for tests, made from a few words, and the whole schema as comparable text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from consolidator import conclude
from consolidator.book import Book
from consolidator.catalogue import Catalogue
from consolidator.domain.consolidate import Consolidated, Slot
from consolidator.domain.values import History
from consolidator.handlers import HANDLERS
from consolidator.rules import DEFAULT_RULES, Rules
from contracts import ids
from contracts.accounts import (
    AccountsSnapshot,
    AccountType,
    Balance,
    BalanceHistorySnapshot,
    BalancePoint,
    BalancesSnapshot,
    Capabilities,
    PeriodReturn,
    ProviderAccount,
)
from contracts.clocks import Clocks
from contracts.envelope import Received, decode, encode
from contracts.holdings import Holding, HoldingsSnapshot, content_hash
from contracts.instruments import Instrument, InstrumentKind, cash_key
from contracts.messages import (
    ConnectionLinked,
    ConnectionStatusChanged,
    Message,
    SyncFinished,
    SyncStarted,
)
from contracts.money import Money, product
from contracts.orders import Order, OrdersSnapshot, OrderStatus
from contracts.statuses import ConnectionStatus, SyncStatus
from contracts.transactions import Transaction, TransactionsBatch, TransactionType
from persistence.database import Database

NOW = datetime(2026, 1, 1, tzinfo=UTC)
"""When everything in tests happens: the start of ``FakeClock``."""
TABLES = (
    "connections",
    "accounts",
    "snapshots",
    "sightings",
    "portfolios",
    "identity_decisions",
    "snapshot_judgements",
    "instruments",
    "holdings",
    "balances",
    "balance_snapshots",
    "real_accounts",
    "identity_evidence",
    "account_checks",
    "positions",
    "transactions",
    "transaction_sweeps",
    "transaction_coverage",
    "orders",
    "sync_log",
    "balance_history",
    "performance",
)
ELSEWHERE = {"sightings": ("payload",)}
"""Columns whose content is stored in one place or another, as it happened."""
STAMPS = ("updated_at", "changed_at", "checked_at", "last_consolidation_at", "first_seen_at")


def stock(
    key: str, quantity: str | int, price: str | int | None = 10, cost: str | int | None = None, **more: Any
) -> Holding:
    """So many shares, priced in dollars; without a price it has no value."""
    count = Decimal(quantity)
    each = None if price is None else Decimal(price)
    instrument = Instrument(key=key, kind=InstrumentKind.STOCK, symbol=key, currency="USD", **more)
    return Holding(
        instrument=instrument,
        quantity=count,
        currency="USD",
        price=each,
        market_value=None if each is None else product(each, count),
        cost_basis=None if cost is None else Decimal(cost),
    )


def cash(amount: str | int, currency: str = "USD") -> Holding:
    """Cash as a holding."""
    value = Decimal(amount)
    instrument = Instrument(
        key=cash_key(currency), kind=InstrumentKind.CASH, symbol=currency, currency=currency
    )
    return Holding(
        instrument=instrument, quantity=value, currency=currency, price=Decimal(1), market_value=value
    )


def trade(external_id: str, amount: str | int = -5, *, day: int = 5, **more: Any) -> Transaction:
    """A purchase of one share on a day of January 2026; its account is filled in by ``Link.did``."""
    given = {
        "type": TransactionType.BUY,
        "raw_type": "buy",
        "description": None,
        "currency": "USD",
        "quantity": Decimal(1),
        "instrument": stock("VTI", 1).instrument,
        "booked_on": date(2026, 1, day),
    } | more
    return Transaction(account_id="", external_id=external_id, amount=Decimal(amount), **given)


def order(name: str, status: OrderStatus, **more: Any) -> Order:
    """An order of ten shares."""
    return Order(
        account_id="",
        broker_order_id=name,
        status=status,
        raw_status=status.value,
        side="buy",
        instrument=stock("VTI", 1).instrument,
        order_type="market",
        time_in_force="day",
        quantity=Decimal(10),
        **more,
    )


@dataclass(frozen=True)
class Link:
    """A connection of a user, and what it can say."""

    provider: str
    institution: str
    name: str = "1"
    user: str = "user-1"

    @property
    def connection_id(self) -> str:
        """Our id of it."""
        return ids.connection_id(self.provider, self.user, f"{self.institution}-{self.name}")

    def account_id(self, account: str) -> str:
        """Our id of one of its accounts."""
        return ids.account_id(self.provider, self.user, f"{self.institution}-{self.name}-{account}")

    def linked(self, version: int = 1) -> ConnectionLinked:
        """It was linked."""
        return ConnectionLinked(
            user_id=self.user,
            provider=self.provider,
            connection_id=self.connection_id,
            external_id=f"{self.institution}-{self.name}",
            institution=self.institution,
            institution_name=self.institution.title(),
            connection_type="trade",
            link_session_id=None,
            linked_at=NOW,
            version=version,
        )

    def is_now(
        self, status: ConnectionStatus, version: int, at: datetime = NOW, **more: Any
    ) -> ConnectionStatusChanged:
        """Its status changed."""
        given = {"reason": "test"} | more
        return ConnectionStatusChanged(
            user_id=self.user,
            provider=self.provider,
            connection_id=self.connection_id,
            status=status,
            provider_code=None,
            changed_at=at,
            version=version,
            **given,
        )

    def account(self, name: str = "a", **more: Any) -> ProviderAccount:
        """One of its accounts; ``total`` may be given as a number of dollars."""
        if (total := more.pop("total", None)) is not None:
            more["total"] = Money(amount=Decimal(total), currency="USD")
        more.setdefault("type", AccountType.BROKERAGE)
        return ProviderAccount(
            account_id=self.account_id(name),
            external_id=f"{self.institution}-{self.name}-{name}",
            name=name,
            raw_type=None,
            currency="USD",
            capabilities=Capabilities(trading=True, realtime=True),
            **more,
        )

    def lists(
        self, *accounts: ProviderAccount, version: int = 1, complete: bool = True, **clocks: Any
    ) -> AccountsSnapshot:
        """These are its accounts."""
        return AccountsSnapshot(accounts=list(accounts), **self._snapshot(version, complete, clocks))

    def holds(
        self, *holdings: Holding, account: str = "a", version: int = 1, complete: bool = True, **clocks: Any
    ) -> HoldingsSnapshot:
        """An account of it holds this."""
        return HoldingsSnapshot(
            account_id=self.account_id(account),
            holdings=list(holdings),
            content_hash=content_hash(list(holdings)),
            **self._snapshot(version, complete, clocks),
        )

    def has(
        self, *balances: Balance, account: str = "a", version: int = 1, complete: bool = True, **clocks: Any
    ) -> BalancesSnapshot:
        """An account of it has these balances."""
        snapshot = self._snapshot(version, complete, clocks)
        return BalancesSnapshot(account_id=self.account_id(account), balances=list(balances), **snapshot)

    def did(
        self,
        *transactions: Transaction,
        account: str = "a",
        version: int = 1,
        removed: Sequence[str] = (),
        **more: Any,
    ) -> TransactionsBatch:
        """A page of what an account of it did."""
        account_id = self.account_id(account)
        return TransactionsBatch(
            account_id=account_id,
            transactions=[msgspec.structs.replace(one, account_id=account_id) for one in transactions],
            removed=list(removed),
            **more,
            **self._snapshot(version, True, {}),
        )

    def ordered(
        self, *orders: Order, account: str = "a", version: int = 1, run_id: str | None = None
    ) -> OrdersSnapshot:
        """Recent orders of an account of it."""
        snapshot = self._snapshot(version, True, {})
        return OrdersSnapshot(
            account_id=self.account_id(account), orders=list(orders), run_id=run_id, **snapshot
        )

    def was_worth(
        self, totals: Mapping[str, str | int], *, account: str = "a", version: int = 1, complete: bool = True
    ) -> BalanceHistorySnapshot:
        """What an account of it was worth on some days."""
        points = [
            BalancePoint(day=date.fromisoformat(day), total=Decimal(total)) for day, total in totals.items()
        ]
        return BalanceHistorySnapshot(
            account_id=self.account_id(account),
            currency="USD",
            points=points,
            returns=[PeriodReturn(period="1Y", rate=Decimal("0.05"))],
            **self._snapshot(version, complete, {}),
        )

    def began(self, run_id: str, *, at: datetime = NOW, version: int = 1) -> SyncStarted:
        """A sync run of it began."""
        return SyncStarted(
            user_id=self.user,
            provider=self.provider,
            connection_id=self.connection_id,
            institution=self.institution,
            run_id=run_id,
            kind="incremental",
            trigger="schedule",
            started_at=at,
            version=version,
        )

    def ended(self, run_id: str, *, at: datetime = NOW, version: int = 1, **more: Any) -> SyncFinished:
        """A sync run of it ended."""
        given: dict[str, Any] = {"status": SyncStatus.COMPLETED, "finished_at": at} | more
        return SyncFinished(
            user_id=self.user,
            provider=self.provider,
            connection_id=self.connection_id,
            institution=self.institution,
            run_id=run_id,
            kind="incremental",
            trigger="schedule",
            accounts=1,
            holdings=1,
            provider_calls=2,
            cost=Money(amount=Decimal(0), currency="USD"),
            started_at=at,
            version=version,
            **given,
        )

    def _snapshot(self, version: int, complete: bool, clocks: dict[str, Any]) -> dict[str, Any]:
        moved = NOW + timedelta(seconds=version)
        given = {"as_of": moved, "synced_at": moved} | clocks
        return {
            "user_id": self.user,
            "provider": self.provider,
            "connection_id": self.connection_id,
            "institution": self.institution,
            "clocks": Clocks(version=version, **given),
            "complete": complete,
            "gap": None if complete else "page 2 failed",
        }


def received(message: Message) -> Received:
    """The message after a journey over the wire."""
    return decode(encode(message, source="test", time=NOW)[1])


def fold(
    messages: Sequence[Message],
    rules: Rules = DEFAULT_RULES,
    now: datetime = NOW,
    *,
    batch: int = 1,
    book: Book | None = None,
) -> Book:
    """The book of one user after these messages, without a database; concluded after every ``batch``."""
    book, catalogue = book or Book("user-1"), Catalogue()
    for start in range(0, max(len(messages), 1), batch):
        before = book.copy()
        for message in messages[start : start + batch]:
            if isinstance(message, HoldingsSnapshot):
                book.histories.setdefault(message.account_id, History())
            HANDLERS[type(message)](message, book, catalogue, rules)
        conclude.conclude(book, rules, now, anew=conclude.evidence_changed(before, book))
        book.requests.clear()
    return book


def positions_of(book: Book, rules: Rules = DEFAULT_RULES) -> dict[Slot, Consolidated]:
    """What the book amounts to."""
    return conclude.positions(book, rules, ids.portfolio_id(book.user_id))


async def dump(database: Database) -> dict[str, list[str]]:
    """Every row of the schema as text, the moments of writing left out, sorted."""
    found = {}
    async with database.transaction() as conn:
        for table in TABLES:
            left_out = (*STAMPS, *ELSEWHERE.get(table, ()))
            stamps = " - ".join(["to_jsonb(t)", *(f"'{column}'" for column in left_out)])
            query = f'SELECT ({stamps})::text COLLATE "C" FROM portfolio.{table} t ORDER BY 1'  # noqa: S608  our names
            rows = await (await conn.execute(query)).fetchall()
            found[table] = [row[0] for row in rows]
    return found
