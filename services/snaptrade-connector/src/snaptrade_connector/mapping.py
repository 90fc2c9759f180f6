"""SnapTrade's connections and accounts in our terms. Pure; positions and cash have modules of their own."""

import re
from collections.abc import Iterable, Sequence

import msgspec

from contracts.accounts import AccountStatus, AccountType, Balance, Capabilities, ProviderAccount
from contracts.connectors import AccountRead
from contracts.holdings import Holding
from contracts.ids import account_id
from contracts.linking import ConnectionAccess, ConnectionState, LinkedConnection
from contracts.money import Money, amount
from contracts.statuses import ConnectionStatus
from snaptrade_connector import wire
from snaptrade_connector.conservation import (
    adds_up,
    cash_holding,
    cash_holdings,
    settle_bonds,
    unpriced,
    whole,
)
from snaptrade_connector.positions import holdings
from snaptrade_connector.units import NO_CURRENCY, currency_code, day, moment

PROVIDER = "snaptrade"
TRADE = "trade"
READ = "read"
REALTIME = "realtime"
DISABLED = "disabled"
GAP_FIRST_FETCH = "the provider has not read this account yet"
GAP_HIDDEN = "the institution hides the holdings of this account"
GAP_NOTHING = "the provider lists no position of an account that is worth more than its cash"
GAP_CASH = "cash is unknown in a currency"

_TYPES: dict[str, AccountType] = {
    "investment": AccountType.BROKERAGE,
    "deposit": AccountType.DEPOSIT,
    "line_of_credit": AccountType.CREDIT,
    "loc": AccountType.CREDIT,
    "annuity": AccountType.ANNUITY,
}
_NARROWER: tuple[tuple[AccountType, re.Pattern[str]], ...] = (
    (AccountType.EDUCATION, re.compile(r"\b(529|resp|coverdell|education)")),
    (
        AccountType.RETIREMENT,
        re.compile(r"\b(401|403|457|roth|rrsp|rrif|lira|lrsp|pension|retirement|keogh)|(\b|sep|simple)ira\b"),
    ),
    (AccountType.CRYPTO, re.compile(r"\bcrypto")),
)
_STATUSES: dict[str, AccountStatus] = {
    "open": AccountStatus.OPEN,
    "closed": AccountStatus.CLOSED,
    "archived": AccountStatus.CLOSED,
    "unavailable": AccountStatus.UNAVAILABLE,
}
_ONLY_CASH = frozenset({AccountType.DEPOSIT, AccountType.CREDIT, AccountType.LOAN})


def linked(found: wire.Authorization) -> LinkedConnection:
    """A connection that came out of a link session; its secret is the user's, so it has none."""
    brokerage = found.brokerage or wire.Brokerage()
    return LinkedConnection(
        external_id=found.id,
        secret=None,
        institution_ref=brokerage.slug,
        institution_name=brokerage.display_name or brokerage.name,
        connection_type=_connection_type(found),
    )


def connection_state(found: wire.Authorization) -> ConnectionState:
    """How a connection stands: a disabled one still answers, but only from SnapTrade's cache.

    An authorization says nothing of its first sync, so ``data_ready`` is true here; each account says for
    itself whether it was read.
    """
    brokerage = found.brokerage or wire.Brokerage()
    return ConnectionState(
        status=ConnectionStatus.STALE_CACHE if found.disabled else ConnectionStatus.ACTIVE,
        connection_type=_connection_type(found),
        realtime=_realtime(found.data_freshness_mode) and not found.disabled,
        data_as_of=None,
        data_ready=True,
        institution_ref=brokerage.slug,
        institution_name=brokerage.display_name or brokerage.name,
        reason=DISABLED if found.disabled else None,
    )


def _connection_type(found: wire.Authorization) -> str:
    return TRADE if found.type == TRADE else READ


def _realtime(mode: str | wire.Freshness | None) -> bool:
    """Whether data is read at each call: the worse of the institution's mode and SnapTrade's."""
    if isinstance(mode, wire.Freshness):
        return mode.institution == REALTIME and mode.snaptrade == REALTIME
    return mode == REALTIME


def of_connection(found: Iterable[wire.Account], external_id: str) -> list[wire.Account]:
    """The accounts of one connection among those of a user, in the newer or the older shape."""
    return [item for item in found if external_id in {item.connection_id, item.brokerage_authorization}]


def provider_account(
    found: wire.Account, connection: ConnectionAccess, state: ConnectionState
) -> ProviderAccount:
    """An account with its evidence, in the newer or the older shape."""
    kind = _account_type(found)
    status = _STATUSES.get((found.status or "open").lower(), AccountStatus.UNAVAILABLE)
    total = _total(found)
    told = found.sync_status.transactions or wire.TransactionsSync()
    tradable = state.connection_type == TRADE and status is AccountStatus.OPEN and kind not in _ONLY_CASH
    return ProviderAccount(
        account_id=account_id(PROVIDER, connection.user_id, found.id),
        external_id=found.id,
        name=found.display_name or found.name,
        type=kind,
        raw_type=found.raw_type,
        currency=total.currency if total else NO_CURRENCY,
        mask=_mask(found.masked_account_number or found.number),
        status=status,
        is_paper=found.is_paper,
        stable_id=found.institution_account_id or None,
        total=total,
        capabilities=Capabilities(trading=tradable, realtime=state.realtime),
        holdings_as_of=moment(_read_at(found, kind)),
        holds_securities=kind not in _ONLY_CASH,
        orders_as_of=moment(found.sync_status.orders),
        transactions_from=day(told.first_transaction_date),
        transactions_through=day(told.last_successful_sync) if told.initial_sync_completed else None,
    )


