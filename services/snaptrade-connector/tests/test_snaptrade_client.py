"""The client: what it sends, what it makes of answers, and what it never shows."""

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest

from connector_kit.limits import Gate
from contracts.errors import ErrorCode, ProviderError, TransientError
from contracts.linking import UserAccess
from service_kit.http_client import DeadlineExceeded, ResponseTooLarge
from service_kit.metrics import Metrics
from snaptrade_connector import client as client_module
from snaptrade_connector.client import Calls, SnapTradeClient
from snaptrade_connector.signing import SnapTradeAuth

USER = UserAccess(external_user_id="jo+é@x/1?&=", secret="s3cret/+==")
JSON = {"Content-Type": "application/json", "X-Request-ID": "req-1"}


class Recorded:
    """A client whose provider is a function; keeps the requests."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.requests: list[httpx.Request] = []
        self.metrics = Metrics("test")

        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return answer(request)

        auth = SnapTradeAuth("CLIENT", "key", now=lambda: 1790000000)
        self.client = SnapTradeClient(
            httpx.MockTransport(handle), "https://api.example.test/api/v1/", auth, Calls(self.metrics)
        )


def answering(status: int = 200, content: bytes = b"{}", headers: dict[str, str] | None = None) -> Recorded:
    return Recorded(
        lambda _: httpx.Response(status, content=content, headers=JSON if headers is None else headers)
    )


async def test_the_user_is_named_in_the_query_with_every_reserved_character_escaped():
    recorded = answering(content=b"[]")
    assert await recorded.client.authorizations(USER) == []
    (request,) = recorded.requests
    assert request.url.raw_path == (
        b"/api/v1/authorizations?userId=jo%2B%C3%A9%40x%2F1%3F%26%3D&userSecret=s3cret%2F%2B%3D%3D"
        b"&clientId=CLIENT&timestamp=1790000000"
    )
    assert request.headers["Signature"]


async def test_nobody_is_named_with_a_personal_key():
    recorded = answering(content=b"[]")
    await recorded.client.authorizations(None)
    assert recorded.requests[0].url.raw_path == b"/api/v1/authorizations?clientId=CLIENT&timestamp=1790000000"


async def test_an_id_cannot_leave_its_place_in_the_path():
    recorded = answering(content=b"[]")
    await recorded.client.balances(None, "../authorizations?x=")
    assert recorded.requests[0].url.raw_path.startswith(
        b"/api/v1/accounts/..%2Fauthorizations%3Fx%3D/balances?"
    )


async def test_a_body_goes_out_as_json():
    recorded = answering(content=b'{"redirectURI":"https://p.test/x","sessionId":"s"}')
    portal = await recorded.client.login(USER, {"immediateRedirect": True})
    assert (portal.redirect_uri, portal.session_id) == ("https://p.test/x", "s")
    (request,) = recorded.requests
    assert json.loads(request.content) == {"immediateRedirect": True}
    assert request.headers["Content-Type"] == "application/json"


async def test_accounts_are_read_from_an_object_and_from_a_bare_array():
    for content in (b'{"results":[{"id":"a"}]}', b' [{"id":"a"}]'):
        (found,) = await answering(content=content).client.accounts(None)
        assert found.id == "a"


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"<html>", {"Content-Type": "text/html"}),
        (b"[]", {"Content-Type": "text/html"}),
        (b"[]", {}),
        (b"", JSON),
        (b"null", JSON),
        (b"{}", JSON),
        (b'{"results":null}', JSON),
        (b'{"results":[{"instrument":{"kind":"stock"},"units":1', JSON),
        (b'{"results":[{"units":"1"}]}', JSON),
        (b'{"results":[{"instrument":{},"units":1.5}]}', JSON),
        (b'{"results":' + b"[" * 200_000, JSON),
        (b'{"results":"\xff"}', JSON),
    ],
)
async def test_an_answer_that_cannot_be_understood_is_a_protocol_error(content, headers):
    recorded = answering(content=content, headers=headers)
    with pytest.raises(TransientError) as raised:
        await recorded.client.positions(USER, "a")
    assert raised.value.code is ErrorCode.PROVIDER_PROTOCOL
    assert raised.value.provider_request_id == headers.get("X-Request-ID")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("lost", "code"),
    [
        (DeadlineExceeded("u?userSecret=s3cret"), ErrorCode.TIMEOUT),
        (httpx.ConnectError("u?userSecret=s3cret"), ErrorCode.PROVIDER_UNAVAILABLE),
        (ResponseTooLarge("u?userSecret=s3cret"), ErrorCode.PROVIDER_PROTOCOL),
    ],
)
async def test_no_answer_is_an_error_without_the_url(lost, code):
    def fail(_: httpx.Request) -> httpx.Response:
        raise lost

    recorded = Recorded(fail)
    with pytest.raises(ProviderError) as raised:
        await recorded.client.positions(USER, "a")
    assert raised.value.code is code
    assert "s3cret" not in f"{raised.value!r} {raised.value}"


async def test_the_whole_call_has_a_deadline(monkeypatch):
    monkeypatch.setattr(client_module, "LIMITS", client_module.Limits(total=0.02))

    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(30)
        raise AssertionError

    auth = SnapTradeAuth("CLIENT", "key")
    client = SnapTradeClient(httpx.MockTransport(never), "https://x.test", auth, Calls(Metrics("t")))
    with pytest.raises(TransientError) as raised:
        await client.authorizations(None)
    assert raised.value.code is ErrorCode.TIMEOUT


async def test_calls_are_counted_by_template_and_result():
    recorded = answering(503, b"{}")
    with pytest.raises(TransientError):
        await recorded.client.positions(USER, "acc-1")
    labels = {
        "target": "snaptrade",
        "operation": "GET /accounts/{id}/positions/all",
        "result": "server_error",
    }
    assert recorded.metrics.value("onefolio_outbound_requests_total", **labels) == 1
    assert b"acc-1" not in recorded.metrics.render()
    assert b"s3cret" not in recorded.metrics.render()


async def test_nothing_that_is_logged_holds_the_secret(caplog, capsys):
    caplog.set_level("DEBUG")
    await answering(content=b"[]").client.authorizations(USER)
    with pytest.raises(ProviderError):
        await answering(401, b'{"detail":"s3cret","code":"1083"}').client.authorizations(USER)
    printed = capsys.readouterr()
    assert "s3cret" not in caplog.text + printed.out + printed.err
    assert "s3cret" not in repr(USER)


async def test_a_refresh_that_never_got_its_turn_was_surely_not_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client_module, "UNREPEATED_TURN", 0.05)
    recorded = answering()
    gate = Gate("snaptrade", side_by_side=1)
    auth = SnapTradeAuth("CLIENT", "key", now=lambda: 1790000000)
    transport = gate.transport(httpx.MockTransport(recorded.requests.append))
    client = SnapTradeClient(transport, "https://api.example.test", auth, Calls(Metrics("test")))
    async with gate.passing():
        with pytest.raises(TransientError) as caught:
            await client.refresh(USER, "auth-1")
    assert caught.value.code is ErrorCode.TIMEOUT
    assert recorded.requests == []
