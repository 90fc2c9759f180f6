"""What is taken out of a body before it is stored."""

import json
import string

from hypothesis import given
from hypothesis import strategies as st

from webhooks.blanking import REMOVED, blanked, digest
from webhooks.summary import summary_of

LINK = "link-sandbox-0a1b2c3d-1111-4222-8333-944455566677"
PUBLIC = "public-sandbox-5c1d2e3f-aaaa-4bbb-8ccc-ddddeeeeffff"

# No name made here is one that is blanked: hypothesis finds those in the source by itself.
names = st.text(max_size=8).map(lambda text: f"kept{text}")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def test_everything_else_stays_byte_for_byte():
    text = '{\n  "webhookSecret" : "s3cret",\n\t"n": 1.50, "e": 1E2, "t": "\\u00e9 webhookSecret: x", "userId":"u"}'
    assert blanked(text) == text.replace('"s3cret"', f'"{REMOVED}"')


def test_a_link_token_becomes_its_digest_and_public_tokens_go():
    body = {
        "link_token": LINK,
        "public_token": PUBLIC,
        "public_tokens": [PUBLIC, PUBLIC],
        "status": "SUCCESS",
    }
    clean = json.loads(blanked(json.dumps(body, indent=2)))
    assert clean == {
        "link_token": digest(LINK),
        "public_token": REMOVED,
        "public_tokens": [REMOVED, REMOVED],
        "status": "SUCCESS",
    }
    assert digest(LINK).startswith("sha256:")


def test_tokens_are_found_where_they_do_not_belong():
    body = {"events": [{"event_metadata": {"note": f"used {PUBLIC} twice"}}], PUBLIC: 1, "a": [LINK]}
    clean = blanked(json.dumps(body))
    assert f"used {REMOVED} twice" in clean
    assert LINK not in clean


def test_names_are_recognised_however_they_are_written():
    for name in ("webhookSecret", "WEBHOOK_SECRET", "webhook-secret", "web\\u0068ookSecret"):
        assert "canary" not in blanked(f'{{"{name}": "canary"}}')


def test_nothing_stays_nothing_and_structures_under_a_secret_name_go():
    assert blanked('{"public_token": null, "public_tokens": [], "secret": {"a": ["canary"]}}') == (
        f'{{"public_token": null, "public_tokens": [], "secret": "{REMOVED}"}}'
    )


def test_account_numbers_keep_four_digits():
    assert blanked('{"accountNumber": "123456789", "account_number": 987654321, "number": 12}') == (
        '{"accountNumber": "****6789", "account_number": "****4321", "number": 12}'
    )


@given(json_values)
def test_the_rest_of_any_document_means_the_same(value):
    text = json.dumps({"kept": value})
    assert json.loads(blanked(text)) == json.loads(text)


@given(
    json_values,
    st.text(string.ascii_letters, min_size=12, max_size=20).map(lambda t: f"canary{t}"),
    st.booleans(),
)
def test_a_secret_is_gone_wherever_it_stands(value, canary, ascii_only):
    body = {"a": [value, {"webhookSecret": canary}], "public_tokens": [canary], "z": value}
    clean = blanked(json.dumps(body, ensure_ascii=ascii_only))
    assert canary not in clean
    assert json.loads(clean)["a"][0] == json.loads(json.dumps(value))


def test_a_summary_holds_ids_and_codes_only():
    document = {
        "webhook_type": "LINK",
        "item_id": "i\x00" + "x" * 500,
        "status": LINK,
        "link_token": LINK,
        "error": {"error_code": "ITEM_LOGIN_REQUIRED", "error_message": "text"},
        "reason": 7,
    }
    found = summary_of(document)
    assert found["webhook_type"] == "LINK"
    assert found["item_id"] == "i?" + "x" * 118
    assert found["error_code"] == "ITEM_LOGIN_REQUIRED"
    assert LINK not in json.dumps(found)
    assert set(found) == {"webhook_type", "item_id", "status", "error_code"}
