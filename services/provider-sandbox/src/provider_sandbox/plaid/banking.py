"""Bank histories for `/transactions/sync`: made up, and what control wrote, as a stream of changes. Pure."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from provider_sandbox.plaid.books import Books, Change, Event, Payment, made_index, made_name
from provider_sandbox.plaid.wire import currency_codes, opaque_id
from provider_sandbox.world import Account

_PATTERN = (
    ("PAYROLL EXAMPLE WORKS", Decimal("-2150.40"), "INCOME", "INCOME_WAGES"),
    ("CORNER GROCERY", Decimal("64.18"), "FOOD_AND_DRINK", "FOOD_AND_DRINK_GROCERIES"),
    ("CITY TRANSIT", Decimal("2.90"), "TRANSPORTATION", "TRANSPORTATION_PUBLIC_TRANSIT"),
    ("ACH TO BROKERAGE", Decimal(500), "TRANSFER_OUT", "TRANSFER_OUT_INVESTMENT_AND_RETIREMENT_FUNDS"),
)
DAYS_APART = 3
HISTORY_DAYS = 700
_LOCATION = "address city region postal_code country lat lon store_number"
_PAYMENT = "reference_number ppd_id payee by_order_of payer payment_method payment_processor reason"
_EMPTY = (
    "datetime authorized_datetime merchant_name merchant_entity_id logo_url website check_number "
    "pending_transaction_id account_owner transaction_code"
)


class Told(NamedTuple):
    """One change on its way to a client: a row for what was added or modified, the id for what was removed."""

    change: Change
    transaction_id: str
    account_id: str
    row: dict[str, Any] | None


def stream(books: Books, known: Mapping[str, Account]) -> list[Told]:
    """Every change of the deposit accounts since their beginning, in an order that only ever grows at its end."""
    shown = {identity: account for identity, account in known.items() if account.family == "deposit"}
    first = [
        _told(books, account, identity, Event(0, "added", made_name(index), made=index))
        for identity, account in shown.items()
        for index in range(books.of(account).base)
    ]
    later = sorted(
        ((event, identity) for identity, account in shown.items() for event in books.of(account).events),
        key=lambda pair: pair[0].number,
    )
    return first + [_told(books, shown[identity], identity, event) for event, identity in later]


def transaction_id(account_id: str, name: str) -> str:
    """Plaid's id of a bank transaction."""
    index = made_index(name)
    return opaque_id("transaction", account_id, str(index) if index is not None else f"written {name}")


def _told(books: Books, account: Account, account_id: str, event: Event) -> Told:
    row = None
    if event.made is not None:
        row = _made(account, account_id, event.made, books.anchor)
    elif event.payment is not None:
        row = _written(account, account_id, event.payment)
    return Told(event.change, transaction_id(account_id, event.name), account_id, row)


def _written(account: Account, account_id: str, payment: Payment) -> dict[str, Any]:
    in_or_out = "TRANSFER_IN" if payment.amount < 0 else "GENERAL_MERCHANDISE"
    row = _row(
        account,
        account_id,
        payment.name,
        on=payment.on,
        text=payment.text,
        amount=payment.amount,
        primary=in_or_out,
    )
    posts = transaction_id(account_id, payment.posts) if payment.posts else None
    return row | {"pending": payment.pending, "pending_transaction_id": posts}


def _made(account: Account, account_id: str, index: int, anchor: date) -> dict[str, Any]:
    name, amount, primary, detailed = _PATTERN[index % len(_PATTERN)]
    on = anchor - timedelta(days=1 + (DAYS_APART * index) % HISTORY_DAYS)
    return _row(
        account,
        account_id,
        made_name(index),
        on=on,
        text=name,
        amount=amount,
        primary=primary,
        detailed=detailed,
    )


def _row(
    account: Account,
    account_id: str,
    name: str,
    *,
    on: date,
    text: str,
    amount: Decimal,
    primary: str,
    detailed: str | None = None,
) -> dict[str, Any]:
    category = {"primary": primary, "detailed": detailed or f"{primary}_OTHER"}
    return {
        "transaction_id": transaction_id(account_id, name),
        "account_id": account_id,
        "amount": amount,
        **currency_codes(account.currency),
        "date": on.isoformat(),
        "authorized_date": on.isoformat(),
        "name": text,
        **dict.fromkeys(_EMPTY.split()),
        "payment_channel": "other",
        "pending": False,
        "location": dict.fromkeys(_LOCATION.split()),
        "payment_meta": dict.fromkeys(_PAYMENT.split()),
        "personal_finance_category": category | {"confidence_level": "HIGH", "version": "v2"},
        "personal_finance_category_icon_url": f"https://plaid-category-icons.plaid.com/PFC_{primary}.png",
        "counterparties": [],
    }
