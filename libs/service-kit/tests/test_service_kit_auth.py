import base64
import json
from datetime import timedelta

import httpx
import jwt
import pytest
from fastapi import Depends
from pydantic import SecretStr

from service_kit.auth import (
    ServiceAuth,
    ServiceCaller,
    TokenRefused,
    mint_service_token,
    require_service,
    verify_service_token,
)
from service_kit.clock import FakeClock
from service_kit.health import Health
from service_kit.metrics import Metrics
from service_kit.web import create_app

SECRET = SecretStr("a" * 48)
CLOCK = FakeClock()
NOW = int(CLOCK.now().timestamp())
GOOD = {"iss": "gateway", "aud": "acme-connector", "iat": NOW, "exp": NOW + 60, "jti": "one"}


def signed(claims=None, *, secret="a" * 48, algorithm="HS256", typ="service+jwt", drop=None, **changes):
    claims = {**GOOD, **(claims or {}), **changes}
    claims.pop(drop, None)
    return jwt.encode(claims, secret, algorithm=algorithm, headers={"typ": typ})


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def verify(token, clock=CLOCK):
    return verify_service_token(
        token, SECRET, audience="acme-connector", allowed_callers={"gateway", "webhooks"}, now=clock.now()
    )


def test_a_minted_token_proves_its_issuer():
    token = mint_service_token(SECRET, issuer="gateway", audience="acme-connector", now=CLOCK.now())
    caller = verify(token)
    assert caller.name == "gateway"
    assert caller.token_id


def test_each_minted_token_has_its_own_id():
    minted = [mint_service_token(SECRET, issuer="g", audience="a", now=CLOCK.now()) for _ in range(2)]
    assert minted[0] != minted[1]


def test_the_reference_token_is_accepted():
    assert verify(signed()) == ServiceCaller("gateway", "one")


BAD = {
    "empty": "",
    "not a token": "abc",
    "too long": signed(pad="x" * 5000),
    "alg none": f"{part({'alg': 'none', 'typ': 'service+jwt'})}.{part(GOOD)}.",
    "alg none with a signature": f"{part({'alg': 'none', 'typ': 'service+jwt'})}.{part(GOOD)}.AAAA",
    "another algorithm": signed(algorithm="HS512", secret="a" * 64),
    "wrong secret": signed(secret="b" * 48),
    "wrong audience": signed(aud="other-connector"),
    "a list of audiences": signed(aud=["acme-connector", "other"]),
    "caller not allowed": signed(iss="stranger"),
    "issuer of the wrong type": None,
    "a user's token": signed(typ="at+jwt"),
    "an untyped token": signed(typ="JWT"),
    "expired": signed(iat=NOW - 120, exp=NOW - 60),
    "issued in the future": signed(iat=NOW + 120, exp=NOW + 180),
    "lives too long": signed(exp=NOW + 3600),
    "expires before it was issued": signed(iat=NOW + 20, exp=NOW + 10),
    "times as text": signed(exp=str(NOW + 60)),
    "times as fractions": signed(exp=NOW + 60.5),
    "empty id": signed(jti=""),
    **{f"without {claim}": signed(drop=claim) for claim in GOOD},
}
del BAD["issuer of the wrong type"]


@pytest.mark.parametrize("token", BAD.values(), ids=BAD.keys())
def test_a_bad_token_is_refused(token):
    with pytest.raises(TokenRefused):
        verify(token)


def test_a_changed_token_is_refused():
    header, _, signature = signed().split(".")
    with pytest.raises(TokenRefused):
        verify(f"{header}.{part({**GOOD, 'iss': 'webhooks'})}.{signature}")


def test_a_token_dies_with_time():
    clock = FakeClock()
    token = mint_service_token(SECRET, issuer="gateway", audience="acme-connector", now=clock.now())
    clock.advance(timedelta(seconds=89))
    verify(token, clock)
    clock.advance(timedelta(seconds=1))
    with pytest.raises(TokenRefused):
        verify(token, clock)


@pytest.mark.parametrize("ttl", [0, -1, 301])
def test_a_token_cannot_be_minted_for_longer_than_the_verifier_accepts(ttl):
    with pytest.raises(ValueError, match="300"):
        mint_service_token(SECRET, issuer="g", audience="a", now=CLOCK.now(), ttl=ttl)


@pytest.fixture
async def client(settings):
    app = create_app("sample", settings, Health(), Metrics("sample"))
    guard = require_service(SECRET, "acme-connector", {"gateway"}, FakeClock())

    @app.get("/internal/whoami")
    async def whoami(caller: ServiceCaller = Depends(guard)):
        return {"caller": caller.name}

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sample") as client:
        yield client


async def test_a_service_gets_in_with_the_signing_client(client):
    auth = ServiceAuth(SECRET, issuer="gateway", audience="acme-connector", clock=FakeClock())
    answer = await client.get("/internal/whoami", auth=auth)
    assert (answer.status_code, answer.json()) == (200, {"caller": "gateway"})


@pytest.mark.parametrize("token", BAD.values(), ids=BAD.keys())
async def test_a_bad_token_is_answered_with_401_and_no_reason(client, token):
    answer = await client.get("/internal/whoami", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    error = answer.json()["error"]
    assert (error["code"], error["message"]) == ("UNAUTHENTICATED", "A valid service token is required.")


@pytest.mark.parametrize("headers", [{}, {"Authorization": signed()}, {"Authorization": f"Basic {signed()}"}])
async def test_a_token_not_sent_as_bearer_is_not_read(client, headers):
    assert (await client.get("/internal/whoami", headers=headers)).status_code == 401
