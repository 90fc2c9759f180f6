"""Webhooks as a receiver checks them: signature, body bytes, keys, and what each deed sends."""

import base64
import hashlib
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from provider_sandbox.plaid.catalogue import ALL, FIREABLE


def verified(live: Any, webhook: Any) -> dict[str, Any]:
    """The documented check, done here with PyJWT and hashlib; returns the key as served."""
    token = webhook.headers["plaid-verification"]
    header = jwt.get_unverified_header(token)
    assert header["alg"] == "ES256"
    key = live.ok("/webhook_verification_key/get", key_id=header["kid"])["key"]
    claims = jwt.decode(token, public_key(key), algorithms=["ES256"], options={"verify_iat": False})
    assert set(claims) == {"iat", "request_body_sha256"}
    assert abs(time.time() - claims["iat"]) < 60
    assert claims["request_body_sha256"] == hashlib.sha256(webhook.raw).hexdigest()
    assert webhook.raw == json.dumps(webhook.body, indent=2).encode()
    return key


def public_key(jwk: dict[str, Any]) -> ec.EllipticCurvePublicKey:
    x, y = (int.from_bytes(base64.urlsafe_b64decode(jwk[name] + "="), "big") for name in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def test_link_webhooks_are_signed_pretty_printed_and_in_order(live: Any, listener: Any) -> None:
    live.link(webhook=listener.url)
    webhooks = listener.wait(2)

    assert [w.name for w in webhooks] == ["LINK/ITEM_ADD_RESULT", "LINK/SESSION_FINISHED"]
    for webhook in webhooks:
        assert verified(live, webhook)["expired_at"] is None
        assert webhook.headers["content-type"] == "application/json"


def test_a_changed_body_does_not_verify(live: Any, listener: Any) -> None:
    live.link(webhook=listener.url)
    webhook = listener.wait(1)[0]
    webhook.raw += b" "

    with pytest.raises(AssertionError):
        verified(live, webhook)


def test_a_rotated_key_is_served_as_expired_and_the_new_one_signs(
    live: Any, control: Any, listener: Any
) -> None:
    live.link(webhook=listener.url)
    before = verified(live, listener.wait(1)[0])
    rotated = control("POST", "/keys/rotate")
    item = live.link(webhook=listener.url)
    after = verified(live, listener.wait(4)[3])
    control(
        "POST",
        f"/items/{item['item_id']}/webhooks",
        {"webhook_type": "ITEM", "webhook_code": "PENDING_EXPIRATION", "expired_key": True},
    )
    forged = verified(live, listener.wait(5)[4])

    assert rotated == {"expired": before["kid"], "current": after["kid"]}
    assert (forged["kid"], after["expired_at"]) == (before["kid"], None)
    assert forged["expired_at"] is not None


def test_an_unknown_key_is_refused(live: Any) -> None:
    expected = (400, "INVALID_INPUT", "INVALID_WEBHOOK_VERIFICATION_KEY_ID")
    assert live.error("/webhook_verification_key/get", key_id="nope") == expected


@pytest.mark.parametrize(("kind", "code"), sorted(ALL.keys() - FIREABLE.keys()))
def test_control_sends_what_the_sandbox_cannot_fire(
    live: Any, control: Any, listener: Any, examples: Any, kind: str, code: str
) -> None:
    item = live.link(webhook=listener.url)
    order = {"webhook_type": kind, "webhook_code": code}
    assert control("POST", f"/items/{item['item_id']}/webhooks", order) == {"sent": True}
    webhook = listener.wait(3)[2]

    verified(live, webhook)
    example = next(
        e for e in examples["webhooks"].values() if (e["webhook_type"], e["webhook_code"]) == (kind, code)
    )
    assert set(example) == set(webhook.body)


def test_control_sends_any_body(live: Any, control: Any, listener: Any) -> None:
    item = live.link(webhook=listener.url)
    order = {"webhook_type": "NEW", "webhook_code": "THING", "fields": {"item_id": "other", "x": [1]}}
    control("POST", f"/items/{item['item_id']}/webhooks", order)
    webhook = listener.wait(3)[2]

    verified(live, webhook)
    expected = {
        "webhook_type": "NEW",
        "webhook_code": "THING",
        "item_id": "other",
        "environment": "sandbox",
        "x": [1],
    }
    assert webhook.body == expected


@pytest.mark.parametrize(("kind", "code"), sorted(FIREABLE))
def test_every_fireable_webhook_arrives_signed_and_as_specified(
    live: Any, listener: Any, examples: Any, kind: str, code: str
) -> None:
    item = live.link(webhook=listener.url, products=["investments", "transactions"])
    listener.wait(2)
    fire = {"access_token": item["access_token"], "webhook_type": kind, "webhook_code": code}
    assert live.ok("/sandbox/item/fire_webhook", **fire)["webhook_fired"] is True
    webhook = listener.wait(3)[2]

    verified(live, webhook)
    assert webhook.name == f"{kind}/{code}"
    assert webhook.body["item_id"] == item["item_id"]
    example = next(
        (e for e in examples["webhooks"].values() if (e["webhook_type"], e["webhook_code"]) == (kind, code)),
        None,
    )
    if example is not None:
        assert set(example) == set(webhook.body)
    assert (
        live.ok("/item/get", access_token=item["access_token"])["status"]["last_webhook"]["code_sent"] == code
    )


@pytest.mark.parametrize(
    ("fire", "code"),
    [
        (
            {"webhook_type": "INVESTMENTS_TRANSACTIONS", "webhook_code": "HISTORICAL_UPDATE"},
            "SANDBOX_PRODUCT_NOT_ENABLED",
        ),
        ({"webhook_type": "ITEM", "webhook_code": "ERROR"}, "SANDBOX_PRODUCT_NOT_ENABLED"),
        ({"webhook_code": "SYNC_UPDATES_AVAILABLE"}, "SANDBOX_PRODUCT_NOT_ENABLED"),
        ({"webhook_code": "LOGIN_REPAIRED"}, "SANDBOX_WEBHOOK_INVALID"),
    ],
)
def test_what_cannot_be_fired_is_a_sandbox_error(live: Any, fire: dict[str, str], code: str) -> None:
    token = live.link()["access_token"]

    assert live.error("/sandbox/item/fire_webhook", access_token=token, **fire) == (
        400,
        "SANDBOX_ERROR",
        code,
    )


def test_reset_login_sends_the_error_with_its_status(live: Any, listener: Any, examples: Any) -> None:
    item = live.link(webhook=listener.url)
    live.ok("/sandbox/item/reset_login", access_token=item["access_token"])
    body = listener.wait(3)[2].body

    assert set(body) == set(examples["webhooks"]["item_error"])
    assert body["error"]["error_code"] == "ITEM_LOGIN_REQUIRED"
    assert body["error"]["status"] == 400
    assert "request_id" not in body["error"]


def test_a_new_webhook_address_is_acknowledged_there_and_null_removes_it(live: Any, listener: Any) -> None:
    token = live.link()["access_token"]
    live.ok("/item/webhook/update", access_token=token, webhook=listener.url)
    assert listener.wait(1)[0].body["new_webhook_url"] == listener.url
    assert live.ok("/item/webhook/update", access_token=token, webhook=None)["item"]["webhook"] == ""
    live.ok("/sandbox/item/reset_login", access_token=token)
    assert live.error("/item/webhook/update", access_token=token, webhook="no url")[2] == "INVALID_FIELD"
    assert len(listener.received) == 1


def test_each_attempt_is_signed_anew(live: Any, listener: Any) -> None:
    listener.answers = [500, 503]
    item = live.link()
    live.ok("/item/webhook/update", access_token=item["access_token"], webhook=listener.url)
    attempts = listener.wait(3)

    assert len({w.headers["plaid-verification"] for w in attempts}) == 3
    assert len({w.raw for w in attempts}) == 1
    for attempt in attempts:
        verified(live, attempt)


def test_control_breaks_repairs_churns_and_changes_an_item(live: Any, control: Any, listener: Any) -> None:
    item = live.link(webhook=listener.url)
    path = f"/items/{item['item_id']}"
    listener.wait(2)
    control("POST", path + "/break", {"code": "USER_PERMISSION_REVOKED"})
    assert live.error("/accounts/get", access_token=item["access_token"])[2] == "USER_PERMISSION_REVOKED"
    control("POST", path + "/repair")
    order = {"account": "chase-invest-demo", "security": "AAPL", "quantity": "120", "average_cost": "150"}
    assert control("POST", path + "/holdings", order) == {"announced": 1}
    before = {a["id"] for a in control("GET", "/items")[0]["accounts"]}
    after = set(control("POST", path + "/churn")["account_ids"])

    names = [w.name for w in listener.wait(5)][2:]
    assert names == ["ITEM/ERROR", "ITEM/LOGIN_REPAIRED", "HOLDINGS/DEFAULT_UPDATE"]
    rows = live.ok("/investments/holdings/get", access_token=item["access_token"])["holdings"]
    assert 120 in {row["quantity"] for row in rows}
    assert {row["account_id"] for row in rows} <= after
    assert not before & after
    control("POST", path + "/holdings", {**order, "quantity": "0"})
    assert (
        len(live.ok("/investments/holdings/get", access_token=item["access_token"])["holdings"])
        == len(rows) - 1
    )


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/items/nope/break", {}, 404),
        ("/items/nope/churn", None, 404),
        ("/items/{id}/break", {"code": "NOPE"}, 422),
        ("/items/{id}/holdings", {"account": "nope", "security": "AAPL", "quantity": "1"}, 404),
        ("/items/{id}/holdings", {"account": "chase-invest-demo", "security": "nope", "quantity": "1"}, 404),
        ("/items/{id}/webhooks", {"webhook_type": "X", "webhook_code": "Y", "expired_key": True}, 409),
        ("/errors", {"endpoint": "*", "code": "RATE_LIMIT", "times": 0}, 422),
    ],
)
def test_control_refuses_what_it_does_not_know(
    live: Any, control: Any, path: str, body: Any, status: int
) -> None:
    item_id = live.link()["item_id"]

    control("POST", path.replace("{id}", item_id), body, expect=status)


