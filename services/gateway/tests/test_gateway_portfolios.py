"""Named portfolios and consolidation on demand: names, accounts, versions, retries, and nobody else's."""

import asyncio
import unicodedata
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.errors import InsufficientPrivilege
from psycopg.types.json import Json

from contracts.decisions import ConsolidationRequested, PortfolioDefined
from contracts.ids import portfolio_id, position_id
from gateway.decisions.names import DEFAULT, NameRefusedError, checked, is_storable, key_of
from persistence import roles
from persistence.database import Database

DEFAULT_ID = portfolio_id("alice")


async def make(api, name="Retirement", accounts=(), user="alice", **headers):
    body = {"name": name, "account_ids": list(accounts)}
    return await api.request("POST", "/v1/portfolios", user, headers, json=body)


def error_of(answer):
    body = answer.json()
    assert body["error"].pop("requestId")
    return answer.status_code, body["error"]


async def test_everybody_has_default_which_holds_everything(api, portfolio):
    [only] = (await api.get("/v1/portfolios")).json()["items"]
    assert (only["id"], only["name"], only["is_default"]) == (DEFAULT_ID, "default", True)
    assert (only["account_ids"], only["definition_version"], only["version"]) == (None, None, 4)
    assert only["counts"] == {"positions": 2, "real_accounts": 2, "accounts": 2}
    assert only["totals"] == [{"currency": "USD", "market_value": "1500", "complete": False, "positions": 2}]
    empty = (await api.get("/v1/portfolios", "carol")).json()["items"]
    assert [(one["name"], one["counts"]["positions"], one["totals"]) for one in empty] == [("default", 0, [])]


async def test_a_portfolio_is_made_told_and_found_by_id_and_by_name(api, stand_in, portfolio, written):
    answer = await make(api, "  Retirement ", [portfolio.account])
    body = answer.json()
    assert (answer.status_code, body["status"], body["name"]) == (201, "applied", "Retirement")
    assert answer.headers["location"] == f"/v1/portfolios/{body['id']}"
    assert (body["account_ids"], body["definition_version"]) == ([portfolio.account], 1)
    [held] = body["real_accounts"]
    assert held["account_ids"] == [portfolio.account]
    assert written.facts() == [
        PortfolioDefined(
            user_id="alice",
            portfolio_id=body["id"],
            name="Retirement",
            account_ids=[portfolio.account],
            deleted=False,
            version=1,
            defined_at=api.clock.now(),
        )
    ]
    [(user, action, object_id, details)] = written.audit()
    assert (user, action, object_id) == ("alice", "portfolio.created", body["id"])
    assert details["by"] == "user:alice"
    for wanted in (body["id"], body["id"].upper(), "Retirement", "rETIREMENT", " retirement "):
        assert (await api.get(f"/v1/portfolios/{wanted}")).json() == body
        found = await api.get("/v1/positions", params={"portfolio": wanted})
        assert (found.status_code, found.json()["portfolio_id"]) == (200, body["id"])
    for wanted in ("default", "DEFAULT", DEFAULT_ID):
        assert (await api.get(f"/v1/portfolios/{wanted}")).json()["id"] == DEFAULT_ID
    names = [one["name"] for one in (await api.get("/v1/portfolios")).json()["items"]]
    assert names == ["default", "Retirement"]


async def test_a_portfolio_holds_real_accounts_through_whichever_sight(api, seed, stand_in):
    one, other = seed.account(seed.connection()), seed.account(seed.connection(provider="plaid"))
    real = str(uuid.uuid4())
    seed._conn.execute("UPDATE portfolio.accounts SET real_account_id = %s", (real,))
    seed.insert(
        "real_accounts", user_id="alice", real_account_id=real, institution="charles-schwab",
        members=Json(sorted([one, other])), counted_account_id=one, reason="highest_priority", stale=False,
        needs_decision=False, excluded=Json([[other, "lower_priority"]]), changed_at="now",
    )  # fmt: skip
    body = (await make(api, "Through plaid", [other])).json()
    assert body["account_ids"] == [other]
    assert [(held["real_account_id"], held["account_ids"]) for held in body["real_accounts"]] == [
        (real, sorted([one, other]))
    ]
    assert body["counts"] == {"positions": 0, "real_accounts": 1, "accounts": 2}