def _account_type(found: wire.Account) -> AccountType:
    word = (found.kind or found.account_category or "investment").lower()
    kind = _TYPES.get(word, AccountType.OTHER)
    raw = (found.raw_type or "").lower()
    if kind is AccountType.CREDIT:
        return AccountType.LOAN if "loan" in raw or "mortgage" in raw else kind
    if kind is not AccountType.BROKERAGE:
        return kind
    return next((narrower for narrower, words in _NARROWER if words.search(raw)), kind)


def _total(found: wire.Account) -> Money | None:
    given = found.net_value or (found.balance.total if found.balance else None)
    if given is None or given.amount is None or not given.currency:
        return None
    return Money(amount=amount(whole(given.currency, given.amount)), currency=currency_code(given.currency))


def _read_at(found: wire.Account, kind: AccountType) -> str | None:
    """When SnapTrade last read what the account holds; None before the first time and where it is hidden."""
    sync = found.sync_status
    if sync.holdings is not None:
        done = sync.holdings.initial_sync_completed and not sync.holdings.holdings_unavailable
        return sync.holdings.last_successful_sync if done else None
    return sync.balances if kind in _ONLY_CASH else sync.positions


def _mask(number: str | None) -> str | None:
    """The last digits or letters of an account number, at most four; never more of it."""
    kept = [character for character in number or "" if character.isalnum()]
    return "".join(kept[-4:]) or None


def account_read(
    account: ProviderAccount, positions: wire.Positions | None, balances: Sequence[wire.Balance]
) -> AccountRead:
    """The holdings and balances of one account; ``positions`` is None where it only ever holds cash.

    Raises:
        InexactNumberError: an amount of cash cannot be kept exactly.
    """
    page = positions or wire.Positions(results=[])
    rows = holdings(page.results, account.currency)
    held, undecided = settle_bonds(rows.holdings, balances, account.total)
    held = unpriced(held) if undecided else held
    cash = _cash_only(account, balances) or cash_holdings(balances, held, account.total)
    gaps = set(rows.gaps)
    if unread := _unread(account, page, [*held, *cash]):
        gaps.add(unread)
    untold = bool(page.results) and not balances and not adds_up(held, account.total)
    if untold or any(balance.cash is None for balance in balances):
        gaps.add(GAP_CASH)
    as_of = None if unread else moment(page.data_freshness.as_of) or account.holdings_as_of
    return AccountRead(
        account=msgspec.structs.replace(account, holdings_as_of=as_of),
        holdings=[*held, *cash],
        balances=_balances(balances, cash),
        complete=not gaps,
        gap="; ".join(sorted(gaps)) or None,
    )


def _unread(account: ProviderAccount, page: wire.Positions, found: Sequence[Holding]) -> str | None:
    """Why a list cannot be all there is: it was never read to its end, or leaves out what the total counts.

    A list of an account that SnapTrade does not say it has read counts only where it reaches the account's total:
    while the first fetch runs it may be any part of it. An empty list counts unless the total says otherwise.
    """
    if account.holdings_as_of is None:
        if page.results and account.total is not None and adds_up(found, account.total):
            return None
        return GAP_FIRST_FETCH if page.results or account.total is None else GAP_HIDDEN
    if account.holds_securities and not page.results and not adds_up(found, account.total):
        return GAP_NOTHING
    return None


def _cash_only(account: ProviderAccount, balances: Sequence[wire.Balance]) -> list[Holding]:
    """The cash of a deposit, credit or loan account: its total, which is what is there or owed (negative).

    Balances beside it may be what is available, or unused credit; only they know of a second currency.
    """
    total = account.total
    if account.holds_securities or total is None:
        return []
    if any(currency_code(balance.currency.code) != total.currency for balance in balances):
        return []
    return [cash_holding(total.currency, total.amount)]


def _balances(balances: Sequence[wire.Balance], cash: Sequence[Holding]) -> list[Balance]:
    """One balance per currency; its cash is what the ``CUR:`` holding says."""
    power: dict[str, Balance] = {}
    held = {holding.currency: holding.quantity for holding in cash}
    for balance in balances:
        code, given = balance.currency.code, balance.buying_power
        currency = currency_code(code)
        power[currency] = Balance(
            currency=currency,
            cash=held.get(currency),
            buying_power=None if given is None else amount(whole(code, given)),
        )
    for currency in held.keys() - power.keys():
        power[currency] = Balance(currency=currency, cash=held[currency])
    return list(power.values())