def test_the_status_of_a_session_can_be_spelled_in_capitals(live: Any, control: Any, listener: Any) -> None:
    control("PUT", "/webhooks/session-status", {"spelling": "upper"})
    live.link(webhook=listener.url)

    assert listener.wait(2)[1].body["status"] == "SUCCESS"


def test_control_can_double_every_webhook(live: Any, control: Any, listener: Any) -> None:
    control("PUT", "/webhooks/disorder", {"duplicate": 1.0, "seed": 7})
    live.link(webhook=listener.url)

    assert (
        sorted(w.name for w in listener.wait(4))
        == ["LINK/ITEM_ADD_RESULT"] * 2 + ["LINK/SESSION_FINISHED"] * 2
    )


def test_the_face_serves_the_shared_control_protocol(live: Any, listener: Any) -> None:
    item = live.link(webhook=listener.url)
    listener.wait(2)
    (listed,) = live.face.connections()

    assert (listed["id"], listed["user"], listed["institution"], listed["status"]) == (
        item["item_id"],
        "u-1",
        "chase",
        "active",
    )
    assert {account["key"] for account in listed["accounts"]} == {"chase-checking-demo", "chase-invest-demo"}
    assert live.run(live.face.break_connection(item["item_id"])) is True
    assert live.run(live.face.repair_connection(item["item_id"])) is True
    assert live.run(live.face.break_connection("nope")) is False
    assert live.run(live.face.repair_connection("nope")) is False
    assert live.run(live.face.account_changed("chase-invest-demo")) == 1
    assert live.run(live.face.account_changed("schwab-demo")) == 0
    assert [w.name for w in listener.wait(5)][2:] == [
        "ITEM/ERROR",
        "ITEM/LOGIN_REPAIRED",
        "HOLDINGS/DEFAULT_UPDATE",
    ]
