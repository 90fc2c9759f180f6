"""Quarantined snapshots: what they would change, and what people say of them."""

import uuid
from datetime import timedelta

import pytest
from psycopg.types.json import Json

from contracts.decisions import SnapshotJudged
from contracts.ids import snapshot_id


def path(account):
    return f"/v1/accounts/{account}/quarantine"


def line(key, quantity, value, instrument=None):
    return {
        "ref": {"instrument_id": instrument or str(uuid.uuid4()), "key": key},
        "currency": "USD",
        "quantity": quantity,
        "market_value": value,
    }


class Quarantined:
    """An account that holds AAPL and ODD, and a newer snapshot of it that is nearly empty."""

    def __init__(self, seed, at, user="alice"):
        self._seed, self._at, self._user = seed, at, user
        self.account = seed.account(seed.connection(user), user)
        for key, quantity in (("AAPL", "50"), ("ODD", "7")):
            seed.holding(self.account, seed.instrument(f"{key}-{self.account[:4]}"), quantity, user)
        self.sighting(3, "h", holdings=2, value="570")

    def sighting(self, version, content, lines=None, **more):
        identity = snapshot_id(self.account, version, content)
        row = {
            "user_id": self._user,
            "account_id": self.account,
            "version": version,
            "snapshot_id": identity,
            "content_hash": content,
            "as_of": self._at,
            "synced_at": self._at,
            "holdings": len(lines or []),
            "value": "0",
            "value_currency": "USD",
            "unpriced": 0,
            "payload": None if lines is None else Json(lines),
        } | more
        self._seed.insert("sightings", **row)
        return identity

    def quarantine(self, version=9, lines=()):
        content = f"c{version}"
        self._seed.insert(
            "snapshots", user_id=self._user, account_id=self.account, state="quarantined", version=version,
            content_hash=content, as_of=self._at, synced_at=self._at, first_synced_at=self._at, complete=True,
            holdings=len(lines), value="0", value_currency="USD", unpriced=0, payload=Json(list(lines)),
        )  # fmt: skip
        return self.sighting(version, content)


@pytest.fixture
def held(seed, clock):
    made = Quarantined(seed, clock.now())
    made.quarantine(lines=[line(f"AAPL-{made.account[:4]}", "5", "50"), line("NEW", "1", "3")])
    return made


def says(verdict, version=9):
    return {"verdict": verdict, "version": version}


async def judge(api, account, verdict="accept", version=9, user="alice", **headers):
    return await api.request("POST", path(account), user, headers, json=says(verdict, version))


def without_request_id(answer):
    body = answer.json()
    assert body["error"].pop("requestId")
    return answer.status_code, body


async def test_a_quarantined_snapshot_is_shown_beside_the_one_that_stays(api, held):
    body = (await api.get(path(held.account))).json()
    now, new = body["current"], body["quarantined"]
    assert (now["version"], now["holdings"], now["value"]["amount"]) == (3, 2, "570")
    assert (new["version"], new["holdings"], new["value"]["amount"]) == (9, 0, "0")
    assert new["snapshot_id"] == snapshot_id(held.account, 9, "c9")
    assert (now["first_synced_at"], new["first_synced_at"]) == (None, api.clock.now().isoformat())
    changes = [(one["instrument_key"][:4], one["quantity"], one["new_quantity"]) for one in body["changes"]]
    assert changes == [("AAPL", "50", "5"), ("ODD-", "7", None), ("NEW", None, "1")]
    assert (body["vanishing"], body["changes_total"], body["judgements"]) == (1, 3, [])


async def test_an_account_without_a_quarantine_says_so(api, seed, clock):
    calm = Quarantined(seed, clock.now())
    body = (await api.get(path(calm.account))).json()
    assert (body["quarantined"], body["changes"], body["vanishing"]) == (None, [], 0)
    assert body["current"]["version"] == 3


async def test_no_more_changes_are_listed_than_fit_and_all_are_counted(api, seed, clock):
    made = Quarantined(seed, clock.now())
    made.quarantine(lines=[line(f"K{number}", "1", None) for number in range(1200)])
    body = (await api.get(path(made.account))).json()
    assert (len(body["changes"]), body["changes_total"], body["vanishing"]) == (1000, 1202, 2)


async def test_an_accepted_snapshot_becomes_the_current_one(api, stand_in, held, written):
    answer = await judge(api, held.account)
    body = answer.json()
    assert answer.status_code == 200
    assert (body["status"], body["state"], body["version"]) == ("applied", "current", 9)
    assert written.facts() == [
        SnapshotJudged(
            user_id="alice",
            judgement_id=body["judgement_id"],
            account_id=held.account,
            version=9,
            verdict="accept",
            judged_by="user:alice",
            judged_at=api.clock.now(),
        )
    ]
    details = {"verdict": "accept", "account_id": held.account, "version": 9, "by": "user:alice"}
    assert written.audit() == [("alice", "snapshot.judged", body["judgement_id"], details)]
    [said] = (await api.get(path(held.account))).json()["judgements"]
    assert (said["verdict"], said["judged_by"]) == ("accept", "user:alice")


async def test_a_rejected_snapshot_is_gone_and_cannot_be_judged_again(api, stand_in, held):
    answer = await judge(api, held.account, "reject")
    assert (answer.status_code, answer.json()["state"]) == (200, "rejected")
    again = await judge(api, held.account, "accept")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "CONFLICT")
    assert (await api.get(path(held.account))).json()["quarantined"] is None


