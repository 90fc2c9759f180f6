"""Plaid's accounts and holdings in neutral terms. Pure.

The rules that make the numbers right (Plaid reference, sections 3.1 to 3.5): ``institution_value`` is the
value; options are counted in shares; cost basis is a total; pence are pounds divided by 100; cash is in the
data twice, as rows and inside the balances, and is counted once.
"""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from contracts.accounts import AccountStatus, AccountType, Balance, Capabilities, ProviderAccount
from contracts.connectors import AccountRead
from contracts.holdings import Holding
from contracts.ids import account_id
from contracts.instruments import InstrumentKind
from contracts.money import Money, amount, quantity
from plaid_connector import instruments, wire

ZERO = Decimal(0)
ONE = Decimal(1)
PENCE = Decimal(100)
_RETIREMENT = ("401", "403", "457", "ira", "roth", "pension", "retirement", "keogh", "sep", "thrift", "profit sharing",
               "rrsp", "rrif", "lira", "lif", "rlif", "lrsp", "lrif", "prif", "sipp", "sarsep")  # fmt: skip
_EDUCATION = ("529", "education", "resp")
_ANNUITY = ("annuity", "insurance")
_TYPES = {
    "depository": AccountType.DEPOSIT,
    "credit": AccountType.CREDIT,
    "loan": AccountType.LOAN,
    "investment": AccountType.BROKERAGE,
    "brokerage": AccountType.BROKERAGE,
}
_OWED = {AccountType.CREDIT, AccountType.LOAN}
_CASH_ONLY = {AccountType.DEPOSIT, AccountType.CREDIT, AccountType.LOAN}


class Currency(NamedTuple):
    """A currency and what a figure in it must be divided by: pence count as pounds."""

    code: str
    divisor: Decimal


@lru_cache(maxsize=256)
def currency(iso: str | None, unofficial: str | None) -> Currency:
    """The ISO code, else the unofficial one; ``GBX`` is a hundredth of ``GBP``. Neither: US dollars."""
    given = iso or unofficial or "USD"
    code = given.upper()
    # "GBp" is pence and "GBP" is pounds: only the case tells them apart.
    return Currency("GBP", PENCE) if given == "GBp" or code in {"GBX", "GBPX"} else Currency(code, ONE)


def account(user_id: str, raw: wire.Account, holdings_as_of: datetime | None) -> ProviderAccount:
    """The neutral account; ``current`` is its total, owed money negative."""
    kind = account_type(raw)
    unit = currency(raw.balances.iso_currency_code, raw.balances.unofficial_currency_code)
    total = _total(raw, kind)
    return ProviderAccount(
        account_id=account_id(instruments.PROVIDER, user_id, raw.account_id),
        external_id=raw.account_id,
        name=raw.name,
        official_name=raw.official_name,
        type=kind,
        raw_type=f"{raw.type}/{raw.subtype}" if raw.subtype else raw.type,
        currency=unit.code,
        mask=raw.mask[-4:] if raw.mask else None,
        status=AccountStatus.OPEN,
        stable_id=raw.persistent_account_id,
        total=None if total is None else Money(amount=amount(total / unit.divisor), currency=unit.code),
        capabilities=Capabilities(trading=False, realtime=False),
        holdings_as_of=holdings_as_of,
        holds_securities=kind not in _CASH_ONLY,
    )


def account_type(raw: wire.Account) -> AccountType:
    """The family of an account; ``hsa`` exists as both depository and investment, so the type leads."""
    kind = _TYPES.get(raw.type or "", AccountType.OTHER)
    if kind is not AccountType.BROKERAGE:
        return kind
    subtype = (raw.subtype or "").lower()
    for family, words in (
        (AccountType.RETIREMENT, _RETIREMENT),
        (AccountType.EDUCATION, _EDUCATION),
        (AccountType.ANNUITY, _ANNUITY),
        (AccountType.CRYPTO, ("crypto", "wallet")),
    ):
        if any(word in subtype for word in words):
            return family
    return kind


def reads(
    accounts: list[ProviderAccount], raws: list[wire.Account], answer: wire.HoldingsAnswer | None
) -> list[AccountRead]:
    """Holdings and balances of each account, from the answers that were complete as a whole.

    ``raws`` are the accounts as last read (with margin loans where Plaid gave them); ``answer`` is ``None``
    when the Item has no investment account.

    Raises:
        msgspec.ValidationError, ValueError: a security, a date or a number cannot be read.
    """
    by_account: dict[str, list[wire.Holding]] = {}
    for row in answer.holdings if answer else []:
        by_account.setdefault(row.account_id, []).append(row)
    known = [instruments.known(bytes(raw)) for raw in answer.securities] if answer else None
    securities = None if known is None else {one.security_id: one for one in known}
    accounts_read = {raw.account_id: raw for raw in raws}
    return [
        _read(one, accounts_read.get(one.external_id), by_account.get(one.external_id, []), securities)
        for one in accounts
    ]


def _read(
    one: ProviderAccount,
    raw: wire.Account | None,
    rows: list[wire.Holding],
    securities: dict[str, instruments.Known] | None,
) -> AccountRead:
    if raw is None:
        return _unread(one, "the account is missing from the answer")
    if not one.holds_securities:
        return _deposit(one)
    if securities is None:
        return _unread(one, "Plaid gives no holdings for this account")
    missing = sum(row.security_id not in securities for row in rows)
    if missing:
        return _unread(one, f"{missing} holdings name a security that is missing from the answer")
    holdings = [holding(row, securities[row.security_id]) for row in rows]
    holdings = cash_once([*holdings, *residual(one, raw, holdings)])
    return AccountRead(account=one, holdings=holdings, balances=_balances(raw, holdings), complete=True)


