"""Transactions of an account, in provider-neutral terms."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from contracts.accounts import Snapshot
from contracts.instruments import Instrument
from contracts.struct import Record


class TransactionType(StrEnum):
    """What happened; a type we do not know reads as ``OTHER`` and keeps the provider's word beside it."""

    BUY = "BUY"
    SELL = "SELL"
    DIVIDEND = "DIVIDEND"
    CONTRIBUTION = "CONTRIBUTION"
    WITHDRAWAL = "WITHDRAWAL"
    REI = "REI"
    STOCK_DIVIDEND = "STOCK_DIVIDEND"
    INTEREST = "INTEREST"
    FEE = "FEE"
    TAX = "TAX"
    OPTIONEXPIRATION = "OPTIONEXPIRATION"
    OPTIONASSIGNMENT = "OPTIONASSIGNMENT"
    OPTIONEXERCISE = "OPTIONEXERCISE"
    TRANSFER = "TRANSFER"
    SPLIT = "SPLIT"
    OTHER = "OTHER"

    @classmethod
    def _missing_(cls, _value: object) -> "TransactionType":
        return cls.OTHER


class Transaction(Record, frozen=True, kw_only=True):
    """One activity; ``amount`` is the cash effect on the account, positive = cash in."""

    account_id: str
    external_id: str
    type: TransactionType
    raw_type: str
    description: str | None
    currency: str
    amount: Decimal | None
    quantity: Decimal | None = None
    price: Decimal | None = None
    fee: Decimal | None = None
    instrument: Instrument | None = None
    traded_at: datetime | None = None
    settlement_date: date | None = None


class TransactionsBatch(Snapshot, frozen=True, kw_only=True):
    """A page of activities of one account and the range it provably covers (``onefolio.transactions.batch.v1``)."""

    account_id: str
    transactions: list[Transaction]
    removed: list[str]
    covers_from: date
    covers_through: date
