"""Signatures: every published vector, and what may not change them."""

import json
from pathlib import Path

import httpx
import pytest

from snaptrade_connector.signing import SnapTradeAuth, signature, signed_text

VECTORS = json.loads(
    (Path(__file__).parent / "vectors" / "snaptrade-signature-vectors.json").read_text(encoding="utf-8")
)["vectors"]
CLIENT, TIME = "ACMEPORTFOLIO-TEST", 1790000000
by_name = pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])


def test_all_thirteen_vectors_are_here():
    assert len(VECTORS) == 13


@by_name
def test_the_signed_text_is_the_vectors(vector):
    assert signed_text(vector["body"], vector["path"], vector["query"]) == vector["signed_text"]
    found = signature(vector["consumer_key"], vector["body"], vector["path"], vector["query"])
    assert found == vector["signature"]


@by_name
def test_a_request_on_its_way_is_signed_as_it_is_sent(vector):
    auth = SnapTradeAuth(CLIENT, vector["consumer_key"])
    body = vector["wire_body"]
    request = httpx.Request(
        vector["method"],
        f"https://api.example.test{vector['path']}?{vector['query']}",
        content=None if body is None else body.encode(),
    )
    auth.sign(request)
    assert request.url.raw_path.decode() == f"{vector['path']}?{vector['query']}"
    assert request.headers["Signature"] == vector["signature"]


@by_name
def test_as_an_httpx_auth_it_adds_key_and_time_and_signs_them(vector):
    own = f"clientId={CLIENT}&timestamp={TIME}"
    if not vector["query"].endswith(own):
        pytest.skip("this vector names the key first; the adapter names it last")
    auth = SnapTradeAuth(CLIENT, vector["consumer_key"], now=lambda: TIME + 0.9)
    query = vector["query"].removesuffix(own).removesuffix("&")
    url = f"https://api.example.test{vector['path']}" + (f"?{query}" if query else "")
    content = None if vector["wire_body"] is None else vector["wire_body"].encode()
    request = next(auth.auth_flow(httpx.Request(vector["method"], url, content=content)))
    assert request.url.raw_path.decode() == f"{vector['path']}?{vector['query']}"
    assert request.headers["Signature"] == vector["signature"]


def test_blanks_around_the_key_do_not_change_the_signature():
    clean, pasted = SnapTradeAuth("c", "key", lambda: 1.0), SnapTradeAuth(" c\n", "\tkey \n", lambda: 1.0)
    requests = [httpx.Request("GET", f"https://x.test/a?{auth.stamped('')}") for auth in (clean, pasted)]
    for auth, request in zip((clean, pasted), requests, strict=True):
        auth.sign(request)
    assert requests[0].headers["Signature"] == requests[1].headers["Signature"]
    assert requests[0].url == requests[1].url


def test_each_send_is_stamped_anew_in_whole_seconds():
    times = iter([1790000000.99, 1790000001.01])
    auth = SnapTradeAuth("c", "k", now=lambda: next(times))
    assert auth.stamped("a=1") == "a=1&clientId=c&timestamp=1790000000"
    assert auth.stamped("") == "clientId=c&timestamp=1790000001"


def test_the_key_is_not_shown():
    assert "secret-key" not in repr(SnapTradeAuth("c", "secret-key"))
