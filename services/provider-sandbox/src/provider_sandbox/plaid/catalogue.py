"""Webhooks by type and code: which ones Plaid's sandbox can fire, and which only happen by themselves. Pure."""

from collections.abc import Callable
from datetime import datetime

from provider_sandbox.plaid import bodies
from provider_sandbox.plaid.items import Item

Builder = Callable[[Item, datetime], bodies.WebhookBody]
Name = tuple[str, str]


def _recurring(item: Item, _: datetime) -> bodies.WebhookBody:
    return bodies.recurring_transactions(item.item_id, list(item.account_ids()))


def _account_revoked(item: Item, _: datetime) -> bodies.WebhookBody:
    return bodies.user_account_revoked(item.item_id, next(iter(item.account_ids())))


def _pending_disconnect(item: Item, when: datetime) -> bodies.WebhookBody:
    return bodies.pending_disconnect(item.item_id, when, "INSTITUTION_TOKEN_EXPIRATION")


FIREABLE: dict[Name, Builder] = {
    ("HOLDINGS", "DEFAULT_UPDATE"): lambda item, _: bodies.holdings_update(item.item_id, new=1, updated=2),
    ("INVESTMENTS_TRANSACTIONS", "DEFAULT_UPDATE"): lambda item, _: bodies.investment_transactions(
        item.item_id, new=1
    ),
    ("TRANSACTIONS", "SYNC_UPDATES_AVAILABLE"): lambda item, _: bodies.sync_updates_available(item.item_id),
    ("TRANSACTIONS", "RECURRING_TRANSACTIONS_UPDATE"): _recurring,
    ("ITEM", "NEW_ACCOUNTS_AVAILABLE"): lambda item, _: bodies.new_accounts_available(item.item_id),
    ("ITEM", "USER_PERMISSION_REVOKED"): lambda item, _: bodies.user_permission_revoked(item.item_id),
    ("ITEM", "USER_ACCOUNT_REVOKED"): _account_revoked,
    ("ITEM", "LOGIN_REPAIRED"): lambda item, _: bodies.login_repaired(item.item_id),
    ("ITEM", "PENDING_DISCONNECT"): _pending_disconnect,
}
ALL: dict[Name, Builder] = {
    **FIREABLE,
    ("INVESTMENTS_TRANSACTIONS", "HISTORICAL_UPDATE"): lambda item, _: bodies.investment_transactions(
        item.item_id, "HISTORICAL_UPDATE", new=12
    ),
    ("ITEM", "ERROR"): lambda item, _: bodies.item_error(item.item_id, item.error or "ITEM_LOGIN_REQUIRED"),
    ("ITEM", "PENDING_EXPIRATION"): lambda item, when: bodies.pending_expiration(item.item_id, when),
}
PRODUCT_OF = {
    "HOLDINGS": "investments",
    "INVESTMENTS_TRANSACTIONS": "investments",
    "TRANSACTIONS": "transactions",
}
