"""Faults switched on by name for one connection: what its client sees, and that nobody else sees it."""

import httpx
import pytest

from provider_sandbox.data.named_faults import NAMED

PLAID_KEYS = {"client_id": "made-up", "secret": "made-up"}


class PlaidClient:
    """As little of a Plaid client as these tests need."""

    def __init__(self, live):
        self.live = live

    def post(self, path, **body):
        url = self.live.sandbox.urls.plaid + path
        return self.live.http.post(url, json={**PLAID_KEYS, **body})

    def link(self, institution="ins_11", username="demo"):
        """Link with Hosted Link; returns access token and Item id."""
        created = self.post(
            "/link/token/create",
            client_name="Folio",
            language="en",
            country_codes=["US"],
            user={"client_user_id": "u-1"},
            products=["investments"],
            hosted_link={},
        ).json()
        form = {"institution_id": institution, "username": username, "outcome": "success"}
        assert self.live.http.post(created["hosted_link_url"], data=form).status_code < 400
        (session,) = self.post("/link/token/get", link_token=created["link_token"]).json()["link_sessions"]
        public = session["results"]["item_add_results"][0]["public_token"]
        exchanged = self.post("/item/public_token/exchange", public_token=public).json()
        return exchanged["access_token"], exchanged["item_id"]

    def holdings(self, token):
        return self.post("/investments/holdings/get", access_token=token)


@pytest.fixture
def plaid(live):
    return PlaidClient(live)


@pytest.fixture
def two(live):
    """Two connections of one user, and a way to read the positions of each."""
    caller = live.registered()
    first, second = caller.connect("SCHWAB"), caller.connect("ETRADE", "ravi")
    accounts = {}
    for account in caller.accounts():
        if account["kind"] == "investment":
            accounts[account["connection_id"]] = account["id"]

    def read(connection, part="positions/all"):
        return caller.get(f"/accounts/{accounts[connection]}/{part}")

    return first, second, read


def test_every_name_has_a_meaning_and_can_be_listed(live):
    listed = live.control("GET", "/fault-names")
    assert {provider: sorted(names) for provider, names in listed.items()} == {
        provider: sorted(names) for provider, names in NAMED.items()
    }
    assert all(text for names in listed.values() for text in names.values())


def test_a_fault_meets_only_the_connection_it_was_switched_on_for(live, two):
    first, second, read = two
    live.control("PUT", f"/connections/{first}/faults/gone")
    assert (read(first).status_code, read(second).status_code) == (410, 200)
    assert live.control("DELETE", f"/connections/{first}/faults")["removed"] == 1
    assert read(first).status_code == 200


def test_a_fault_can_be_limited_in_number(live, two):
    first, _, read = two
    live.control("PUT", f"/connections/{first}/faults/error_with_body", {"times": 1})
    broken = read(first)
    assert (broken.status_code, broken.json()["results"]) == (500, [])
    assert read(first).status_code == 200


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("missing_list", lambda body: "results" not in body),
        ("empty_list", lambda body: body["results"] == []),
        ("half_page", lambda body: len(body["results"]) == 3),
    ],
)
def test_lists_are_spoilt_in_an_answer_that_is_otherwise_right(live, two, name, seen):
    first, _, read = two
    live.control("PUT", f"/connections/{first}/faults/{name}")
    answer = read(first)
    assert answer.status_code == 200
    assert seen(answer.json())


@pytest.mark.parametrize(
    ("name", "status"),
    [("not_ready", 425), ("login_required", 402), ("rate_limited", 429), ("gateway_page", 502)],
)
def test_refusals_have_the_status_of_the_real_ones(live, two, name, status):
    first, _, read = two
    live.control("PUT", f"/connections/{first}/faults/{name}")
    assert read(first).status_code == status


