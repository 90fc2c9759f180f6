"""The part of the suite about what accounts did, what has changed, and logins that come twice."""
# ruff: noqa: S101  a suite of tests states what must hold by assert

from collections.abc import Awaitable, Sequence
from datetime import date
from typing import TypeVar

from connector_kit import calls, due
from connector_kit.ground import Ground, access_to, ask, begin, no_float, possible, read_all, travel
from contracts.accounts import ProviderAccount
from contracts.connectors import (
    AccountTransactions,
    InvestmentsConnector,
    ReadsHistory,
    ReadsOrders,
    ReadsTransactions,
    TransactionPage,
)
from contracts.errors import ErrorCode, RefusedError
from contracts.linking import ConnectionAccess, ConnectionState, FinishLink, KnownAccount
from contracts.statuses import LinkStatus
from contracts.transactions import Sweep, Transaction

Seen = tuple[ConnectionAccess, ConnectionState, list[ProviderAccount]]
T = TypeVar("T")
MOST_PAGES = 1000


class Ledger:
    """What a consumer makes of pages: the last word on each transaction, whatever comes twice."""

    def __init__(self) -> None:
        self.told: dict[tuple[str, str], tuple[int, Transaction]] = {}
        self.sweeps: list[tuple[str, Sweep]] = []

    def apply(self, part: AccountTransactions, version: int) -> None:
        """Take one account's part of a page."""
        for one in part.transactions:
            if one.replaces is not None:
                self.told.pop((part.account_id, one.replaces), None)
            self.told[part.account_id, one.external_id] = (version, one)
        for removed in part.removed:
            self.told.pop((part.account_id, removed), None)
        if part.sweep is not None:
            self._sweep(part.account_id, part.sweep)

    def _sweep(self, account_id: str, sweep: Sweep) -> None:
        for key, (version, one) in list(self.told.items()):
            inside = one.booked_on is not None and sweep.from_date <= one.booked_on <= sweep.through
            if key[0] == account_id and inside and version < sweep.since_version:
                del self.told[key]

    @property
    def transactions(self) -> dict[tuple[str, str], Transaction]:
        """What it holds in the end."""
        return {key: one for key, (_, one) in self.told.items()}


async def seen(ground: Ground) -> Seen:
    """A new connection, its state and its accounts."""
    access = access_to(ground, await travel(ground))
    state, accounts, _ = await read_all(ground, access)
    return access, state, accounts


async def pages_from(
    adapter: ReadsTransactions, what: Seen, cursor: str | None, version: int
) -> list[TransactionPage]:
    """The pages from a cursor to the end."""
    access, state, accounts = what
    pages: list[TransactionPage] = []
    while True:
        page = await adapter.transactions(access, state, accounts, cursor, version)
        assert not page.has_more or page.cursor != cursor, "there is more, but the cursor stands still"
        pages.append(page)
        cursor = page.cursor
        assert len(pages) < MOST_PAGES
        if not page.has_more:
            return pages


def applied(*runs: tuple[Sequence[TransactionPage], int]) -> Ledger:
    """The ledger after these pages, each with the version of the run that read it."""
    ledger = Ledger()
    for pages, version in runs:
        for page in pages:
            for part in page.parts:
                ledger.apply(part, version)
    return ledger


async def on_offer(answer: Awaitable[T]) -> T | None:
    """An answer, or None where the institution has nothing of the kind and says so."""
    try:
        return await answer
    except RefusedError as error:
        if error.code is not ErrorCode.NOT_SUPPORTED:
            raise
        return None


def reader(ground: Ground, power: str) -> InvestmentsConnector:
    """The adapter, where it promises a power; else the case is skipped."""
    possible(power in ground.powers, f"this connector does not promise {power}")
    return ground.adapter