def _unread(one: ProviderAccount, gap: str) -> AccountRead:
    """An account about which nothing may be concluded."""
    return AccountRead(account=one, holdings=[], balances=[], complete=False, gap=gap)


def _deposit(one: ProviderAccount) -> AccountRead:
    """A deposit account is cash, counted at ``current``; credit and loans are negative cash."""
    if one.total is None:
        return _unread(one, "no current balance was given")
    total = one.total
    return AccountRead(
        account=one,
        holdings=[_cash(total.currency, total.amount)],
        balances=[Balance(currency=total.currency, cash=total.amount)],
        complete=True,
    )


def holding(row: wire.Holding, security: instruments.Known) -> Holding:
    """One row in neutral terms: contracts for options, negative for shorts, totals in whole currency units."""
    unit = currency(row.iso_currency_code, row.unofficial_currency_code)
    hidden_short = bool(row.tax_lots) and _is_hidden_short(row)
    count, value = row.quantity, _opt(row.institution_value, unit)
    if hidden_short:
        count, value = -count, None if value is None else -value
    if security.cash_currency:
        return _cash(security.cash_currency, quantity(count) if value is None else value)
    held = security.instrument
    if held.kind is InstrumentKind.OPTION:
        count /= instruments.SHARES_PER_CONTRACT
    price = row.institution_price
    return Holding(
        instrument=held,
        quantity=quantity(count),
        currency=unit.code,
        price=None if price is None else quantity(price if unit.divisor == ONE else price / unit.divisor),
        market_value=value,
        cost_basis=_opt(row.cost_basis, unit),
        price_as_of=_priced_at(row),
        cash_equivalent=held.kind is InstrumentKind.MONEY_MARKET,
    )


def residual(one: ProviderAccount, raw: wire.Account, holdings: list[Holding]) -> list[Holding]:
    """The cash or margin loan that the total knows and the rows do not show; at most one row.

    With everything in one currency, the rest is the total less all values. Where no cash row exists and the rest
    is what ``available`` says, it is cash; where it is minus the margin loan, it is the loan as negative cash. Any other
    difference is left for the conservation check to report: a guess is never added silently.
    """
    total = one.total
    if total is None or any(row.currency != total.currency or row.market_value is None for row in holdings):
        return []
    rest = total.amount - sum((row.market_value or ZERO for row in holdings), ZERO)
    margin = max(Decimal(1), abs(total.amount) / 1000)
    loan = raw.balances.margin_loan_amount
    if loan and abs(rest + abs(loan)) <= margin:
        return [_cash(total.currency, rest)]
    has_cash = any(row.instrument.kind is InstrumentKind.CASH for row in holdings)
    available = raw.balances.available
    if abs(rest) > margin and not has_cash and available is not None and abs(rest - available) <= margin:
        return [_cash(total.currency, rest)]
    return []


def cash_once(holdings: list[Holding]) -> list[Holding]:
    """The same holdings with one cash row per currency: settled cash, sweeps in transit and loans summed."""
    cash: dict[str, Decimal] = {}
    for row in holdings:
        if row.instrument.kind is InstrumentKind.CASH:
            cash[row.currency] = cash.get(row.currency, ZERO) + row.quantity
    kept = [row for row in holdings if row.instrument.kind is not InstrumentKind.CASH]
    return kept + [_cash(code, value) for code, value in cash.items()]


def _balances(raw: wire.Account, holdings: list[Holding]) -> list[Balance]:
    unit = currency(raw.balances.iso_currency_code, raw.balances.unofficial_currency_code)
    cash = {row.currency: row.quantity for row in holdings if row.instrument.kind is InstrumentKind.CASH}
    others = [Balance(currency=code, cash=value) for code, value in cash.items() if code != unit.code]
    main = Balance(
        currency=unit.code,
        cash=cash.get(unit.code),
        available=_opt(raw.balances.available, unit),
        equity=_opt(raw.balances.current, unit),
        margin_loan=_opt(raw.balances.margin_loan_amount, unit),
    )
    return [main, *others]


def _cash(code: str, value: Decimal) -> Holding:
    return Holding(
        instrument=instruments.cash(code),
        quantity=amount(value),
        currency=code,
        price=Decimal(1),
        market_value=amount(value),
        cost_basis=amount(value),
    )


def _total(raw: wire.Account, kind: AccountType) -> Decimal | None:
    current = raw.balances.current
    if kind in _OWED:
        # What is available there is unused credit, which says nothing of what is owed.
        return None if current is None else -current
    return current if current is not None else raw.balances.available


def _opt(value: Decimal | None, unit: Currency) -> Decimal | None:
    return None if value is None else amount(value if unit.divisor == ONE else value / unit.divisor)


def _is_hidden_short(row: wire.Holding) -> bool:
    """A short reported with a positive quantity shows only in its lots; absolute values are never taken."""
    lots = row.tax_lots or []
    return row.quantity > 0 and bool(lots) and all(lot.position_type == "SHORT" for lot in lots)


def _priced_at(row: wire.Holding) -> datetime | None:
    if row.institution_price_datetime:
        return moment(row.institution_price_datetime)
    if row.institution_price_as_of:
        return moment(row.institution_price_as_of)
    return None


@lru_cache(maxsize=4096)
def moment(text: str) -> datetime:
    """An ISO 8601 time as aware UTC; digits beyond microseconds are cut, a missing zone is UTC."""
    parsed = datetime.fromisoformat(text)
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