@pytest.mark.parametrize("version", [0, 3, 8, 10, 2**63 - 1])
async def test_only_the_version_that_is_quarantined_can_be_judged(api, held, written, version):
    assert (await judge(api, held.account, version=version)).status_code == 409
    assert written.facts() == []


async def test_while_nobody_applies_it_the_last_word_counts(api, held, written):
    first, second = await judge(api, held.account), await judge(api, held.account, "reject")
    for answer in (first, second):
        assert (answer.status_code, answer.headers["retry-after"]) == (202, "1")
        assert (answer.json()["status"], answer.json()["state"]) == ("pending", "quarantined")
    one, other = written.facts()
    assert (one.verdict, other.verdict) == ("accept", "reject")
    assert one.judged_at < other.judged_at, "the clock stood still"


async def test_a_judgement_is_newer_than_those_given_elsewhere(api, seed, held, written):
    later = api.clock.now() + timedelta(hours=1)
    seed.insert(
        "snapshot_judgements", user_id="alice", judgement_id=str(uuid.uuid4()), account_id=held.account,
        version=9, verdict="reject", judged_by="user:alice", judged_at=later,
    )  # fmt: skip
    await judge(api, held.account)
    assert written.facts()[0].judged_at > later


async def test_a_request_sent_again_under_its_key_judges_once(api, stand_in, held, written):
    key = {"Idempotency-Key": "tap"}
    first = await judge(api, held.account, **key)
    again = await judge(api, held.account, **key)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    assert len(written.facts()) == 1
    assert (await judge(api, held.account, "reject", **key)).status_code == 422


async def test_what_is_foreign_and_what_is_unknown_answer_alike(api, seed, clock, written):
    theirs = Quarantined(seed, clock.now(), "bob")
    theirs.quarantine()
    paths = [theirs.account, str(uuid.uuid4()), "no-id", theirs.account.replace("-", "")]
    answers = [await judge(api, one) for one in paths] + [await api.get(path(one)) for one in paths]
    expected = (404, {"error": {"code": "NOT_FOUND", "message": "No such account."}})
    assert [without_request_id(one) for one in answers] == [expected] * 8
    assert (written.facts(), written.audit()) == ([], [])


@pytest.mark.parametrize("body", [
    {"verdict": "accept"},
    {"version": 9},
    {"verdict": "Accept", "version": 9},
    {"verdict": "accept", "version": "9"},
    {"verdict": "accept", "version": 9.0},
    {"verdict": "accept", "version": True},
    {"verdict": "accept", "version": -1},
    {"verdict": "accept", "version": 2**63},
    {"verdict": "accept", "version": None},
    {"verdict": "accept", "version": 9, "judged_by": "admin:me"},
])  # fmt: skip
async def test_a_body_of_another_form_is_refused(api, held, body):
    answer = await api.post(path(held.account), body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_FAILED")


class TestAdmins:
    """An admin acts as the user, in the user's own trail, under the admin's name."""

    @staticmethod
    def path(account, user="alice"):
        return f"/v1/admin/users/{user}/accounts/{account}/quarantine"

    async def test_list_look_and_judge(self, api, stand_in, held, written):
        root = api.headers("root", admin=True)
        listed = await api.request("GET", "/v1/admin/quarantine", None, root, params={"user_id": "alice"})
        [item] = listed.json()["items"]
        assert (item["account"]["account_id"], item["quarantined"]["version"]) == (held.account, 9)
        assert item["current"]["version"] == 3
        shown = await api.request("GET", self.path(held.account), None, root)
        assert shown.json() == (await api.get(path(held.account))).json()
        judged = await api.request("POST", self.path(held.account), None, root, json=says("reject"))
        assert (judged.status_code, judged.json()["state"]) == (200, "rejected")
        again = await api.request("GET", "/v1/admin/quarantine", None, root, params={"user_id": "alice"})
        assert again.json()["items"] == []
        assert [(row[0], row[1], row[3]["by"]) for row in written.audit()] == [
            ("alice", "admin.read", "admin:root"),
            ("alice", "admin.read", "admin:root"),
            ("alice", "snapshot.judged", "admin:root"),
            ("alice", "admin.read", "admin:root"),
        ]

    async def test_lists_come_in_pages(self, api, seed, clock):
        made = [Quarantined(seed, clock.now()) for _ in range(3)]
        for one in made:
            one.quarantine()
        root, seen, cursor = api.headers("root", admin=True), [], None
        for _ in range(3):
            params = {"user_id": "alice", "limit": 1} | ({"cursor": cursor} if cursor else {})
            body = (await api.request("GET", "/v1/admin/quarantine", None, root, params=params)).json()
            seen += [item["account"]["account_id"] for item in body["items"]]
            cursor = body["next_cursor"]
        assert (seen, cursor) == (sorted(one.account for one in made), None)

    async def test_nobody_else_comes_in_and_nothing_crosses_over(self, api, seed, held, written):
        asked = [await api.post(self.path(held.account), says("accept"))]
        asked += [await api.get(self.path(held.account), "bob")]
        asked += [await api.get("/v1/admin/quarantine", params={"user_id": "alice"})]
        assert [without_request_id(one)[1]["error"]["code"] for one in asked] == ["FORBIDDEN"] * 3
        root = api.headers("alice", admin=True)
        crossed = await api.request("POST", self.path(held.account, "bob"), None, root, json=says("accept"))
        assert crossed.status_code == 404
        assert (written.facts(), written.audit()) == ([], [])

    async def test_a_list_needs_a_user(self, api):
        answer = await api.request("GET", "/v1/admin/quarantine", None, api.headers("root", admin=True))
        assert answer.status_code == 422
