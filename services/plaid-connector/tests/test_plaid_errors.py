"""Every way Plaid can fail becomes an error that says what to do next."""

from collections.abc import Callable

import httpx
import pytest

from contracts.errors import (
    ErrorCode,
    GoneError,
    ProviderError,
    RefusedError,
    RepairNeededError,
    TransientError,
)
from plaid_connector.client import PlaidClient, headers


def client(answer: Callable[[httpx.Request], httpx.Response]) -> PlaidClient:
    return PlaidClient(
        httpx.AsyncClient(
            base_url="https://plaid.example.test",
            transport=httpx.MockTransport(answer),
            headers=headers("id", "key"),
        )
    )


def refusal(status: int, kind: str, code: str) -> httpx.Response:
    body = {"error_type": kind, "error_code": code, "error_message": "canary", "request_id": "r-1"}
    return httpx.Response(status, json=body)


@pytest.mark.parametrize(
    ("status", "kind", "code", "error", "ours"),
    [
        (400, "ITEM_ERROR", "ITEM_LOGIN_REQUIRED", RepairNeededError, ErrorCode.CONNECTION_BROKEN),
        (400, "ITEM_ERROR", "ITEM_NOT_FOUND", GoneError, ErrorCode.CONNECTION_GONE),
        (400, "ITEM_ERROR", "NO_INVESTMENT_ACCOUNTS", RepairNeededError, ErrorCode.NO_INVESTMENT_ACCOUNTS),
        (400, "ITEM_ERROR", "PRODUCT_NOT_READY", TransientError, ErrorCode.DATA_NOT_READY),
        (400, "ITEM_ERROR", "A_CODE_OF_NEXT_YEAR", RefusedError, ErrorCode.PROVIDER_REFUSED),
        (400, "INVALID_INPUT", "INVALID_API_KEYS", RefusedError, ErrorCode.PROVIDER_CREDENTIALS_INVALID),
        (400, "INSTITUTION_ERROR", "INSTITUTION_DOWN", TransientError, ErrorCode.INSTITUTION_UNAVAILABLE),
        (429, "RATE_LIMIT_EXCEEDED", "INVESTMENT_HOLDINGS_GET_LIMIT", TransientError, ErrorCode.RATE_LIMITED),
        (500, "API_ERROR", "INTERNAL_SERVER_ERROR", TransientError, ErrorCode.PROVIDER_UNAVAILABLE),
        (503, "", "", TransientError, ErrorCode.PROVIDER_UNAVAILABLE),
    ],
)
async def test_an_error_says_what_to_do_and_keeps_the_providers_request_id(
    status: int, kind: str, code: str, error: type[ProviderError], ours: ErrorCode
) -> None:
    plaid = client(lambda _: refusal(status, kind, code))
    with pytest.raises(error) as caught:
        await plaid.item("access-sandbox-canary")
    assert caught.value.code is ours
    assert caught.value.provider_request_id == "r-1"
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>bad gateway</html>",
        b"",
        b"{",
        b'{"accounts":[]}',
        b'{"accounts":[],"holdings":null,"securities":[],"item":{"item_id":"i"}}',
        b'{"accounts":' + b"[" * 200_000,
        (
            b'{"accounts":[],"holdings":[{"account_id":"a","security_id":"s","quantity":"ten"}],"securities":[],'
            b'"item":{"item_id":"i"}}'
        ),
    ],
)
async def test_an_answer_that_cannot_be_understood_is_an_error_and_never_an_empty_list(body: bytes) -> None:
    plaid = client(lambda _: httpx.Response(200, content=body))
    with pytest.raises(TransientError) as caught:
        await plaid.holdings("t")
    assert caught.value.code is ErrorCode.PROVIDER_PROTOCOL


async def test_a_provider_that_does_not_answer_may_be_asked_again() -> None:
    def silence(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow", request=request)

    with pytest.raises(TransientError) as caught:
        await client(silence).accounts("t")
    assert caught.value.code is ErrorCode.PROVIDER_UNAVAILABLE


async def test_the_providers_own_advice_on_when_to_return_is_kept() -> None:
    plaid = client(lambda _: httpx.Response(429, json={}, headers={"Retry-After": "7"}))
    with pytest.raises(TransientError) as caught:
        await plaid.item("t")
    assert caught.value.wait == 7


async def test_credentials_travel_in_headers_and_not_in_bodies() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"request_id": "r"})

    await client(answer).remove("t")
    assert seen[0].headers["PLAID-SECRET"] == "key"
    assert b"key" not in seen[0].content
