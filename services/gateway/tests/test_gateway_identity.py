"""Whether two accounts are one: who may say so, what is written down, and what nobody is told."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from psycopg.types.json import Json

from contracts.decisions import IdentityDecided
from gateway.decisions import wait
from gateway.decisions.record import moment
from persistence.database import DatabaseUnavailable


@pytest.fixture
def pair(seed):
    """Two accounts of alice through two connections, in order."""
    schwab, plaid = seed.connection(), seed.connection(provider="plaid", connection_type="read")
    return sorted([seed.account(schwab), seed.account(plaid, provider="plaid", trading=False)])


def path(account):
    return f"/v1/accounts/{account}/identity"


def says(verdict, other):
    return {"verdict": verdict, "other_account_id": other}


async def decide(api, one, other, verdict="same", user="alice", **headers):
    return await api.request("POST", path(one), user, headers, json=says(verdict, other))


def without_request_id(answer):
    body = answer.json()
    assert body["error"].pop("requestId")
    return answer.status_code, body


async def test_two_accounts_become_one_and_everything_says_by_whom(api, stand_in, pair, written):
    answer = await decide(api, pair[1], pair[0])
    body = answer.json()
    assert (answer.status_code, body["status"], body["verdict"]) == (200, "applied", "same")
    assert body["account_ids"] == pair
    assert body["same_real_account"] is True
    assert len({one["real_account_id"] for one in body["accounts"]}) == 1
    [fact] = written.facts()
    assert fact == IdentityDecided(
        user_id="alice",
        decision_id=body["decision_id"],
        account_ids=pair,
        verdict="same",
        decided_by="user:alice",
        decided_at=api.clock.now(),
    )
    details = {"verdict": "same", "account_ids": pair, "by": "user:alice"}
    assert written.audit() == [("alice", "identity.decided", body["decision_id"], details)]
    shown = (await api.get(path(pair[0]))).json()
    assert [(one["verdict"], one["decided_by"], one["holds"]) for one in shown["decisions"]] == [
        ("same", "user:alice", True)
    ]
    assert sorted(one["account_id"] for one in shown["members"]) == pair


async def test_while_nobody_applies_it_the_decision_is_kept_and_pending(api, pair, written):
    answer = await decide(api, *pair)
    assert (answer.status_code, answer.headers["retry-after"]) == (202, "1")
    assert (answer.json()["status"], answer.json()["same_real_account"]) == ("pending", False)
    assert len(written.facts()) == 1


async def test_two_accounts_can_be_kept_apart(api, stand_in, pair):
    body = (await decide(api, *pair, "different")).json()
    assert (body["status"], body["same_real_account"]) == ("applied", False)


async def test_what_is_foreign_and_what_is_unknown_answer_alike_and_leave_no_trace(api, seed, pair, written):
    foreign = seed.account(seed.connection("bob"), "bob")
    gone = seed.account(seed.connection(), gone=True)
    nothing = str(uuid.uuid4())
    answers = [
        await api.post(path(one), says("same", other))
        for one, other in [
            (pair[0], foreign),
            (foreign, pair[0]),
            (pair[0], nothing),
            (nothing, pair[0]),
            (pair[0], gone),
            (gone, pair[0]),
            (foreign, nothing),
            (pair[0], "no-id"),
            ("no-id", pair[0]),
            (pair[0], pair[1].replace("-", "")),
            (pair[0], "{" + pair[1] + "}"),
            (pair[0], "\x00"),
        ]
    ]
    first = without_request_id(answers[0])
    assert first == (404, {"error": {"code": "NOT_FOUND", "message": "No such account."}})
    assert [without_request_id(one) for one in answers] == [first] * len(answers)
    lengths = {(one.headers["content-length"], one.headers["content-type"]) for one in answers}
    assert len(lengths) == 1
    reads = [await api.get(path(one)) for one in (foreign, gone, nothing, "no-id")]
    assert [without_request_id(one) for one in reads] == [first] * 4
    assert (written.facts(), written.audit()) == ([], [])


async def test_a_conflict_tells_nothing_of_foreign_accounts_of_one_connection(api, seed, written):
    connection = seed.connection("bob")
    one, other = seed.account(connection, "bob"), seed.account(connection, "bob")
    assert (await decide(api, one, other)).status_code == 404
    assert (await decide(api, one, other, "undo")).status_code == 404
    assert (await decide(api, one, other, user="bob")).status_code == 409
    assert written.facts() == []


@pytest.mark.parametrize("spelled", [str.lower, str.upper])
async def test_an_account_is_not_compared_with_itself(api, pair, spelled):
    answer = await decide(api, pair[0], spelled(pair[0]))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_FAILED")


async def test_two_accounts_of_one_connection_are_never_one_but_may_be_kept_apart(api, seed, stand_in):
    connection = seed.connection()
    one, other = seed.account(connection), seed.account(connection)
    refused = await decide(api, one, other)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "CONFLICT")
    assert refused.json()["error"]["message"] == "Two accounts of one connection are never one account."
    assert (await decide(api, one, other, "different")).status_code == 200


@pytest.mark.parametrize("body", [
    {"verdict": "same"},
    {"other_account_id": "x"},
    {"verdict": "SAME", "other_account_id": "x"},
    {"verdict": "undone", "other_account_id": "x"},
    {"verdict": "same", "other_account_id": 7},
    {"verdict": "same", "other_account_id": None},
    {"verdict": "same", "other_account_id": "x" * 65},
    {"verdict": "same", "other_account_id": "x", "decided_by": "admin:me"},
    {"verdict": ["same"], "other_account_id": "x"},
    [],
])  # fmt: skip
async def test_a_body_of_another_form_is_refused(api, pair, body):
    answer = await api.post(path(pair[0]), body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_FAILED")


async def test_half_a_character_is_no_account(api, pair):
    text = '{"verdict": "same", "other_account_id": "\\ud800"}'
    headers = {"Content-Type": "application/json"}
    answer = await api.request("POST", path(pair[0]), headers=headers, content=text)
    assert answer.status_code in {404, 422}


async def test_a_body_too_large_is_refused(api, pair):
    answer = await api.post(path(pair[0]), says("same", "x" * 70_000))
    assert answer.status_code == 413


async def test_only_what_stands_can_be_undone(api, stand_in, pair, written):
    assert (await decide(api, *pair, "undo")).status_code == 409
    assert (await decide(api, *pair)).status_code == 200
    undone = await decide(api, pair[1], pair[0], "undo")
    assert (undone.status_code, undone.json()["verdict"]) == (200, "undo")
    assert (await decide(api, *pair, "undo")).status_code == 409
    assert [fact.verdict for fact in written.facts()] == ["same", "undone"]
    past = (await api.get(path(pair[0]))).json()["decisions"]
    assert [(one["verdict"], one["holds"]) for one in past] == [("undone", True), ("same", False)]


async def test_what_nobody_has_applied_yet_can_be_undone(api, pair, written):
    await decide(api, *pair)
    assert (await decide(api, *pair, "undo")).status_code == 202
    assert (await decide(api, *pair, "undo")).status_code == 409
    same, undone = written.facts()
    assert same.decided_at < undone.decided_at, "the clock stood still, and yet the newest must win"


async def test_what_was_decided_elsewhere_can_be_undone_and_is_older(api, seed, pair, written):
    later = api.clock.now() + timedelta(minutes=5)
    seed.insert(
        "identity_decisions", user_id="alice", decision_id=str(uuid.uuid4()), account_id=pair[0],
        other_account_id=pair[1], verdict="same", decided_by="user:alice", decided_at=later,
    )  # fmt: skip
    assert (await decide(api, *pair, "undo")).status_code == 202
    assert written.facts()[0].decided_at > later, "a process whose clock was ahead decided before"


def test_a_decision_is_newer_than_all_before_it(clock):
    now = clock.now()
    assert moment(now, [None]) == now
    assert moment(now, [now - timedelta(1), None]) == now
    assert moment(now, [now, now + timedelta(1)]) == now + timedelta(days=1, microseconds=1)


async def test_a_request_sent_again_under_its_key_decides_once(api, stand_in, pair, written):
    key = {"Idempotency-Key": "tap-1"}
    first = await decide(api, *pair, **key)
    await decide(api, *pair, "different")
    again = await decide(api, pair[1], pair[0], **key)
    assert again.status_code == 200
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["decision_id"] == first.json()["decision_id"]
    assert [fact.verdict for fact in written.facts()] == ["same", "different"]
    other = await decide(api, *pair, "undo", **key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "VALIDATION_FAILED")


async def test_a_key_belongs_to_who_sent_it(api, seed, stand_in, pair, written):
    theirs = [seed.account(seed.connection("bob"), "bob"), seed.account(seed.connection("bob"), "bob")]
    key = {"Idempotency-Key": "1"}
    mine = await decide(api, *pair, **key)
    other = await decide(api, *theirs, user="bob", **key)
    assert other.status_code == 200
    assert "idempotency-replayed" not in other.headers
    assert mine.json()["decision_id"] != other.json()["decision_id"]


async def test_what_was_refused_leaves_its_key_free(api, stand_in, pair):
    key = {"Idempotency-Key": "1"}
    assert (await decide(api, *pair, "undo", **key)).status_code == 409
    assert (await decide(api, *pair, "same", **key)).status_code == 200


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 129, "\x7f"])
async def test_a_key_of_another_form_is_refused(api, pair, key):
    assert (await decide(api, *pair, **{"Idempotency-Key": key})).status_code == 422


async def test_of_many_at_once_under_one_key_one_decides(api, stand_in, pair, written):
    sent = [decide(api, *pair, **{"Idempotency-Key": "burst"}) for _ in range(6)]
    answers = await asyncio.gather(*sent)
    assert {one.status_code for one in answers} == {200}
    assert len({one.json()["decision_id"] for one in answers}) == 1
    assert len(written.facts()) == 1


async def test_the_newest_of_many_at_once_is_never_in_doubt(api, pair, written):
    await asyncio.gather(*(decide(api, *pair, verdict) for verdict in ("same", "different") * 3))
    times = [fact.decided_at for fact in written.facts()]
    assert len(set(times)) == 6
    assert times == sorted(times)


def grey(seed, one, other, real, user="alice", score="0.6"):
    """One real account held together by a pair that nobody is sure of."""
    seed._conn.execute(
        "UPDATE portfolio.accounts SET real_account_id = %s WHERE account_id IN (%s, %s)", (real, one, other)
    )
    seed.insert(
        "real_accounts", user_id=user, real_account_id=real, institution="charles-schwab",
        members=Json([one, other]), counted_account_id=one, reason="highest_priority", stale=False,
        needs_decision=True, excluded=Json([[other, "lower_priority:needs_decision"]]), changed_at="now",
    )  # fmt: skip
    evidence(seed, one, other, "needs_decision", user, score)


def evidence(seed, one, other, verdict, user="alice", score="0.6"):
    seed.insert(
        "identity_evidence", user_id=user, account_id=one, other_account_id=other, verdict=verdict,
        rule="score", score=score, reasons=Json(["institution_equal:+0.250", "overlap:+0.350"]),
    )  # fmt: skip


async def test_what_waits_for_a_decision_is_listed_with_its_evidence(api, seed, pair):
    third = seed.account(seed.connection(institution="fidelity"))
    real = str(uuid.uuid4())
    grey(seed, *pair, real)
    evidence(seed, *sorted([pair[0], third]), "different", score="0.1")
    body = (await api.get("/v1/identity/pending")).json()
    assert body["next_cursor"] is None
    [waiting] = body["items"]
    assert (waiting["real_account_id"], waiting["score"]) == (real, "0.6")
    assert [one["account_id"] for one in waiting["accounts"]] == pair
    assert [(one["counted"], one["rule"]) for one in waiting["accounts"]] == [
        (True, "highest_priority"),
        (False, "lower_priority:needs_decision"),
    ]
    shown = (await api.get(path(pair[0]))).json()
    assert (shown["real_account_id"], shown["needs_decision"]) == (real, True)
    assert [(one["account"]["account_id"], one["verdict"]) for one in shown["evidence"]] == [
        (pair[1], "needs_decision"),
        (third, "different"),
    ]
    assert (await api.get("/v1/identity/pending", "bob")).json()["items"] == []


async def test_a_grey_pair_that_is_kept_apart_anyway_waits_for_nobody(api, seed, pair):
    evidence(seed, *pair, "needs_decision")
    assert (await api.get("/v1/identity/pending")).json()["items"] == []


async def test_what_waits_comes_in_pages(api, seed):
    pairs = []
    for _ in range(3):
        pairs.append(sorted([seed.account(seed.connection()), seed.account(seed.connection())]))
        grey(seed, *pairs[-1], str(uuid.uuid4()))
    seen, cursor = [], None
    for _ in range(3):
        params = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        body = (await api.get("/v1/identity/pending", params=params)).json()
        seen += [[one["account_id"] for one in item["accounts"]] for item in body["items"]]
        cursor = body["next_cursor"]
    assert (seen, cursor) == (sorted(pairs), None)
    wrong = await api.get("/v1/identity/pending", params={"cursor": "W10"})
    assert wrong.status_code == 422


async def test_an_unchanged_answer_is_not_sent_again(api, pair):
    for one in (path(pair[0]), "/v1/identity/pending"):
        tag = (await api.get(one)).headers["etag"]
        assert (await api.get(one, headers={"If-None-Match": tag})).status_code == 304


class TestAdmins:
    """An admin acts as the user, in the user's own trail, under the admin's name."""

    @staticmethod
    def path(account, user="alice"):
        return f"/v1/admin/users/{user}/accounts/{account}/identity"

    async def test_decide_for_a_user_who_sees_by_whom(self, api, stand_in, pair, written):
        answer = await api.request(
            "POST", self.path(pair[0]), None, api.headers("root", admin=True), json=says("same", pair[1])
        )
        assert (answer.status_code, answer.json()["same_real_account"]) == (200, True)
        assert [(row[0], row[3]["by"]) for row in written.audit()] == [("alice", "admin:root")]
        assert (await api.get(path(pair[0]))).json()["decisions"][0]["decided_by"] == "admin:root"

    async def test_see_what_the_user_sees_and_that_is_noted(self, api, seed, pair, written):
        grey(seed, *pair, str(uuid.uuid4()))
        root = api.headers("root", admin=True)
        waiting = await api.request(
            "GET", "/v1/admin/identity/pending", None, root, params={"user_id": "alice"}
        )
        assert waiting.json() == (await api.get("/v1/identity/pending")).json()
        shown = await api.request("GET", self.path(pair[0]), None, root)
        assert shown.json() == (await api.get(path(pair[0]))).json()
        assert [(row[0], row[1], row[3]) for row in written.audit()] == [
            ("alice", "admin.read", {"what": "identity.pending", "by": "admin:root"}),
            ("alice", "admin.read", {"what": "identity", "by": "admin:root", "account_id": pair[0]}),
        ]

    async def test_nobody_else_comes_in_whatever_exists(self, api, seed, pair, written):
        paths = [self.path(pair[0]), self.path(str(uuid.uuid4())), self.path("no-id", "nobody")]
        answers = [await api.post(one, says("same", pair[1])) for one in paths]
        answers += [await api.get(one) for one in paths]
        answers += [await api.get("/v1/admin/identity/pending", params={"user_id": "alice"})]
        assert {without_request_id(one)[0] for one in answers} == {403}
        assert len({str(without_request_id(one)) for one in answers}) == 1
        assert (written.facts(), written.audit()) == ([], [])

    async def test_an_account_is_found_under_its_own_user_alone(self, api, seed, pair, written):
        theirs = seed.account(seed.connection("bob"), "bob")
        root = api.headers("alice", admin=True)
        for user, one, other in (
            ("bob", pair[0], pair[1]),
            ("alice", pair[0], theirs),
            ("nobody", pair[0], pair[1]),
        ):
            answer = await api.request("POST", self.path(one, user), None, root, json=says("same", other))
            assert answer.status_code == 404
        assert written.facts() == []

    @pytest.mark.parametrize("user", ["%00", "%0a", "x" * 201, "%ff"])
    async def test_a_user_who_cannot_be_one_is_refused(self, api, pair, user):
        root = api.headers("root", admin=True)
        answer = await api.request("GET", self.path(pair[0], user), None, root)
        assert answer.status_code in {404, 422}
        listed = await api.request("GET", f"/v1/admin/identity/pending?user_id={user}", None, root)
        assert listed.status_code in {200, 422}

    async def test_a_users_key_and_an_admins_are_two(self, api, stand_in, pair, written):
        key = {"Idempotency-Key": "1"}
        mine = await decide(api, *pair, **key)
        root = api.headers("root", admin=True) | key
        theirs = await api.request("POST", self.path(pair[0]), None, root, json=says("different", pair[1]))
        assert theirs.status_code == 200
        assert mine.json()["decision_id"] != theirs.json()["decision_id"]


async def test_a_database_that_is_away_for_a_moment_is_looked_at_again():
    looks = []

    async def look():
        looks.append(1)
        if len(looks) < 3:
            raise DatabaseUnavailable("away")
        return "there"

    assert await wait.until(look, 20.0) == "there"


async def test_patience_ends_with_nothing_and_one_look_is_always_taken():
    looks = []

    async def look():
        looks.append(1)

    assert await wait.until(look, 0.0) is None
    assert len(looks) == 1


async def test_any_other_failure_while_waiting_is_not_hidden():
    async def look():
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        await wait.until(look, 1.0)
