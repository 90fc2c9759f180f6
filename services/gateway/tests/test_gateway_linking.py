"""Link sessions from the wish to the connection, with whatever can go wrong on the way."""

import asyncio
import uuid
from datetime import timedelta

import pytest

from contracts.envelope import decode
from contracts.errors import MEANING, ErrorCode
from contracts.linking import LinkProgress
from contracts.messages import LinkCompleted, RemoveConnection
from contracts.statuses import LinkStatus
from gateway.refusals import refusal
from persistence import roles
from persistence.database import Database

REDIRECT = "https://app.example.com/linked"


async def begin(api, institution="charles-schwab", user="alice", **wish):
    return await api.post("/v1/link", {"institution": institution, **wish}, user)


async def rows(migrated_database, query, *values, user="alice"):
    database = Database(migrated_database.url(roles.GATEWAY))
    await database.open()
    try:
        async with database.transaction(user) as conn:
            return await (await conn.execute(query, values)).fetchall()
    finally:
        await database.close()


async def commands(migrated_database):
    found = await rows(migrated_database, "SELECT routing_key, body FROM gateway.outbox ORDER BY id")
    return [(key, decode(body).message) for key, body in found]


def progress(status, *ids, reason=None):
    return LinkProgress(status=LinkStatus(status), connection_ids=list(ids), reason=reason)


@pytest.mark.parametrize(
    ("institution", "wish", "provider", "trading"),
    [
        ("charles-schwab", {}, "snaptrade", True),
        ("Charles Schwab", {"need_trading": True}, "snaptrade", True),
        ("fidelity", {}, "snaptrade", False),
        ("chase", {}, "plaid", False),
        ("First Nowhere Bank", {}, "plaid", False),
        ("First Nowhere Broker", {"need_trading": True}, "snaptrade", True),
    ],
)
async def test_the_fixed_cases_link_through_the_right_provider(api, institution, wish, provider, trading):
    answer = await begin(api, institution, **wish)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["provider"], body["capabilities"], body["status"]) == (
        provider,
        {"trading": trading},
        "pending",
    )
    assert body["reasons"]
    assert body["url"] == api.connectors.url
    assert (body["link_token"] is not None) == (provider == "plaid")
    assert answer.headers["location"] == f"/v1/link/{body['id']}"
    assert answer.headers["cache-control"] == "no-store"
    [(asked, request)] = api.connectors.begun
    assert (asked, request.user_id, request.link_session_id) == (provider, "alice", body["id"])
    assert request.allow_trading is trading


async def test_the_institution_is_named_in_the_providers_own_words(api):
    await begin(api, "schwab", redirect_uri=REDIRECT + "?state=1")
    await begin(api, "Some  Unlisted Bank")
    (_, known), (_, unknown) = api.connectors.begun
    assert (known.institution, known.institution_ref) == ("charles-schwab", "SCHWAB")
    assert known.redirect_uri == REDIRECT + "?state=1"
    assert (unknown.institution, unknown.institution_ref) == ("some-unlisted-bank", None)


@pytest.mark.parametrize(
    ("wish", "status", "code"),
    [
        ({"institution": "fidelity", "need_trading": True}, 409, "TRADING_NOT_SUPPORTED"),
        ({"institution": "chase", "provider": "snaptrade"}, 422, "PROVIDER_NOT_SUPPORTED"),
        ({"institution": "Unlisted", "provider": "acme"}, 409, "PROVIDER_DISABLED"),
        ({"institution": "!!!"}, 404, "UNKNOWN_INSTITUTION"),
        ({"institution": "<script>alert(1)</script>"}, 404, "UNKNOWN_INSTITUTION"),
        ({"institution": "12345"}, 404, "UNKNOWN_INSTITUTION"),
        ({"institution": "x" * 101}, 422, "VALIDATION_FAILED"),
        ({"institution": "a\x00b"}, 422, "VALIDATION_FAILED"),
        ({"institution": ""}, 422, "VALIDATION_FAILED"),
        ({}, 422, "VALIDATION_FAILED"),
        ({"institution": "chase", "user_id": "bob"}, 422, "VALIDATION_FAILED"),
        ({"institution": "chase", "provider": "../x"}, 422, "VALIDATION_FAILED"),
        (
            {"institution": "chase", "redirect_uri": "https://evil.example/linked"},
            422,
            "REDIRECT_NOT_ALLOWED",
        ),
        ({"institution": "chase", "reconnect_connection_id": str(uuid.uuid4())}, 404, "NOT_FOUND"),
    ],
)
async def test_a_wish_that_cannot_be_is_refused_before_any_connector_is_asked(api, wish, status, code):
    answer = await api.post("/v1/link", wish)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert api.connectors.begun == []


