import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from service_kit.redaction import MASK, is_secret_name, redact, redact_field, redact_value

CANARY = "c4nary7f3e9d"
NAMES = [
    "secret", "token", "password", "authorization", "signature", "Signature", "consumer_key", "consumerKey",
    "userSecret", "user_secret", "access_token", "public_token", "link_token", "account_number", "accountNumber",
    "client_secret", "api_key", "x-api-key", "Set-Cookie", "PLAID-SECRET", "refreshToken",
]  # fmt: skip
TEXTS = [
    f"https://api.example/api/v1/accounts?clientId=A&userId=b&userSecret={CANARY}&timestamp=1",
    f"GET /x?Signature={CANARY}",
    f"userSecret%3D{CANARY}",
    f"Authorization: Bearer {CANARY}",
    f"authorization: Token {CANARY} and {CANARY}",
    f"bearer {CANARY}",
    f'{{"access_token": "{CANARY}", "x": 1}}',
    f'{{"body": "{{\\"userSecret\\": \\"{CANARY}\\"}}"}}',
    f"{{'userSecret': '{CANARY}'}}",
    f"Thing(api_key='{CANARY}')",
    f"password={CANARY}",
    f"postgresql://onefolio:{CANARY}@db:5432/onefolio",
    f"amqp://guest:{CANARY}@localhost//",
    f"access-sandbox-{CANARY}-1111-4222-8333-944455566677",
    f"public-production-{CANARY}",
    f"link-development-{CANARY}",
    f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}",
    f"https://secure.plaid.com/hl/{CANARY}",
    f"https://app.example/redeem?token={CANARY}&x=1",
    f"[(b'signature', b'{CANARY}')]",
    f"1 validation error [type=int_parsing, input_value='{CANARY}', input_type=str]",
    f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----",
    f"-----BEGIN EC PRIVATE KEY-----\n{CANARY}",
    f"account_number: {CANARY}",
    f"accountNumber={CANARY}",
    f"token = {CANARY}",
    f"token: Bearer {CANARY}",
    f"Bearer password: {CANARY}",
    f'PASSWD= {{"secret": "{CANARY}"}}',
    f"eyJaaaaaaaaaasecret: {CANARY}",
]


@pytest.mark.parametrize("text", TEXTS)
def test_no_credential_survives_in_text(text):
    assert CANARY not in redact(text)


@pytest.mark.parametrize("text", TEXTS)
def test_redacting_twice_changes_nothing_more(text):
    once = redact(text)
    assert CANARY not in redact(once)
    assert redact(redact(once)) == redact(once)


@pytest.mark.parametrize(
    "text",
    [
        "sync.finished",
        "GET /v1/accounts/{id}",
        "AAPL 100 @ 12.50 USD",
        "https://api.example/v1/x?limit=5&page=2",
    ],
)
def test_harmless_text_stays_as_it_is(text):
    assert redact(text) == text


@pytest.mark.parametrize("name", NAMES)
def test_fields_with_these_names_are_masked_at_any_depth(name):
    value = {"a": [{"b": ({name: CANARY},)}]}
    assert CANARY not in json.dumps(redact_value(value))
    assert redact_field(name, CANARY) == MASK
    assert redact_field(name, {"inner": CANARY}) == MASK


@pytest.mark.parametrize("name", ["provider", "account_id", "latency_ms", "institution", "event", "result"])
def test_ordinary_field_names_are_not_masked(name):
    assert not is_secret_name(name)


def test_an_absent_secret_shows_as_absent():
    assert redact_field("access_token", None) is None
    assert redact_field("has_token", True) is True


class Credentials(BaseModel):
    access_token: str
    inner: dict[str, str]
    wrapped: SecretStr


class Loud:
    def __repr__(self):
        return f"Loud(userSecret={CANARY})"


@pytest.mark.parametrize(
    "value",
    [
        SecretStr(CANARY),
        CANARY.encode(),
        Credentials(access_token=CANARY, inner={"userSecret": CANARY}, wrapped=SecretStr(CANARY)),
        ValueError(f"failed: userSecret={CANARY}"),
        Loud(),
        [("Authorization", CANARY), (b"signature", CANARY.encode())],
        {f"userSecret={CANARY}": 1},
        {"token", f"access-sandbox-{CANARY}"},
    ],
)
def test_no_credential_survives_in_other_values(value):
    assert CANARY not in json.dumps(redact_value(value))


def test_plain_values_keep_their_meaning():
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    uuid = UUID(int=5)
    value = {"n": 1, "f": 1.5, "t": True, "z": None, "d": Decimal("1.10"), "at": moment, "id": uuid}
    assert redact_value(value) == {
        "n": 1, "f": 1.5, "t": True, "z": None, "d": "1.10", "at": str(moment), "id": str(uuid),
    }  # fmt: skip


def test_a_value_that_contains_itself_ends():
    loop: list[object] = []
    loop.append(loop)
    assert "too deep" in json.dumps(redact_value(loop))


@pytest.mark.parametrize(
    "piece",
    [
        "token",
        "token:",
        "token: ",
        "token=a:",
        "eyJ",
        '"',
        "://",
        "://a:",
        "input_value=",
        "bearer ",
        "a: ",
        "[(b'token', ",
    ],
)
def test_long_hostile_text_is_redacted_within_the_test_timeout(piece):
    text = f"password= {piece * 20_000}"
    assert CANARY not in redact(f"{text} token={CANARY}")


fragments = [
    "password",
    "secret",
    "=",
    ":",
    " ",
    '"',
    "'",
    "\\",
    "{",
    "}",
    "[",
    ",",
    "\n",
    "b",
    "eyJ",
    "Bearer ",
    "x",
    "://",
    "@",
]
anything = st.text(max_size=60) | st.lists(st.sampled_from(fragments), max_size=12).map("".join)


@given(
    before=anything, after=anything, name=st.sampled_from(NAMES), separator=st.sampled_from(["=", ":", ": "])
)
def test_named_values_are_masked_whatever_stands_around_them(before, after, name, separator):
    text = f"{before} {name}{separator}{CANARY} {after}"
    assert CANARY not in redact(text)


@given(before=anything, after=anything, name=st.sampled_from(NAMES))
def test_json_inside_text_is_masked_whatever_stands_around_it(before, after, name):
    assert CANARY not in redact(f"{before} {json.dumps({name: CANARY})} {after}")


shapes = st.sampled_from([f"access-sandbox-{CANARY}", f"postgresql://u:{CANARY}@h/d"])


@given(
    st.recursive(
        shapes | st.integers() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=12,
    )
)
def test_nested_values_never_show_a_token(value):
    assert CANARY not in json.dumps(redact_value(value))
