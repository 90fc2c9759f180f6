"""The Plaid face's state and its deeds: Items, link tokens, keys, and the webhooks they cause."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from provider_sandbox import json_body
from provider_sandbox.plaid import bodies
from provider_sandbox.plaid.books import Books
from provider_sandbox.plaid.config import PlaidConfig
from provider_sandbox.plaid.holdings import Encoder
from provider_sandbox.plaid.items import Item, Items
from provider_sandbox.plaid.limits import RateLimits
from provider_sandbox.plaid.links import Links
from provider_sandbox.plaid.quirks import QUIRKS, Quirk
from provider_sandbox.plaid.signing import SigningKeys
from provider_sandbox.plaid.surprises import Surprises
from provider_sandbox.state import State
from provider_sandbox.world import Account, World

_NO_QUIRK = Quirk()


class PlaidFace:
    """Everything the API routes, the link pages and the control routes share.

    `shouting_status` spells `SESSION_FINISHED.status` as the documentation does (`SUCCESS`, `EXITED`) and not as
    the newest specification (`success`, `exited`); `surprises` disfigures answers.
    """

    provider = "plaid"

    def __init__(self, state: State, config: PlaidConfig) -> None:
        self.state = state
        self.config = config
        self.shouting_status = False
        self.surprises = Surprises()
        self.items = Items(self.now)
        self.links = Links(self.now)
        self.keys = SigningKeys(self.now)
        self.limits = RateLimits(lambda: self.now().timestamp(), state.rate_limits)
        self.quirks = dict(QUIRKS)
        self.books = Books(self.today())
        self._compared: dict[str, int] = {}  # the version of the world an Item was last compared with

    def now(self) -> datetime:
        """The shared clock, which tests may move."""
        return self.state.clock()

    def today(self) -> date:
        """The date prices and histories count back from."""
        return self.now().date()

    def quirk(self, slug: str) -> Quirk:
        """How an institution's data looks."""
        return self.quirks.get(slug, _NO_QUIRK)

    def set_quirk(self, slug: str, **changes: Any) -> Quirk:
        """Change some habits of an institution until the next reset."""
        self.quirks[slug] = replace(self.quirk(slug), **changes)
        return self.quirks[slug]

    def accounts(self, item: Item) -> dict[str, Account]:
        """The Item's accounts as they are now, by Plaid account id; closed ones are gone."""
        known = self.state.world.accounts
        return {identity: known[key] for identity, key in item.account_ids().items() if key in known}

    def encoder(self, item: Item) -> Encoder:
        """The holdings encoder of the Item's institution."""
        quirk = self.quirk(item.institution_slug)
        return Encoder(self.state.world, quirk, item.institution_id, self.today())

    async def send(self, url: str | None, body: bodies.WebhookBody, *, kid: str | None = None) -> bool:
        """Sign (with the current key or the one named) and schedule a webhook; False without a URL to send it to."""
        if not url:
            return False
        raw = bodies.as_bytes(body)
        await self.state.webhooks.send(self.provider, url, raw, lambda: self.keys.headers(raw, kid=kid))
        return True

    async def notify(self, item: Item, body: bodies.WebhookBody) -> bool:
        """Send a webhook to the Item's URL and remember it as the last one."""
        sent = await self.send(item.webhook, body)
        if sent:
            item.last_webhook = (body["webhook_code"], self.now())
        return sent

    async def fail(self, item: Item, code: str = "ITEM_LOGIN_REQUIRED") -> None:
        """Put the Item into an error and announce it by ITEM/ERROR."""
        item.error = code
        item.last_failure = self.now()
        await self.notify(item, bodies.item_error(item.item_id, code))

    async def repair(self, item: Item) -> None:
        """Clear the Item's error; announces LOGIN_REPAIRED when there was one."""
        broken, item.error = item.error, None
        self.pull(item)
        if broken:
            await self.notify(item, bodies.login_repaired(item.item_id))

    def reset(self) -> None:
        """Forget Items, tokens, counted calls and everything control changed; the signing keys stay."""
        self.items.clear()
        self.links.clear()
        self.limits.reset()
        self.quirks = dict(QUIRKS)
        self.shouting_status = False
        self.surprises = Surprises()
        self.books = Books(self.today())
        self._compared.clear()

    def connections(self) -> list[dict[str, Any]]:
        """Every Item that was not removed."""
        return [self._describe(item) for item in self.items if not item.removed]

    async def break_connection(self, connection_id: str) -> bool:
        """Put an Item into ITEM_LOGIN_REQUIRED, as a changed password would."""
        item = self.items.by_id(connection_id)
        if item is not None:
            await self.fail(item)
        return item is not None

    async def repair_connection(self, connection_id: str) -> bool:
        """Clear an Item's error without update mode."""
        item = self.items.by_id(connection_id)
        if item is not None:
            await self.repair(item)
        return item is not None

    def connection_of(self, _path: Mapping[str, str], body: bytes) -> str | None:
        """The Item of the access token in a body."""
        try:
            values = json_body.parse(body)
        except ValueError:
            return None
        return self.items.id_of(values.get("access_token")) if isinstance(values, dict) else None

    async def announce(self, connection_id: str) -> bool:
        """Announce HOLDINGS/DEFAULT_UPDATE for one Item."""
        item = self.items.by_id(connection_id)
        if item is not None:
            self.pull(item)
            await self.notify(item, bodies.holdings_update(item.item_id, updated=1))
        return item is not None

    async def account_changed(self, account_key: str) -> int:
        """Announce HOLDINGS/DEFAULT_UPDATE for every Item that shows the account."""
        showing = self.items.showing(account_key)
        for item in showing:
            self.pull(item)
            await self.notify(item, bodies.holdings_update(item.item_id, updated=1))
        return len(showing)

    async def history_changed(self, account_key: str, *, new: int, gone: int, announce: bool) -> int:
        """The history of an account moved; announced as its products do. Returns how many Items show it."""
        deposit = self.state.world.accounts[account_key].family == "deposit"
        product = "transactions" if deposit else "investments"
        showing = [item for item in self.items.showing(account_key) if product in item.products]
        for item in showing:
            self.pull(item)
            if announce and deposit:
                await self.notify(item, bodies.sync_updates_available(item.item_id))
            elif announce:
                body = bodies.investment_transactions(item.item_id, new=new, cancelled=gone)
                await self.notify(item, body)
        return len(showing)

    def pull(self, item: Item) -> None:
        """Read the institution: the time of the last success moves, and the data counts as seen."""
        item.pulled(self.now())
        self._compared[item.item_id] = self.state.world.version
        item.content = content_of(self.state.world, self.accounts(item).values())

    def look(self, item: Item) -> None:
        """Notice whether the data of an Item moved in silence: then the institution was read since."""
        world = self.state.world
        if self._compared.get(item.item_id) == world.version:
            return
        self._compared[item.item_id] = world.version
        content = content_of(world, self.accounts(item).values())
        if item.content != content:
            if item.content is not None:
                item.pulled(self.now())
            item.content = content
            self.state.changed()

    def in_a_week(self) -> datetime:
        """The notice Plaid gives before a connection ends."""
        return self.now() + timedelta(days=7)

    def _describe(self, item: Item) -> dict[str, Any]:
        return {
            "id": item.item_id,
            "user": item.user,
            "institution": item.institution_slug,
            "status": item.error or "active",
            "exchanged": item.access_token is not None,
            "accounts": [{"id": identity, "key": key} for identity, key in item.account_ids().items()],
        }


def content_of(world: World, accounts: Iterable[Account]) -> int:
    """A number that stands for what accounts hold and what it is worth; the same in every process."""
    parts = []
    for account in accounts:
        parts.append(f"{account.key} {account.cash} {account.available} {account.name}")
        for held in account.holdings:
            price = world.securities[held.security_key].price
            parts.append(f"{held.security_key} {held.quantity} {held.average_cost} {price}")
    return zlib.crc32("\n".join(parts).encode())
