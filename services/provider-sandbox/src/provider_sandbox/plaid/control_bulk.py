"""A control route that makes thousands of Items at once, without Link and without a call."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from fastapi import APIRouter, HTTPException, Response

from provider_sandbox.data import synthetic
from provider_sandbox.plaid.face import PlaidFace
from provider_sandbox.plaid.items import Item
from provider_sandbox.plaid.orders import BulkOrder
from provider_sandbox.state import State
from provider_sandbox.world import Account, Institution, Login


def add_bulk_route(router: APIRouter, state: State) -> None:
    """Add the route."""

    @router.put("/bulk")
    async def bulk(order: BulkOrder) -> Response:
        """Make Items, each with an access token, and list them with their accounts."""
        institution = state.world.institutions.get(order.institution)
        if institution is None or institution.plaid_id is None:
            raise HTTPException(404, f"Plaid has no institution {order.institution}")
        if not set(order.products) <= set(institution.plaid_products):
            raise HTTPException(422, f"{order.institution} offers {', '.join(institution.plaid_products)}")
        face = cast("PlaidFace", state.faces[PlaidFace.provider])
        _provide(state, order.holdings)
        names = order.users
        users = [f"bulk-user-{n:06d}" for n in range(names)] if isinstance(names, int) else names
        made = [_made(face, order, institution, user, n) for user in users for n in range(order.items)]
        state.world.version += 1
        # FastAPI would copy every value before writing it.
        return Response(json.dumps({"items": made}), media_type="application/json")


def _provide(state: State, holdings: int) -> None:
    known = state.world.securities
    known.update({one.key: one for one in synthetic.make_securities(holdings) if one.key not in known})


def _made(
    face: PlaidFace, order: BulkOrder, institution: Institution, user: str, number: int
) -> dict[str, Any]:
    world, username = face.state.world, f"{user}~{number}"
    accounts = _accounts(order, username)
    keys = tuple(account.key for account in accounts)
    world.accounts.update({account.key: account for account in accounts})
    world.logins[username, institution.slug] = Login(username, institution.slug, keys)
    item = face.items.add(
        institution_slug=institution.slug,
        institution_id=institution.plaid_id or "",
        institution_name=institution.name,
        username=username,
        account_keys=keys,
        products=order.products,
        consented=order.products,
        offered=(*institution.plaid_products, "balance"),
        webhook=order.webhook,
        user=user,
    )
    face.items.new_access_token(item)
    face.look(item)
    return _described(item, accounts)


def _accounts(order: BulkOrder, username: str) -> list[Account]:
    invested = synthetic.make_accounts(username, order.institution, order.accounts, order.holdings)
    banks = synthetic.make_accounts(f"{username}~bank", order.institution, order.deposits, 0)
    deposits = [
        replace(
            one, family="deposit", plaid_type="depository", plaid_subtype="checking", available=Decimal(1000)
        )
        for one in banks
    ]
    return [replace(one, activities=order.activities) for one in (*invested, *deposits)]


def _described(item: Item, accounts: list[Account]) -> dict[str, Any]:
    return {
        "user": item.user,
        "item_id": item.item_id,
        "access_token": item.access_token,
        "institution": item.institution_slug,
        "institution_id": item.institution_id,
        "institution_name": item.institution_name,
        "accounts": [
            {
                "id": item.account_id(account.key),
                "key": account.key,
                "name": account.name,
                "mask": account.mask,
                "type": account.plaid_type,
                "subtype": account.plaid_subtype,
            }
            for account in accounts
        ],
    }