async def test_a_refused_wish_leaves_its_reasons_in_the_audit_trail(api, migrated_database):
    answer = await begin(api, "fidelity", need_trading=True)
    assert answer.json()["error"]["details"]["reasons"]
    [(action, details)] = await rows(migrated_database, "SELECT action, details FROM gateway.audit_log")
    assert (action, details["refusal"]) == ("link.refused", "TRADING_NOT_SUPPORTED")
    assert details["reasons"] == answer.json()["error"]["details"]["reasons"]


async def test_the_decision_is_stored_with_inputs_and_reasons_and_no_credential(api, migrated_database):
    await begin(api, "Chase")
    [(row,)] = await rows(migrated_database, "SELECT to_json(s)::text FROM gateway.link_sessions s")
    assert '"institution": "Chase"' in row
    assert "coverage prefers plaid" in row
    for table in ("link_sessions", "audit_log", "outbox", "link_outcomes"):
        text = str(await rows(migrated_database, f"SELECT to_json(t)::text FROM gateway.{table} t"))
        assert "canary" not in text


async def test_the_page_and_the_token_are_shown_once(api):
    session = (await begin(api, "chase")).json()
    again = await api.get(f"/v1/link/{session['id']}")
    assert "canary" not in again.text
    assert again.json()["status"] == "pending"


async def test_a_session_completes_through_one_command_and_ends_with_its_connection(api, migrated_database):
    session = (await begin(api)).json()
    path = f"/v1/link/{session['id']}"
    done = await api.post(f"{path}/complete", {"connection_id": "claimed-1"})
    assert (done.status_code, done.json()["status"]) == (202, "completing")
    [(key, command)] = await commands(migrated_database)
    assert key == "connector.snaptrade.link_completed"
    assert command == LinkCompleted(user_id="alice", link_session_id=session["id"], hint="claimed-1")
    brought = str(uuid.uuid4())
    api.connectors.says[session["id"]] = progress("completed", brought)
    read = (await api.get(path)).json()
    assert (read["status"], read["connection_ids"]) == ("completed", [brought])
    again = await api.post(f"{path}/complete")
    assert (again.status_code, again.json()["status"]) == (200, "completed")
    assert len(await commands(migrated_database)) == 1
    assert link_count(api, "started") == link_count(api, "completed") == 1


def link_count(api, outcome, provider="snaptrade", institution="charles-schwab"):
    return api.metrics.value(
        "onefolio_link_attempts_total", provider=provider, institution=institution, outcome=outcome
    )


async def test_completing_twice_at_once_sends_one_command(api, migrated_database):
    path = f"/v1/link/{(await begin(api)).json()['id']}/complete"
    answers = await asyncio.gather(*(api.post(path) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {202}
    assert len(await commands(migrated_database)) == 1


async def test_a_completing_session_does_not_fall_back_before_its_connector_has_heard(api):
    session = (await begin(api)).json()
    path = f"/v1/link/{session['id']}"
    await api.post(f"{path}/complete")
    assert (await api.get(path)).json()["status"] == "completing"
    api.clock.advance(11)
    assert (await api.get(path)).json()["status"] == "pending"


async def test_the_provider_is_asked_at_most_every_three_seconds(api):
    path = f"/v1/link/{(await begin(api)).json()['id']}"
    for _ in range(3):
        await api.get(path)
    api.clock.advance(3)
    await api.get(path)
    assert [how for how, _ in api.connectors.asked] == ["check", "progress", "progress", "check"]


async def test_a_session_is_readable_while_its_connector_is_down(api):
    session = (await begin(api)).json()
    api.connectors.fails = refusal(ErrorCode.PROVIDER_UNAVAILABLE)
    answer = await api.get(f"/v1/link/{session['id']}")
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    done = await api.post(f"/v1/link/{session['id']}/complete")
    assert done.status_code == 202


async def test_an_unfinished_session_that_ran_out_is_gone(api, migrated_database):
    path = f"/v1/link/{(await begin(api)).json()['id']}"
    api.clock.advance(timedelta(minutes=31))
    answer = await api.post(f"{path}/complete")
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "LINK_SESSION_EXPIRED")
    assert (await api.get(path)).json()["status"] == "expired"
    assert await commands(migrated_database) == []
    assert link_count(api, "expired") == 1


async def test_a_session_finished_in_time_is_completed_however_late_the_app_is(api):
    session = (await begin(api)).json()
    api.clock.advance(timedelta(minutes=31))
    api.connectors.says[session["id"]] = progress("completed", str(uuid.uuid4()))
    assert (await api.post(f"/v1/link/{session['id']}/complete")).status_code == 200


async def test_the_page_may_expire_long_before_the_session(api):
    session = (await begin(api)).json()
    api.connectors.says[session["id"]] = progress("expired")
    assert (await api.get(f"/v1/link/{session['id']}")).json()["status"] == "pending"
    api.connectors.says[session["id"]] = progress("expired", reason="CONNECTION_GONE")
    assert (await api.get(f"/v1/link/{session['id']}")).json()["status"] == "expired"


@pytest.mark.parametrize("ending", ["failed", "abandoned"])
async def test_a_session_that_ended_badly_says_why_and_can_still_turn_out_well(api, ending):
    session = (await begin(api)).json()
    path = f"/v1/link/{session['id']}"
    api.connectors.says[session["id"]] = progress(ending, reason="the user left")
    assert (await api.get(path)).json()["reason"] == "the user left"
    answer = await api.post(f"{path}/complete")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "LINK_FAILED")
    assert answer.json()["error"]["details"] == {"status": ending, "reason": "the user left"}
    api.connectors.says[session["id"]] = progress("completed", str(uuid.uuid4()))
    assert (await api.get(path)).json()["status"] == "completed"


