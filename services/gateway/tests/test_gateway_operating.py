"""What connectors tell operators, through the gateway."""

from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from gateway.clients.connectors import http_connectors
from gateway.clients.operating import Breaker, Job, Orphan
from service_kit.api_errors import ApiError
from service_kit.metrics import Metrics

THEN = datetime(2026, 11, 21, 3, tzinfo=UTC)
ORPHAN = Orphan(
    orphan_id="9f1c2a7be0d34c55a8e6b7d1f2039c41", kind="user", user_id="u", external_user_id="u", external_id=None,
    found_at=THEN, seen_at=THEN, resolved_at=None, resolution=None,
)  # fmt: skip
BREAKER = Breaker(
    institution="*",
    failures=5,
    failed_at=THEN,
    open_until=THEN,
    probed_at=None,
    reason="PROVIDER_UNAVAILABLE",
)
JOB = Job(name="orphans", running=False, started_at=None, finished_at=None, next_at=THEN, result={"found": 1})


@pytest.fixture
def told(connectors):
    connectors.told = {"orphans": [ORPHAN], "breakers": [BREAKER], "jobs": [JOB]}
    return connectors


@pytest.fixture
def admin(api):
    return api.headers("root", admin=True)


@pytest.mark.parametrize("what", ["orphans", "breakers", "jobs"])
async def test_every_connector_is_asked_and_one_that_is_down_is_named(api, told, admin, what):
    shown = (await api.get(f"/v1/admin/{what}", headers=admin)).json()
    assert [item["provider"] for item in shown["items"]] == ["snaptrade"]
    assert shown["unavailable"] == []
    told.down = {"snaptrade"}
    assert (await api.get(f"/v1/admin/{what}", headers=admin)).json() == {
        "items": [],
        "unavailable": ["snaptrade"],
    }
    assert (await api.get(f"/v1/admin/{what}")).status_code == 403


async def test_an_orphan_is_removed_only_with_a_confirmation_and_noted(api, told, admin, written):
    path = f"/v1/admin/orphans/snaptrade/{ORPHAN.orphan_id}/remove"
    for body in (None, {}, {"confirm": False}):
        answer = await api.request("POST", path, headers=admin, **({} if body is None else {"json": body}))
        assert answer.status_code == 422
    assert told.asked == []
    removed = await api.request("POST", path, headers=admin, json={"confirm": True})
    assert (removed.status_code, removed.json()["orphan_id"]) == (200, ORPHAN.orphan_id)
    assert told.asked == [("remove", f"snaptrade:{ORPHAN.orphan_id}")]
    assert written.audit()[-1][:2] == ("root", "orphan.removed")


async def test_a_job_is_made_due(api, told, admin):
    answer = await api.request("POST", "/v1/admin/jobs/snaptrade/orphans/run", headers=admin)
    assert (answer.status_code, answer.json()["items"][0]["name"]) == (202, "orphans")
    assert told.asked == [("run", "snaptrade:orphans")]


@pytest.mark.parametrize("path", ["jobs/acme/orphans/run", "jobs/snaptrade/..%2Fx/run", "jobs/plaid/a.b/run"])
async def test_what_cannot_be_a_name_is_asked_of_nobody(api, told, admin, path):
    answer = await api.request("POST", f"/v1/admin/{path}", headers=admin)
    assert answer.status_code == 404
    assert told.asked == []


class TestTheClient:
    @pytest.fixture
    def asked(self):
        return []

    @pytest.fixture
    async def client(self, settings, clock, asked):
        answers = {
            "/internal/v1/orphans": {"provider": "snaptrade", "orphans": [ORPHAN]},
            f"/internal/v1/orphans/{ORPHAN.orphan_id}/remove": ORPHAN,
            "/internal/v1/breakers": {"provider": "snaptrade", "breakers": [BREAKER], "new": 1},
            "/internal/v1/jobs": {"provider": "snaptrade", "jobs": [JOB]},
            "/internal/v1/jobs/orphans/run": {"provider": "snaptrade", "jobs": [JOB]},
        }

        def answer(request):
            asked.append(
                (request.method, request.url.path, request.url.query.decode(), request.content.decode())
            )
            if request.url.path not in answers:
                return httpx.Response(404, json={"error": {"code": "NOT_FOUND", "message": "no"}})
            return httpx.Response(200, content=msgspec.json.encode(answers[request.url.path]))

        urls = settings.connectors
        made = http_connectors(settings, urls, Metrics("gateway"), clock, httpx.MockTransport(answer))
        yield made
        await made.aclose()

    async def test_it_asks_as_connectors_want_to_be_asked(self, client, asked):
        assert await client.orphans("snaptrade", resolved=True) == [ORPHAN]
        assert await client.remove_orphan("snaptrade", ORPHAN.orphan_id) == ORPHAN
        assert await client.breakers("snaptrade") == [BREAKER]
        assert await client.jobs("snaptrade") == [JOB]
        assert await client.run_job("snaptrade", "orphans") == [JOB]
        assert asked == [
            ("GET", "/internal/v1/orphans", "resolved=true", ""),
            ("POST", f"/internal/v1/orphans/{ORPHAN.orphan_id}/remove", "", '{"confirm":true}'),
            ("GET", "/internal/v1/breakers", "", ""),
            ("GET", "/internal/v1/jobs", "", ""),
            ("POST", "/internal/v1/jobs/orphans/run", "", ""),
        ]

    async def test_what_a_connector_does_not_know_is_passed_on(self, client):
        with pytest.raises(ApiError) as caught:
            await client.run_job("snaptrade", "nothing")
        assert caught.value.status == 404
