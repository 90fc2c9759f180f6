"""What the sandbox refuses, with the status, code and body of the real one."""

import pytest

UNKNOWN = "00000000-0000-4000-8000-000000000099"


def refused(answer, status, code):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["code"] == code
    assert body["status_code"] == status
    assert body["detail"]
    assert answer.headers["x-request-id"]
    return body


def test_a_wrong_signature_is_1076(live):
    refused(live.commercial().send("GET", "/snapTrade/listUsers", signature="bm8="), 401, "1076")
    refused(live.commercial().send("GET", "/snapTrade/listUsers", signature=""), 401, "1076")


def test_signing_the_other_base_path_is_1076(live):
    legacy = live.registered()
    legacy.prefix = "/api/v1"
    answer = legacy.get("/accounts")
    assert answer.status_code == 200
    assert answer.headers["deprecation"] == "@1781222400"
    assert "deprecation" not in live.commercial().get("/snapTrade/listUsers").headers
    root = live.commercial()
    signed_for_root = root.get("/snapTrade/listUsers").request
    query, signature = signed_for_root.url.query.decode(), signed_for_root.headers["signature"]
    mixed = live.http.get(f"{live.url}/api/v1/snapTrade/listUsers?{query}", headers={"Signature": signature})
    refused(mixed, 401, "1076")


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_timestamp_outside_the_window_is_refused(live, seconds):
    stamp = int(live.clock().timestamp()) + seconds
    body = refused(live.commercial().send("GET", "/snapTrade/listUsers", timestamp=stamp), 401, "0000")
    assert body["detail"] == "Invalid timestamp"


def test_a_timestamp_in_milliseconds_is_refused(live):
    stamp = int(live.clock().timestamp() * 1000)
    refused(live.commercial().send("GET", "/snapTrade/listUsers", timestamp=stamp), 401, "0000")


def test_missing_and_unknown_keys_are_told_apart(live):
    assert "provide" in refused(live.http.get(f"{live.url}/accounts/all"), 401, "0000")["detail"]
    stranger = live.commercial()
    stranger.client_id = "NOBODY"
    assert refused(stranger.get("/snapTrade/listUsers"), 401, "0000")["detail"] == "Invalid clientId provided"


def test_a_wrong_user_or_secret_is_1083(live):
    caller = live.registered()
    good = dict(caller.user)
    for change in ({"userId": "nobody"}, {"userSecret": "wrong"}):
        caller.user = good | change
        refused(caller.get("/accounts/all"), 401, "1083")
    caller.user = {}
    refused(caller.get("/accounts/all"), 401, "0000")


def test_a_user_exists_once_and_a_rotated_secret_is_worthless(live):
    caller = live.registered("u-1")
    old = dict(caller.user)
    caller.user = {}
    refused(caller.post("/snapTrade/registerUser", {"userId": "u-1"}), 400, "1010")
    refused(caller.post("/snapTrade/registerUser", {}), 400, "1012")
    caller.user = {}
    fresh = caller.post("/snapTrade/resetUserSecret", old).json()
    refused(caller.post("/snapTrade/resetUserSecret", old), 401, "1083")
    caller.user = old
    refused(caller.get("/accounts/all"), 401, "1083")
    caller.user = fresh
    assert caller.get("/accounts/all").status_code == 200


def test_a_deleted_user_is_gone(live):
    caller = live.registered("u-1")
    admin = live.commercial()
    assert admin.delete("/snapTrade/deleteUser", userId="u-1").json()["status"] == "deleted"
    live.sandbox.settle()
    refused(caller.get("/accounts/all"), 401, "1083")
    refused(admin.delete("/snapTrade/deleteUser", userId="u-1"), 404, "1011")


def test_a_personal_key_is_its_own_user_and_manages_none(live):
    personal = live.personal()
    assert personal.get("/accounts/all").json() == {"results": []}
    refused(personal.get("/snapTrade/listUsers"), 403, "1066")
    refused(personal.post("/snapTrade/registerUser", {"userId": "x"}), 403, "1066")
    personal.user = {"userId": "x", "userSecret": "y"}
    refused(personal.get("/accounts/all"), 401, "1083")


