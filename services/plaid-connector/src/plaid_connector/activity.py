"""Plaid's investment transactions in neutral terms. Pure.

Plaid's amounts are positive where cash leaves the account: ours are the other way round. Quantities are counted as
those of holdings: options in contracts, bonds in face amount, pence as pounds. Fees stay beside the amount: Plaid does
not say whether they are in it.
"""

from datetime import date
from decimal import Decimal
from hashlib import blake2b
from typing import NamedTuple

from contracts.accounts import ProviderAccount
from contracts.instruments import Instrument, InstrumentKind
from contracts.money import amount, quantity
from contracts.transactions import Transaction, TransactionType
from plaid_connector import instruments, kinds, units
from plaid_connector.mapping import moment
from plaid_connector.units import ONE, Currency, currency
from plaid_connector.wire import InvestmentTransaction

ZERO = Decimal(0)
CANCEL = "cancel"
_PAID_OUT = {
    TransactionType.CAPITAL_GAIN,
    TransactionType.DIVIDEND,
    TransactionType.FEE,
    TransactionType.INTEREST,
    TransactionType.RETURN_OF_CAPITAL,
    TransactionType.TAX,
}
"""Where money flows these move no position: a quantity beside them is that of the shares they are about."""


class Moved(NamedTuple):
    """What changed hands, in our units; None where nothing did, or nobody says."""

    quantity: Decimal | None
    price: Decimal | None


NOTHING = Moved(None, None)


def transaction(
    row: InvestmentTransaction, account: ProviderAccount, external_id: str, security: instruments.Known | None
) -> Transaction:
    """One row in neutral terms.

    A cancellation that names its row has no effect of its own: the row it names is retracted.

    Raises:
        ValueError: a date or a number cannot be read.
    """
    unit = currency(row.iso_currency_code, row.unofficial_currency_code)
    held = None if security is None or security.cash_currency else security.instrument
    traded = held is not None and bool(row.quantity)
    kind = kinds.kind(row.type, row.subtype, traded=traded, quantity=row.quantity)
    voids = cancels(row) is not None
    moved = NOTHING if voids or security is None else _moved(row, kind, security, unit)
    booked = date.fromisoformat(row.date[:10])
    return Transaction(
        account_id=account.account_id,
        external_id=external_id,
        type=kind,
        raw_type=f"{row.type or ''}/{row.subtype or ''}",
        description=row.name,
        currency=unit.code,
        amount=None if voids or row.amount is None else _money(ZERO - row.amount, unit),
        quantity=moved.quantity,
        price=moved.price,
        fee=None if voids or row.fees is None else _money(row.fees, unit),
        instrument=held,
        traded_at=moment(row.transaction_datetime) if row.transaction_datetime else None,
        settlement_date=booked,
        booked_on=booked,
        pending=kinds.is_pending(row.subtype),
        option_action=_option_action(row, held),
    )


def cancels(row: InvestmentTransaction) -> str | None:
    """The id of the row that this one takes back, where it names one."""
    return (row.cancel_transaction_id or None) if row.type == CANCEL else None


def key(row: InvestmentTransaction) -> str:
    """What a row is recognised by: Plaid's id, else a digest of its content."""
    if row.investment_transaction_id:
        return row.investment_transaction_id
    numbers = (row.quantity, row.amount, row.price, row.fees)
    texts = (row.account_id, row.date, row.type, row.subtype, row.security_id, row.name)
    codes = (row.iso_currency_code, row.unofficial_currency_code)
    parts = [text or "" for text in (*texts, *codes)] + [_plain(number) for number in numbers]
    content = "".join(f"{len(part)}:{part}" for part in parts)
    return "content:" + blake2b(content.encode(), digest_size=16).hexdigest()


def identities(rows: list[InvestmentTransaction], tally: dict[str, int]) -> tuple[list[str], dict[str, int]]:
    """The external id of each row, and the tally for the page that follows.

    Rows without an id are numbered among those of equal content, so that two genuine identical trades are two.
    ``tally`` is how many of each the pages before have had. Only those of the last row's day are carried on: rows
    come by day, newest first.
    """
    counted = dict(tally)
    found = []
    for row in rows:
        name = key(row)
        if not row.investment_transaction_id:
            counted[name] = counted.get(name, 0) + 1
            name = f"{name}:{counted[name]}"
        found.append(name)
    today = {key(row) for row in rows if row.date == rows[-1].date} if rows else tally.keys()
    return found, {name: count for name, count in counted.items() if name in today}


def _moved(
    row: InvestmentTransaction, kind: TransactionType, security: instruments.Known, unit: Currency
) -> Moved:
    held = security.instrument
    if security.cash_currency or not row.quantity or (kind in _PAID_OUT and row.amount):
        return NOTHING
    count, price = kinds.signed(row.type, row.quantity), row.price
    if held.kind is InstrumentKind.OPTION:
        root = held.key[: -instruments.OCC_TAIL]
        size = held.multiplier or instruments.SHARES_PER_CONTRACT
        count, price = units.contracts(count, price, row.amount, size, root)
    elif held.kind is InstrumentKind.BOND and row.amount:
        count, price = units.face(count, price, row.amount, security.face_value)
    if price is not None:
        price = quantity(price if unit.divisor == ONE else price / unit.divisor)
    return Moved(quantity(count), price)


def _option_action(row: InvestmentTransaction, held: Instrument | None) -> str | None:
    if held is None or held.kind is not InstrumentKind.OPTION:
        return None
    return kinds.option_action(row.subtype)


def _money(value: Decimal, unit: Currency) -> Decimal:
    return amount(value if unit.divisor == ONE else value / unit.divisor)


def _plain(number: Decimal | None) -> str:
    return "" if number is None else f"{number.normalize():f}"
