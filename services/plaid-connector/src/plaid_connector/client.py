"""Plaid over HTTP: one method per endpoint, wire types in and out, nothing decided here."""

from typing import Any, TypeVar

import httpx
import msgspec

from connector_kit.limits import TURN_WITHIN, seconds
from contracts.errors import ErrorCode, ProviderError
from plaid_connector import limits
from plaid_connector.errors import normalize_plaid_error, protocol_error, unanswered, unknown, unreachable
from plaid_connector.wire import (
    AccountsAnswer,
    Done,
    Exchanged,
    HoldingsAnswer,
    InvestmentTransactionsAnswer,
    ItemAnswer,
    LinkTokenCreated,
    LinkTokenStatus,
    PlaidError,
    SyncAnswer,
    Wire,
)

VERSION = "2020-09-14"
REFRESH = "/investments/refresh"
REFRESH_READ = 85.0
"""Plaid asks the institution before it answers: usually ten seconds, sometimes more than thirty."""
REFRESH_TURN = 30.0
"""Seconds in which a refresh must get its turn; after that it is not sent, and costs nothing."""
FIRST_READ = 170.0
"""The first call for an Item's investment transactions can block for two minutes."""
W = TypeVar("W", bound=Wire)
_ERROR = msgspec.json.Decoder(PlaidError)
_DECODERS: dict[type[Wire], "msgspec.json.Decoder[Any]"] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (
        AccountsAnswer,
        Done,
        Exchanged,
        HoldingsAnswer,
        InvestmentTransactionsAnswer,
        ItemAnswer,
        LinkTokenCreated,
        LinkTokenStatus,
        SyncAnswer,
    )
}


def headers(client_id: str, secret: str) -> dict[str, str]:
    """The headers of every request. Headers rather than body members: bodies get logged."""
    return {"PLAID-CLIENT-ID": client_id, "PLAID-SECRET": secret, "Plaid-Version": VERSION}


class PlaidClient:
    """Plaid's endpoints. Every method raises only the errors of ``contracts.errors``.

    ``rates`` are the limits its calls are counted against.
    """

    def __init__(self, http: httpx.AsyncClient, rates: limits.Table = limits.PRODUCTION) -> None:
        self._http = http
        self._rates = rates

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

    async def investments_transactions(
        self,
        access_token: str,
        start: str,
        end: str,
        *,
        count: int,
        offset: int,
        account_ids: list[str] | None = None,
    ) -> InvestmentTransactionsAnswer:
        """A page of the investment transactions of some days, newest first.

        The first call adds a paid subscription to the Item.
        """
        options: dict[str, Any] = {"count": count, "offset": offset}
        if account_ids is not None:
            options["account_ids"] = account_ids
        body = {"access_token": access_token, "start_date": start, "end_date": end, "options": options}
        path = "/investments/transactions/get"
        return await self._post(path, body, InvestmentTransactionsAnswer, read=FIRST_READ)

    async def transactions_sync(self, access_token: str, cursor: str | None, count: int) -> SyncAnswer:
        """A page of what changed in the bank accounts since a cursor; ``None``: from the beginning."""
        body: dict[str, Any] = {"access_token": access_token, "count": count}
        if cursor:
            body["cursor"] = cursor
        return await self._post("/transactions/sync", body, SyncAnswer)

    async def refresh(self, access_token: str) -> None:
        """Have Plaid ask the institution now; each success is charged, so it is never repeated here.

        Raises:
            OutcomeUnknownError: no answer came, or one that is not Plaid's.
        """
        try:
            response = await self._send(REFRESH, {"access_token": access_token}, REFRESH_READ, REFRESH_TURN)
        except httpx.HTTPError as error:
            raise unanswered(REFRESH, error) from error
        if response.status_code == 200:
            return
        refusal = _refusal(REFRESH, response)
        if refusal.provider_code is None and _may_have_acted(response.status_code):
            raise unknown(REFRESH, ErrorCode.PROVIDER_UNAVAILABLE, response.status_code) from refusal
        raise refusal

    async def _post(self, path: str, body: dict[str, Any], kind: type[W], *, read: float | None = None) -> W:
        try:
            response = await self._send(path, body, read)
        except httpx.HTTPError as error:
            raise unreachable(path) from error
        if response.status_code != 200:
            raise _refusal(path, response)
        try:
            return _DECODERS[kind].decode(response.content)  # type: ignore[no-any-return]  # one decoder a type
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise protocol_error(path, response.status_code) from error

    async def _send(
        self, path: str, body: dict[str, Any], read: float | None, turn: float | None = None
    ) -> httpx.Response:
        bound = self._http.timeout
        return await self._http.post(
            path,
            content=msgspec.json.encode(body),
            headers={"Content-Type": "application/json"},
            timeout=bound if read is None else httpx.Timeout(read, connect=bound.connect, pool=bound.pool),
            extensions={
                "operation": path,
                "limits": limits.keys(self._rates, path, body.get("access_token")),
                TURN_WITHIN: turn,
            },
        )


def _refusal(path: str, response: httpx.Response) -> ProviderError:
    try:
        error = _ERROR.decode(response.content)
    except (msgspec.DecodeError, RecursionError, ValueError):
        error = PlaidError()
    if not error.error_code and response.status_code not in {429, 500, 502, 503, 504}:
        return protocol_error(path, response.status_code, error.request_id)
    return normalize_plaid_error(error, response.status_code, seconds(response.headers.get("Retry-After")))


def _may_have_acted(status: int) -> bool:
    """Whether an answer that is not Plaid's own leaves open if the request was carried out."""
    return status < 300 or status == 408 or status >= 500