async def test_a_portfolio_sums_its_own_positions(api, seed, stand_in, portfolio):
    made = (await make(api, accounts=[portfolio.account])).json()["id"]
    row = {"portfolio_id": made, "position_id": position_id(made, "AAPL", "USD")}
    part = {"account_id": portfolio.account, "provider": "snaptrade", "quantity": "50",
            "market_value": "500", "cost_basis": None}  # fmt: skip
    aapl = seed._conn.execute("SELECT instrument_id FROM portfolio.instruments WHERE key = 'AAPL'").fetchone()
    seed.position("AAPL", str(aapl[0]), [part], **row)
    items = (await api.get("/v1/portfolios")).json()["items"]
    totals = {one["name"]: [total["market_value"] for total in one["totals"]] for one in items}
    assert totals == {"default": ["1500"], "Retirement": ["500"]}


async def test_while_nobody_applies_it_a_portfolio_exists_and_is_pending(api, portfolio, written):
    answer = await make(api, accounts=[portfolio.account])
    assert (answer.status_code, answer.headers["retry-after"]) == (202, "1")
    body = answer.json()
    assert body["status"] == "pending"
    assert answer.headers["location"] == f"/v1/portfolios/{body['id']}"
    assert (await api.get(f"/v1/portfolios/{body['id']}")).json()["status"] == "pending"
    assert (await api.get("/v1/positions", params={"portfolio": "retirement"})).json()["items"] == []


async def test_duplicates_collapse_and_an_empty_portfolio_is_one(api, stand_in, portfolio):
    twice = [portfolio.account, portfolio.other_account, portfolio.account.upper()]
    body = (await make(api, "Both", twice)).json()
    assert body["account_ids"] == [portfolio.account, portfolio.other_account]
    empty = await make(api, "Nothing yet")
    assert (empty.status_code, empty.json()["real_accounts"]) == (201, [])


@pytest.mark.parametrize(
    "name", ["Retirement", "RETIREMENT", " retirement ", "\uff32etirement", "Retire\u200dment"]
)
async def test_a_name_is_taken_in_whatever_spelling(api, stand_in, written, name):
    assert (await make(api)).status_code == 201
    status, error = error_of(await make(api, name))
    assert (status, error["code"]) == (409, "CONFLICT")
    assert len(written.facts()) == 1


async def test_another_users_names_are_free(api, stand_in):
    assert (await make(api)).status_code == 201
    assert (await make(api, user="bob")).status_code == 201


@pytest.mark.parametrize(
    "name", ["default", "Default", " DEFAULT ", "\uff24\uff25\uff26\uff21\uff35\uff2c\uff34", "de\u200dfault"]
)
async def test_default_is_nobodys_to_name(api, stand_in, written, name):
    made = (await make(api)).json()["id"]
    assert error_of(await make(api, name))[0] == 409
    assert error_of(await api.request("PATCH", f"/v1/portfolios/{made}", json={"name": name}))[0] == 409
    assert len(written.facts()) == 1


@pytest.mark.parametrize("wanted", ["default", "DEFAULT", DEFAULT_ID, DEFAULT_ID.upper()])
async def test_default_is_never_changed_and_never_dropped(api, written, wanted):
    for method, body in (("PATCH", {"name": "Mine"}), ("PATCH", {"account_ids": []}), ("DELETE", None)):
        answer = await api.request(method, f"/v1/portfolios/{wanted}", json=body)
        assert error_of(answer)[1]["code"] == "CONFLICT"
    assert written.facts() == []


