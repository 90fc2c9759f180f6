"""One request to the API on its way to a handler, and the look-ups handlers share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from provider_sandbox.plaid import fields
from provider_sandbox.plaid.errors import PlaidError
from provider_sandbox.plaid.face import PlaidFace
from provider_sandbox.plaid.items import Item
from provider_sandbox.traffic import note
from provider_sandbox.world import Account


@dataclass(frozen=True, slots=True)
class Ask:
    """A request with accepted keys: the face, the JSON body and the HTTP request it came in."""

    face: PlaidFace
    body: fields.Body
    request: Request

    def item(self) -> Item:
        """The Item of `access_token`, whatever state it is in."""
        item = self.face.items.by_access_token(fields.text(self.body, "access_token"))
        note(self.request, connection=item.item_id, user=item.user)
        return item

    def healthy_item(self) -> Item:
        """The Item of `access_token`; a broken one answers with its own error."""
        item = self.item()
        if item.error:
            raise PlaidError(item.error)
        return item

    def product_item(self, product: str) -> Item:
        """A healthy Item that has the product, or may get it by being asked for it."""
        item = self.healthy_item()
        if product not in item.offered:
            raise PlaidError("PRODUCTS_NOT_SUPPORTED")
        if product not in item.products:
            if product not in item.consented:
                raise PlaidError("ADDITIONAL_CONSENT_REQUIRED")
            item.products = (*item.products, product)
        return item

    def accounts(self, item: Item) -> dict[str, Account]:
        """The Item's accounts by id, only those named in `options.account_ids` when given."""
        everything = self.face.accounts(item)
        wanted = fields.texts(fields.options(self.body), "account_ids")
        if not wanted:
            return everything
        if unknown := [identity for identity in wanted if identity not in everything]:
            raise PlaidError("INVALID_ACCOUNT_ID", f"failed to find requested account ID: {unknown[0]}")
        return {identity: everything[identity] for identity in wanted}


Handler = Callable[[Ask], Awaitable[dict[str, Any]]]