def test_a_page_cut_short_is_no_json_and_a_drop_is_no_answer(live, two):
    first, _, read = two
    whole = read(first).content
    live.control("PUT", f"/connections/{first}/faults/truncated_page", {"times": 1})
    assert read(first).content == whole[: len(whole) // 2]
    live.control("PUT", f"/connections/{first}/faults/dropped", {"times": 1})
    with pytest.raises(httpx.TransportError):
        read(first)


def test_a_first_sync_can_be_unfinished_again_and_ends_when_switched_off(live, two):
    first, second, read = two
    live.control("PUT", f"/connections/{first}/faults/first_sync")
    assert read(first).json()["results"] == []
    assert read(first, "balances").json() == []
    assert read(first, "details").json()["sync_status"]["positions"] is None
    assert read(second).json()["results"]
    live.control("DELETE", f"/connections/{first}/faults")
    assert read(first).json()["results"]


def test_a_stale_cache_answers_what_was_last_seen_until_it_is_switched_off(live, two):
    first, _, read = two
    live.control("PUT", f"/connections/{first}/faults/stale_cache")
    seen = read(first).json()["results"]
    live.control("PUT", "/accounts/schwab-demo/holdings", {"security": "GOOGL", "quantity": "7"})
    assert read(first).json()["results"] == seen
    assert live.control("DELETE", f"/connections/{first}/faults")["repaired"]
    live.sandbox.settle()
    assert len(read(first).json()["results"]) == len(seen) + 1


def test_listing_all_connections_is_about_no_single_one(live, two):
    first, _, read = two
    live.control("PUT", f"/connections/{first}/faults/gone")
    live.control(
        "POST",
        "/faults",
        {"provider": "snaptrade", "endpoint": "*", "kind": "status", "status": 418, "connection": first},
    )
    assert read(first, "balances").status_code == 418
    assert read(first).status_code == 410


def test_unknown_names_and_connections_are_refused(live, two):
    first, _, _ = two
    live.control("PUT", f"/connections/{first}/faults/nothing", expect=400)
    live.control("PUT", "/connections/nobody/faults/gone", expect=404)
    live.control("DELETE", "/connections/nobody/faults", expect=404)
    live.control("POST", "/connections/nobody/announce", expect=404)
    live.control("PUT", f"/connections/{first}/faults/gone", {"times": 0}, expect=400)


def test_an_announcement_tells_of_one_connection_only(live, two):
    first, second, _ = two
    before = len(live.events())
    live.control("POST", f"/connections/{first}/announce")
    told = live.events()[before:]
    assert {(one["eventType"], one["brokerageAuthorizationId"]) for one in told} == {
        ("ACCOUNT_HOLDINGS_UPDATED", first)
    }
    live.control("PUT", f"/connections/{second}/faults/stale_cache")
    before = len(live.events())
    live.control("POST", f"/connections/{second}/announce")
    assert {one["brokerageAuthorizationId"] for one in live.events()[before:]} == {second}


def test_a_plaid_fault_meets_only_its_item_and_its_body_still_arrives(live, plaid):
    token, item = plaid.link()
    other, _ = plaid.link("ins_56")
    live.control("PUT", f"/connections/{item}/faults/not_ready")
    assert plaid.holdings(token).json()["error_code"] == "PRODUCT_NOT_READY"
    assert plaid.holdings(other).json()["holdings"]
    live.control("DELETE", f"/connections/{item}/faults")
    assert plaid.holdings(token).json()["holdings"]


@pytest.mark.parametrize("name", sorted(NAMED["plaid"]))
def test_every_plaid_fault_spoils_the_holdings_and_can_be_switched_off(live, plaid, name):
    token, item = plaid.link()
    right = plaid.holdings(token).json()["holdings"]
    live.control("PUT", f"/connections/{item}/faults/{name}")
    try:
        answer = plaid.holdings(token)
        spoilt = answer.status_code != 200 or answer.json().get("holdings") != right
    except (httpx.TransportError, ValueError):
        spoilt = True
    assert spoilt
    live.control("DELETE", f"/connections/{item}/faults")
    assert plaid.holdings(token).json()["holdings"] == right


@pytest.mark.parametrize("name", sorted(NAMED["snaptrade"]))
def test_every_snaptrade_fault_spoils_the_account_and_can_be_switched_off(live, two, name):
    first, _, read = two
    parts = ("positions/all", "balances")
    right = [read(first, part).json() for part in parts]
    live.control("PUT", f"/connections/{first}/faults/{name}")
    if name == "stale_cache":
        (shown,) = (c for c in live.control("GET", "/connections")["connections"] if c["id"] == first)
        spoilt = shown["status"] == "disabled"
    else:
        try:
            answers = [read(first, part) for part in parts]
            spoilt = any(a.status_code != 200 or a.json() != r for a, r in zip(answers, right, strict=True))
        except (httpx.TransportError, ValueError):
            spoilt = True
    assert spoilt
    live.control("DELETE", f"/connections/{first}/faults")
    live.sandbox.settle()
    again = read(first).json()["results"]
    assert again == right[0]["results"]