BAD_NAMES = [
    "", " ", "\t", "x" * 65, "a\x00b", "a\nb", "a\x7fb", "a\u0085b", "a\u2028b", "a\u202eb", "\u200b", "a\u200bb",
    "\ue000", "7a0c5b1e-2f6d-5c4f-b1b8-3f0e9f1fa103", "7A0C5B1E2F6D5C4FB1B83F0E9F1FA103", 7, None, ["x"],
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_what_cannot_be_a_name_is_refused_without_an_echo(api, stand_in, written, name):
    answer = await make(api, name)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_FAILED")
    made = (await make(api)).json()["id"]
    if name is not None:
        changed = await api.request("PATCH", f"/v1/portfolios/{made}", json={"name": name})
        assert changed.status_code == 422
    assert len(written.facts()) == 1


async def test_half_a_character_is_no_name(api, written):
    text = '{"name": "\\ud800", "account_ids": []}'
    headers = {"Content-Type": "application/json"}
    assert (await api.request("POST", "/v1/portfolios", headers=headers, content=text)).status_code == 422
    assert written.facts() == []


@pytest.mark.parametrize(
    "name", ["x" * 64, "退職金", "👨‍👩‍👧 family", "O'Neil; DROP TABLE", "<b>&", "ẞ", "=SUM(A1)"]
)
async def test_any_plain_text_is_a_name(api, stand_in, name):
    answer = await make(api, name)
    assert (answer.status_code, answer.json()["name"]) == (201, name)
    found = await api.get("/v1/positions", params={"portfolio": name})
    assert found.status_code == 200


@pytest.mark.parametrize("body", [
    {"name": "x"},
    {"account_ids": []},
    {"name": "x", "account_ids": None},
    {"name": "x", "account_ids": "abc"},
    {"name": "x", "account_ids": [7]},
    {"name": "x", "account_ids": ["x" * 65]},
    {"name": "x", "account_ids": ["x"] * 501},
    {"name": "x", "account_ids": [], "portfolio_id": str(uuid.UUID(int=1))},
    [],
])  # fmt: skip
async def test_a_body_of_another_form_is_refused(api, body):
    answer = await api.post("/v1/portfolios", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_FAILED")


async def test_a_body_too_large_is_refused(api):
    assert (await make(api, "x" * 70_000)).status_code == 413


async def test_accounts_of_others_and_of_nobody_answer_alike_and_make_nothing(api, seed, portfolio, written):
    foreign = seed.account(seed.connection("bob"), "bob")
    gone = seed.account(seed.connection(), gone=True)
    others = [foreign, gone, str(uuid.uuid4()), "no-id", "{" + foreign + "}", "\x00"]
    answers = [await make(api, "Mine", [portfolio.account, other]) for other in others]
    assert [error_of(one) for one in answers] == [
        (404, {"code": "NOT_FOUND", "message": "No such account."})
    ] * len(others)
    assert (written.facts(), written.audit()) == ([], [])
    assert len((await api.get("/v1/portfolios")).json()["items"]) == 1


async def test_of_two_who_make_one_name_at_once_one_does(api, stand_in, written):
    answers = await asyncio.gather(*(make(api, name) for name in ("Fund", "FUND", "fund", "Fund")))
    assert sorted(one.status_code for one in answers) == [201, 409, 409, 409]
    assert len(written.facts()) == 1


async def test_nobody_has_more_than_fifty_and_a_dropped_one_makes_room(api, stand_in, written, monkeypatch):
    monkeypatch.setattr("gateway.decisions.portfolios.MOST", 3)
    made = [await make(api, f"P{number}") for number in range(4)]
    assert [one.status_code for one in made] == [201, 201, 201, 409]
    assert (await api.request("DELETE", "/v1/portfolios/P1")).status_code == 204
    assert (await make(api, "P3")).status_code == 201
    assert (await make(api, "Own", user="bob")).status_code == 201


async def test_a_request_sent_again_under_its_key_makes_one_portfolio(api, stand_in, written):
    key = {"Idempotency-Key": "form-7"}
    first = await make(api, "Fund", **key)
    again = await make(api, "Fund", **key)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert error_of(await make(api, "Other fund", **key))[0] == 422
    at_once = await asyncio.gather(*(make(api, "Burst", **{"Idempotency-Key": "b"}) for _ in range(5)))
    assert len({one.json()["id"] for one in at_once}) == 1
    assert len(written.facts()) == 2
    await api.request("DELETE", f"/v1/portfolios/{first.json()['id']}")
    assert error_of(await make(api, "Fund", **key))[0] == 409


async def test_a_change_moves_the_version_and_no_change_does_not(api, stand_in, portfolio, written):
    made = (await make(api, accounts=[portfolio.account])).json()
    path = f"/v1/portfolios/{made['id']}"
    renamed = (await api.request("PATCH", path, json={"name": "Savings"})).json()
    assert (renamed["name"], renamed["definition_version"]) == ("Savings", 2)
    assert (renamed["account_ids"], renamed["status"]) == ([portfolio.account], "applied")
    both = [portfolio.other_account, portfolio.account]
    widened = (await api.request("PATCH", path, json={"account_ids": both})).json()
    assert (widened["account_ids"], widened["definition_version"]) == (both, 3)
    for same in ({"name": "Savings"}, {"account_ids": both}, {}, {"name": None}):
        answer = await api.request("PATCH", path, json=same)
        assert (answer.status_code, answer.json()) == (200, widened)
    recased = (await api.request("PATCH", path, json={"name": "SAVINGS"})).json()
    assert (recased["name"], recased["definition_version"]) == ("SAVINGS", 4)
    assert [fact.version for fact in written.facts()] == [1, 2, 3, 4]
    assert {fact.portfolio_id for fact in written.facts()} == {made["id"]}
    assert error_of(await api.get("/v1/portfolios/retirement"))[0] == 404


async def test_a_change_cannot_take_a_name_or_an_account_of_anybody(api, seed, stand_in, portfolio, written):
    await make(api, "One")
    two = (await make(api, "Two")).json()["id"]
    foreign = seed.account(seed.connection("bob"), "bob")
    for body, status in (({"name": "ONE"}, 409), ({"account_ids": [foreign]}, 404), ({"version": 9}, 422)):
        assert (await api.request("PATCH", f"/v1/portfolios/{two}", json=body)).status_code == status
    assert len(written.facts()) == 2


async def test_an_account_that_has_gone_since_can_stay_but_not_come_back(api, seed, stand_in, portfolio):
    made = (await make(api, accounts=[portfolio.account, portfolio.other_account])).json()
    seed._conn.execute(
        "UPDATE portfolio.accounts SET gone = true WHERE account_id = %s", (portfolio.account,)
    )
    path = f"/v1/portfolios/{made['id']}"
    turned = {"account_ids": [portfolio.other_account, portfolio.account]}
    assert (await api.request("PATCH", path, json=turned)).status_code == 200
    left = {"account_ids": [portfolio.other_account]}
    assert (await api.request("PATCH", path, json=left)).status_code == 200
    assert (await api.request("PATCH", path, json=turned)).status_code == 404


async def test_concurrent_changes_each_get_a_version_of_their_own(api, stand_in, written):
    made = (await make(api)).json()["id"]
    names = [f"Name {number}" for number in range(5)]
    path = f"/v1/portfolios/{made}"
    await asyncio.gather(*(api.request("PATCH", path, json={"name": name}) for name in names))
    assert sorted(fact.version for fact in written.facts()) == [1, 2, 3, 4, 5, 6]


async def test_a_dropped_portfolio_is_gone_and_its_name_is_free(api, stand_in, written):
    made = (await make(api)).json()["id"]
    dropped = await api.request("DELETE", f"/v1/portfolios/{made}")
    assert (dropped.status_code, dropped.content) == (204, b"")
    assert (written.facts()[-1].deleted, written.facts()[-1].version) == (True, 2)
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", {"name": "Again"})):
        answer = await api.request(method, f"/v1/portfolios/{made}", json=body)
        assert error_of(answer) == (404, {"code": "NOT_FOUND", "message": "No such portfolio."})
    assert error_of(await api.get("/v1/positions", params={"portfolio": made}))[0] == 404
    assert (await make(api)).json()["id"] != made


async def test_while_nobody_applies_it_a_portfolio_is_dropped_all_the_same(api):
    made = (await make(api)).json()["id"]
    answer = await api.request("DELETE", f"/v1/portfolios/{made}")
    assert (answer.status_code, answer.json()) == (202, {"id": made, "status": "pending"})
    assert (await api.get(f"/v1/portfolios/{made}")).status_code == 404


async def test_a_foreign_portfolio_is_as_unknown_as_none(api, stand_in, written):
    theirs = (await make(api, "Theirs", user="bob")).json()["id"]
    wanted = [
        theirs,
        "Theirs",
        portfolio_id("bob"),
        str(uuid.uuid4()),
        "no such name",
        "%00",
        theirs.replace("-", ""),
    ]
    for method, tail, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "Mine"}),
        ("DELETE", "", None),
        ("POST", "/consolidate", None),
    ):
        for one in wanted:
            answer = await api.request(method, f"/v1/portfolios/{one}{tail}", json=body)
            assert error_of(answer) == (404, {"code": "NOT_FOUND", "message": "No such portfolio."})
    for one in [*wanted[:5], "\x00", ""]:
        assert (await api.get("/v1/positions", params={"portfolio": one})).status_code == 404
    assert len(written.facts()) == 1


