"""Balances that are not listed at all say "no cash" only where nothing is missing."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from contracts.accounts import AccountType, ProviderAccount
from contracts.money import Money
from snaptrade_connector import mapping, wire

POSITION = {
    "instrument": {"kind": "stock", "id": "i", "symbol": "ACMX", "raw_symbol": "ACMX", "currency": "USD"},
    "units": "10",
    "price": "10",
    "cost_basis": "8",
    "currency": "USD",
}


@pytest.mark.parametrize(("total", "complete"), [("100", True), ("150", False), (None, True)])
def test_missing_balances_are_a_gap_when_positions_do_not_reach_the_total(
    total: str | None, complete: bool
) -> None:
    account = ProviderAccount(
        account_id="a",
        external_id="e",
        name=None,
        type=AccountType.BROKERAGE,
        raw_type=None,
        currency="USD",
        total=None if total is None else Money(amount=Decimal(total), currency="USD"),
        holdings_as_of=datetime(2026, 11, 21, tzinfo=UTC),
    )
    page = msgspec.json.decode(json.dumps({"results": [POSITION]}), type=wire.Positions)
    read = mapping.account_read(account, page, [])
    assert (read.complete, read.gap) == (complete, None if complete else mapping.GAP_CASH)
