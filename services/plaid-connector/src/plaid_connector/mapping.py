"""Plaid's accounts and holdings in neutral terms. Pure.

The rules that make the numbers right: ``institution_value`` is the value; cost basis is a total; what is counted and
in what is in ``units``; cash is in the data twice, as rows and inside the balances, and is counted once.
"""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from contracts.accounts import AccountStatus, AccountType, Balance, Capabilities, ProviderAccount
from contracts.connectors import AccountRead
from contracts.holdings import Holding
from contracts.ids import account_id
from contracts.instruments import InstrumentKind
from contracts.money import Money, amount, quantity
from plaid_connector import instruments, units, wire
from plaid_connector.units import Currency, currency

ZERO = Decimal(0)
ONE = Decimal(1)
GAP_NOTHING = "Plaid lists no holdings of an account that is worth something"
GAP_CUT = "the answer describes securities that no holding names, and the account does not add up"
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


def account(user_id: str, raw: wire.Account, holdings_as_of: datetime | None) -> ProviderAccount:
    """The neutral account; ``current`` is its total, owed money negative."""
    kind = account_type(raw)
    unit = _unit(raw)
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
    named = {row.security_id for row in answer.holdings} if answer else set()
    whole = securities is None or named >= securities.keys()
    accounts_read = {raw.account_id: raw for raw in raws}
    return [
        _read(
            one,
            accounts_read.get(one.external_id),
            by_account.get(one.external_id, []),
            securities,
            whole=whole,
        )
        for one in accounts
    ]


def _read(
    one: ProviderAccount,
    raw: wire.Account | None,
    rows: list[wire.Holding],
    securities: dict[str, instruments.Known] | None,
    *,
    whole: bool,
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
    if (not rows or not whole) and unexplained(one, holdings):
        return _unread(one, GAP_CUT if rows else GAP_NOTHING)
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
    count, price, value = row.quantity, row.institution_price, row.institution_value
    if row.tax_lots and _is_hidden_short(row):
        count, value = -count, None if value is None else -abs(value)
    if security.cash_currency:
        return _cash(security.cash_currency, quantity(count) if value is None else _whole(value, unit))
    held = security.instrument
    if not price and not value and _unpriced(row):
        price = value = None
    if held.kind is InstrumentKind.OPTION or held.kind is InstrumentKind.BOND:
        count, price = _counted(security, count, price, value)
    cost = row.cost_basis
    if count < 0 and cost is not None and cost > 0:
        # What was received for a short is negative, as its value is: some institutions leave the sign out.
        cost = -cost
    return Holding(
        instrument=held,
        quantity=quantity(count),
        currency=unit.code,
        price=None if price is None else quantity(price if unit.divisor == ONE else price / unit.divisor),
        market_value=None if value is None else _whole(value, unit),
        cost_basis=None if cost is None else _whole(cost, unit),
        price_as_of=_priced_at(row),
        cash_equivalent=held.kind is InstrumentKind.MONEY_MARKET,
    )


def _counted(
    security: instruments.Known, count: Decimal, price: Decimal | None, value: Decimal | None
) -> units.Count:
    held = security.instrument
    if held.kind is InstrumentKind.BOND:
        return units.face(count, price, value, security.face_value)
    root = held.key[: -instruments.OCC_TAIL]
    return units.contracts(count, price, value, held.multiplier or instruments.SHARES_PER_CONTRACT, root)


def _unpriced(row: wire.Holding) -> bool:
    """A price and a value of zero as of no day: Plaid requires both members, and nobody priced it."""
    undated = not row.institution_price_as_of and not row.institution_price_datetime
    return undated and bool(row.quantity)


def residual(one: ProviderAccount, raw: wire.Account, holdings: list[Holding]) -> list[Holding]:
    """The cash or margin loan that the balances know and the rows do not show; at most one row.

    With everything in one currency, the rest is the total less all values. Where it is minus the margin loan it is
    the loan, as negative cash. Where no row is cash and the rest is what ``available`` says (which often counts sweep
    funds in and may count a loan out), it is cash. Any other difference is left for the conservation check to report:
    a guess is never added silently. Where nothing can be compared, a loan that no row shows is owed nevertheless.
    """
    loan, available = abs(raw.balances.margin_loan_amount or ZERO), raw.balances.available
    cash = [row.quantity for row in holdings if row.instrument.kind is InstrumentKind.CASH]
    rest = _rest(one, holdings)
    if rest is None or one.total is None:
        owed = loan and not any(held < 0 for held in cash)
        return [_cash(one.currency, -_whole(loan, _unit(raw)))] if owed else []
    noise = tolerance(one.total)
    if loan and abs(rest + loan) <= noise:
        return [_cash(one.total.currency, rest)]
    if abs(rest) <= noise or cash or available is None:
        return []
    sweep = sum((row.market_value or ZERO for row in holdings if row.cash_equivalent), ZERO)
    readings = (available, available - sweep, available - loan, available - sweep - loan)
    explained = any(abs(rest - reading) <= noise for reading in readings)
    return [_cash(one.total.currency, rest)] if explained else []


def unexplained(one: ProviderAccount, holdings: list[Holding]) -> Decimal:
    """What the account's own total says beyond its holdings; zero where they agree or cannot be compared."""
    rest = _rest(one, holdings)
    if rest is None or one.total is None or abs(rest) <= tolerance(one.total):
        return ZERO
    return rest


def tolerance(total: Money) -> Decimal:
    """The difference to a total that is rounding or a price of another minute."""
    return max(ONE, abs(total.amount) / 1000)


def _rest(one: ProviderAccount, holdings: list[Holding]) -> Decimal | None:
    """The total less all known values; None where they are in other currencies or there is no total.

    What nobody priced is left out: the institution cannot have counted it.
    """
    total = one.total
    if total is None or any(row.currency != total.currency for row in holdings):
        return None
    return total.amount - sum((row.market_value or ZERO for row in holdings), ZERO)


def cash_once(holdings: list[Holding]) -> list[Holding]:
    """The same holdings with one cash row per currency: settled cash, sweeps in transit and loans summed."""
    cash: dict[str, Decimal] = {}
    for row in holdings:
        if row.instrument.kind is InstrumentKind.CASH:
            cash[row.currency] = cash.get(row.currency, ZERO) + row.quantity
    kept = [row for row in holdings if row.instrument.kind is not InstrumentKind.CASH]
    return kept + [_cash(code, value) for code, value in cash.items()]


def _unit(raw: wire.Account) -> Currency:
    return currency(raw.balances.iso_currency_code, raw.balances.unofficial_currency_code)


def _balances(raw: wire.Account, holdings: list[Holding]) -> list[Balance]:
    unit = _unit(raw)
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
    return None if value is None else _whole(value, unit)


def _whole(value: Decimal, unit: Currency) -> Decimal:
    return amount(value if unit.divisor == ONE else value / unit.divisor)


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
