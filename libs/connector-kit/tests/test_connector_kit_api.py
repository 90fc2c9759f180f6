"""The internal API: who may call it, and what it answers."""

import httpx
import pytest

from connector_kit.background import Background
from connector_kit.internal_api import mount
from connector_kit.testing import FakeConnection
from contracts.errors import ErrorCode, TransientError
from contracts.holdings import HoldingsSnapshot
from contracts.statuses import LinkStatus
from persistence.database import DatabaseUnavailable
from service_kit.auth import ServiceAuth
from service_kit.health import Health
from service_kit.metrics import Metrics
from service_kit.web import create_app

LINK = {
    "link_session_id": "s1",
    "user_id": "u1",
    "institution": "example",
    "institution_ref": "ins_1",
    "need_trading": False,
    "allow_trading": False,
    "redirect_uri": None,
}


@pytest.fixture
def background() -> Background:
    return Background()


@pytest.fixture
async def client(engine, background):
    app = create_app("fake", engine.settings, Health(), Metrics("fake"))
    mount(app, engine, background)
    auth = ServiceAuth(engine.settings.service_auth_secret, issuer="gateway", audience="fake-connector")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://kit/internal/v1", auth=auth) as made:
        yield made
    await background.drain()


async def test_a_link_is_begun_looked_at_and_finished(client, adapter, bus, background):
    begun = await client.post("/links", json=LINK)
    assert begun.status_code == 201
    assert begun.json()["url"] == "https://provider.invalid/link-s1"
    assert begun.headers["cache-control"] == "no-store"
    pending = await client.get("/links/s1", params={"user_id": "u1"})
    assert pending.json() == {"status": "pending", "connection_ids": [], "reason": None}
    session = adapter.sessions["link-s1"]
    session.brings, session.status = [FakeConnection("item-1", "token-1")], LinkStatus.COMPLETED
    checked = await client.post("/links/s1/check", json={"user_id": "u1"})
    assert checked.json()["status"] == "completed"
    assert len(checked.json()["connection_ids"]) == 1
    await background.drain()
    assert len(bus.of(HoldingsSnapshot)) == 1
    done = await client.get("/links/s1", params={"user_id": "u1"})
    assert done.json() == checked.json()


async def test_powers_are_read_off_the_adapter(client):
    assert (await client.get("/powers")).json() == {
        "provider": "fake",
        "powers": ["accounts", "holdings", "webhooks"],
    }


@pytest.mark.parametrize(
    ("issuer", "audience"), [("webhooks", "fake-connector"), ("gateway", "other-connector")]
)
async def test_others_may_not_call(client, engine, issuer, audience):
    wrong = ServiceAuth(engine.settings.service_auth_secret, issuer=issuer, audience=audience)
    answer = await client.get("/powers", auth=wrong)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/powers"), ("POST", "/links"), ("GET", "/links/s1"), ("POST", "/links/s1/check")],
)
async def test_nobody_may_call_without_a_token(client, method, path):
    answer = await client.request(method, path, auth=None, json={}, params={"user_id": "u1"})
    assert answer.status_code == 401


async def test_a_foreign_session_is_as_unknown_as_any(client):
    await client.post("/links", json=LINK)
    answers = [
        await client.get("/links/s1", params={"user_id": "mallory"}),
        await client.post("/links/s1/check", json={"user_id": "mallory"}),
        await client.get("/links/nothing", params={"user_id": "mallory"}),
        await client.post("/links", json=LINK | {"user_id": "mallory"}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("sent", [b"", b"{}", b"not json", b'{"user_id": 5}', b"[" * 5000])
async def test_a_body_that_is_no_request_is_refused_without_repeating_it(client, sent):
    answer = await client.post("/links", content=sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_FAILED")
    assert b"not json" not in answer.content


async def test_a_providers_error_carries_its_words_for_support(client, adapter):
    adapter.failures["begin_link"] = [
        TransientError(
            "The provider is failing.",
            code=ErrorCode.RATE_LIMITED,
            provider="fake",
            provider_code="SLOW_DOWN",
            provider_request_id="req-1",
            status=429,
        ).waiting(7.2)
    ]
    answer = await client.post("/links", json=LINK)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "7"
    error = answer.json()["error"]
    assert (error["code"], error["message"]) == ("RATE_LIMITED", "The provider is failing.")
    assert error["details"] == {
        "provider": "fake",
        "provider_code": "SLOW_DOWN",
        "provider_request_id": "req-1",
    }


async def test_a_database_that_is_away_is_503(client, monkeypatch):
    async def away(*_args: object) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr("connector_kit.internal_api.links.progress", away)
    answer = await client.get("/links/s1", params={"user_id": "u1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert answer.headers["retry-after"]
