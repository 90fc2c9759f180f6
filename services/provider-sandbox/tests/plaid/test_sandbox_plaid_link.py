"""Hosted Link driven by a script: success, cancel, failures, update mode, lifetimes."""

import re
import ssl
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from provider_sandbox.plaid.config import PlaidConfig

TLS = ssl.create_default_context()  # made once: making it is slow


def get(url: str, **options: Any) -> httpx.Response:
    return httpx.get(url, trust_env=False, verify=TLS, **options)


def submit(url: str, **form: str) -> httpx.Response:
    return httpx.post(url, data=form, trust_env=False, verify=TLS)


class Forms(HTMLParser):
    """Collects fields with their preset values, links and the tags left open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.links: list[str] = []
        self.labelled: set[str] = set()
        self.scripts = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "input":
            self.fields.setdefault(given.get("name") or "", given.get("value") or "")
        if tag == "a":
            self.links.append(given.get("href") or "")
        if tag == "label":
            self.labelled.add(given.get("for") or "")
        self.scripts += tag == "script"


def session_of(live: Any, link_token: str) -> dict[str, Any]:
    return live.ok("/link/token/get", link_token=link_token)["link_sessions"][0]


def test_a_person_clicks_from_the_list_to_a_connected_account(live: Any, listener: Any) -> None:
    created = live.link_token(webhook=listener.url)
    listed = get(created["hosted_link_url"])
    chase = next(link for link in Forms(listed.text).links if link.endswith("ins_56"))
    page = get(created["hosted_link_url"] + chase)
    forms = Forms(page.text)

    assert forms.fields["username"] == "demo"
    assert {"username", "password", "outcome"} <= forms.labelled
    assert forms.scripts == 0
    assert 'name="viewport"' in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    finished = submit(
        created["hosted_link_url"],
        **{k: v for k, v in forms.fields.items() if k != "outcome"},
        outcome="success",
    )
    assert "You are connected" in finished.text

    session = session_of(live, created["link_token"])
    result = session["results"]["item_add_results"][0]
    assert session["exit"] is None
    assert session["finished_at"] is not None
    assert result["institution"] == {"institution_id": "ins_56", "name": "Chase"}
    assert [account["subtype"] for account in result["accounts"]] == ["checking", "brokerage"]
    assert [event["event_name"] for event in session["events"]] == ["OPEN", "HANDOFF"]
    added, done = (w.body for w in listener.wait(2))
    assert (added["webhook_code"], added["public_token"]) == ("ITEM_ADD_RESULT", result["public_token"])
    assert (done["webhook_code"], done["status"]) == ("SESSION_FINISHED", "success")
    assert done["public_tokens"] == [result["public_token"]]
    assert {added["link_session_id"], done["link_session_id"]} == {session["link_session_id"]}
    assert "item_id" not in added


def test_the_accounts_of_a_session_are_the_accounts_after_the_exchange(live: Any) -> None:
    created = live.link_token()
    submit(created["hosted_link_url"], institution_id="ins_56")
    result = session_of(live, created["link_token"])["results"]["item_add_results"][0]
    token = live.ok("/item/public_token/exchange", public_token=result["public_token"])["access_token"]

    accounts = live.ok("/accounts/get", access_token=token)["accounts"]
    assert [a["id"] for a in result["accounts"]] == [a["account_id"] for a in accounts]


def test_a_preselected_institution_skips_the_list(live: Any) -> None:
    created = live.link_token(institution_data={"institution_id": "ins_11"})

    assert "Connect Charles Schwab" in get(created["hosted_link_url"]).text
    assert submit(created["hosted_link_url"]).status_code == 200
    result = session_of(live, created["link_token"])["results"]["item_add_results"][0]
    assert result["institution"]["institution_id"] == "ins_11"


def test_the_list_can_be_searched_and_holds_only_what_supports_the_products(live: Any) -> None:
    url = live.link_token(products=["investments", "transactions"])["hosted_link_url"]

    assert [link[-6:] for link in Forms(get(url, params={"q": "van"}).text).links] == ["115616"]
    assert not any("ins_900401" in link for link in Forms(get(url).text).links)
    assert "No institution fits" in get(url, params={"q": "<zz>"}).text
    assert "&lt;zz&gt;" in get(url, params={"q": "<zz>"}).text


def test_names_are_escaped(live: Any) -> None:
    url = live.link_token(client_name="<b>Folio & Co</b>")["hosted_link_url"]

    assert "&lt;b&gt;Folio &amp; Co&lt;/b&gt;" in get(url).text


def test_finishing_redirects_to_the_completion_address(live: Any) -> None:
    created = live.link_token(hosted_link={"completion_redirect_uri": "folio://done?x=1"})
    answer = submit(created["hosted_link_url"], institution_id="ins_56")

    assert (answer.status_code, answer.headers["location"]) == (303, "folio://done?x=1")


def test_cancelling_ends_the_session_without_tokens(live: Any, listener: Any) -> None:
    created = live.link_token(webhook=listener.url)
    get(created["hosted_link_url"])
    submit(created["hosted_link_url"], outcome="cancel")
    session = session_of(live, created["link_token"])
    body = listener.wait(1)[0].body

    assert session["results"] is None
    assert session["exit"]["error"] is None
    assert session["exit"]["metadata"]["status"] == "institution_not_found"
    assert (body["webhook_code"], body["status"]) == ("SESSION_FINISHED", "exited")
    assert "public_tokens" not in body
    assert len(listener.received) == 1


@pytest.mark.parametrize(
    "code", ["INVALID_CREDENTIALS", "NO_INVESTMENT_ACCOUNTS", "INSTITUTION_NOT_RESPONDING"]
)
def test_a_failing_outcome_exits_with_its_error_and_the_link_can_be_tried_again(live: Any, code: str) -> None:
    created = live.link_token()
    page = submit(created["hosted_link_url"], institution_id="ins_56", outcome=code)
    assert "Not connected" in page.text
    assert session_of(live, created["link_token"])["exit"]["error"]["error_code"] == code

    submit(created["hosted_link_url"], institution_id="ins_56")
    sessions = live.ok("/link/token/get", link_token=created["link_token"])["link_sessions"]
    assert [session["exit"] is None for session in sessions] == [True, False]


@pytest.mark.parametrize(
    ("institution", "username", "code"),
    [
        ("ins_56", "stranger", "INVALID_CREDENTIALS"),
        ("ins_11", "nobody", "NO_ACCOUNTS"),
    ],
)
def test_a_login_that_cannot_be_linked_exits_with_the_reason(
    live: Any, institution: str, username: str, code: str
) -> None:
    created = live.link_token()
    submit(created["hosted_link_url"], institution_id=institution, username=username)

    assert session_of(live, created["link_token"])["exit"]["error"]["error_code"] == code


def test_account_filters_hide_the_other_types(live: Any) -> None:
    filters = {"depository": {"account_subtypes": ["checking"]}}
    bank = live.link(products=["transactions"], account_filters=filters)["access_token"]
    created = live.link_token(account_filters=filters)
    submit(created["hosted_link_url"], institution_id="ins_56")

    assert [a["type"] for a in live.ok("/accounts/get", access_token=bank)["accounts"]] == ["depository"]
    assert session_of(live, created["link_token"])["exit"]["error"]["error_code"] == "NO_INVESTMENT_ACCOUNTS"


def test_an_institution_without_the_product_is_not_supported(live: Any) -> None:
    created = live.link_token(products=["transactions"])
    submit(created["hosted_link_url"], institution_id="ins_116530")

    assert (
        session_of(live, created["link_token"])["exit"]["metadata"]["status"] == "institution_not_supported"
    )


def test_nonsense_in_the_form_is_refused_and_changes_nothing(live: Any) -> None:
    created = live.link_token()

    assert submit(created["hosted_link_url"], institution_id="ins_56", outcome="explode").status_code == 400
    assert submit(created["hosted_link_url"]).status_code == 400
    assert submit(created["hosted_link_url"], institution_id="ins_0").status_code == 400
    assert live.ok("/link/token/get", link_token=created["link_token"])["link_sessions"] == []


def test_a_used_expired_or_unknown_link_is_gone(live: Any) -> None:
    used, expired = live.link_token()["hosted_link_url"], live.link_token()["hosted_link_url"]
    submit(used, institution_id="ins_56")
    unknown = re.sub("hosted/.*", "hosted/nope", used)

    assert get(used).status_code == submit(used, institution_id="ins_56").status_code == 410
    assert get(unknown).status_code == 410
    live.clock.ahead += timedelta(minutes=30)
    assert submit(expired, institution_id="ins_56").status_code == 410


def test_sessions_are_kept_six_hours(live: Any) -> None:
    created = live.link_token()
    submit(created["hosted_link_url"], outcome="cancel")
    live.clock.ahead += timedelta(hours=6)

    assert live.ok("/link/token/get", link_token=created["link_token"])["link_sessions"] == []


def minutes(live: Any, created: dict[str, Any]) -> int:
    read = live.ok("/link/token/get", link_token=created["link_token"])
    assert created["expiration"] == read["expiration"]
    life = live.face.links.by_token(created["link_token"])
    return round((life.expires_at - life.created_at).total_seconds() / 60)


def test_link_tokens_live_as_long_as_documented(live: Any) -> None:
    token = live.link()["access_token"]

    assert minutes(live, live.link_token(hosted_link=None)) == 240
    assert minutes(live, live.link_token()) == 30
    assert minutes(live, live.link_token(hosted_link={"url_lifetime_seconds": 600})) == 10
    assert minutes(live, live.link_token(hosted_link={"delivery_method": "email"})) == 7 * 24 * 60
    assert minutes(live, live.link_token(products=None, access_token=token, hosted_link=None)) == 30
    assert "hosted_link_url" not in live.link_token(hosted_link=None)


def test_update_mode_repairs_the_item_and_leaves_its_token(live: Any, listener: Any) -> None:
    item = live.link(webhook=listener.url)
    live.ok("/sandbox/item/reset_login", access_token=item["access_token"])
    listener.wait(3)
    created = live.link_token(products=[], access_token=item["access_token"])
    assert "Reconnect Chase" in get(created["hosted_link_url"]).text
    submit(created["hosted_link_url"])

    assert live.ok("/item/get", access_token=item["access_token"])["item"]["error"] is None
    live.ok("/investments/holdings/get", access_token=item["access_token"])
    names = [w.name for w in listener.wait(5)]
    assert names[2:] == ["ITEM/ERROR", "ITEM/LOGIN_REPAIRED", "LINK/SESSION_FINISHED"]
    assert session_of(live, created["link_token"])["results"]["item_add_results"] == []


@pytest.mark.parametrize("form", [{"outcome": "cancel"}, {"username": "margo"}, {"outcome": "INVALID_MFA"}])
def test_update_mode_that_fails_leaves_the_item_broken(live: Any, form: dict[str, str]) -> None:
    item = live.link()
    live.ok("/sandbox/item/reset_login", access_token=item["access_token"])
    created = live.link_token(products=[], access_token=item["access_token"])
    submit(created["hosted_link_url"], **form)

    assert live.error("/accounts/get", access_token=item["access_token"])[2] == "ITEM_LOGIN_REQUIRED"


def test_update_mode_of_a_removed_item_cannot_start_or_finish(live: Any) -> None:
    item = live.link()
    created = live.link_token(products=[], access_token=item["access_token"])
    live.ok("/item/remove", access_token=item["access_token"])
    submit(created["hosted_link_url"], institution_id="ins_56")

    assert session_of(live, created["link_token"])["exit"]["error"]["error_code"] == "ITEM_NOT_FOUND"
    answer = live.post("/link/token/create", REQUEST | {"products": [], "access_token": item["access_token"]})
    assert answer.json()["error_code"] == "ITEM_NOT_FOUND"


def test_a_second_link_breaks_the_first_where_the_institution_is_like_that(live: Any, listener: Any) -> None:
    live.face.set_quirk("chase", steals_logins=True)
    first, second = live.link(webhook=listener.url), live.link()

    assert live.error("/accounts/get", access_token=first["access_token"])[2] == "ITEM_LOGIN_REQUIRED"
    live.ok("/accounts/get", access_token=second["access_token"])
    assert listener.wait(3)[2].name == "ITEM/ERROR"


REQUEST = {
    "client_name": "Folio",
    "language": "en",
    "country_codes": ["US"],
    "user": {"client_user_id": "u-1"},
    "products": ["investments"],
}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"products": []}, "INVALID_FIELD"),
        ({"products": ["balance"]}, "INVALID_PRODUCT"),
        ({"products": "investments"}, "INVALID_FIELD"),
        ({"optional_products": ["investments"]}, "INVALID_FIELD"),
        ({"language": "xx"}, "INVALID_FIELD"),
        ({"country_codes": []}, "INVALID_FIELD"),
        ({"user": None}, "MISSING_FIELDS"),
        ({"user": {}}, "MISSING_FIELDS"),
        ({"webhook": "ftp://x"}, "INVALID_FIELD"),
        ({"institution_data": {"institution_id": "ins_0"}}, "INVALID_INSTITUTION"),
        ({"hosted_link": {"url_lifetime_seconds": 0}}, "INVALID_FIELD"),
        ({"hosted_link": {"url_lifetime_seconds": 22 * 24 * 3600}}, "INVALID_FIELD"),
        ({"hosted_link": []}, "INVALID_FIELD"),
        ({"access_token": "access-sandbox-x", "products": None}, "INVALID_ACCESS_TOKEN"),
        ({"access_token": "access-sandbox-x"}, "INVALID_FIELD"),
    ],
)
def test_a_link_token_request_with_a_fault_is_refused(live: Any, change: dict[str, Any], code: str) -> None:
    answer = live.post("/link/token/create", REQUEST | change)

    assert (answer.status_code, answer.json()["error_code"]) == (400, code)


def test_an_unknown_link_token_is_invalid(live: Any) -> None:
    assert live.error("/link/token/get", link_token="link-sandbox-x") == (
        400,
        "INVALID_INPUT",
        "INVALID_LINK_TOKEN",
    )


def test_the_address_of_the_page_can_be_set(live: Any) -> None:
    live.face.config = PlaidConfig("client-1", "secret-1", public_url="https://link.example.test")
    assert live.link_token()["hosted_link_url"].startswith("https://link.example.test/hosted/")
