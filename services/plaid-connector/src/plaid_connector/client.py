"""Plaid over HTTP: one method per endpoint, wire types in and out, nothing decided here."""

from typing import Any, TypeVar

import httpx
import msgspec

from plaid_connector.errors import normalize_plaid_error, protocol_error, unreachable
from plaid_connector.wire import (
    AccountsAnswer,
    Done,
    Exchanged,
    HoldingsAnswer,
    ItemAnswer,
    LinkTokenCreated,
    LinkTokenStatus,
    PlaidError,
    Wire,
)

VERSION = "2020-09-14"
W = TypeVar("W", bound=Wire)
_ERROR = msgspec.json.Decoder(PlaidError)
_DECODERS: dict[type[Wire], "msgspec.json.Decoder[Any]"] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (
        AccountsAnswer,
        Done,
        Exchanged,
        HoldingsAnswer,
        ItemAnswer,
        LinkTokenCreated,
        LinkTokenStatus,
    )
}


def headers(client_id: str, secret: str) -> dict[str, str]:
    """The headers of every request. Headers rather than body members: bodies get logged."""
    return {"PLAID-CLIENT-ID": client_id, "PLAID-SECRET": secret, "Plaid-Version": VERSION}


class PlaidClient:
    """Plaid's endpoints. Every method raises only the errors of ``contracts.errors``."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def link_token_create(self, body: dict[str, Any]) -> LinkTokenCreated:
        """Make a link token, with a hosted page when ``hosted_link`` is in the body."""
        return await self._post("/link/token/create", body, LinkTokenCreated)

    async def link_token_get(self, link_token: str) -> LinkTokenStatus:
        """How the sessions of a link token stand."""
        return await self._post("/link/token/get", {"link_token": link_token}, LinkTokenStatus)

    async def exchange(self, public_token: str) -> Exchanged:
        """Turn a public token into an access token: works once, and starts billing."""
        return await self._post("/item/public_token/exchange", {"public_token": public_token}, Exchanged)

    async def item(self, access_token: str) -> ItemAnswer:
        """The Item, its error and when its data was last fetched; free."""
        return await self._post("/item/get", {"access_token": access_token}, ItemAnswer)

    async def remove(self, access_token: str) -> Done:
        """Remove the Item, which ends its billing."""
        return await self._post("/item/remove", {"access_token": access_token}, Done)

    async def accounts(self, access_token: str) -> AccountsAnswer:
        """Every account with cached balances; free."""
        return await self._post("/accounts/get", {"access_token": access_token}, AccountsAnswer)

    async def holdings(self, access_token: str) -> HoldingsAnswer:
        """Every holding of every investment account, in one answer."""
        return await self._post("/investments/holdings/get", {"access_token": access_token}, HoldingsAnswer)

    async def _post(self, path: str, body: dict[str, Any], kind: type[W]) -> W:
        try:
            response = await self._http.post(
                path,
                content=msgspec.json.encode(body),
                headers={"Content-Type": "application/json"},
                extensions={"operation": path},
            )
        except httpx.HTTPError as error:
            raise unreachable(path) from error
        if response.status_code != 200:
            raise _refusal(path, response)
        try:
            return _DECODERS[kind].decode(response.content)  # type: ignore[no-any-return]  # one decoder a type
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise protocol_error(path, response.status_code) from error


def _refusal(path: str, response: httpx.Response) -> Exception:
    try:
        error = _ERROR.decode(response.content)
    except (msgspec.DecodeError, RecursionError, ValueError):
        error = PlaidError()
    if not error.error_code and response.status_code not in {429, 500, 502, 503, 504}:
        return protocol_error(path, response.status_code, error.request_id)
    wait = response.headers.get("Retry-After", "")
    return normalize_plaid_error(error, response.status_code, int(wait) if wait.isdigit() else None)
