"""Plaid's bank transactions in neutral terms, and what a whole round of changes comes to. Pure."""

from datetime import date
from decimal import Decimal

from contracts.accounts import ProviderAccount
from contracts.connectors import AccountTransactions
from contracts.money import amount
from contracts.transactions import Transaction
from plaid_connector import kinds
from plaid_connector.mapping import moment
from plaid_connector.units import ONE, currency
from plaid_connector.wire import BankTransaction, Category, SyncAnswer

ZERO = Decimal(0)
PART = 500
"""Transactions told in one message at most."""


def transaction(row: BankTransaction, account: ProviderAccount) -> Transaction:
    """One row in neutral terms; a posted one replaces the pending one it names.

    Raises:
        ValueError: a date or a number cannot be read.
    """
    unit = currency(row.iso_currency_code, row.unofficial_currency_code)
    told = ZERO - row.amount
    category = row.personal_finance_category or Category()
    when = row.datetime or row.authorized_datetime
    booked = date.fromisoformat(row.date[:10])
    return Transaction(
        account_id=account.account_id,
        external_id=row.transaction_id,
        type=kinds.bank_kind(category.primary, category.detailed, money_in=told > 0),
        raw_type=f"{category.primary or ''}/{category.detailed or ''}",
        description=row.name,
        currency=unit.code,
        amount=amount(told if unit.divisor == ONE else told / unit.divisor),
        traded_at=moment(when) if when else None,
        settlement_date=None if row.pending else booked,
        booked_on=booked,
        pending=row.pending,
        replaces=row.pending_transaction_id,
        broker_reference=row.payment_meta.reference_number if row.payment_meta else None,
    )


class Changes:
    """What the pages of a round of ``/transactions/sync`` come to, applied in their order."""

    def __init__(self) -> None:
        self._rows: dict[str, BankTransaction] = {}
        self._removed: dict[str, str | None] = {}

    def apply(self, page: SyncAnswer) -> None:
        """Add a page."""
        for row in (*page.added, *page.modified):
            self._rows[row.transaction_id] = row
            self._removed.pop(row.transaction_id, None)
        for gone in page.removed:
            self._rows.pop(gone.transaction_id, None)
            self._removed[gone.transaction_id] = gone.account_id

    def parts(
        self, accounts: list[ProviderAccount], *, first: bool, through: date | None
    ) -> list[AccountTransactions]:
        """What is told of each account, in parts of a bearable size; the last part says what is covered.

        After the ``first`` round an account is whole from its oldest transaction on. ``through`` is the last day
        known to be whole.

        Raises:
            ValueError: a row cannot be read.
        """
        told = []
        for account in accounts:
            rows = [row for row in self._rows.values() if row.account_id == account.external_id]
            since = min((date.fromisoformat(row.date[:10]) for row in rows), default=None) if first else None
            gone = [name for name, owner in self._removed.items() if owner in {None, account.external_id}]
            told += _parts(account, rows, gone, since if through else None, through)
        return told


def _parts(
    account: ProviderAccount,
    rows: list[BankTransaction],
    removed: list[str],
    since: date | None,
    through: date | None,
) -> list[AccountTransactions]:
    told = [transaction(row, account) for row in rows]
    chunks = [told[start : start + PART] for start in range(0, len(told), PART)] or [[]]
    last = len(chunks) - 1
    return [
        AccountTransactions(
            account_id=account.account_id,
            transactions=chunk,
            removed=removed if number == last else [],
            covers_from=since if number == last else None,
            covers_through=through if number == last else None,
        )
        for number, chunk in enumerate(chunks)
    ]
