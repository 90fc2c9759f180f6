"""SnapTrade's activities as transactions. Pure.

Signs are SnapTrade's and ours alike: ``amount`` is positive where cash comes in, ``units`` where the position grows.
Units of options are contracts, prices are per share; what is in pence becomes pounds.
"""

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from hashlib import blake2b

from contracts.accounts import ProviderAccount
from contracts.money import InexactNumberError, amount, quantity
from contracts.transactions import Transaction, TransactionType
from snaptrade_connector import wire
from snaptrade_connector.conservation import whole
from snaptrade_connector.symbols import coin, instrument
from snaptrade_connector.units import NO_CURRENCY, currency_code, moment

UNNAMED = "~"
"""In front of an external id that is ours, because SnapTrade gave none."""


def identity(row: wire.Activity) -> str:
    """SnapTrade's id of an activity, else a digest of its content: equal ones have equal digests."""
    return row.id or UNNAMED + _digest(row)


def booked_on(row: wire.Activity) -> date | None:
    """The day by which an activity is filed: that of the trade, else of the settlement."""
    at = moment(row.trade_date) or moment(row.settlement_date)
    return at.date() if at else None


def transactions(
    account: ProviderAccount, rows: Iterable[wire.Activity], seen: dict[str, int]
) -> list[Transaction]:
    """Rows as transactions, in their order.

    ``seen`` counts, by ``identity``, the equal rows without an id that came before these on the same day; it is
    updated. Equal rows are numbered, so two genuine identical trades stay two.
    """
    found = []
    for row in rows:
        name = identity(row)
        if not row.id:
            seen[name] = seen.get(name, 0) + 1
            name = f"{name}.{seen[name]}"
        found.append(_transaction(account, row, name))
    return found


def carried(rows: Iterable[wire.Activity], seen: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """What of ``seen`` the next page needs: the counts of the day on which these rows end.

    ``before`` is what this page got: where it has one day only, that may be the day the page before ended with.
    """
    days: set[date | None] = set()
    last: date | None = None
    kept: set[str] = set()
    for row in rows:
        day = booked_on(row)
        if day != last:
            last, kept = day, set()
        days.add(day)
        if not row.id:
            kept.add(identity(row))
    names = kept | before.keys() if len(days) == 1 else kept
    return {name: seen[name] for name in sorted(names)}


def _transaction(account: ProviderAccount, row: wire.Activity, external_id: str) -> Transaction:
    code = row.currency.code if row.currency else None
    held = instrument(row.symbol, row.option_symbol)
    units, price = _kept(quantity, row.units), _kept(quantity, _in_whole(code, row.price))
    settled = moment(row.settlement_date)
    raw = row.type or ""
    return Transaction(
        account_id=account.account_id,
        external_id=external_id,
        type=TransactionType(raw.strip().upper()),
        raw_type=raw,
        description=row.description or None,
        currency=_currency(account, row),
        amount=_kept(amount, _in_whole(code, row.amount)),
        quantity=units if units or held is not None else None,
        price=price if price or units else None,
        fee=_kept(amount, _in_whole(code, row.fee)),
        instrument=held,
        traded_at=moment(row.trade_date),
        settlement_date=settled.date() if settled else None,
        booked_on=booked_on(row),
        option_action=row.option_type or None,
        fx_rate=_kept(quantity, row.fx_rate),
        broker_reference=row.external_reference_id or None,
    )


def _currency(account: ProviderAccount, row: wire.Activity) -> str:
    if row.currency is not None:
        return currency_code(row.currency.code)
    if row.currency_universal_symbol is not None:
        return coin(row.currency_universal_symbol)
    return account.currency or NO_CURRENCY


def _in_whole(code: str | None, value: Decimal | None) -> Decimal | None:
    return whole(code, value) if code is not None and value is not None else value


def _kept(rule: Callable[[Decimal], Decimal], value: Decimal | None) -> Decimal | None:
    """A number by the rules of money and quantities; one that cannot be kept exactly is unknown."""
    try:
        return None if value is None else rule(value)
    except InexactNumberError:
        return None


def _digest(row: wire.Activity) -> str:
    symbol, contract = row.symbol, row.option_symbol
    parts = (
        row.type,
        row.trade_date,
        row.settlement_date,
        symbol.id if symbol else None,
        contract.id if contract else None,
        _plain(row.units),
        _plain(row.price),
        _plain(row.amount),
        _plain(row.fee),
        row.currency.code if row.currency else None,
        row.option_type,
        row.description,
        row.external_reference_id,
    )
    text = "\x1f".join("" if part is None else part for part in parts)
    return blake2b(text.encode(), digest_size=12, person=b"activity").hexdigest()


def _plain(value: Decimal | None) -> str | None:
    """A number's text, the same for 10.5 and 10.50."""
    return None if value is None else format(value.normalize(), "f") if value.is_finite() else str(value)
