"""User tokens: only a true one, now, for us, proves anybody."""

import base64
import json
import time
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway import devtoken
from gateway.auth.tokens import DEVELOPMENT_ISSUER, Principal, TokenRefusedError, read_header, verify
from service_kit.auth import mint_service_token

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def claims(now, **changes):
    issued = int(now.timestamp())
    made = {
        "sub": "alice",
        "iss": DEVELOPMENT_ISSUER,
        "aud": "onefolio",
        "iat": issued,
        "exp": issued + 600,
    } | changes
    return {name: value for name, value in made.items() if value is not ...}


def signed(settings, body, headers=None, algorithm="HS256", key=None):
    return jwt.encode(
        body, key or settings.jwt_secret.get_secret_value(), algorithm=algorithm, headers=headers
    )


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


BAD_CLAIMS = {
    "another audience": {"aud": "another"},
    "no audience": {"aud": ...},
    "a list of other audiences": {"aud": ["a", "b"]},
    "another issuer": {"iss": "https://evil.example"},
    "no issuer": {"iss": ...},
    "no subject": {"sub": ...},
    "an empty subject": {"sub": ""},
    "a subject that is no text": {"sub": 7},
    "a subject with a NUL": {"sub": "a\x00b"},
    "a subject with a lone surrogate": {"sub": "\ud800"},
    "a subject with a line break": {"sub": "alice\nbob"},
    "a subject that is too long": {"sub": "a" * 201},
    "no expiry": {"exp": ...},
    "an expiry of the past": {"exp": 1},
    "an expiry that is text": {"exp": "9999999999"},
    "an expiry that is true": {"exp": True},
    "an expiry that is no number": {"exp": float("nan")},
    "an expiry that never comes": {"exp": float("inf")},
    "an issue time that is no number": {"iat": float("nan")},
    "an issue time beyond every clock": {"iat": 10**400},
    "no time of issue": {"iat": ...},
    "issued in the future": {"iat": 9999999999},
    "not valid before the future": {"nbf": 9999999999},
    "a time that is text": {"nbf": "x"},
    "an ID token": {"typ": "ID"},
    "a refresh token": {"typ": "Refresh"},
}
BAD_HEADERS = {
    "a service token's type": {"typ": "service+jwt"},
    "another type": {"typ": "dpop+jwt"},
    "a critical extension": {"crit": ["exp"]},
}


async def refused(api, token):
    answer = await api.http.get("/v1/accounts", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED"), answer.text
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "reason" not in answer.text


@pytest.mark.parametrize("name", BAD_CLAIMS)
async def test_a_token_with_a_wrong_claim_is_refused(bare_api, settings, name):
    await refused(bare_api, signed(settings, claims(bare_api.clock.now(), **BAD_CLAIMS[name])))


@pytest.mark.parametrize("name", BAD_HEADERS)
async def test_a_token_of_another_kind_is_refused(bare_api, settings, name):
    await refused(bare_api, signed(settings, claims(bare_api.clock.now()), BAD_HEADERS[name]))


async def test_a_token_signed_by_anything_else_is_refused(bare_api, settings):
    body = claims(bare_api.clock.now())
    good = signed(settings, body)
    head, middle, tail = good.split(".")
    bad = [
        signed(settings, body, key="another secret that is long enough to sign"),
        signed(settings, body, algorithm="HS512"),
        jwt.encode(body, KEY, algorithm="RS256"),
        jwt.encode(body, None, algorithm="none"),
        f"{part({'alg': 'none', 'typ': 'JWT'})}.{middle}.",
        f"{part({'alg': 'None', 'typ': 'JWT'})}.{middle}.{tail}",
        f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': '../../etc/passwd'})}.{middle}.{tail}",
        f"{part({'alg': 'HS256', 'jwk': {'kty': 'oct', 'k': 'AA'}})}.{middle}.{tail}",
        f"{part({'alg': 'HS256', 'jku': 'https://evil.example/jwks'})}.{middle}.{tail}",
        f"{head}.{part(body | {'sub': 'bob'})}.{tail}",
        f"{head}.{middle}.",
        f"{head}.{middle}",
        f"{head}.{middle}.{tail}.{tail}",
        f"{head}.{middle}.{tail[:-2]}",
        good + "A" * 8192,
        "A" * 1_000_000,
        "....",
        "null",
        f"{part([])}.{middle}.{tail}",
    ]
    for token in bad:
        await refused(bare_api, token)


async def test_a_service_token_opens_no_user_route(bare_api, settings):
    for secret in (settings.service_auth_secret, settings.jwt_secret):
        await refused(
            bare_api,
            mint_service_token(secret, issuer="gateway", audience="onefolio", now=bare_api.clock.now()),
        )


async def test_a_good_token_comes_in_and_stops_when_its_time_is_up(api):
    headers = api.headers(ttl=600)
    assert (await api.http.get("/v1/accounts", headers=headers)).status_code == 200
    api.clock.advance(timedelta(seconds=629))
    assert (await api.http.get("/v1/accounts", headers=headers)).status_code == 200
    api.clock.advance(timedelta(seconds=2))
    assert (await api.http.get("/v1/accounts", headers=headers)).status_code == 401


async def test_only_the_admin_role_is_taken_from_a_token(settings, clock):
    def roles_of(value):
        token = signed(settings, claims(clock.now(), roles=value))
        key = settings.jwt_secret.get_secret_value()
        options = {"algorithms": ["HS256"], "issuer": DEVELOPMENT_ISSUER, "audience": "onefolio"}
        return verify(token, key, now=clock.now(), **options).roles

    assert roles_of(["admin", "root", 7]) == {"user", "admin"}
    assert roles_of("admin") == {"user"}
    assert roles_of({"admin": True}) == {"user"}
    assert Principal("a", frozenset({"user", "admin"})).is_admin


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_reading_any_header_either_works_or_is_refused(text):
    try:
        read_header(text)
    except TokenRefusedError:
        return


def test_the_development_token_is_one_the_gateway_believes(settings, capsys):
    secret = settings.jwt_secret.get_secret_value()
    assert devtoken.main(["--user", "alice", "--admin", "--ttl", "60"], {"JWT_SECRET": secret}) == 0
    token = capsys.readouterr().out.strip()
    body = jwt.decode(token, secret, algorithms=["HS256"], audience="onefolio", issuer=DEVELOPMENT_ISSUER)
    assert (body["sub"], body["roles"], body["exp"] - body["iat"]) == ("alice", ["user", "admin"], 60)
    assert abs(body["iat"] - time.time()) < 60


def test_the_development_secret_may_be_in_a_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text("f" * 40 + "\n")
    assert devtoken.secret_of({"JWT_SECRET_FILE": str(path)}) == "f" * 40


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"JWT_SECRET": "short"},
        {"JWT_SECRET": "j" * 40, "ONEFOLIO_ENVIRONMENT": "production"},
        {"JWT_SECRET_FILE": "/nowhere/at/all"},
    ],
)
def test_where_there_can_be_no_development_token_there_is_none(environ, capsys):
    assert devtoken.main(["--user", "alice"], environ) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "devtoken:" in told.err
    assert "j" * 40 not in told.err


def test_secrets_of_settings_are_never_shown(settings):
    assert isinstance(settings.jwt_secret, SecretStr)
