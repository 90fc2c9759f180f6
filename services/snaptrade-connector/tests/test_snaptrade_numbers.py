"""The golden cases through the real adapter: SnapTrade's answers over HTTP, holdings in our terms."""

from typing import Any

import httpx
import pytest

from connector_kit.golden import body
from connector_kit.golden.suite import NumbersConformance, Reader
from contracts.connectors import AccountRead
from contracts.linking import ConnectionAccess
from service_kit.metrics import Metrics
from snaptrade_connector.adapter import SnapTradeConnector
from snaptrade_connector.client import Calls, SnapTradeClient
from snaptrade_connector.signing import SnapTradeAuth

ACCESS = ConnectionAccess(user_id="u", external_id="c", user=None, secret=None)
READ = "2026-11-21T05:10:42Z"


def answers(parts: dict[str, Any]) -> dict[str, bytes]:
    """The answers SnapTrade would give for one account with these parts."""
    account = {
        "kind": "investment",
        "id": "a",
        "connection_id": "c",
        "display_name": "Account",
        "masked_account_number": "****7731",
        "sync_status": {"positions": READ, "balances": READ},
        "is_paper": False,
        "net_value": None,
    } | parts.get("account", {})
    return {
        "/authorizations": body([{"id": "c", "type": "read", "disabled": False}]),
        "/accounts/all": body({"results": [account]}),
        "/accounts/a/balances": body(parts.get("balances", [])),
        "/accounts/a/positions/all": body({"results": parts["positions"], "data_freshness": {"as_of": READ}}),
    }


async def read(parts: dict[str, Any]) -> AccountRead:
    given = answers(parts)

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, content=given[request.url.path], headers={"Content-Type": "application/json"}
        )

    auth, calls = SnapTradeAuth("client", "key"), Calls(Metrics("test"))
    client = SnapTradeClient(httpx.MockTransport(answer), "https://snaptrade.test", auth, calls)
    adapter = SnapTradeConnector(client, "personal")
    try:
        state = await adapter.state(ACCESS)
        accounts = await adapter.accounts(ACCESS, state)
        (found,) = [one async for one in adapter.holdings(ACCESS, state, accounts)]
    finally:
        await adapter.aclose()
    return found


class TestNumbers(NumbersConformance):
    provider = "snaptrade"

    @pytest.fixture
    def read(self) -> Reader:
        return read
