"""Every vector of both providers, and every change of them."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_kit.clock import FakeClock
from webhooks.delivery import Age, ForgedError, RawDelivery, Refusal
from webhooks.verifiers import plaid, snaptrade
from webhooks.verifiers.plaid import PlaidVerifier

VECTORS = Path(__file__).parent / "vectors"
SNAPTRADE = json.loads((VECTORS / "snaptrade-webhook-vectors.json").read_text())["vectors"]
PLAID_FILE = json.loads((VECTORS / "plaid-webhook-vectors.json").read_text())
PLAID = PLAID_FILE["vectors"]
NOW = datetime(2026, 9, 21, 13, 35, tzinfo=UTC)


def named(vectors):
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


def headers_of(vector) -> dict[str, str]:
    return {name.lower(): value for name, value in vector["headers"].items()}


class VectorKeys:
    """The keys of the vector file, as Plaid's endpoint returns them."""

    async def get(self, kid: str) -> jwt.PyJWK:
        if kid not in PLAID_FILE["keys"]:
            raise ForgedError(Refusal.UNKNOWN_KEY)
        return plaid.public_key(PLAID_FILE["keys"][kid], kid)


def test_the_files_hold_what_they_should():
    assert len(SNAPTRADE) >= 5
    assert len(PLAID) >= 14


@pytest.mark.parametrize("vector", named(SNAPTRADE))
def test_snaptrade_vectors(vector):
    body, signature = vector["raw_body"].encode(), vector["signature"]
    if vector["expect_valid"]:
        found = snaptrade.verify(body, signature, [vector["consumer_key"]], NOW)
        assert snaptrade.canonical(found.document).decode() == vector["signed_text"]
        assert found.dedupe_key == json.loads(body)["webhookId"]
    else:
        with pytest.raises(ForgedError, match=Refusal.BAD_SIGNATURE):
            snaptrade.verify(body, signature, [vector["consumer_key"]], NOW)


@pytest.mark.parametrize("vector", named(PLAID))
async def test_plaid_vectors(vector):
    clock = FakeClock(datetime.fromtimestamp(vector["now"], UTC))
    raw = RawDelivery("plaid", headers_of(vector), base64.b64decode(vector["body_base64"]))
    verification = PlaidVerifier(VectorKeys(), clock=clock).verify(raw)
    if vector["expect"] == "accept":
        assert (await verification).kind.count("/") == 1
    else:
        with pytest.raises(ForgedError):
            await verification


async def test_plaid_without_its_header_nothing_is_believed():
    with pytest.raises(ForgedError, match=Refusal.MISSING_HEADER):
        await PlaidVerifier(VectorKeys()).verify(RawDelivery("plaid", {}, b"{}"))


@pytest.mark.parametrize("text", ["garbage", "a.b", "a.b.c.d", "..", "e30.e30.e30", "x" * 5000])
def test_plaid_garbage_is_no_token(text):
    with pytest.raises(ForgedError):
        plaid.take_apart(text)


EXACT = {"body_hash_mismatch", "too_old", "alg_not_es256", "bad_signature", "unknown_key", "key_expired"}


@pytest.mark.parametrize("vector", named([v for v in PLAID if v["reason"] in EXACT]))
async def test_plaid_vectors_are_refused_for_the_right_reason(vector):
    clock = FakeClock(datetime.fromtimestamp(vector["now"], UTC))
    raw = RawDelivery("plaid", headers_of(vector), base64.b64decode(vector["body_base64"]))
    with pytest.raises(ForgedError) as caught:
        await PlaidVerifier(VectorKeys(), clock=clock).verify(raw)
    assert caught.value.reason == vector["reason"]


VALID = next(vector for vector in SNAPTRADE if vector["name"] == "holdings-updated")
VALID_PLAID = next(vector for vector in PLAID if vector["name"] == "valid")


