"""Plaid's rate limits per minute: of each endpoint for all of a client's Items, and for one Item. Pure.

Source: Plaid's published default limits. Endpoints without a published limit have no key.
"""

from collections.abc import Mapping
from hashlib import sha256
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from connector_kit.limits import LimitKey


class Rates(NamedTuple):
    """Calls a minute for one Item (None where it does not concern one) and for the client as a whole."""

    item: int | None
    client: int


Table = Mapping[str, Rates]

PRODUCTION: Table = {
    "/accounts/get": Rates(15, 15_000),
    "/investments/holdings/get": Rates(15, 2_000),
    "/investments/transactions/get": Rates(30, 20_000),
    "/investments/refresh": Rates(1, 100),
    "/transactions/sync": Rates(50, 2_500),
    "/item/get": Rates(15, 5_000),
    "/item/remove": Rates(30, 2_000),
    "/institutions/get_by_id": Rates(None, 400),
    "/institutions/get": Rates(None, 50),
}
SANDBOX: Table = {
    "/accounts/get": Rates(100, 5_000),
    "/investments/holdings/get": Rates(100, 1_000),
    "/investments/transactions/get": Rates(100, 1_000),
    "/investments/refresh": Rates(1, 100),
    "/transactions/sync": Rates(50, 1_000),
    "/item/get": Rates(40, 5_000),
    "/item/remove": Rates(100, 500),
    "/institutions/get_by_id": Rates(None, 400),
    "/institutions/get": Rates(None, 10),
}


def table(base_url: str) -> Table:
    """The limits in force where Plaid is asked: its sandbox's there and on this machine, else production's."""
    host = urlsplit(base_url).hostname or ""
    return SANDBOX if host == "sandbox.plaid.com" or _is_local(host) else PRODUCTION


def keys(rates: Table, path: str, access_token: str | None) -> tuple[LimitKey, ...]:
    """What a call counts against; the Item is named by a digest of its token."""
    found = rates.get(path)
    if found is None:
        return ()
    client = LimitKey(f"client{path}", found.client)
    if access_token is None or found.item is None:
        return (client,)
    item = sha256(access_token.encode()).hexdigest()[:24]
    return (client, LimitKey(f"item:{item}{path}", found.item))


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
