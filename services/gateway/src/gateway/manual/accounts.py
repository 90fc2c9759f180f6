"""Accounts entered by hand, as values, and the events that tell of them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from contracts import ids
from contracts.accounts import AccountsSnapshot, AccountType, Balance, BalancesSnapshot, ProviderAccount
from contracts.clocks import Clocks
from contracts.holdings import Holding, HoldingsSnapshot, content_hash
from contracts.instruments import InstrumentKind
from contracts.messages import ConnectionLinked, ConnectionStatusChanged, Event
from contracts.statuses import ConnectionStatus
from gateway.manual.instruments import PROVIDER

MAX_ACCOUNTS = 200
"""Accounts entered by hand that one user may have."""
MASK_KEPT = 4
"""Of a longer tail of the account number, the last digits are kept."""
_CASH_ONLY = frozenset({AccountType.DEPOSIT, AccountType.CREDIT, AccountType.LOAN})


@dataclass(frozen=True, slots=True)
class ManualAccount:
    """An account entered by hand; it is the only one of a connection of its own.

    ``version`` goes up with every change, and is the version of the snapshots that tell of it.
    """

    user_id: str
    account_id: UUID
    connection_id: UUID
    external_id: UUID
    name: str
    institution: str
    institution_name: str
    type: str
    currency: str
    mask: str | None
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def etag(self) -> str:
        """The entity tag, unquoted."""
        return str(self.version)


def ids_of(user_id: str, external_id: UUID) -> tuple[UUID, UUID]:
    """The ids of the connection and the account that this external id stands for."""
    own = str(external_id)
    return (
        UUID(ids.connection_id(PROVIDER, user_id, own)),
        UUID(ids.account_id(PROVIDER, user_id, own)),
    )


def linked(account: ManualAccount) -> ConnectionLinked:
    """The fact that the account exists, under the institution it is said to be at."""
    return ConnectionLinked(
        user_id=account.user_id,
        provider=PROVIDER,
        connection_id=str(account.connection_id),
        external_id=str(account.external_id),
        institution=account.institution,
        institution_name=account.institution_name,
        connection_type=PROVIDER,
        link_session_id=None,
        linked_at=account.created_at,
        version=account.version,
    )


def snapshots(account: ManualAccount, holdings: Sequence[Holding]) -> list[Event]:
    """The account and all it holds, complete, as of its last change."""
    at = account.updated_at
    whose: _Whose = {
        "user_id": account.user_id,
        "provider": PROVIDER,
        "connection_id": str(account.connection_id),
        "institution": account.institution,
        "clocks": Clocks(as_of=at, synced_at=at, version=account.version),
        "complete": True,
        "gap": None,
    }
    own, rows = str(account.account_id), list(holdings)
    return [
        AccountsSnapshot(**whose, accounts=[_described(account)]),
        BalancesSnapshot(**whose, account_id=own, balances=_balances(rows)),
        HoldingsSnapshot(**whose, account_id=own, holdings=rows, content_hash=content_hash(rows)),
    ]


def removed(account: ManualAccount) -> ConnectionStatusChanged:
    """The fact that the account was deleted."""
    return ConnectionStatusChanged(
        user_id=account.user_id,
        provider=PROVIDER,
        connection_id=str(account.connection_id),
        status=ConnectionStatus.REMOVED,
        reason="deleted by its user",
        provider_code=None,
        changed_at=account.updated_at,
        version=account.version,
    )


class _Whose(TypedDict):
    """What every snapshot says of itself."""

    user_id: str
    provider: str
    connection_id: str
    institution: str
    clocks: Clocks
    complete: bool
    gap: str | None


def _described(account: ManualAccount) -> ProviderAccount:
    """Nobody but its holdings says what it is worth, so it has no total to check them against."""
    kind = AccountType(account.type)
    return ProviderAccount(
        account_id=str(account.account_id),
        external_id=str(account.external_id),
        name=account.name,
        type=kind,
        raw_type=account.type,
        currency=account.currency,
        mask=account.mask,
        holdings_as_of=account.updated_at,
        holds_securities=kind not in _CASH_ONLY,
    )


def _balances(holdings: Sequence[Holding]) -> list[Balance]:
    return [
        Balance(currency=one.currency, cash=one.quantity)
        for one in holdings
        if one.instrument.kind is InstrumentKind.CASH
    ]