def changed(content: bytes, position: int, byte: int) -> bytes:
    position %= len(content)
    if content[position] == byte:
        byte ^= 1
    return content[:position] + bytes([byte]) + content[position + 1 :]


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_snaptrade_any_changed_byte_of_the_body_is_refused_or_says_the_very_same(position, byte):
    """White space is not signed; everything else is."""
    original = VALID["raw_body"].encode()
    genuine = snaptrade.verify(original, VALID["signature"], [VALID["consumer_key"]], NOW)
    body = changed(original, position, byte)
    try:
        found = snaptrade.verify(body, VALID["signature"], [VALID["consumer_key"]], NOW)
    except ForgedError:
        return
    assert snaptrade.canonical(found.document) == VALID["signed_text"].encode()
    assert found.dedupe_key == genuine.dedupe_key
    assert original[position % len(original)] in b" \t\r\n"


@given(st.integers(0, 10_000), st.integers(0, 127))
def test_snaptrade_any_changed_byte_of_the_signature_is_refused(position, byte):
    signature = changed(VALID["signature"].encode(), position, byte).decode()
    with pytest.raises(ForgedError):
        snaptrade.verify(VALID["raw_body"].encode(), signature, [VALID["consumer_key"]], NOW)


@given(st.text())
def test_snaptrade_any_other_signature_is_refused(signature):
    with pytest.raises(ForgedError):
        snaptrade.verify(VALID["raw_body"].encode(), signature, [VALID["consumer_key"]], NOW)


def check_plaid(body: bytes, token_text: str) -> None:
    token = plaid.take_apart(token_text)
    plaid.check_claims(token, body, datetime.fromtimestamp(VALID_PLAID["now"], UTC))
    key = PLAID_FILE["keys"].get(token.kid)
    if key is None:
        raise ForgedError(Refusal.UNKNOWN_KEY)
    plaid.check_signature(token, plaid.public_key(key, token.kid))


PLAID_BODY = base64.b64decode(VALID_PLAID["body_base64"])
PLAID_TOKEN = VALID_PLAID["headers"]["Plaid-Verification"]


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_plaid_any_changed_byte_of_the_body_is_refused(position, byte):
    with pytest.raises(ForgedError):
        check_plaid(changed(PLAID_BODY, position, byte), PLAID_TOKEN)


@given(st.integers(0, 10_000), st.integers(0, 127))
def test_plaid_any_changed_byte_of_the_token_is_refused(position, byte):
    with pytest.raises(ForgedError):
        check_plaid(PLAID_BODY, changed(PLAID_TOKEN.encode(), position, byte).decode())


def test_plaid_every_spelling_of_the_last_character_but_one_is_refused():
    check_plaid(PLAID_BODY, PLAID_TOKEN)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_="
    for character in set(alphabet) - {PLAID_TOKEN[-1]}:
        with pytest.raises(ForgedError):
            check_plaid(PLAID_BODY, PLAID_TOKEN[:-1] + character)


@given(st.text(max_size=200))
def test_plaid_any_text_is_no_token(text):
    with pytest.raises(ForgedError):
        check_plaid(PLAID_BODY, text)


