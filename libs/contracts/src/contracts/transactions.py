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
    SUBSTITUTE_DIVIDEND = "SUBSTITUTE_DIVIDEND"
    DISTRIBUTION = "DISTRIBUTION"
    CAPITAL_GAIN = "CAPITAL_GAIN"
    RETURN_OF_CAPITAL = "RETURN_OF_CAPITAL"
    CONTRIBUTION = "CONTRIBUTION"
    WITHDRAWAL = "WITHDRAWAL"
    REI = "REI"
    STOCK_DIVIDEND = "STOCK_DIVIDEND"
    INTEREST = "INTEREST"
    FEE = "FEE"
    TAX = "TAX"
    REBATE = "REBATE"
    OPTIONEXPIRATION = "OPTIONEXPIRATION"
    OPTIONASSIGNMENT = "OPTIONASSIGNMENT"
    OPTIONEXERCISE = "OPTIONEXERCISE"
    TRANSFER = "TRANSFER"
    EXTERNAL_ASSET_TRANSFER_IN = "EXTERNAL_ASSET_TRANSFER_IN"
    EXTERNAL_ASSET_TRANSFER_OUT = "EXTERNAL_ASSET_TRANSFER_OUT"
    INTERNAL_ASSET_TRANSFER_IN = "INTERNAL_ASSET_TRANSFER_IN"
    INTERNAL_ASSET_TRANSFER_OUT = "INTERNAL_ASSET_TRANSFER_OUT"
    INTERNAL_CASH_TRANSFER_IN = "INTERNAL_CASH_TRANSFER_IN"
    INTERNAL_CASH_TRANSFER_OUT = "INTERNAL_CASH_TRANSFER_OUT"
    SPLIT = "SPLIT"
    REVERSE_SPLIT = "REVERSE_SPLIT"
    SPINOFF = "SPINOFF"
    STOCK_MERGER = "STOCK_MERGER"
    ADJUSTMENT = "ADJUSTMENT"
    CANCEL = "CANCEL"
    OTHER = "OTHER"

    @classmethod
    def _missing_(cls, _value: object) -> "TransactionType":
        return cls.OTHER


class Transaction(Record, frozen=True, kw_only=True):
    """One activity; ``amount`` is the cash effect on the account, positive = cash in.

    ``external_id`` is the provider's own id, else a fallback of the content with its number among equal ones.
    ``quantity`` is positive where the position grows, options in contracts; ``price`` is per share. ``booked_on``
    is the day by which the provider files it: its ranges are of these days. A ``pending`` one is followed by the
    posted one, which ``replaces`` its id.
    """

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
    booked_on: date | None = None
    pending: bool = False
    replaces: str | None = None
    option_action: str | None = None
    """``BUY_TO_OPEN``, ``SELL_TO_CLOSE`` and their like, of options."""
    fx_rate: Decimal | None = None
    broker_reference: str | None = None
    """The broker's own id of it."""


class Sweep(Record, frozen=True, kw_only=True):
    """A range of days was read whole: what is booked in it and was not told since ``since_version`` is retracted."""

    from_date: date
    through: date
    since_version: int


class TransactionsBatch(Snapshot, frozen=True, kw_only=True):
    """A page of activities of one account (``onefolio.transactions.batch.v1``).

    ``covers_from`` and ``covers_through`` are the days that are provably whole once this page and those before it
    are applied, ``None`` while unknown. ``removed`` are external ids the provider has taken back; ``sweep`` comes
    with the page that ends a range.
    """

    account_id: str
    transactions: list[Transaction]
    removed: list[str]
    covers_from: date | None = None
    covers_through: date | None = None
    sweep: Sweep | None = None
    run_id: str | None = None
    """Of the sync run that read it: its log counts what is new."""