async def test_an_unchanged_list_is_not_sent_again(api, portfolio):
    for path in ("/v1/portfolios", "/v1/portfolios/default"):
        tag = (await api.get(path)).headers["etag"]
        assert (await api.get(path, headers={"If-None-Match": tag})).status_code == 304


async def test_what_was_decided_cannot_be_unsaid_in_the_database(migrated_database):
    database = Database(migrated_database.url(roles.GATEWAY))
    await database.open()
    try:
        for statement in (
            "DELETE FROM gateway.portfolios",
            "DELETE FROM gateway.decisions",
            "UPDATE gateway.decisions SET verdict = 'same'",
        ):
            with pytest.raises(InsufficientPrivilege):
                async with database.transaction("alice") as conn:
                    await conn.execute(statement)
    finally:
        await database.close()


class TestConsolidation:
    """Summing anew on demand."""

    async def test_one_portfolio_is_summed_and_counted(self, api, stand_in, written):
        answer = await api.post("/v1/portfolios/default/consolidate")
        body = answer.json()
        assert (answer.status_code, body["status"], body["missing"]) == (200, "completed", [])
        assert body["results"] == [
            {
                "portfolio_id": DEFAULT_ID,
                "name": "default",
                "positions": 2,
                "accounts": 2,
                "real_accounts": 2,
                "providers": {"snaptrade": 1, "plaid": 1},
                "changed": 1,
                "removed": 0,
                "breaks": 0,
                "version": 5,
                "seconds": "1.25",
                "finished_at": "2026-11-21T14:30:01.25+00:00",
            }
        ]
        assert written.facts() == [
            ConsolidationRequested(
                user_id="alice",
                request_id=body["request_id"],
                portfolio_ids=[DEFAULT_ID],
                requested_by="user:alice",
                requested_at=api.clock.now(),
            )
        ]
        again = await api.get(answer.headers["location"])
        assert again.json() == body

    async def test_all_portfolios_are_summed_default_first(self, api, stand_in, written):
        for name in ("Zeta", "alpha"):
            await make(api, name)
        await make(api, "Dropped")
        await api.request("DELETE", "/v1/portfolios/dropped")
        body = (await api.post("/v1/consolidate")).json()
        assert [one["name"] for one in body["results"]] == ["default", "Zeta", "alpha"]
        assert written.facts()[-1].portfolio_ids == []

    async def test_it_runs_until_every_portfolio_has_its_result(self, api, seed, written):
        made = (await make(api)).json()["id"]
        seed.insert("portfolios", **known(made))
        answer = await api.post("/v1/consolidate", {})
        body = answer.json()
        assert (answer.status_code, answer.headers["retry-after"]) == (202, "1")
        assert (body["status"], body["results"]) == ("running", [])
        assert sorted(body["missing"]) == sorted([DEFAULT_ID, made])
        request = body["request_id"]
        seed.insert("consolidations", **result(request, DEFAULT_ID))
        half = (await api.get(f"/v1/consolidations/{request}")).json()
        assert (half["status"], half["missing"], len(half["results"])) == ("running", [made], 1)
        seed.insert("consolidations", **result(request, made))
        whole = (await api.get(f"/v1/consolidations/{request}")).json()
        assert (whole["status"], len(whole["results"])) == ("completed", 2)

    async def test_a_portfolio_too_new_to_be_summed_is_not_asked_for_and_not_waited_for(self, api, written):
        made = (await make(api)).json()["id"]
        refused = await api.post(f"/v1/portfolios/{made}/consolidate")
        assert (refused.status_code, refused.headers["retry-after"]) == (409, "1")
        assert (await api.post("/v1/consolidate")).json()["missing"] == [DEFAULT_ID]
        assert [type(fact) for fact in written.facts()] == [PortfolioDefined, ConsolidationRequested]

    async def test_a_portfolio_dropped_meanwhile_is_not_waited_for(self, api, seed):
        seed.insert("portfolios", **known((await make(api)).json()["id"]))
        request = (await api.post("/v1/consolidate")).json()["request_id"]
        seed.insert("consolidations", **result(request, DEFAULT_ID))
        await api.request("DELETE", "/v1/portfolios/retirement")
        assert (await api.get(f"/v1/consolidations/{request}")).json()["status"] == "completed"

    async def test_a_foreign_consolidation_is_as_unknown_as_none(self, api, stand_in):
        theirs = (await api.post("/v1/consolidate", user="bob")).json()["request_id"]
        for one in (theirs, str(uuid.uuid4()), "no-id", "%00"):
            answer = await api.get(f"/v1/consolidations/{one}")
            assert error_of(answer) == (404, {"code": "NOT_FOUND", "message": "No such consolidation."})

    async def test_a_request_sent_again_under_its_key_asks_once(self, api, stand_in, written):
        sent = [api.request("POST", "/v1/consolidate", headers={"Idempotency-Key": "k"}) for _ in range(4)]
        answers = await asyncio.gather(*sent)
        assert len({one.json()["request_id"] for one in answers}) == 1
        assert len(written.facts()) == 1
        other = await api.request(
            "POST", "/v1/portfolios/default/consolidate", headers={"Idempotency-Key": "k"}
        )
        assert other.status_code == 422

    async def test_an_admin_asks_for_a_user_and_the_user_sees_it(self, api, stand_in, written):
        root = api.headers("root", admin=True)
        answer = await api.request("POST", "/v1/admin/users/alice/consolidate", None, root)
        assert (answer.status_code, answer.json()["requested_by"]) == (200, "admin:root")
        looked = await api.request("GET", answer.headers["location"], None, root)
        own = await api.get(f"/v1/consolidations/{answer.json()['request_id']}")
        assert looked.json() == own.json() == answer.json()
        assert [(row[0], row[3]["by"]) for row in written.audit()] == [("alice", "admin:root")]
        refused = await api.post("/v1/admin/users/alice/consolidate")
        assert error_of(refused)[1]["code"] == "FORBIDDEN"
        assert len(written.facts()) == 1


