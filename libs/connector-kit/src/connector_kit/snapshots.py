"""From what an adapter read to what is published. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal

from contracts.accounts import (
    AccountsSnapshot,
    Balance,
    BalanceHistorySnapshot,
    BalancesSnapshot,
    ProviderAccount,
)
from contracts.clocks import Clocks
from contracts.connectors import AccountRead, AccountTransactions, HistoryRead
from contracts.envelope import check_numbers
from contracts.errors import ErrorCode, TransientError
from contracts.holdings import Holding, HoldingsSnapshot, content_hash
from contracts.linking import ConnectionState
from contracts.money import InexactNumberError, amount
from contracts.orders import Order, OrdersSnapshot
from contracts.statuses import ConnectionStatus
from contracts.transactions import TransactionsBatch

GAP_FIRST_FETCH = "the provider is still fetching for the first time"
GAP_CACHE = "the provider answered from the cache of a disconnected institution"
GAP_NO_ACCOUNTS = "the provider listed no account of a connection that works"
GAP_NO_HISTORY = "the provider gave no daily totals"
GAP_UNTOLD = "the provider's answer was not whole"
_AMOUNTS = ("cash", "available", "buying_power", "equity", "maintenance_excess", "margin_loan")
_EXACT = Context(prec=100)


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose data a run reads, and how old it is."""

    user_id: str
    provider: str
    connection_id: str
    institution: str
    synced_at: datetime
    version: int


def accounts_snapshot(
    origin: Origin, state: ConnectionState, accounts: list[ProviderAccount]
) -> AccountsSnapshot:
    """The list of a connection's accounts; while the first fetch runs it may still grow.

    An empty list is never complete: it would take every account out of the portfolio at once, and a
    connection that has really lost them all says so by its status.
    """
    gap = _gap(state, empty=not accounts) or (None if accounts else GAP_NO_ACCOUNTS)
    return AccountsSnapshot(
        user_id=origin.user_id,
        provider=origin.provider,
        connection_id=origin.connection_id,
        institution=origin.institution,
        clocks=_clocks(origin, state.data_as_of),
        complete=gap is None,
        gap=gap,
        accounts=accounts,
    )


def account_snapshots(
    origin: Origin, state: ConnectionState, read: AccountRead
) -> tuple[BalancesSnapshot, HoldingsSnapshot]:
    """The balances and holdings of one account.

    Raises:
        TransientError: a number in them cannot be kept exactly (code ``PROVIDER_PROTOCOL``).
    """
    holdings = merged(read.holdings)
    gap = read.gap or _gap(state, empty=not holdings) or (None if read.complete else GAP_UNTOLD)
    complete = gap is None
    clocks = _clocks(origin, read.account.holdings_as_of or state.data_as_of)
    balances = BalancesSnapshot(
        user_id=origin.user_id,
        provider=origin.provider,
        connection_id=origin.connection_id,
        institution=origin.institution,
        clocks=clocks,
        complete=complete,
        gap=gap,
        account_id=read.account.account_id,
        balances=read.balances,
    )
    snapshot = HoldingsSnapshot(
        user_id=origin.user_id,
        provider=origin.provider,
        connection_id=origin.connection_id,
        institution=origin.institution,
        clocks=clocks,
        complete=complete,
        gap=gap,
        account_id=read.account.account_id,
        holdings=holdings,
        content_hash=content_hash(holdings),
    )
    _check(origin.provider, snapshot, balances)
    return balances, snapshot


def unread_snapshot(
    origin: Origin, state: ConnectionState, account: ProviderAccount, why: str
) -> HoldingsSnapshot:
    """An account the provider listed and then did not answer for: it replaces nothing, and says so."""
    return HoldingsSnapshot(
        user_id=origin.user_id,
        provider=origin.provider,
        connection_id=origin.connection_id,
        institution=origin.institution,
        clocks=_clocks(origin, account.holdings_as_of or state.data_as_of),
        complete=False,
        gap=f"the provider did not answer for this account: {why}",
        account_id=account.account_id,
        holdings=[],
        content_hash=content_hash([]),
    )


