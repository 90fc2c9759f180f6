"""A small bank history for `/transactions/sync`, the same at every call. Pure."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from provider_sandbox.plaid.wire import currency_codes, opaque_id
from provider_sandbox.world import Account

_PATTERN = (
    ("PAYROLL EXAMPLE WORKS", Decimal("-2150.40"), "INCOME", "INCOME_WAGES"),
    ("CORNER GROCERY", Decimal("64.18"), "FOOD_AND_DRINK", "FOOD_AND_DRINK_GROCERIES"),
    ("CITY TRANSIT", Decimal("2.90"), "TRANSPORTATION", "TRANSPORTATION_PUBLIC_TRANSIT"),
    ("ACH TO BROKERAGE", Decimal(500), "TRANSFER_OUT", "TRANSFER_OUT_INVESTMENT_AND_RETIREMENT_FUNDS"),
)
_LOCATION = "address city region postal_code country lat lon store_number"
_PAYMENT = "reference_number ppd_id payee by_order_of payer payment_method payment_processor reason"
_EMPTY = (
    "datetime authorized_datetime merchant_name merchant_entity_id logo_url website check_number "
    "pending_transaction_id account_owner transaction_code"
)


def history(account: Account, account_id: str, today: date) -> list[dict[str, Any]]:
    """A deposit account's transactions, oldest first; other accounts have none."""
    if account.family != "deposit":
        return []
    newest_first = [_transaction(account, account_id, index, today) for index in range(account.activities)]
    return newest_first[::-1]


def _transaction(account: Account, account_id: str, index: int, today: date) -> dict[str, Any]:
    name, amount, primary, detailed = _PATTERN[index % len(_PATTERN)]
    on = (today - timedelta(days=1 + 3 * index)).isoformat()
    category = {"primary": primary, "detailed": detailed, "confidence_level": "HIGH", "version": "v2"}
    return {
        "transaction_id": opaque_id("transaction", account_id, str(index)),
        "account_id": account_id,
        "amount": amount,
        **currency_codes(account.currency),
        "date": on,
        "authorized_date": on,
        "name": name,
        **dict.fromkeys(_EMPTY.split()),
        "payment_channel": "other",
        "pending": False,
        "location": dict.fromkeys(_LOCATION.split()),
        "payment_meta": dict.fromkeys(_PAYMENT.split()),
        "personal_finance_category": category,
        "personal_finance_category_icon_url": f"https://plaid-category-icons.plaid.com/PFC_{primary}.png",
        "counterparties": [],
    }