class TestSnapTradeBodies:
    """What cannot be what was signed."""

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"null",
            b'"text"',
            b'{"a": 1, "a": 1}',
            b'{"a": {"b": 1, "b": 2}}',
            b'{"a": NaN}',
            b'{"a": Infinity}',
            b'{"a": 1e400}',
            b'{"a": ' + b"9" * 5000 + b"}",
            b'{"a":' * 5000 + b"1" + b"}" * 5000,
            b"\xef\xbb\xbf{}",
            '{"a": 1}'.encode("utf-16"),
            b'{"a": "\xff"}',
            b'{"a": "\x00"}',
            b"{'a': 1}",
            b'{"a": 1} {"b": 2}',
        ],
    )
    def test_odd_bodies_are_refused_whatever_their_signature(self, body):
        with pytest.raises(ForgedError, match=Refusal.MALFORMED_BODY):
            snaptrade.verify(body, "x", ["key"], NOW)

    @pytest.mark.parametrize(
        "rewrite",
        [
            lambda text: text.replace("{", "{ \n"),
            lambda text: json.dumps(dict(reversed(json.loads(text).items()))),
            lambda text: json.dumps(json.loads(text), ensure_ascii=False, indent=4),
            lambda text: text.replace("userId", "\\u0075serId"),
        ],
    )
    def test_the_same_event_written_otherwise_is_the_same_delivery(self, rewrite):
        again = snaptrade.verify(
            rewrite(VALID["raw_body"]).encode(), VALID["signature"], [VALID["consumer_key"]], NOW
        )
        assert again.dedupe_key == json.loads(VALID["raw_body"])["webhookId"]

    def test_the_previous_key_still_counts(self):
        keys = ["new", VALID["consumer_key"]]
        assert snaptrade.verify(VALID["raw_body"].encode(), VALID["signature"], keys, NOW)

    @pytest.mark.parametrize(
        ("members", "expected"),
        [
            ({"webhookId": "a", "webookId": "b"}, "a"),
            ({"webookId": "b"}, "b"),
            ({"webhookId": " ", "webookId": "b"}, "b"),
            ({}, "sha256:"),
            ({"webhookId": 7}, "sha256:"),
            ({"webhookId": "x" * 500}, "sha256:"),
            ({"webhookId": "a\x00b"}, "sha256:"),
            ({"webhookId": "\ud800"}, "sha256:"),
        ],
    )
    def test_copies_are_known_by_their_id_or_by_what_was_signed(self, members, expected):
        body = json.dumps(members).encode()
        found = snaptrade.verify(body, snaptrade.sign(members, "k"), ["k"], NOW)
        assert found.dedupe_key.startswith(expected)
        assert found.kind == "UNNAMED"

    @pytest.mark.parametrize(
        ("seconds", "expected"),
        [
            (0, Age.FRESH),
            (-60, Age.FRESH),
            (300, Age.FRESH),
            (301, Age.LATE),
            (86_400, Age.LATE),
            (86_401, Age.TOO_OLD),
        ],
    )
    def test_age_has_exact_boundaries(self, seconds, expected):
        assert snaptrade.age(NOW - timedelta(seconds=seconds), NOW) is expected

    def test_the_future_is_refused(self):
        with pytest.raises(ForgedError, match=Refusal.IN_THE_FUTURE):
            snaptrade.age(NOW + timedelta(seconds=61), NOW)

    def test_strictly_only_fresh_ones_count(self):
        assert snaptrade.age(NOW - timedelta(seconds=300), NOW, strict=True) is Age.FRESH
        assert snaptrade.age(NOW - timedelta(seconds=301), NOW, strict=True) is Age.TOO_OLD
        assert snaptrade.age(None, NOW, strict=True) is Age.TOO_OLD

    @pytest.mark.parametrize(
        "text", ["yesterday", "", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"]
    )
    def test_a_time_nobody_can_read_is_late(self, text):
        body = {"eventTimestamp": text}
        assert (
            snaptrade.verify(json.dumps(body).encode(), snaptrade.sign(body, "k"), ["k"], NOW).age is Age.LATE
        )


class TestPlaidClaims:
    """What the token says must hold, to the second."""

    def token(self, iat: object, body: bytes = b"{}") -> plaid.Token:
        return plaid.Token(
            "a.b.c", "k", {"iat": iat, "request_body_sha256": hashlib.sha256(body).hexdigest()}
        )

    @pytest.mark.parametrize("seconds", [-60, 0, 300])
    def test_in_time(self, seconds):
        plaid.check_claims(self.token(NOW.timestamp() - seconds), b"{}", NOW)

    @pytest.mark.parametrize(("seconds", "reason"), [(301, Refusal.TOO_OLD), (-61, Refusal.IN_THE_FUTURE)])
    def test_out_of_time(self, seconds, reason):
        with pytest.raises(ForgedError, match=reason):
            plaid.check_claims(self.token(NOW.timestamp() - seconds), b"{}", NOW)

    @pytest.mark.parametrize(
        "iat", [None, "1794650400", True, float("nan"), float("inf"), 10**400, -1, [], {}]
    )
    def test_a_time_that_is_none(self, iat):
        with pytest.raises(ForgedError):
            plaid.check_claims(self.token(iat), b"{}", NOW)

    @pytest.mark.parametrize(
        "change",
        [{"kid": "other"}, {"alg": "RS256"}, {"kty": "RSA"}, {"crv": "P-384"}, {"x": "AA"}, {"y": None}],
    )
    def test_a_key_that_is_not_the_one_asked_for_is_no_key(self, change):
        kid = PLAID_FILE["primary_kid"]
        with pytest.raises(ForgedError):
            plaid.public_key(PLAID_FILE["keys"][kid] | change, kid)