def transactions_batch(
    origin: Origin, state: ConnectionState, part: AccountTransactions, run_id: str
) -> TransactionsBatch:
    """A page of one account's transactions; what it takes back it names, so it needs no completeness."""
    return TransactionsBatch(
        user_id=origin.user_id,
        provider=origin.provider,
        connection_id=origin.connection_id,
        institution=origin.institution,
        clocks=_clocks(origin, state.data_as_of),
        complete=True,
        gap=None,
        account_id=part.account_id,
        transactions=part.transactions,
        removed=part.removed,
        covers_from=part.covers_from,
        covers_through=part.covers_through,
        sweep=part.sweep,
        run_id=run_id,
    )


def orders_snapshot(
    origin: Origin, state: ConnectionState, account: ProviderAccount, orders: list[Order], run_id: str
) -> OrdersSnapshot:
    """The recent orders of one account; which are recent the provider decides, so none is missed by its absence."""
    gap = _gap(state, empty=not orders)
    return OrdersSnapshot(
        user_id=origin.user_id,
        provider=origin.provider,
        connection_id=origin.connection_id,
        institution=origin.institution,
        clocks=_clocks(origin, account.orders_as_of or state.data_as_of),
        complete=gap is None,
        gap=gap,
        account_id=account.account_id,
        orders=orders,
        run_id=run_id,
    )


def history_snapshot(
    origin: Origin, state: ConnectionState, account: ProviderAccount, read: HistoryRead
) -> BalanceHistorySnapshot:
    """What one account was worth day by day; an empty series of an account is no proof that it had none."""
    gap = _gap(state, empty=not read.points) or (None if read.points else GAP_NO_HISTORY)
    return BalanceHistorySnapshot(
        user_id=origin.user_id,
        provider=origin.provider,
        connection_id=origin.connection_id,
        institution=origin.institution,
        clocks=_clocks(origin, account.holdings_as_of or state.data_as_of),
        complete=gap is None,
        gap=gap,
        account_id=account.account_id,
        currency=read.currency,
        points=read.points,
        returns=read.returns,
    )


def merged(holdings: Iterable[Holding]) -> list[Holding]:
    """One row per instrument key and currency: rows that an adapter gave twice are summed.

    Quantities always add up. Market value and cost basis add up while every row knows its own, else they
    are unknown. Price and its time are the first row's that has one.
    """
    rows: dict[tuple[str, str], Holding] = {}
    for holding in holdings:
        key = (holding.instrument.key, holding.currency)
        rows[key] = _sum(rows[key], holding) if key in rows else holding
    return list(rows.values())


def _sum(first: Holding, second: Holding) -> Holding:
    priced = first if first.price is not None else second
    return Holding(
        instrument=first.instrument,
        quantity=_plus(first.quantity, second.quantity),
        currency=first.currency,
        price=priced.price,
        market_value=_plus_known(first.market_value, second.market_value),
        cost_basis=_plus_known(first.cost_basis, second.cost_basis),
        price_as_of=priced.price_as_of,
        cash_equivalent=first.cash_equivalent and second.cash_equivalent,
    )


def _plus_known(first: Decimal | None, second: Decimal | None) -> Decimal | None:
    return None if first is None or second is None else _plus(first, second)


def _plus(first: Decimal, second: Decimal) -> Decimal:
    # The default context would round at 28 digits; what is published must be the exact sum.
    return _EXACT.add(first, second)


def _gap(state: ConnectionState, *, empty: bool) -> str | None:
    """Why an answer may not remove anything: silence is no proof while the provider itself is not whole."""
    if not state.data_ready:
        return GAP_FIRST_FETCH
    if empty and state.status is not ConnectionStatus.ACTIVE:
        return GAP_CACHE
    return None


def _clocks(origin: Origin, as_of: datetime | None) -> Clocks:
    """The clocks of a snapshot; a provider's time in our future is a wrong clock and means now."""
    known = min(as_of, origin.synced_at) if as_of is not None else origin.synced_at
    return Clocks(as_of=known, synced_at=origin.synced_at, version=origin.version)


def _check(provider: str, holdings: HoldingsSnapshot, balances: BalancesSnapshot) -> None:
    try:
        check_numbers(holdings)
        for balance in balances.balances:
            _check_balance(balance)
    except InexactNumberError as error:
        raise TransientError(
            f"an account's numbers cannot be kept exactly: {error}",
            code=ErrorCode.PROVIDER_PROTOCOL,
            provider=provider,
        ) from error


def _check_balance(balance: Balance) -> None:
    for name in _AMOUNTS:
        value = getattr(balance, name)
        if value is not None and amount(value) != value:
            raise InexactNumberError(f"{name} has too many decimals")
