"""Items and public tokens: what a finished link leaves behind."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from provider_sandbox.plaid.errors import PlaidError
from provider_sandbox.plaid.wire import instant, new_token, opaque_id, timestamp

PUBLIC_TOKEN_LIFE = timedelta(minutes=30)
_SCOPES = {"investments": "investments", "transactions": "transactions"}


@dataclass(slots=True)
class Item:
    """One login linked once. `error` is an error code, `generation` counts account churns.

    `account_keys` are the truth's accounts the user shared, `user` is the client's own user id, `fingerprint`
    stands for the holdings as last read. `content` stands for the data when it was last compared.
    """

    item_id: str
    institution_slug: str
    institution_id: str
    institution_name: str
    username: str
    account_keys: tuple[str, ...]
    products: tuple[str, ...]
    consented: tuple[str, ...]
    offered: tuple[str, ...]
    webhook: str | None
    user: str | None
    created_at: datetime
    last_success: datetime
    last_failure: datetime | None = None
    last_webhook: tuple[str, datetime] | None = None
    access_token: str | None = None
    error: str | None = None
    removed: bool = False
    generation: int = 0
    fingerprint: int | None = None
    consent_ends: datetime | None = None
    content: int | None = None

    def pulled(self, now: datetime) -> None:
        """The institution was read: the time of the last success moves, were it by a microsecond."""
        self.last_success = max(now, self.last_success + timedelta(microseconds=1))

    def account_id(self, account_key: str) -> str:
        """Plaid's id of an account: another one in every Item and after every churn."""
        return opaque_id("account", self.item_id, account_key, str(self.generation))

    def account_ids(self) -> dict[str, str]:
        """Plaid's account id to the truth's key, for every shared account."""
        return {self.account_id(key): key for key in self.account_keys}

    def encode(self) -> dict[str, Any]:
        """The Item as data endpoints show it; `webhook` is an empty string when unset."""
        return {
            "item_id": self.item_id,
            "institution_id": self.institution_id,
            "institution_name": self.institution_name,
            "webhook": self.webhook or "",
            "auth_method": None,
            "error": PlaidError(self.error).in_item() if self.error else None,
            "available_products": [name for name in self.offered if name not in self.products],
            "billed_products": [name for name in self.products if name != "balance"],
            "products": list(self.products),
            "consented_products": list(self.consented),
            "consent_expiration_time": timestamp(self.consent_ends) if self.consent_ends else None,
            "update_type": "background",
        }

    def encode_in_full(self) -> dict[str, Any]:
        """The Item as `/item/get` shows it, with consent and creation time."""
        return {
            **self.encode(),
            "created_at": timestamp(self.created_at),
            "consented_use_cases": ["Track and manage your finances"],
            "consented_data_scopes": [
                "account_balance_info",
                *(_SCOPES[p] for p in self.consented if p in _SCOPES),
            ],
        }

    def encode_status(self) -> dict[str, Any]:
        """The `status` beside the Item in `/item/get`."""
        updates = {
            "last_successful_update": instant(self.last_success),
            "last_failed_update": timestamp(self.last_failure) if self.last_failure else None,
        }
        sent = self.last_webhook
        return {
            "investments": updates if "investments" in self.products else None,
            "transactions": updates if "transactions" in self.products else None,
            "last_webhook": {"sent_at": timestamp(sent[1]), "code_sent": sent[0]} if sent else None,
        }


@dataclass(slots=True)
class PublicToken:
    """A token that can be exchanged once before it expires."""

    item_id: str
    expires_at: datetime
    used: bool = False


@dataclass(slots=True)
class Items:
    """All Items of this process, found by id, access token or public token."""

    now: Callable[[], datetime]
    _items: dict[str, Item] = field(default_factory=dict)
    _access: dict[str, str] = field(default_factory=dict)
    _public: dict[str, PublicToken] = field(default_factory=dict)
    _showing: dict[str, list[Item]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def add(self, **fields: Any) -> Item:
        """Create an Item; `fields` are those of Item without ids and times."""
        now = self.now()
        item = Item(item_id=opaque_id("item", str(uuid4())), created_at=now, last_success=now, **fields)
        self._items[item.item_id] = item
        self._show(item)
        return item

    def share(self, item: Item, account_keys: Iterable[str]) -> None:
        """Have an Item show these accounts besides those it shows."""
        item.account_keys = tuple(dict.fromkeys((*item.account_keys, *account_keys)))
        self._show(item)

    def showing(self, account_key: str) -> list[Item]:
        """The Items in use that show an account of the truth."""
        return [i for i in self._showing.get(account_key, ()) if not i.removed and i.access_token]

    def _show(self, item: Item) -> None:
        for key in item.account_keys:
            shown = self._showing.setdefault(key, [])
            if not any(one is item for one in shown):
                shown.append(item)

    def by_id(self, item_id: str) -> Item | None:
        """An Item that was not removed, or None."""
        item = self._items.get(item_id)
        return None if item is None or item.removed else item

    def by_access_token(self, token: str) -> Item:
        """The Item of an access token; INVALID_ACCESS_TOKEN when unknown, ITEM_NOT_FOUND when removed."""
        item_id = self._access.get(token)
        if item_id is None:
            raise PlaidError("INVALID_ACCESS_TOKEN")
        item = self._items[item_id]
        if item.removed:
            raise PlaidError("ITEM_NOT_FOUND")
        return item

    def id_of(self, token: object) -> str | None:
        """The Item id behind an access token, removed or not; None for anything else."""
        return self._access.get(token) if isinstance(token, str) else None

    def offer(self, item: Item) -> str:
        """Make a public token for an Item."""
        token = new_token("public")
        self._public[token] = PublicToken(item.item_id, self.now() + PUBLIC_TOKEN_LIFE)
        return token

    def exchange(self, public_token: str) -> Item:
        """Spend a public token; an unknown, spent or expired one is INVALID_PUBLIC_TOKEN."""
        offered = self._public.get(public_token)
        if offered is None:
            raise PlaidError("INVALID_PUBLIC_TOKEN")
        if offered.used:
            raise PlaidError("INVALID_PUBLIC_TOKEN", "the public token was already exchanged")
        if self.now() >= offered.expires_at:
            raise PlaidError("INVALID_PUBLIC_TOKEN", "provided public token is expired")
        offered.used = True
        item = self._items[offered.item_id]
        self.new_access_token(item)
        return item

    def new_access_token(self, item: Item) -> str:
        """Give the Item a new access token; the one before stops working."""
        if item.access_token is not None:
            del self._access[item.access_token]
        item.access_token = new_token("access")
        self._access[item.access_token] = item.item_id
        return item.access_token

    def public_tokens(self) -> Mapping[str, PublicToken]:
        """Every public token made, spent or not."""
        return self._public

    def restore(self, items: Iterable[Item], public_tokens: Mapping[str, PublicToken]) -> None:
        """Take these instead of the present ones."""
        self._items = {item.item_id: item for item in items}
        self._access = {i.access_token: i.item_id for i in self._items.values() if i.access_token is not None}
        self._public = dict(public_tokens)
        self._showing.clear()
        for item in self._items.values():
            self._show(item)

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self._access.clear()
        self._public.clear()
        self._showing.clear()
