"""The internal API: who may call it, and what it answers."""

import asyncio

import httpx
import pytest

from connector_kit import breaker, orphan_table, priority
from connector_kit.background import Background
from connector_kit.internal_api import mount
from connector_kit.orphan_table import Finding
from connector_kit.priority import Priority
from connector_kit.testing import FakeConnection
from contracts.connectors import powers
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


async def test_who_hangs_up_during_an_exchange_does_not_end_it(
    client, engine, adapter, begun, background, monkeypatch
):
    await begun()
    exchanging, go_on, put = asyncio.Event(), asyncio.Event(), engine.secrets.put

    async def slow(*args: object) -> object:
        exchanging.set()
        await go_on.wait()
        return await put(*args)

    monkeypatch.setattr(engine.secrets, "put", slow)
    asking = asyncio.create_task(client.post("/links/s1/check", json={"user_id": "u1"}))
    async with asyncio.timeout(10):
        await exchanging.wait()
        asking.cancel()
        await asyncio.wait({asking})
        go_on.set()
        await background.drain()
    progress = await client.get("/links/s1", params={"user_id": "u1"})
    assert progress.json()["status"] == "completed"


async def test_a_link_is_begun_looked_at_and_finished(client, adapter, bus, background):
    begun = await client.post("/links", json=LINK)
    assert begun.status_code == 201
    assert begun.json()["url"] == "https://provider.invalid/link-s1"
    assert begun.headers["cache-control"] == "no-store"
    pending = await client.get("/links/s1", params={"user_id": "u1"})
    nothing = {"connection_ids": [], "reason": None, "duplicate_of": None}
    assert pending.json() == {"status": "pending", **nothing}
    session = adapter.sessions["link-s1"]
    session.brings, session.status = [FakeConnection("item-1", "token-1")], LinkStatus.COMPLETED
    checked = await client.post("/links/s1/check", json={"user_id": "u1"})
    assert checked.json()["status"] == "completed"
    assert len(checked.json()["connection_ids"]) == 1
    await background.drain()
    assert len(bus.of(HoldingsSnapshot)) == 1
    done = await client.get("/links/s1", params={"user_id": "u1"})
    assert done.json() == checked.json()


async def test_powers_are_read_off_the_adapter(client, adapter):
    told = (await client.get("/powers")).json()
    assert (told["provider"], told["powers"]) == ("fake", sorted(powers(adapter)))


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


async def test_operators_see_orphans_and_confirm_each_removal(client, engine, adapter):
    finding = Finding("user", "stranger", "stranger", None)
    await orphan_table.record(engine.database, "fake", [finding])
    (orphan,) = (await client.get("/orphans")).json()["orphans"]
    assert (orphan["kind"], orphan["user_id"]) == ("user", "stranger")
    url = f"/orphans/{orphan['orphan_id']}/remove"
    assert (await client.post(url, json={})).status_code == 422
    assert adapter.asked.count("forget") == 0
    removed = await client.post(url, json={"confirm": True})
    assert removed.json()["resolution"] == "removed"
    assert (await client.get("/orphans")).json()["orphans"] == []
    assert len((await client.get("/orphans", params={"resolved": True})).json()["orphans"]) == 1
    assert (await client.post("/orphans/none/remove", json={"confirm": True})).status_code == 404


async def test_operators_make_a_job_due(client):
    begun = await client.post("/jobs/orphans/run")
    assert (begun.status_code, [job["name"] for job in begun.json()["jobs"]]) == (202, ["orphans"])
    assert [job["name"] for job in (await client.get("/jobs")).json()["jobs"]] == ["orphans"]
    assert (await client.post("/jobs/nothing/run")).status_code == 404


async def test_an_open_breaker_is_shown_and_a_link_fails_at_once(client, engine, adapter):
    async with engine.database.transaction() as conn:
        for _ in range(breaker.FAILURES):
            await breaker.note(conn, "fake", "example", ErrorCode.INSTITUTION_UNAVAILABLE)
    (shown,) = (await client.get("/breakers")).json()["breakers"]
    assert (shown["institution"], shown["failures"]) == ("example", breaker.FAILURES)
    refused = await client.post("/links", json=LINK)
    assert refused.json()["error"]["code"] == "INSTITUTION_UNAVAILABLE"
    assert int(refused.headers["Retry-After"]) > 0
    assert adapter.asked.count("begin_link") == 0


async def test_what_a_request_asks_goes_first(client, adapter, monkeypatch):
    seen: list[Priority] = []

    async def enroll(_user_id: str) -> None:
        seen.append(priority.current())

    monkeypatch.setattr(adapter, "enroll", enroll)
    await client.post("/links", json=LINK)
    assert seen == [Priority.INTERACTIVE]
    assert priority.current() is Priority.BACKGROUND
