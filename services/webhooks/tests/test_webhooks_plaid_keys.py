"""Plaid's keys: few look-ups, whatever callers choose."""

import asyncio
import json
import uuid

import httpx
import jwt
import pytest

from service_kit.clock import FakeClock
from service_kit.http_client import outbound_client
from service_kit.metrics import Metrics
from webhooks.delivery import CannotVerifyError, ForgedError, Refusal
from webhooks.verifiers.plaid import public_key
from webhooks.verifiers.plaid_keys import PATH, PlaidKeyClient, PlaidKeys, credentials

KID = "6c5516e1-92dc-479e-a8ff-5a51992e0001"


@pytest.fixture
def jwk():
    return {
        "alg": "ES256",
        "created_at": 1792922400,
        "crv": "P-256",
        "expired_at": None,
        "kid": KID,
        "kty": "EC",
        "use": "sig",
        "x": "LJwBQLuetD5LifxQQw7ZhN7AC_ahAgxhJe1SAJrXTic",
        "y": "GLeJndC6u9DcwhDo8hJDlCpBoui7rNnrCiT5AuJtXyc",
    }


class Plaid:
    """Plaid's side."""

    def __init__(self, jwk) -> None:
        self.jwk = jwk
        self.asked: list[str] = []
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self, kid: str) -> jwt.PyJWK:
        self.asked.append(kid)
        await self.gate.wait()
        if self.failure:
            raise self.failure
        if kid != KID:
            raise ForgedError(Refusal.UNKNOWN_KEY)
        return public_key(self.jwk, kid)


@pytest.fixture
def plaid(jwk):
    return Plaid(jwk)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def keys(plaid, clock):
    return PlaidKeys(plaid.fetch, clock=clock)


async def test_a_key_is_fetched_once_and_again_within_a_day(keys, plaid, clock):
    first = await keys.get(KID)
    assert await keys.get(KID) is first
    clock.advance(11 * 3600)
    await keys.get(KID)
    assert plaid.asked == [KID]
    clock.advance(13 * 3600)
    await keys.get(KID)
    assert plaid.asked == [KID, KID]


async def test_many_at_once_share_one_look_up(keys, plaid):
    plaid.gate.clear()
    waiting = [asyncio.create_task(keys.get(KID)) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    plaid.gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(isinstance(result, jwt.PyJWK) for result in results) == 49
    assert plaid.asked == [KID]


async def test_an_unknown_key_is_remembered_for_five_minutes(keys, plaid, clock):
    unknown = str(uuid.uuid4())
    for _ in range(3):
        with pytest.raises(ForgedError):
            await keys.get(unknown)
    assert plaid.asked == [unknown]
    clock.advance(301)
    with pytest.raises(ForgedError):
        await keys.get(unknown)
    assert plaid.asked == [unknown, unknown]


async def test_a_flood_of_unknown_keys_costs_ten_look_ups_a_minute(keys, plaid, clock):
    await keys.get(KID)
    refused = 0
    for _ in range(1000):
        with pytest.raises((ForgedError, CannotVerifyError)):
            await keys.get(str(uuid.uuid4()))
        refused += 1
    assert refused == 1000
    assert len(plaid.asked) == 10
    assert await keys.get(KID)
    clock.advance(61)
    with pytest.raises(ForgedError):
        await keys.get(str(uuid.uuid4()))
    assert len(plaid.asked) == 11


async def test_an_expired_key_is_refused_as_such(keys, plaid):
    plaid.jwk["expired_at"] = 1794477600
    for _ in range(2):
        with pytest.raises(ForgedError, match=Refusal.EXPIRED_KEY):
            await keys.get(KID)
    assert plaid.asked == [KID]


async def test_a_failure_is_not_remembered(keys, plaid):
    plaid.failure = CannotVerifyError("away")
    with pytest.raises(CannotVerifyError):
        await keys.get(KID)
    plaid.failure = None
    assert await keys.get(KID)


class TestTheClient:
    """What Plaid's answers mean."""

    def client(self, answer) -> PlaidKeyClient:
        http = outbound_client(
            "plaid",
            "https://plaid.test",
            Metrics("test"),
            headers=credentials("client", "canary-secret"),
            transport=httpx.MockTransport(answer),
        )
        return PlaidKeyClient(http)

    async def test_it_asks_as_plaid_wants_to_be_asked(self, jwk):
        seen: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(200, json={"key": jwk, "request_id": "r"})

        client = self.client(answer)
        assert isinstance(await client(KID), jwt.PyJWK)
        await client.aclose()
        assert seen[0].url.path == PATH
        assert json.loads(seen[0].content) == {"key_id": KID}
        assert seen[0].headers["plaid-secret"] == "canary-secret"

    @pytest.mark.parametrize(
        ("status", "body", "expected"),
        [
            (
                400,
                {"error_type": "INVALID_INPUT", "error_code": "INVALID_WEBHOOK_VERIFICATION_KEY_ID"},
                ForgedError,
            ),
            (400, {"error_type": "INVALID_INPUT", "error_code": "INVALID_API_KEYS"}, CannotVerifyError),
            (400, "<html>", CannotVerifyError),
            (401, {"error_code": "X"}, CannotVerifyError),
            (429, {"error_code": "RATE_LIMIT"}, CannotVerifyError),
            (500, {"error_code": "INTERNAL_SERVER_ERROR"}, CannotVerifyError),
            (200, {"request_id": "r"}, CannotVerifyError),
            (200, [], CannotVerifyError),
            (302, {}, CannotVerifyError),
            (200, {"key": {"kid": KID}}, ForgedError),
        ],
    )
    async def test_every_other_answer(self, status, body, expected):
        def answer(_: httpx.Request) -> httpx.Response:
            return (
                httpx.Response(status, text=body)
                if isinstance(body, str)
                else httpx.Response(status, json=body)
            )

        client = self.client(answer)
        with pytest.raises(expected) as caught:
            await client(KID)
        assert "canary-secret" not in str(caught.value)
        await client.aclose()

    async def test_no_answer(self):
        def answer(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused", request=request)

        client = self.client(answer)
        with pytest.raises(CannotVerifyError):
            await client(KID)
        await client.aclose()
