"""The issuer's keys: cached, rotated, fetched once for all, and never on a stranger's demand."""

import asyncio
import json
from contextlib import AsyncExitStack

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.build import build
from gateway.devtoken import mint
from messaging.memory import MemoryBus
from messaging.topology import onefolio
from persistence.database import Database

ISSUER = "https://issuer.example/realm"


class Issuer:
    """An issuer of tokens, with its published keys."""

    def __init__(self):
        self.keys, self.fetches, self.down, self.raw = {}, 0, False, None
        self.gate = None

    def rotate(self, *kids, kind="rsa"):
        def new():
            if kind == "ec":
                return ec.generate_private_key(ec.SECP256R1())
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)

        self.keys = {kid: self.keys.get(kid) or new() for kid in kids}

    async def handle(self, request):
        self.fetches += 1
        assert str(request.url) == f"{ISSUER}/.well-known/jwks.json"
        if self.gate:
            await self.gate.wait()
        if self.down:
            raise httpx.ConnectError("down")
        if self.raw is not None:
            return httpx.Response(200, content=self.raw)
        return httpx.Response(200, json={"keys": [self.published(kid) for kid in self.keys]})

    def published(self, kid):
        key = self.keys[kid]
        kind = (
            jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
        )
        return json.loads(kind.to_jwk(key.public_key())) | {"kid": kid, "use": "sig"}

    def token(self, kid, now, *, key=None, algorithm=None, **changes):
        key = key or self.keys[kid]
        algorithm = algorithm or ("RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256")
        issued = int(now.timestamp())
        claims = {"sub": "alice", "iss": ISSUER, "aud": "onefolio", "iat": issued, "exp": issued + 7200}
        return jwt.encode(claims | changes, key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture
def issuer():
    made = Issuer()
    made.rotate("one")
    return made


@pytest.fixture
async def http(issuer, make_settings, clock, connectors):
    """The gateway with an issuer; its database is away, so a believed token answers 503."""
    settings = make_settings(jwt_secret=None, oidc_issuer=ISSUER)
    bus = MemoryBus(onefolio())
    service = build(
        settings,
        clock=clock,
        database=Database("postgresql://x@127.0.0.1:1/x"),
        bus=bus,
        connectors=connectors,
        issuer_transport=httpx.MockTransport(issuer.handle),
    )
    async with AsyncExitStack() as stack:
        for stop in service.on_stop:
            stack.push_async_callback(stop)
        transport = httpx.ASGITransport(app=service.app)
        yield await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://gateway")
        )


BELIEVED, REFUSED = "The database or the message broker is out of reach.", "No valid token was sent."
LATER = "The issuer of tokens is out of reach."


async def answer_to(http, token):
    answer = await http.get("/v1/accounts", headers={"Authorization": f"Bearer {token}"})
    return answer.json()["error"]["message"]


async def test_keys_are_fetched_once_for_all_who_wait(http, issuer, clock):
    issuer.gate = asyncio.Event()
    token = issuer.token("one", clock.now())
    asking = [asyncio.create_task(answer_to(http, token)) for _ in range(20)]
    await asyncio.sleep(0.05)
    issuer.gate.set()
    assert set(await asyncio.gather(*asking)) == {BELIEVED}
    assert issuer.fetches == 1


async def test_a_new_key_is_believed_as_soon_as_it_signs(http, issuer, clock):
    assert await answer_to(http, issuer.token("one", clock.now())) == BELIEVED
    for kid in ("two", "three"):
        issuer.rotate(*issuer.keys, kid)
        clock.advance(31)
        assert await answer_to(http, issuer.token(kid, clock.now())) == BELIEVED
        assert await answer_to(http, issuer.token("one", clock.now())) == BELIEVED
    assert issuer.fetches == 3


async def test_a_removed_key_stops_within_ten_minutes(http, issuer, clock):
    token = issuer.token("one", clock.now())
    assert await answer_to(http, token) == BELIEVED
    issuer.rotate("two")
    clock.advance(599)
    assert await answer_to(http, token) == BELIEVED
    clock.advance(2)
    assert await answer_to(http, token) == REFUSED


async def test_random_key_ids_do_not_hammer_the_issuer(http, issuer, clock):
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    tokens = [issuer.token(f"random-{n}", clock.now(), key=stranger) for n in range(50)]
    for token in tokens:
        assert await answer_to(http, token) == REFUSED
    assert issuer.fetches == 1
    clock.advance(31)
    for token in tokens:
        await answer_to(http, token)
    assert issuer.fetches == 2


async def test_old_keys_serve_for_an_hour_while_the_issuer_is_down(http, issuer, clock):
    assert await answer_to(http, issuer.token("one", clock.now())) == BELIEVED
    issuer.down = True
    clock.advance(3500)
    assert await answer_to(http, issuer.token("one", clock.now())) == BELIEVED
    clock.advance(200)
    assert await answer_to(http, issuer.token("one", clock.now())) == LATER
    issuer.down = False
    clock.advance(6)
    assert await answer_to(http, issuer.token("one", clock.now())) == BELIEVED


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b'{"keys": 7}', b"<html>", b'{"keys": {}}', b"[" * 100_000]
)
async def test_an_issuer_that_answers_nonsense_counts_as_away(http, issuer, clock, raw):
    issuer.raw = raw
    assert await answer_to(http, issuer.token("one", clock.now())) == LATER


async def test_a_set_of_strange_keys_leaves_the_good_ones_usable(http, issuer, clock):
    issuer.raw = json.dumps(
        {"keys": [7, {}, {"kid": "x"}, {"kid": "y", "kty": "zzz"}, {"kid": "h", "kty": "oct", "k": "AAAA"},
                  issuer.published("one")]}
    ).encode()  # fmt: skip
    assert await answer_to(http, issuer.token("one", clock.now())) == BELIEVED
    symmetric = issuer.token("h", clock.now(), key="s" * 40, algorithm="HS256")
    assert await answer_to(http, symmetric) == REFUSED


async def test_elliptic_keys_serve_too_and_no_key_serves_another_algorithm(http, issuer, clock):
    issuer.rotate("e", kind="ec")
    assert await answer_to(http, issuer.token("e", clock.now())) == BELIEVED
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert await answer_to(http, issuer.token("e", clock.now(), key=rsa_key)) == REFUSED


async def test_the_public_key_is_no_shared_secret(http, issuer, clock):
    public = issuer.published("one")["n"]
    assert await answer_to(http, issuer.token("one", clock.now(), key=public, algorithm="HS256")) == REFUSED


@pytest.mark.parametrize(
    "changes", [{"iss": ISSUER + "/"}, {"iss": "https://other.example"}, {"aud": "other"}]
)
async def test_another_issuer_or_audience_is_refused(http, issuer, clock, changes):
    assert await answer_to(http, issuer.token("one", clock.now(), **changes)) == REFUSED


async def test_a_development_token_is_worth_nothing_where_there_is_an_issuer(http, clock):
    assert await answer_to(http, mint("s" * 40, "alice", now=clock.now())) == REFUSED
