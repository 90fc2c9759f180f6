"""Keys, tokens, limits, errors and what else a client can get wrong."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from provider_sandbox.plaid.app import ROUTES
from provider_sandbox.plaid.errors import MEANING, PlaidError
from provider_sandbox.plaid.limits import LIMITS
from provider_sandbox.plaid.wire import to_json


def test_the_checker_itself_accepts_the_examples_and_refuses_faults(
    specification: Any, examples: Any
) -> None:
    for path, body in examples["responses"].items():
        assert specification.problems(path, 200, body) == []
    assert specification.problems("/item/get", 400, examples["error"]["body"]) == []

    body = examples["responses"]["/investments/holdings/get"]
    del body["holdings"][0]["quantity"]
    body["holdings"][1]["cost"] = 1
    body["securities"][0]["type"] = 7
    assert len(specification.problems("/investments/holdings/get", 200, body)) == 3


def test_keys_are_accepted_in_headers_or_body_with_any_version(live: Any) -> None:
    headers = {"PLAID-CLIENT-ID": "client-1", "PLAID-SECRET": "secret-1", "Plaid-Version": "2020-09-14"}
    request = {"institution_id": "ins_56", "country_codes": ["US"]}

    assert live.post("/institutions/get_by_id", request, keys={}, headers=headers).status_code == 200
    assert live.post("/institutions/get_by_id", request).status_code == 200


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_wrong_or_missing_keys_are_refused_everywhere(live: Any, path: str) -> None:
    wrong = live.post(path, keys={"client_id": "client-1", "secret": "other"})
    missing = live.post(path, keys={"client_id": "client-1"})

    assert (wrong.status_code, wrong.json()["error_code"]) == (400, "INVALID_API_KEYS")
    assert wrong.json()["error_type"] == "INVALID_INPUT"
    assert missing.json()["error_code"] == "MISSING_FIELDS"


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_an_empty_request_names_the_missing_fields(live: Any, path: str) -> None:
    answer = live.post(path)

    assert (answer.status_code, answer.json()["error_type"]) == (400, "INVALID_REQUEST")
    assert answer.json()["error_code"] == "MISSING_FIELDS"


def test_a_body_that_is_not_json_is_refused(live: Any) -> None:
    headers = {"Content-Type": "application/json"}
    broken = httpx.post(live.url + "/item/get", content=b"{", headers=headers, trust_env=False)
    array = httpx.post(live.url + "/item/get", content=b"[]", headers=headers, trust_env=False)
    form = httpx.post(live.url + "/item/get", data={"access_token": "x"}, trust_env=False)

    assert [a.json()["error_code"] for a in (broken, array, form)] == [
        "INVALID_BODY",
        "INVALID_BODY",
        "INVALID_HEADERS",
    ]


def test_unknown_routes_and_methods_are_404_in_plaids_form(live: Any) -> None:
    assert live.error("/no/such/route") == (404, "INVALID_REQUEST", "NOT_FOUND")
    assert httpx.get(live.url + "/item/get", trust_env=False).status_code == 404


def test_an_unknown_token_is_invalid_and_a_removed_item_is_not_found(live: Any) -> None:
    token = live.link()["access_token"]
    live.ok("/item/remove", access_token=token, reason_code="OTHER")
    of_an_item = [
        p for p in ROUTES if p.startswith(("/item/", "/accounts", "/investments")) and "public" not in p
    ]
    for path in of_an_item:
        extra = {"start_date": "2026-01-01", "end_date": "2026-02-01"} if "transactions" in path else {}
        assert live.error(path, access_token=token, **extra) == (400, "ITEM_ERROR", "ITEM_NOT_FOUND")
        assert live.error(path, access_token="access-sandbox-x", **extra)[2] == "INVALID_ACCESS_TOKEN"


def test_a_public_token_is_exchanged_once_and_lives_thirty_minutes(live: Any) -> None:
    request = {"institution_id": "ins_56", "initial_products": ["investments"]}
    spent = live.ok("/sandbox/public_token/create", **request)["public_token"]
    late = live.ok("/sandbox/public_token/create", **request)["public_token"]
    live.ok("/item/public_token/exchange", public_token=spent)
    invalid = (400, "INVALID_INPUT", "INVALID_PUBLIC_TOKEN")

    assert live.error("/item/public_token/exchange", public_token=spent) == invalid
    assert live.error("/item/public_token/exchange", public_token="public-sandbox-x") == invalid
    live.clock.ahead += timedelta(minutes=30)
    assert live.error("/item/public_token/exchange", public_token=late) == invalid


def test_a_rotated_access_token_replaces_the_old_one(live: Any) -> None:
    token = live.link()["access_token"]
    fresh = live.ok("/item/access_token/invalidate", access_token=token)["new_access_token"]

    assert live.error("/item/get", access_token=token)[2] == "INVALID_ACCESS_TOKEN"
    assert live.ok("/item/get", access_token=fresh)["item"]["webhook"] == ""


@pytest.mark.parametrize(("path", "code"), [(path, limit.code) for path, limit in LIMITS.items()])
def test_one_call_too_many_in_a_minute_answers_429_with_the_endpoints_code(
    live: Any, path: str, code: str
) -> None:
    live.face.limits.override(path, per_item=2, per_client=2)
    token = live.link()["access_token"]
    request = {
        "access_token": token,
        "country_codes": ["US"],
        "institution_id": "ins_56",
        "count": 1,
        "offset": 0,
    }
    request |= {"start_date": "2026-01-01", "end_date": "2026-02-01"}
    answers = [live.post(path, request) for _ in range(3)]

    assert answers[-1].status_code == 429
    assert answers[-1].json()["error_type"] == "RATE_LIMIT_EXCEEDED"
    assert answers[-1].json()["error_code"] == code
    assert all(answer.status_code != 429 for answer in answers[:2])
    live.clock.ahead += timedelta(seconds=61)
    assert live.post(path, request).status_code != 429


def test_limits_count_items_apart(live: Any) -> None:
    first, second = live.link()["access_token"], live.link()["access_token"]
    live.ok("/investments/refresh", access_token=first)

    assert live.error("/investments/refresh", access_token=first) == (
        429,
        "RATE_LIMIT_EXCEEDED",
        "RATE_LIMIT",
    )
    live.ok("/investments/refresh", access_token=second)


def test_a_broken_item_answers_its_error_on_data_but_not_on_item_get(live: Any) -> None:
    token = live.link()["access_token"]
    live.ok("/sandbox/item/reset_login", access_token=token)

    expected = (400, "ITEM_ERROR", "ITEM_LOGIN_REQUIRED")
    assert live.error("/investments/holdings/get", access_token=token) == expected
    assert live.error("/accounts/get", access_token=token) == expected
    answer = live.ok("/item/get", access_token=token)
    assert answer["item"]["error"]["error_code"] == "ITEM_LOGIN_REQUIRED"
    assert answer["status"]["investments"]["last_failed_update"] is not None


def test_products_follow_institution_consent_and_accounts(live: Any) -> None:
    bank = live.link("ins_56", products=["transactions"])["access_token"]
    plan = live.link("ins_900401")["access_token"]
    consented = live.link("ins_56", products=["transactions"], additional_consented_products=["investments"])
    filters = {"depository": {"account_subtypes": ["all"]}}
    no_broker = live.link("ins_56", products=["transactions"], account_filters=filters)

    assert live.error("/investments/holdings/get", access_token=bank)[2] == "ADDITIONAL_CONSENT_REQUIRED"
    assert live.error("/transactions/sync", access_token=plan)[2] == "PRODUCTS_NOT_SUPPORTED"
    live.ok("/investments/holdings/get", access_token=consented["access_token"])
    item = live.ok("/item/get", access_token=consented["access_token"])["item"]
    assert item["billed_products"] == ["transactions", "investments"]
    live.face.items.by_id(no_broker["item_id"]).consented += ("investments",)
    token = no_broker["access_token"]
    assert live.error("/investments/holdings/get", access_token=token)[2] == "NO_INVESTMENT_ACCOUNTS"


def test_institutions_unknown_elsewhere_or_too_many(live: Any) -> None:
    assert (
        live.error("/institutions/get_by_id", institution_id="ins_0", country_codes=["US"])[2]
        == "INVALID_INSTITUTION"
    )
    assert (
        live.error("/institutions/get_by_id", institution_id="ins_56", country_codes=["XX"])[2]
        == "INVALID_FIELD"
    )
    assert live.ok("/institutions/search", query="zzz", country_codes=["US"])["institutions"] == []
    options = {"include_optional_metadata": True}
    answer = live.ok(
        "/institutions/get_by_id", institution_id="ins_56", country_codes=["US"], options=options
    )
    assert answer["institution"]["url"] == "https://www.chase.com"


def test_a_cursor_of_another_item_is_refused(live: Any) -> None:
    first, second = (live.link(products=["transactions"])["access_token"] for _ in range(2))
    cursor = live.ok("/transactions/sync", access_token=first)["next_cursor"]

    assert live.error("/transactions/sync", access_token=second, cursor=cursor)[2] == "INVALID_FIELD"
    assert live.error("/transactions/sync", access_token=first, cursor="???")[2] == "INVALID_FIELD"


@pytest.mark.parametrize("code", sorted(MEANING))
def test_every_error_code_is_a_valid_body(specification: Any, code: str) -> None:
    failure = PlaidError(code)

    for body in (failure.body("Qx7mNvT2kLpRw9c"), failure.in_item(), failure.in_webhook()):
        assert specification.problems("/item/get", failure.status, body) == []
    assert failure.status == (429 if failure.meaning.error_type == "RATE_LIMIT_EXCEEDED" else failure.status)


def test_control_makes_an_endpoint_answer_with_any_error(live: Any, control: Any) -> None:
    token = live.link()["access_token"]
    order = {"endpoint": "/investments/holdings/get", "code": "PRODUCT_NOT_READY", "times": 2}
    control("POST", "/errors", order)

    seen = [live.post("/investments/holdings/get", {"access_token": token}).status_code for _ in range(3)]
    assert seen == [400, 400, 200]
    assert control("POST", "/errors", {**order, "code": "NO_SUCH"}, expect=422)


def test_control_changes_habits_and_limits_and_reset_undoes_it(live: Any, control: Any) -> None:
    control("PUT", "/quirks/chase", {"cash_row": "none", "per_share_cost": True})
    control("PUT", "/limits", {"endpoint": "/item/get", "per_item": 1})
    token = live.link()["access_token"]
    rows = live.ok("/investments/holdings/get", access_token=token)["holdings"]

    assert 151.75 in {row["cost_basis"] for row in rows}
    live.ok("/item/get", access_token=token)
    assert live.error("/item/get", access_token=token)[2] == "ITEM_GET_LIMIT"
    live.face.reset()
    assert live.face.quirk("chase").cash_row == "prefixed"
    assert live.error("/item/get", access_token=token)[2] == "INVALID_ACCESS_TOKEN"


def test_decimals_are_written_with_their_own_digits() -> None:
    assert (
        to_json({"a": Decimal("0.10"), "b": Decimal("1E+3"), "c": [Decimal(-3)]})
        == b'{"a": 0.10, "b": 1000, "c": [-3]}'
    )
    with pytest.raises(TypeError):
        to_json({"a": Decimal("NaN")})


def test_limits_can_be_switched_off_for_all_endpoints(live: Any) -> None:
    live.state.rate_limits.update({"plaid": 0, "plaid-item": 0})
    token = live.link()["access_token"]

    assert [live.post("/investments/refresh", {"access_token": token}).status_code for _ in range(3)] == [
        200
    ] * 3


def test_unknown_fields_can_be_added_everywhere(live: Any, control: Any) -> None:
    token = live.link()["access_token"]
    control("PUT", "/surprises", {"unknown_fields": True})
    answer = live.ok("/investments/holdings/get", access_token=token)

    assert all("sandbox_surprise" in part for part in (answer, answer["item"], *answer["holdings"]))
    live.answers.pop()


def test_optional_fields_can_be_left_out_and_answers_stay_valid(live: Any, control: Any) -> None:
    token = live.link("ins_11")["access_token"]
    control("PUT", "/surprises", {"missing_optional": True})
    for path in ("/item/get", "/accounts/get", "/investments/holdings/get"):
        live.ok(path, access_token=token)

    assert (
        "institution_price_as_of"
        not in live.ok("/investments/holdings/get", access_token=token)["holdings"][0]
    )


def test_a_history_can_shrink_between_two_pages(live: Any, control: Any) -> None:
    token = live.link("ins_116530")["access_token"]
    period = {
        "start_date": "2020-01-01",
        "end_date": live.face.today().isoformat(),
        "options": {"count": 500},
    }
    before = live.ok("/investments/transactions/get", access_token=token, **period)
    control("PUT", "/accounts/ibkr-margo/history", {"activities": 400})
    after = live.ok(
        "/investments/transactions/get", access_token=token, **period | {"options": {"offset": 500}}
    )

    assert (before["total_investment_transactions"], after["total_investment_transactions"]) == (1203, 400)
    assert after["investment_transactions"] == []
    control("PUT", "/accounts/nope/history", {"activities": 4}, expect=404)


def test_every_call_is_in_the_ledger_with_who_and_what(live: Any) -> None:
    item = live.link()
    live.ok("/investments/refresh", access_token=item["access_token"])
    calls = live.state.ledger.calls("plaid")

    assert [call.endpoint for call in calls] == [
        "POST /link/token/create",
        "POST /hosted/{handle}",
        "POST /link/token/get",
        "POST /item/public_token/exchange",
        "POST /investments/refresh",
    ]
    assert {call.user for call in calls} == {"u-1"}
    assert calls[-1].connection == item["item_id"]
    assert calls[-1].billable == "investments_refresh"
    assert json.loads(live.answers[-1][2])["request_id"] == calls[-1].request_id