def test_what_belongs_to_another_user_does_not_exist(live):
    owner = live.registered("owner")
    connection_id = owner.connect("SCHWAB")
    account_id = owner.accounts()[0]["id"]
    other = live.registered("other")
    for path in (
        f"/authorizations/{connection_id}",
        f"/accounts/{account_id}/positions/all",
        f"/accounts/{UNKNOWN}",
    ):
        refused(other.get(path), 404, "1011")
    refused(other.delete(f"/connection/{connection_id}"), 404, "1011")
    refused(other.get("/symbols/NOSUCH"), 404, "1011")
    assert owner.accounts()


@pytest.mark.parametrize(
    "body",
    [
        {"connectionType": "admin"},
        {"broker": "NOSUCH"},
        {"broker": "FIDELITY", "connectionType": "trade"},
        {"reconnect": "not-a-uuid"},
        {"locale": "de"},
        {"customRedirect": "nowhere"},
        {"customRedirect": "javascript://x%0aalert(1)"},
        {"darkMode": "yes"},
    ],
)
def test_login_refuses_bad_input_with_1012(live, body):
    refused(live.registered().post("/snapTrade/login", body), 400, "1012")


def test_login_refuses_to_repair_an_unknown_connection(live):
    refused(live.registered().post("/snapTrade/login", {"reconnect": UNKNOWN}), 404, "1011")


@pytest.mark.parametrize(
    "query", [{"offset": "-1"}, {"limit": "0"}, {"limit": "1001"}, {"startDate": "yesterday"}]
)
def test_activities_refuse_bad_paging(live, query):
    caller = live.registered()
    caller.connect("SCHWAB")
    account_id = caller.accounts()[0]["id"]
    refused(caller.get(f"/accounts/{account_id}/activities", **query), 400, "1012")


def test_a_body_that_is_not_json_is_refused_before_it_is_used(live):
    caller = live.commercial()
    stamp = int(live.clock().timestamp())
    url = f"{live.url}/snapTrade/registerUser?clientId={caller.client_id}&timestamp={stamp}"
    refused(live.http.post(url, content=b"{oops", headers={"Signature": "eA=="}), 401, "1076")


def test_retired_endpoints_are_gone_with_detail_alone(live):
    caller = live.registered()
    caller.connect("SCHWAB")
    account_id = caller.accounts()[0]["id"]
    for path in ("holdings", "positions", "options"):
        answer = caller.get(f"/accounts/{account_id}/{path}")
        assert answer.status_code == 410
        assert list(answer.json()) == ["detail"]


def test_an_unknown_path_and_method_answer_json(live):
    assert live.http.get(f"{live.url}/nothing").json()["status_code"] == 404
    assert live.http.put(f"{live.url}/authorizations").json()["status_code"] == 405


def test_a_request_over_the_limit_of_a_minute_is_throttled_until_the_window_moves(live):
    live.control("PUT", "/rate-limit", {"name": "snaptrade", "limit": 3})
    caller = live.commercial()
    for left in (2, 1, 0):
        answer = caller.get("/snapTrade/listUsers")
        assert answer.headers["x-ratelimit-limit"] == "3"
        assert answer.headers["x-ratelimit-remaining"] == str(left)
    answer = caller.get("/snapTrade/listUsers")
    body = refused(answer, 429, "0000")
    wait = int(answer.headers["retry-after"])
    assert 0 < wait <= 60
    assert str(wait) in body["detail"]
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert live.personal().get("/accounts/all").status_code == 200
    live.clock.move(seconds=61)
    assert caller.get("/snapTrade/listUsers").status_code == 200


def test_personal_keys_can_have_a_limit_per_account(live):
    caller = live.personal()
    caller.connect("SCHWAB")
    live.control("PUT", "/rate-limit", {"name": "snaptrade-account", "limit": 1})
    account_id = caller.accounts()[0]["id"]
    answer = caller.get(f"/accounts/{account_id}/balances")
    assert answer.headers["x-ratelimit-account-remaining"] == "0"
    refused(caller.get(f"/accounts/{account_id}/positions/all"), 429, "0000")
    commercial = live.registered()
    commercial.connect("SCHWAB")
    for _ in range(2):
        answer = commercial.get(f"/accounts/{commercial.accounts()[0]['id']}/balances")
        assert answer.status_code == 200
