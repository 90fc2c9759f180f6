"""The client of the connectors, against answers as they come and as they must not."""

from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from contracts.errors import MEANING, ErrorCode
from contracts.linking import LinkProgress, LinkRequest
from contracts.statuses import LinkStatus
from gateway.clients.connectors import http_connectors
from service_kit.api_errors import ApiError
from service_kit.auth import verify_service_token
from service_kit.metrics import Metrics

REQUEST = LinkRequest(
    link_session_id="session-1",
    user_id="alice/ö&x=1",
    institution="chase",
    institution_ref="ins_56",
    need_trading=False,
    allow_trading=False,
    redirect_uri=None,
)


class Connector:
    """Answers with what it is given, and remembers what it was asked."""

    def __init__(self):
        self.asked = []
        self.answer = httpx.Response(200, json={"status": "pending", "connection_ids": []})

    def __call__(self, request):
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def connector():
    return Connector()


@pytest.fixture
async def client(settings, clock, connector):
    made = http_connectors(
        settings, settings.connectors, Metrics("gateway"), clock, httpx.MockTransport(connector)
    )
    yield made
    await made.aclose()


def refusing(status, code, details=None, headers=None):
    error = {"code": code, "message": "What the connector says.", "requestId": "r"}
    body = {"error": error | ({"details": details} if details else {})}
    return httpx.Response(status, json=body, headers=headers)


async def refused(call):
    with pytest.raises(ApiError) as caught:
        await call
    return caught.value


async def test_a_link_is_begun_with_the_contracts_record_and_a_token_for_that_connector(
    client, connector, settings, clock
):
    connector.answer = httpx.Response(
        201, json={"url": "https://x.example/", "expires_at": "2026-11-21T15:00:00Z", "link_token": None}
    )
    start = await client.begin("plaid", REQUEST)
    assert start.expires_at == datetime(2026, 11, 21, 15, tzinfo=UTC)
    [asked] = connector.asked
    assert (asked.method, str(asked.url)) == ("POST", "http://plaid.test/internal/v1/links")
    assert msgspec.json.decode(asked.content, type=LinkRequest) == REQUEST
    assert asked.headers["traceparent"]
    proved = verify_service_token(
        asked.headers["authorization"].removeprefix("Bearer "),
        settings.service_auth_secret,
        audience="plaid-connector",
        allowed_callers={"gateway"},
        now=clock.now(),
    )
    assert proved.name == "gateway"


async def test_progress_and_check_name_the_user(client, connector):
    connector.answer = httpx.Response(200, json={"status": "completed", "connection_ids": ["c1"], "new": 1})
    for call in (client.progress, client.check):
        assert await call("snaptrade", "session-1", REQUEST.user_id) == LinkProgress(
            status=LinkStatus.COMPLETED, connection_ids=["c1"]
        )
    progress, check = connector.asked
    assert progress.url.path == "/internal/v1/links/session-1"
    assert progress.url.params["user_id"] == REQUEST.user_id
    assert (check.method, check.url.path) == ("POST", "/internal/v1/links/session-1/check")
    assert msgspec.json.decode(check.content) == {"user_id": REQUEST.user_id}


async def test_a_session_the_connector_does_not_know_is_none(client, connector):
    connector.answer = refusing(404, "NOT_FOUND")
    assert await client.progress("plaid", "s", "u") is None
    assert await client.check("plaid", "s", "u") is None


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.SNAPTRADE_NOT_REGISTERED,
        ErrorCode.SNAPTRADE_USER_MISMATCH,
        ErrorCode.SIGNATURE_INVALID,
        ErrorCode.RATE_LIMITED,
        ErrorCode.CONNECTION_GONE,
        ErrorCode.PROVIDER_REFUSED,
        ErrorCode.PROVIDER_CREDENTIALS_INVALID,
        ErrorCode.INSTITUTION_UNAVAILABLE,
    ],
)
async def test_a_providers_error_keeps_its_code_and_the_providers_request_id(client, connector, code):
    details = {"provider_request_id": "req-9", "provider_code": "1076", "stack": "canary"}
    connector.answer = refusing(MEANING[code].status, code, details, {"Retry-After": "7"})
    error = await refused(client.begin("snaptrade", REQUEST))
    assert (error.code, error.status) == (code, MEANING[code].status)
    assert error.details == {"provider": "snaptrade", "provider_request_id": "req-9", "provider_code": "1076"}
    assert error.headers == {"Retry-After": "7"}


@pytest.mark.parametrize(
    "answer",
    [
        refusing(401, "UNAUTHENTICATED"),
        refusing(500, "INTERNAL"),
        refusing(422, "VALIDATION_FAILED"),
        refusing(503, "UNAVAILABLE"),
        refusing(400, "SOMETHING_NEW"),
        httpx.Response(502, text="<html>canary</html>"),
        httpx.Response(500, json=["canary"]),
        httpx.Response(500, json={"error": "canary"}),
        httpx.Response(302, headers={"Location": "https://evil.example"}),
        httpx.Response(200, text="canary"),
        httpx.Response(200, json={"url": 7, "expires_at": "canary"}),
        httpx.Response(200, json={}),
        httpx.ConnectError("canary"),
        httpx.ReadTimeout("canary"),
        httpx.RemoteProtocolError("canary"),
    ],
)
async def test_anything_else_means_the_provider_is_out_of_reach(client, connector, answer):
    connector.answer = answer
    error = await refused(client.begin("plaid", REQUEST))
    assert (error.code, error.status) == ("PROVIDER_UNAVAILABLE", 503)
    assert "canary" not in f"{error.message} {error.details}"
    assert error.headers == {"Retry-After": "5"}


@pytest.mark.parametrize("given", [{}, {"Retry-After": "soon"}])
@pytest.mark.parametrize(
    ("code", "wait"),
    [
        (ErrorCode.RATE_LIMITED, {"Retry-After": "30"}),
        (ErrorCode.PROVIDER_UNAVAILABLE, {"Retry-After": "5"}),
        (ErrorCode.INSTITUTION_UNAVAILABLE, {"Retry-After": "5"}),
        (ErrorCode.PROVIDER_REFUSED, None),
    ],
)
async def test_what_may_be_tried_again_says_when_even_if_the_provider_does_not(
    client, connector, code, wait, given
):
    connector.answer = refusing(MEANING[code].status, code, {}, given)
    assert (await refused(client.begin("snaptrade", REQUEST))).headers == wait


async def test_a_provider_without_a_connector_is_disabled(client, connector):
    error = await refused(client.begin("acme", REQUEST))
    assert (error.code, connector.asked) == ("PROVIDER_DISABLED", [])
