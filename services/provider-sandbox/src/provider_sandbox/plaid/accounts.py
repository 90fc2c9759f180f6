"""Accounts of the truth as Plaid shows them: balances, mask, type; margin only on the investment endpoints. Pure."""

from decimal import Decimal
from typing import Any

from provider_sandbox.plaid.quirks import Quirk
from provider_sandbox.plaid.wire import currency_codes, opaque_id
from provider_sandbox.world import Account, World

CENT = Decimal("0.01")


def encode(world: World, account: Account, account_id: str, quirk: Quirk) -> dict[str, Any]:
    """An account as `/accounts/get` returns it."""
    encoded = {
        "account_id": account_id,
        "balances": _balances(world, account, quirk),
        "mask": account.mask,
        "name": account.name,
        "official_name": account.official_name or None,
        "type": account.plaid_type,
        "subtype": account.plaid_subtype,
    }
    if account.family == "deposit":
        encoded["holder_category"] = "personal"
        if quirk.persistent_ids:
            encoded["persistent_account_id"] = opaque_id("persistent", account.stable_id, length=40)
    return encoded


def with_margin(world: World, account: Account, encoded: dict[str, Any]) -> dict[str, Any]:
    """The same account as the investment endpoints return it, with `margin_loan_amount` in its balances."""
    loan = world.margin_loan(account) if account.margin else None
    return {**encoded, "balances": {**encoded["balances"], "margin_loan_amount": loan}}


def _balances(world: World, account: Account, quirk: Quirk) -> dict[str, Any]:
    return {
        "available": _available(world, account, quirk),
        "current": world.total(account),
        "limit": None,
        **currency_codes(account.currency),
    }


def _available(world: World, account: Account, quirk: Quirk) -> Decimal | None:
    if account.family == "deposit":
        return account.available
    if quirk.available == "null":
        return None
    cash = sum((world.convert(a, c, account.currency) for c, a in account.cash.items()), Decimal(0))
    if quirk.available == "cash_and_sweep":
        cash += _sweep(world, account)
    return max(cash, Decimal(0)).quantize(CENT)


def _sweep(world: World, account: Account) -> Decimal:
    total = Decimal(0)
    for holding in account.holdings:
        value = world.value(holding) if holding.cash_equivalent else None
        if value is not None:
            settled = world.securities[holding.security_key].settlement_currency
            total += world.convert(value, settled, account.currency)
    return total