@pytest.mark.parametrize(
    "code",
    [ErrorCode.SNAPTRADE_USER_MISMATCH, ErrorCode.PROVIDER_UNAVAILABLE, ErrorCode.RATE_LIMITED],
)
async def test_a_connectors_error_reaches_the_user_and_closes_the_session(api, migrated_database, code):
    api.connectors.fails = refusal(
        code, details={"provider_request_id": "req-1"}, headers={"Retry-After": "9"}
    )
    answer = await begin(api)
    assert (answer.status_code, answer.json()["error"]["code"]) == (MEANING[code].status, code)
    assert answer.json()["error"]["details"]["provider_request_id"] == "req-1"
    assert answer.headers["retry-after"] == "9"
    [(status, reason)] = await rows(migrated_database, "SELECT status, reason FROM gateway.link_sessions")
    assert (status, reason) == ("failed", code)
    assert link_count(api, "not_started") == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://portal.example.com/x",
        "javascript:alert(1)",
        "https://user@portal.example.com/",
        "https://portal.example.com\\@evil.example/",
        "https:///nowhere",
        "https://[bad/",
        "",
    ],
)
async def test_nobody_is_sent_to_a_page_that_is_not_plainly_https(api, url):
    api.connectors.url = url
    answer = await begin(api)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "PROVIDER_PROTOCOL")
    assert url == "" or url not in answer.text


async def test_a_page_on_loopback_serves_while_developing(api):
    api.connectors.url = "http://127.0.0.1:9000/portal"
    assert (await begin(api)).status_code == 201


async def test_a_provider_that_keeps_failing_gives_way_to_the_fallback(api):
    api.connectors.fails = refusal(ErrorCode.PROVIDER_UNAVAILABLE)
    for _ in range(5):
        assert (await begin(api, "fidelity")).status_code == 503
    api.connectors.fails = None
    body = (await begin(api, "fidelity")).json()
    assert body["provider"] == "plaid"
    assert any("unhealthy" in reason for reason in body["reasons"])
    listed = (await api.get("/v1/institutions", params={"query": "fid", "explain": True})).json()["items"][0]
    assert listed["provider"] == "plaid"
    api.clock.advance(timedelta(hours=25))
    assert (await begin(api, "fidelity")).json()["provider"] == "snaptrade"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_foreign_an_absent_and_an_impossible_session_answer_alike(api, method):
    session = (await begin(api)).json()["id"]
    bodies = []
    for one in (session, str(uuid.uuid4()), "nonsense"):
        path = f"/v1/link/{one}" + ("/complete" if method == "POST" else "")
        answer = await api.request(method, path, user="bob")
        assert answer.status_code == 404
        bodies.append({k: v for k, v in answer.json()["error"].items() if k != "requestId"})
    assert bodies[0] == bodies[1] == bodies[2]
    assert api.connectors.asked == []


