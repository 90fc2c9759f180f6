"""The table of errors: what each answer of SnapTrade means to us."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import (
    ErrorCode,
    GoneError,
    OutcomeUnknownError,
    RefusedError,
    RepairNeededError,
    TransientError,
)
from snaptrade_connector.errors import code_and_detail, normalize_snaptrade_error, unanswered

SHAPES = {
    "live": lambda code, detail, status: {"detail": detail, "status_code": status, "code": code},
    "without status": lambda code, detail, status: {"detail": detail, "code": code},
    "schema": lambda code, detail, status: {"default_detail": detail, "default_code": code},
    "mixed": lambda code, detail, status: {
        "detail": detail,
        "default_code": int(code) if code.isdigit() and code[0] != "0" else code,
    },
}
TABLE = [
    (401, "1076", "Unable to verify signature sent", RefusedError, ErrorCode.SIGNATURE_INVALID),
    (400, "1076", "Unable to verify signature sent", RefusedError, ErrorCode.SIGNATURE_INVALID),
    (401, "", "Invalid timestamp", RefusedError, ErrorCode.SIGNATURE_INVALID),
    (401, "0000", "Invalid timestamp", RefusedError, ErrorCode.SIGNATURE_INVALID),
    (401, "1083", "Invalid userID or userSecret provided", RefusedError, ErrorCode.SNAPTRADE_USER_MISMATCH),
    (401, "0000", "User not found", RefusedError, ErrorCode.SNAPTRADE_NOT_REGISTERED),
    (401, "0000", "Invalid clientId provided", RefusedError, ErrorCode.PROVIDER_CREDENTIALS_INVALID),
    (400, "1010", "already exists: u-42", RefusedError, ErrorCode.SNAPTRADE_USER_MISMATCH),
    (404, "1011", "Object does not exist", GoneError, ErrorCode.CONNECTION_GONE),
    (404, "", "Not found.", RefusedError, ErrorCode.PROVIDER_REFUSED),
    (400, "1012", "does not have a trade type available", RefusedError, ErrorCode.TRADING_NOT_SUPPORTED),
    (400, "1012", "Invalid input", RefusedError, ErrorCode.PROVIDER_REFUSED),
    (400, "1023", "Different account", RefusedError, ErrorCode.LINK_FAILED),
    (402, "3003", "Brokerage authorization disabled", RepairNeededError, ErrorCode.CONNECTION_BROKEN),
    (402, "3011", "already disabled", RepairNeededError, ErrorCode.CONNECTION_BROKEN),
    (402, "", "", RepairNeededError, ErrorCode.CONNECTION_BROKEN),
    (403, "1066", "no permission", RefusedError, ErrorCode.PROVIDER_REFUSED),
    (403, "1141", "not enabled", RefusedError, ErrorCode.NOT_SUPPORTED),
    (409, "1166", "concurrent", TransientError, ErrorCode.PROVIDER_UNAVAILABLE),
    (410, "", "no longer available for your account", RefusedError, ErrorCode.PROVIDER_REFUSED),
    (425, "3012", "still being populated", TransientError, ErrorCode.DATA_NOT_READY),
    (425, "", "", TransientError, ErrorCode.DATA_NOT_READY),
    (429, "0000", "Request was throttled.", TransientError, ErrorCode.RATE_LIMITED),
    (429, "throttled", "refreshed too recently", TransientError, ErrorCode.RATE_LIMITED),
    (500, "1000", "unexpected", TransientError, ErrorCode.PROVIDER_UNAVAILABLE),
    (501, "", "", RefusedError, ErrorCode.NOT_SUPPORTED),
    (503, "3002", "brokerage failed", TransientError, ErrorCode.INSTITUTION_UNAVAILABLE),
    (503, "", "", TransientError, ErrorCode.PROVIDER_UNAVAILABLE),
    (418, "9999", "unheard of", RefusedError, ErrorCode.PROVIDER_REFUSED),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("status", "code", "detail", "kind", "ours"), TABLE)
def test_an_answer_means_the_same_in_every_shape(status, code, detail, kind, ours, shape):
    body = httpx.Response(status, json=SHAPES[shape](code, detail, status)).content
    error = normalize_snaptrade_error(status, {"X-Request-ID": "req-7"}, body)
    assert type(error) is kind
    assert error.code is ours
    assert error.provider_code == (code or None)
    assert error.provider_request_id == "req-7"
    assert error.status == status


@pytest.mark.parametrize(
    ("headers", "detail", "wait"),
    [
        ({"Retry-After": "17"}, "", 17.0),
        ({"X-RateLimit-Reset": "5"}, "", 5.0),
        ({"Retry-After": "3", "X-RateLimit-Reset": "50"}, "", 3.0),
        ({}, "Request was throttled. Expected available in 42 seconds.", 42.0),
        ({"Retry-After": "soon"}, "", None),
        ({"Retry-After": "-1"}, "", None),
        ({"Retry-After": "٣"}, "", None),
        ({}, "", None),
    ],
)
def test_a_429_says_how_long_to_wait(headers, detail, wait):
    body = httpx.Response(429, json={"detail": detail, "code": "0000"}).content
    error = normalize_snaptrade_error(429, headers, body)
    assert isinstance(error, TransientError)
    assert error.wait == wait


def test_the_providers_words_are_not_repeated_for_they_name_users():
    body = b'{"detail": "User with the following userId already exists: jo@example.test", "code": "1010"}'
    error = normalize_snaptrade_error(400, {}, body)
    assert "jo@example.test" not in f"{error!r} {error} {error.message}"


@given(status=st.integers(300, 599), body=st.binary(max_size=300))
def test_no_body_whatever_breaks_the_table(status, body):
    error = normalize_snaptrade_error(status, {}, body)
    assert error.provider == "snaptrade"
    assert not isinstance(error, GoneError) or error.provider_code == "1011"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'"x"', b"1", b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_object_has_neither_code_nor_detail(body):
    assert code_and_detail(body) == ("", "")


def test_a_call_that_cannot_have_arrived_may_be_repeated_whatever_it_is():
    error = unanswered(httpx.ConnectError("refused"), repeatable=False)
    assert isinstance(error, TransientError)


@pytest.mark.parametrize(
    "lost", [httpx.ReadTimeout("t"), httpx.ReadError("r"), httpx.RemoteProtocolError("p")]
)
def test_the_outcome_of_an_unrepeatable_call_without_an_answer_is_unknown(lost):
    assert isinstance(unanswered(lost, repeatable=False), OutcomeUnknownError)


@pytest.mark.parametrize(
    ("lost", "code"),
    [
        (httpx.ReadTimeout("https://x.test/?userSecret=s3cret"), ErrorCode.TIMEOUT),
        (httpx.ReadError("https://x.test/?userSecret=s3cret"), ErrorCode.PROVIDER_UNAVAILABLE),
        (httpx.RemoteProtocolError("https://x.test/?userSecret=s3cret"), ErrorCode.PROVIDER_PROTOCOL),
    ],
)
def test_a_read_without_an_answer_is_transient_and_holds_no_url(lost, code):
    error = unanswered(lost, repeatable=True)
    assert isinstance(error, TransientError)
    assert error.code is code
    assert "s3cret" not in str(error)