class ActivityConformance:
    """What every connector does that reads activity."""

    async def test_pages_lose_and_double_nothing_wherever_a_run_breaks_off(self, ground: Ground) -> None:
        """Skipped without the power, or where the provider has no several pages of transactions."""
        adapter = reader(ground, "transactions")
        assert isinstance(adapter, ReadsTransactions)
        possible(ground.transactions, "there are no pages of transactions here")
        what = await seen(ground)
        pages = await pages_from(adapter, what, None, 1)
        assert len(pages) > 1
        whole = applied((pages, 1)).transactions
        assert len(whole) == ground.transactions
        cursors = [None, *(page.cursor for page in pages)]
        for crash in range(len(pages)):
            # The page was published, its cursor was not kept: the next run is told it once more.
            rest = await pages_from(adapter, what, cursors[crash], 3)
            assert applied((pages[: crash + 1], 1), (rest, 3)).transactions == whole
            # The cursor was kept: the next run goes on behind it.
            rest = await pages_from(adapter, what, cursors[crash + 1], 3)
            assert applied((pages[: crash + 1], 1), (rest, 3)).transactions == whole

    async def test_transactions_that_were_told_cost_no_further_call(self, ground: Ground) -> None:
        """Skipped without the power, or where the provider's state carries no sign of change."""
        adapter = reader(ground, "transactions")
        assert isinstance(adapter, ReadsTransactions)
        access, state, accounts = what = await seen(ground)
        told = any(account.transactions_through for account in accounts)
        possible(state.mark is not None or told, "this provider does not say whether anything changed")
        *_, last = await pages_from(adapter, what, None, 1)
        with calls.counting() as counter:
            again = await adapter.transactions(access, state, accounts, last.cursor, 3)
        assert counter.made == 0
        assert not again.has_more
        assert not any(part.transactions or part.removed for part in again.parts)

    async def test_transactions_are_of_their_accounts_and_exact(self, ground: Ground) -> None:
        """Skipped without the power."""
        adapter = reader(ground, "transactions")
        assert isinstance(adapter, ReadsTransactions)
        what = await seen(ground)
        ids = {account.account_id for account in what[2]}
        for page in await pages_from(adapter, what, None, 1):
            assert no_float(page)
            for part in page.parts:
                assert part.account_id in ids
                assert all(one.account_id == part.account_id for one in part.transactions)
                covered = part.covers_from is not None and part.covers_through is not None
                assert not covered or (part.covers_from or date.max) <= (part.covers_through or date.min)

    async def test_orders_are_there_once_and_exact(self, ground: Ground) -> None:
        """Skipped without the power; an institution that tells none says so."""
        adapter = reader(ground, "orders")
        assert isinstance(adapter, ReadsOrders)
        access, _, accounts = await seen(ground)
        for account in accounts:
            orders = await on_offer(adapter.orders(access, account)) or []
            assert len({order.broker_order_id for order in orders}) == len(orders)
            assert all(order.account_id == account.account_id and no_float(order) for order in orders)

    async def test_a_history_has_each_day_once(self, ground: Ground) -> None:
        """Skipped without the power; a provider that has none says so."""
        adapter = reader(ground, "history")
        assert isinstance(adapter, ReadsHistory)
        access, _, accounts = await seen(ground)
        for account in accounts:
            history = await on_offer(adapter.history(access, account))
            assert no_float(history)
            days = [point.day for point in history.points] if history else []
            assert days == sorted(set(days))

    async def test_a_connection_that_did_not_change_says_so(self, ground: Ground) -> None:
        """Never skipped: what carries no mark is asked for anyway."""
        access, state, accounts = await seen(ground)
        again = await ground.adapter.state(access)
        listed = await ground.adapter.accounts(access, again)
        assert again.mark == state.mark
        marks = [
            [due.holdings_mark(one) for one in found if not one.capabilities.realtime]
            for found in (accounts, listed)
        ]
        assert marks[0] == marks[1]

    async def test_what_changed_is_seen_without_reading_it(self, ground: Ground) -> None:
        """Skipped for recorded answers."""
        possible(ground.change_at_provider, "recorded answers do not change")
        assert ground.change_at_provider is not None
        access, state, accounts = await seen(ground)
        await ground.change_at_provider(access)
        now = await ground.adapter.state(access)
        assert now.mark is None or now.mark != state.mark
        listed = await ground.adapter.accounts(access, now)
        before = {account.account_id: due.holdings_mark(account) for account in accounts}
        unmarked = [one for one in listed if one.capabilities.realtime or due.holdings_mark(one) is None]
        moved = [one for one in listed if due.holdings_mark(one) != before.get(one.account_id)]
        assert unmarked or moved

    async def test_a_login_that_is_linked_already_is_refused_before_it_costs(self, ground: Ground) -> None:
        """Skipped where the provider itself gives the first connection back."""
        possible(ground.link_again_at_provider, "the provider gives the first connection back")
        assert ground.link_again_at_provider is not None
        journey = await travel(ground)
        access = access_to(ground, journey)
        state, accounts, _ = await read_all(ground, access)
        begun, user = await begin(ground)
        await ground.link_again_at_provider(begun)
        question = FinishLink(
            session_token=begun.session_token,
            user=user,
            known=frozenset({access.external_id}),
            done=frozenset(one.source for one in journey.linked if one.source),
            accounts=[known(access, state, account) for account in accounts],
        )
        linked, outcome = await ask(ground, question)
        assert linked == []
        assert outcome is not None
        assert (outcome.status, outcome.reason) == (LinkStatus.FAILED, ErrorCode.ALREADY_LINKED)
        assert outcome.duplicate_of == access.external_id


def known(access: ConnectionAccess, state: ConnectionState, account: ProviderAccount) -> KnownAccount:
    """An account as the engine remembers it."""
    return KnownAccount(
        external_connection_id=access.external_id,
        institution_ref=state.institution_ref,
        name=account.name,
        mask=account.mask,
        raw_type=account.raw_type,
    )
