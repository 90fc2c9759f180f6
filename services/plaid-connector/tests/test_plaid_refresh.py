"""A refresh costs money: it is asked for once, and nobody claims to know what nobody knows."""

from collections.abc import Callable

import httpx
import pytest

from connector_kit.limits import Gate
from contracts.connectors import Refreshes
from contracts.errors import ErrorCode, GoneError, OutcomeUnknownError, RefusedError, TransientError
from contracts.linking import ConnectionAccess
from plaid_connector.adapter import PlaidAdapter
from plaid_connector.client import PlaidClient
from plaid_connector.limits import PRODUCTION, SANDBOX, keys, table

ACCESS = ConnectionAccess(user_id="u", external_id="item", user=None, secret="access-sandbox-x")


def adapter(answer: Callable[[httpx.Request], httpx.Response]) -> tuple[PlaidAdapter, list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def noted(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answer(request)

    http = httpx.AsyncClient(transport=httpx.MockTransport(noted), base_url="https://plaid.test")
    made = PlaidAdapter(PlaidClient(http), settings=None)
    assert isinstance(made, Refreshes)
    return made, seen


def error(code: str, kind: str = "ITEM_ERROR", status: int = 400) -> httpx.Response:
    return httpx.Response(status, json={"error_type": kind, "error_code": code, "request_id": "r"})


def failing(kind: type[httpx.HTTPError]) -> Callable[[httpx.Request], httpx.Response]:
    def fail(request: httpx.Request) -> httpx.Response:
        raise kind("canary", request=request)

    return fail


@pytest.mark.parametrize("body", [b'{"request_id": "r"}', b"", b"<html>"])
async def test_a_success_is_one_whatever_its_body(body: bytes):
    plaid, seen = adapter(lambda _: httpx.Response(200, content=body))
    await plaid.refresh(ACCESS)
    assert [request.url.path for request in seen] == ["/investments/refresh"]
    assert seen[0].extensions["timeout"]["read"] >= 60


@pytest.mark.parametrize(
    "kind",
    [httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError, httpx.WriteTimeout],
)
async def test_no_answer_is_an_unknown_outcome_and_nothing_is_repeated(kind: type[httpx.HTTPError]):
    plaid, seen = adapter(failing(kind))
    with pytest.raises(OutcomeUnknownError) as caught:
        await plaid.refresh(ACCESS)
    assert "canary" not in str(caught.value)
    assert len(seen) == 1


@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
async def test_what_was_never_sent_is_no_unknown_outcome(kind: type[httpx.HTTPError]):
    with pytest.raises(TransientError):
        await adapter(failing(kind))[0].refresh(ACCESS)


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_gateways_page_says_nothing_about_what_plaid_did(status: int):
    with pytest.raises(OutcomeUnknownError) as caught:
        await adapter(lambda _: httpx.Response(status, content=b"<html>"))[0].refresh(ACCESS)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (error("PRODUCTS_NOT_SUPPORTED"), RefusedError, ErrorCode.NOT_SUPPORTED),
        (error("PRODUCT_NOT_SUPPORTED"), RefusedError, ErrorCode.NOT_SUPPORTED),
        (error("PRODUCT_NOT_READY"), TransientError, ErrorCode.DATA_NOT_READY),
        (error("ITEM_NOT_FOUND"), GoneError, ErrorCode.CONNECTION_GONE),
        (error("RATE_LIMIT", "RATE_LIMIT_EXCEEDED", 429), TransientError, ErrorCode.RATE_LIMITED),
        (error("INTERNAL_SERVER_ERROR", "API_ERROR", 500), TransientError, ErrorCode.PROVIDER_UNAVAILABLE),
    ],
)
async def test_plaids_own_refusal_costs_nothing_and_says_why(answer, kind, code):
    with pytest.raises(kind) as caught:
        await adapter(lambda _: answer)[0].refresh(ACCESS)
    assert caught.value.code is code


async def test_a_call_names_the_limits_it_counts_against_and_no_token():
    plaid, seen = adapter(lambda _: httpx.Response(200, json={"request_id": "r"}))
    await plaid.refresh(ACCESS)
    found = {key.name: (key.limit, key.per) for key in seen[0].extensions["limits"]}
    assert sorted(found.values()) == [(1, 60.0), (100, 60.0)]
    assert "client/investments/refresh" in found
    assert not any("access-" in name for name in found)


def test_two_items_share_the_clients_limit_and_have_their_own():
    first, second = (set(keys(PRODUCTION, "/item/get", token)) for token in ("access-1", "access-2"))
    assert len(first & second) == 1
    assert len(first | second) == 3
    assert keys(PRODUCTION, "/link/token/create", None) == ()
    assert len(keys(PRODUCTION, "/institutions/get", None)) == 1


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://production.plaid.com", PRODUCTION),
        ("https://sandbox.plaid.com", SANDBOX),
        ("http://127.0.0.1:8000", SANDBOX),
        ("http://localhost:1", SANDBOX),
        ("https://plaid.proxy.example", PRODUCTION),
        ("nonsense", PRODUCTION),
    ],
)
def test_the_limits_are_those_of_where_plaid_is_asked(url, expected):
    assert table(url) is expected


def test_no_limit_of_plaids_sandbox_is_below_a_call_a_minute():
    for rates in (PRODUCTION, SANDBOX):
        assert all(one.client >= 1 and (one.item is None or one.item >= 1) for one in rates.values())


@pytest.mark.parametrize("status", [202, 204, 408])
async def test_an_answer_that_is_not_plaids_own_leaves_open_whether_it_was_taken(status: int):
    plaid, _ = adapter(lambda _: httpx.Response(status))
    with pytest.raises(OutcomeUnknownError):
        await plaid.refresh(ACCESS)


async def test_a_wait_that_is_no_plain_number_breaks_nothing():
    answer = httpx.Response(429, headers=[(b"Retry-After", b"\xb2")])
    plaid, _ = adapter(lambda _: answer)
    with pytest.raises(TransientError) as caught:
        await plaid.refresh(ACCESS)
    assert caught.value.wait is None


async def test_a_refresh_that_got_no_turn_in_time_was_surely_not_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("plaid_connector.client.REFRESH_TURN", 0.05)
    gate = Gate("plaid", side_by_side=1)
    transport = gate.transport(httpx.MockTransport(lambda _: httpx.Response(200)))
    plaid = PlaidAdapter(
        PlaidClient(httpx.AsyncClient(transport=transport, base_url="https://p.test")), settings=None
    )
    async with gate.passing():
        with pytest.raises(TransientError):
            await plaid.refresh(ACCESS)