async def test_a_connection_is_repaired_through_its_own_provider(api, seed):
    connection = seed.connection(
        provider="plaid", institution="fidelity", status="broken", connection_type="read"
    )
    answer = await api.post(f"/v1/connections/{connection}/reconnect", {"redirect_uri": REDIRECT})
    assert answer.status_code == 201
    body = answer.json()
    assert (body["provider"], body["institution"]) == ("plaid", "fidelity")
    assert body["reconnect_connection_id"] == connection
    [(_, request)] = api.connectors.begun
    assert (request.reconnect_connection_id, request.institution_ref) == (connection, "ins_12")
    same = await api.post("/v1/link", {"reconnect_connection_id": connection, "institution": "Fidelity"})
    assert same.status_code == 201


async def test_a_repair_of_another_institution_or_provider_or_of_nothing_is_refused(api, seed):
    connection = seed.connection(provider="plaid", institution="fidelity")
    gone = seed.connection(status="removed")
    acme = seed.connection(provider="acme")
    for wish, code in (
        ({"reconnect_connection_id": connection, "institution": "chase"}, "CONFLICT"),
        ({"reconnect_connection_id": connection, "provider": "snaptrade"}, "CONFLICT"),
        ({"reconnect_connection_id": gone}, "CONNECTION_GONE"),
        ({"reconnect_connection_id": acme}, "PROVIDER_DISABLED"),
    ):
        assert (await api.post("/v1/link", wish)).json()["error"]["code"] == code
    foreign = await api.post(f"/v1/connections/{connection}/reconnect", user="bob")
    assert foreign.status_code == 404
    assert api.connectors.begun == []


async def test_removing_a_connection_sends_the_command_and_notes_who_asked(api, seed, migrated_database):
    connection = seed.connection()
    answer = await api.request("DELETE", f"/v1/connections/{connection}")
    assert (answer.status_code, answer.json()) == (202, {"id": connection, "status": "removing"})
    [(key, command)] = await commands(migrated_database)
    assert key == "connector.snaptrade.remove"
    assert command == RemoveConnection(user_id="alice", connection_id=connection, reason="user")
    [(action, thing)] = await rows(migrated_database, "SELECT action, object_id FROM gateway.audit_log")
    assert (action, thing) == ("connection.removed", connection)


async def test_removing_what_is_gone_or_foreign_sends_nothing(api, seed, migrated_database):
    gone, foreign = seed.connection(status="removed"), seed.connection(user="bob")
    assert (await api.request("DELETE", f"/v1/connections/{gone}")).json()["status"] == "removed"
    assert (await api.request("DELETE", f"/v1/connections/{foreign}")).status_code == 404
    assert await commands(migrated_database) == []


async def test_sessions_are_invisible_to_other_users_in_the_database_too(api, migrated_database):
    await begin(api)
    assert len(await rows(migrated_database, "SELECT 1 FROM gateway.link_sessions")) == 1
    assert await rows(migrated_database, "SELECT 1 FROM gateway.link_sessions", user="bob") == []


async def test_institutions_say_who_links_them_and_why(api):
    page = (await api.get("/v1/institutions", params={"popular": True, "explain": True})).json()
    known = {one["slug"]: one for one in page["items"]}
    assert known["charles-schwab"]["provider"] == "snaptrade"
    assert known["charles-schwab"]["capabilities"] == {"trading": True}
    assert known["chase"]["provider"] == "plaid"
    assert known["fidelity"]["reasons"] == ["coverage prefers snaptrade for fidelity"]
    assert "first-platypus" not in known
    quiet = (await api.get("/v1/institutions", params={"query": "fid"})).json()["items"]
    assert [(one["slug"], one["reasons"]) for one in quiet] == [("fidelity", None)]


async def test_institutions_come_in_pages(api):
    seen, cursor = [], None
    while cursor is not None or not seen:
        query = {"limit": 4} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/v1/institutions", params=query)).json()
        seen += [one["slug"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 10


async def test_every_field_of_every_body_is_bounded_and_known(documented):
    schemas = documented.document["components"]["schemas"]
    for name in ("LinkBody", "ReconnectBody", "CompleteBody"):
        assert schemas[name]["additionalProperties"] is False
        for field in schemas[name]["properties"].values():
            for kind in field.get("anyOf", [field]):
                if kind.get("type") == "string":
                    assert {"maxLength", "pattern", "format"} & set(kind)
