"""Accounts, their capabilities and their balances, in provider-neutral terms."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from contracts.clocks import Clocks
from contracts.money import Money
from contracts.struct import Record


class AccountType(StrEnum):
    """The family an account belongs to; the provider's own word is kept beside it as ``raw_type``."""

    BROKERAGE = "brokerage"
    RETIREMENT = "retirement"
    DEPOSIT = "deposit"
    CREDIT = "credit"
    LOAN = "loan"
    CRYPTO = "crypto"
    EDUCATION = "education"
    ANNUITY = "annuity"
    OTHER = "other"

    @classmethod
    def _missing_(cls, _value: object) -> "AccountType":
        return cls.OTHER


class AccountStatus(StrEnum):
    """Whether the account lives at the institution."""

    OPEN = "open"
    CLOSED = "closed"
    UNAVAILABLE = "unavailable"

    @classmethod
    def _missing_(cls, _value: object) -> "AccountStatus":
        return cls.UNAVAILABLE


class Capabilities(Record, frozen=True, kw_only=True):
    """What can be done with an account.

    ``trading``: the provider can trade, coverage allows it, the connection is a trading one and the
    account itself is open. ``realtime``: the provider reads the broker on each call.
    """

    trading: bool = False
    realtime: bool = False


class ProviderAccount(Record, frozen=True, kw_only=True):
    """An account as one connection reports it, with the evidence of which real account it is.

    ``mask`` is the tail of the account number, never more than four characters. ``stable_id`` is an id
    the institution itself keeps (SnapTrade ``institution_account_id``, Plaid ``persistent_account_id``).
    ``total`` is the provider's own figure of what the account is worth, net of margin. ``holdings_as_of``
    is when the provider last read holdings from the institution, ``None`` before the first time.
    """

    account_id: str
    external_id: str
    name: str | None
    type: AccountType
    raw_type: str | None
    currency: str
    mask: str | None = None
    official_name: str | None = None
    status: AccountStatus = AccountStatus.OPEN
    is_paper: bool = False
    stable_id: str | None = None
    total: Money | None = None
    capabilities: Capabilities = Capabilities()
    holdings_as_of: datetime | None = None
    holds_securities: bool = True
    """False for deposit, credit and loan accounts, which only ever hold cash."""
    orders_as_of: datetime | None = None
    """When the provider last read orders from the institution; ``None`` where it does not say."""
    transactions_from: date | None = None
    """The day of the oldest transaction the provider has, where it says."""
    transactions_through: date | None = None
    """The last day whose transactions the provider has whole, where it says."""


class Balance(Record, frozen=True, kw_only=True):
    """The money side of an account in one currency; ``None`` is unknown, never zero.

    ``cash`` excludes money-market and sweep holdings (they are holdings of their own) and is negative
    under a margin loan.
    """

    currency: str
    cash: Decimal | None = None
    available: Decimal | None = None
    buying_power: Decimal | None = None
    equity: Decimal | None = None
    maintenance_excess: Decimal | None = None
    margin_loan: Decimal | None = None


class Snapshot(Record, frozen=True, kw_only=True):
    """What every snapshot says of itself: whose it is, where it came from, how old and how complete.

    Only a ``complete`` snapshot may remove anything; an incomplete one says why in ``gap``.
    """

    user_id: str
    provider: str
    connection_id: str
    institution: str
    clocks: Clocks
    complete: bool
    gap: str | None


class AccountsSnapshot(Snapshot, frozen=True, kw_only=True):
    """The complete list of a connection's accounts (``onefolio.accounts.snapshot.v1``)."""

    accounts: list[ProviderAccount]


class BalancesSnapshot(Snapshot, frozen=True, kw_only=True):
    """The balances of one account per currency (``onefolio.balances.snapshot.v1``)."""

    account_id: str
    balances: list[Balance]


class BalancePoint(Record, frozen=True, kw_only=True):
    """What an account was worth at the end of a day, by its institution."""

    day: date
    total: Decimal


class PeriodReturn(Record, frozen=True, kw_only=True):
    """The provider's own rate of return over a period (``1Y``, ``YTD``, ``ALL`` …); 0.05 is five per cent."""

    period: str
    rate: Decimal


class BalanceHistorySnapshot(Snapshot, frozen=True, kw_only=True):
    """An account's whole series of daily totals (``onefolio.balance_history.snapshot.v1``): it replaces the last."""

    account_id: str
    currency: str | None
    points: list[BalancePoint]
    returns: list[PeriodReturn]
