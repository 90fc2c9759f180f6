"""Accounts and connections in SnapTrade's shapes, the older `Account` and the newer `ConnectionAccount`."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from provider_sandbox.snaptrade.brokerages import brokerage, brokerage_id
from provider_sandbox.snaptrade.identifiers import stable_id
from provider_sandbox.snaptrade.numbers import moment, money
from provider_sandbox.snaptrade.seen import Seen
from provider_sandbox.snaptrade.store import Connection
from provider_sandbox.world import Account, Institution


def connection_body(connection: Connection, institution: Institution, *, realtime: bool) -> dict[str, Any]:
    """Return a `BrokerageAuthorization`."""
    return {
        "id": connection.id,
        "created_date": moment(connection.created),
        "brokerage": brokerage(institution, realtime=realtime),
        "name": f"{institution.name} connection",
        "type": connection.type,
        "disabled": connection.disabled_at is not None,
        "disabled_date": moment(connection.disabled_at),
        "meta": {},
        "updated_date": moment(connection.updated or connection.created),
        "is_eligible_for_payout": False,
        "data_freshness_mode": {
            "institution": "realtime",
            "snaptrade": "realtime" if realtime else "delayed",
        },
    }


def _transactions_sync(first: date | None, synced: datetime | None) -> dict[str, Any]:
    if synced is None:
        return {"initial_sync_completed": False, "last_successful_sync": None, "first_transaction_date": None}
    covered = covered_day(synced).isoformat()
    begins = None if first is None else first.isoformat()
    return {"initial_sync_completed": True, "last_successful_sync": covered, "first_transaction_date": begins}


def covered_day(synced: datetime) -> date:
    """The last day whose activities a sync has whole: the day before it."""
    return synced.astimezone(UTC).date() - timedelta(days=1)


def _opened(account: Account) -> str | None:
    return moment(datetime.combine(account.opened, time(), UTC))


def old_account(
    connection: Connection, seen: Seen, institution: Institution, synced: datetime | None, first: date | None
) -> dict[str, Any]:
    """Return an `Account`; `synced` is None while the first sync runs, and then there is no total.

    `first` is the day of the oldest activity.
    """
    account = seen.account
    return {
        "id": connection.accounts[account.key],
        "brokerage_authorization": connection.id,
        "name": account.name,
        "number": account.number,
        "institution_account_id": account.stable_id,
        "institution_name": institution.name,
        "created_date": moment(connection.created),
        "funding_date": None,
        "opening_date": _opened(account),
        "sync_status": {
            "transactions": _transactions_sync(first, synced),
            "holdings": {
                "initial_sync_completed": synced is not None,
                "last_successful_sync": None if synced is None else synced.isoformat(),
                "holdings_unavailable": account.holdings_hidden,
            },
        },
        "balance": {"total": None if synced is None else money(seen.total, account.currency)},
        "status": "open",
        "raw_type": account.snaptrade_raw_type,
        "account_category": "DEPOSIT" if account.family == "deposit" else "INVESTMENT",
        "meta": {"type": account.snaptrade_raw_type},
        "portfolio_group": stable_id("portfolio group", connection.id),
        "cash_restrictions": [],
        "is_paper": institution.is_paper,
    }


def connection_account(
    connection: Connection, seen: Seen, institution: Institution, synced: datetime | None, first: date | None
) -> dict[str, Any]:
    """Return a `ConnectionAccount` of kind `investment` or `deposit`."""
    account = seen.account
    sync_status = {"transactions": _transactions_sync(first, synced), "balances": moment(synced)}
    body: dict[str, Any] = {
        "kind": account.family,
        "id": connection.accounts[account.key],
        "connection_id": connection.id,
        "display_name": account.name,
        "masked_account_number": f"****{account.mask}",
        "institution_account_id": account.stable_id,
        "institution_id": brokerage_id(institution),
        "opening_date": _opened(account),
        "sync_status": sync_status,
        "raw_type": account.snaptrade_raw_type,
        "net_value": None if synced is None else money(seen.total, account.currency),
    }
    if account.family == "investment":
        positions = None if account.holdings_hidden else moment(synced)
        sync_status |= {"orders": moment(synced), "positions": positions}
        cash_or_margin = "margin" if account.margin else "cash"
        body |= {"funding_date": None, "cash_or_margin": cash_or_margin, "is_paper": institution.is_paper}
    return body
