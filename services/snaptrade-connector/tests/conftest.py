"""The provider sandbox on free ports, a client to its SnapTrade face, and the person at the portal."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from connector_kit.limits import Gate
from contracts.linking import LinkRequest
from provider_sandbox.running import RunningSandbox
from provider_sandbox.settings import Settings
from service_kit.metrics import Metrics
from snaptrade_connector.adapter import KeyType, SnapTradeConnector
from snaptrade_connector.client import Rates, connect
from snaptrade_connector.signing import SnapTradeAuth

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("ONEFOLIO_SHARED", ROOT.parent / "shared"))
COMMERCIAL = ("ACME-TEST", "a commercial consumer key")
PERSONAL = ("PERS-TEST", "a personal consumer key")
RETURN_TO = "https://app.example.test/linked"


class Sandbox:
    """The running sandbox and everything a test does to it."""

    def __init__(self, running: RunningSandbox, control: httpx.AsyncClient) -> None:
        self.running = running
        self.base = running.urls.snaptrade
        self._control = control

    def connector(
        self,
        key_type: KeyType = "commercial",
        base: str = "",
        key: tuple[str, str] | None = None,
        page: int = 1000,
    ) -> SnapTradeConnector:
        client_id, consumer_key = key or (PERSONAL if key_type == "personal" else COMMERCIAL)
        auth = SnapTradeAuth(client_id, consumer_key)
        client = connect(base or self.base, auth, Metrics("test"), Gate("snaptrade"), Rates(customer=0))
        return SnapTradeConnector(client, key_type, page=page)

    async def at_the_portal(self, url: str, **form: str) -> httpx.Response:
        """Play the person at the portal page."""
        token = parse_qs(urlsplit(url).query)["token"][0]
        fields = {"token": token, "username": "demo", "scenario": "success", "action": "finish"} | form
        async with httpx.AsyncClient(trust_env=False) as browser:
            return await browser.post(url, data=fields)

    async def control(self, method: str, path: str, **body: Any) -> Any:
        answer = await self._control.request(method, f"/_control{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def fault(self, endpoint: str, kind: str, **more: Any) -> None:
        await self.control("POST", "/faults", provider="snaptrade", endpoint=endpoint, kind=kind, **more)


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[RunningSandbox]:
    settings = Settings(
        snaptrade_client_id=COMMERCIAL[0],
        snaptrade_consumer_key=COMMERCIAL[1],
        snaptrade_personal_client_id=PERSONAL[0],
        snaptrade_personal_consumer_key=PERSONAL[1],
        snaptrade_rate_limit=100_000,
        plaid_client_id="unused",
        plaid_secret="unused",
    )
    with RunningSandbox(settings) as running:
        yield running


@pytest.fixture
async def sandbox(running_sandbox: RunningSandbox) -> AsyncIterator[Sandbox]:
    """The sandbox as new: no users, no faults."""
    async with httpx.AsyncClient(base_url=running_sandbox.urls.control, trust_env=False) as control:
        yours = Sandbox(running_sandbox, control)
        await yours.control("POST", "/reset")
        yield yours


@pytest.fixture
async def commercial(sandbox: Sandbox) -> AsyncIterator[SnapTradeConnector]:
    connector = sandbox.connector()
    yield connector
    await connector.aclose()


@pytest.fixture
async def personal(sandbox: Sandbox) -> AsyncIterator[SnapTradeConnector]:
    connector = sandbox.connector("personal")
    yield connector
    await connector.aclose()


def link_request(**changes: Any) -> LinkRequest:
    """A link of Schwab that may trade."""
    values: dict[str, Any] = {
        "link_session_id": "session-1",
        "user_id": "u-42",
        "institution": "charles-schwab",
        "institution_ref": "SCHWAB",
        "need_trading": False,
        "allow_trading": True,
        "redirect_uri": RETURN_TO,
    }
    return LinkRequest(**values | changes)


def shared(name: str) -> Path:
    """A file of the reference, or a skip that says where it was looked for."""
    path = SHARED / "providers" / name
    if not path.exists():
        pytest.skip(f"the provider reference is not at {SHARED} (set ONEFOLIO_SHARED)")
    return path
