"""The sandbox accepts exactly what the published vectors say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_sandbox.snaptrade.events import headers
from provider_sandbox.snaptrade.signing import request_is_signed, request_signature

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def wire(vector):
    return (vector["wire_body"] or "").encode()


def test_every_published_vector_is_accepted(vectors):
    assert len(vectors) >= 13
    for vector in vectors:
        path, query = vector["path"], vector["query"]
        assert request_is_signed(vector["signature"], vector["consumer_key"], path, query, wire(vector)), (
            vector["name"]
        )


@pytest.mark.parametrize("part", ["path", "query", "consumer_key", "signature"])
def test_a_change_of_any_part_is_refused(vectors, part):
    for vector in vectors:
        spoiled = vector | {part: vector[part][:-2] + ("aa" if vector[part][-2:] != "aa" else "bb")}
        path, query = spoiled["path"], spoiled["query"]
        assert not request_is_signed(
            spoiled["signature"], spoiled["consumer_key"], path, query, wire(spoiled)
        )


def test_a_changed_value_in_the_body_is_refused_and_a_changed_layout_is_not(vectors):
    (vector, *_) = [v for v in vectors if isinstance(v["body"], dict) and v["body"]]
    args = (vector["consumer_key"], vector["path"], vector["query"])
    spaced = json.dumps(vector["body"], indent=3).encode()
    more = json.dumps({**vector["body"], "extra": 1}).encode()
    assert request_is_signed(vector["signature"], *args, spaced)
    assert not request_is_signed(vector["signature"], *args, more)
    assert not request_is_signed(vector["signature"], *args, b"{not json")


@given(st.dictionaries(st.text(max_size=5), VALUES, min_size=1, max_size=4))
def test_the_order_of_members_never_matters(body):
    backwards = dict(reversed(list(body.items())))
    args = ("key", "/x", "clientId=a")
    assert request_signature(*args, json.dumps(body).encode()) == request_signature(
        *args, json.dumps(backwards).encode()
    )


def test_an_empty_object_counts_as_no_body_and_an_empty_list_does_not():
    args = ("key", "/x", "clientId=a")
    assert request_signature(*args, b"{}") == request_signature(*args, b"")
    assert request_signature(*args, b"[]") != request_signature(*args, b"")


def test_webhooks_are_signed_as_the_published_vectors_say(webhook_vectors):
    valid = [vector for vector in webhook_vectors if vector["expect_valid"]]
    assert valid
    for vector in valid:
        payload = json.loads(vector["raw_body"])
        assert headers(vector["consumer_key"], payload)["Signature"] == vector["signature"], vector["name"]