def known(portfolio):
    return {
        "user_id": "alice", "portfolio_id": portfolio, "name": "x", "account_ids": Json([]), "deleted": False,
        "version": 1, "defined_at": "now",
    }  # fmt: skip


def result(request, portfolio):
    return {
        "user_id": "alice", "request_id": request, "portfolio_id": portfolio, "requested_by": "user:alice",
        "requested_at": "now", "started_at": "now", "positions": 0, "accounts": 0, "real_accounts": 0,
        "providers": Json({}), "changed": 0, "removed": 0, "breaks": 0, "version": 1,
    }  # fmt: skip


@given(st.text(max_size=80))
def test_a_name_that_is_allowed_can_be_stored_and_means_itself(text):
    try:
        name = checked(text)
    except NameRefusedError:
        return
    assert is_storable(name)
    assert is_storable(key_of(name))
    assert 1 <= len(name) <= 64
    assert checked(name) == name
    assert key_of(name.strip()) == key_of(name) != ""
    assert not any(unicodedata.category(one) == "Cc" for one in name)


@given(st.text(max_size=40))
def test_a_names_key_is_the_same_however_it_is_spelled(text):
    key = key_of(text)
    assert key_of(f"  {text}\t") == key
    assert key_of(key) == key
    assert key_of(unicodedata.normalize("NFD", text)) == key


@pytest.mark.parametrize("text", ["default", "DeFault", "\uff44efault", "d\u200cefault"])
def test_default_is_recognised_in_any_spelling(text):
    assert key_of(text) == DEFAULT
