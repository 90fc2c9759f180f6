"""Every endpoint answers what the official schemas say, for awkward data too."""

from typing import Any

import pytest

# Shapes the published OpenAPI file (older) and the SDK (newer) document differently; the sandbox speaks the newer one.
SKEWED = {
    "GET /connections/{connectionId}/accounts": "bare list before, object with results now",
    "GET /authorizations": "data_freshness_mode is an object now",
    "GET /authorizations/{authorizationId}": "data_freshness_mode is an object now",
}
NEWER_KINDS = {"bond", "future_option", "tokenized_asset"}
EVERYBODY = [
    ("SCHWAB", "demo"),
    ("FIDELITY", "twins"),
    ("INTERACTIVE-BROKERS-FLEX", "margo"),
    ("ETRADE", "ravi"),
    ("VANGUARD", "vera"),
    ("SANDBOX", "self-directed"),
    ("SANDBOX", "every-kind"),
    ("SANDBOX", "cash-only"),
    ("SANDBOX", "no-transactions"),
]


class Checker:
    def __init__(self, newer: Any, older: Any) -> None:
        self.newer, self.older, self.checked = newer, older, set()

    def __call__(self, endpoint: str, answer: Any, status: int = 200) -> Any:
        assert answer.status_code == status, (endpoint, answer.text)
        body = answer.json()
        problems = self.newer.problems(endpoint, status, body)
        if self.older.has(endpoint) and endpoint not in SKEWED:
            problems += [
                f"older: {p}"
                for p in self.older.problems(endpoint, status, without_newer_kinds(endpoint, body))
            ]
        assert not problems, (endpoint, problems[:5])
        self.checked.add(endpoint)
        return body


def without_newer_kinds(endpoint: str, body: Any) -> Any:
    """The older file knows neither bonds nor two rarer kinds."""
    if not endpoint.endswith("/positions/all"):
        return body
    kept = [row for row in body["results"] if row["instrument"]["kind"] not in NEWER_KINDS]
    return {**body, "results": kept}


@pytest.fixture
def check(newer_schemas, older_schemas) -> Checker:
    return Checker(newer_schemas, older_schemas)


def check_account(check: Checker, caller: Any, account_id: str, *, invests: bool) -> None:
    base = f"/accounts/{account_id}"
    for path in (
        "",
        "/details",
        "/balances",
        "/positions/all",
        "/activities",
        "/balanceHistory",
        "/returnRates",
    ):
        check(f"GET /accounts/{{accountId}}{path}", caller.get(base + path))
    for path in ("/orders", "/orders/all", "/orders/v2") if invests else ():
        check(f"GET /accounts/{{accountId}}{path}", caller.get(base + path))
    check("GET /accounts/{accountId}/recentOrders", caller.get(f"{base}/recentOrders", only_executed="false"))
    check(
        "GET /accounts/{accountId}/recentOrders/v2",
        caller.get(f"{base}/recentOrders/v2", only_executed="false"),
    )
    check("POST /accounts/{accountId}/symbols", caller.post(f"{base}/symbols", {"substring": "a"}))


@pytest.mark.parametrize(("broker", "username"), EVERYBODY)
def test_every_account_endpoint_validates_for(live, check, broker, username):
    live.control("PUT", "/rate-limit", {"name": "snaptrade", "limit": 10_000})
    live.control("PUT", "/snaptrade", {"return_rates": True})
    caller = live.registered()
    connection_id = caller.connect(broker, username)
    accounts = check("GET /accounts/all", caller.get("/accounts/all"))["results"]
    assert accounts
    check("GET /accounts", caller.get("/accounts"))
    check("GET /connections/{connectionId}/accounts", caller.get(f"/connections/{connection_id}/accounts"))
    check(
        "GET /authorizations/{authorizationId}/accounts",
        caller.get(f"/authorizations/{connection_id}/accounts"),
    )
    for account in accounts:
        check_account(check, caller, account["id"], invests=account["kind"] == "investment")


def test_user_and_connection_endpoints_validate(live, check):
    commercial = live.commercial()
    user = check(
        "POST /snapTrade/registerUser", commercial.post("/snapTrade/registerUser", {"userId": "u-1"})
    )
    check("GET /snapTrade/listUsers", commercial.get("/snapTrade/listUsers"))
    user = check("POST /snapTrade/resetUserSecret", commercial.post("/snapTrade/resetUserSecret", user))
    commercial.user = user
    check("POST /snapTrade/login", commercial.post("/snapTrade/login", {"broker": "SCHWAB"}))
    connection_id = commercial.connect("SCHWAB")
    one = f"/authorizations/{connection_id}"
    check("GET /authorizations", commercial.get("/authorizations"))
    check("GET /authorizations/{authorizationId}", commercial.get(one))
    check("POST /authorizations/{authorizationId}/refresh", commercial.post(f"{one}/refresh"))
    check(
        "POST /authorizations/{authorizationId}/transactions/sync",
        commercial.post(f"{one}/transactions/sync"),
    )
    check("POST /authorizations/{authorizationId}/disable", commercial.post(f"{one}/disable"))
    check("GET /authorizations/{authorizationId}", commercial.get(one))
    check("DELETE /connection/{connectionId}", commercial.delete(f"/connection/{connection_id}"))
    commercial.user = {}
    check("DELETE /snapTrade/deleteUser", commercial.delete("/snapTrade/deleteUser", userId="u-1"))


def test_reference_data_validates(live, check):
    caller = live.commercial()
    check("GET /", live.http.get(f"{live.url}/"))
    check("GET /institutions", live.http.get(f"{live.url}/institutions"))
    check("GET /snapTrade/partners", caller.get("/snapTrade/partners"))
    check("GET /brokerages", caller.get("/brokerages"))
    check("GET /brokerageAuthorizationTypes", caller.get("/brokerageAuthorizationTypes"))
    check("GET /brokerages/{slug}/instruments", caller.get("/brokerages/SCHWAB/instruments"))
    check("GET /exchanges", caller.get("/exchanges"))
    found = check("POST /symbols", caller.post("/symbols", {"substring": "royal"}))
    assert [symbol["symbol"] for symbol in found] == ["RY.TO"]
    check("GET /symbols/{query}", caller.get("/symbols/RY.TO"))
    check("GET /symbols/{query}", caller.get(f"/symbols/{found[0]['id']}"))


def test_before_the_first_sync_everything_is_empty_and_valid(live, check):
    live.control("PUT", "/snaptrade", {"initial_sync_seconds": 60})
    caller = live.registered()
    caller.open_portal(broker="SCHWAB", immediateRedirect=True, customRedirect="https://a.test/").submit()
    (account,) = check("GET /accounts/all", caller.get("/accounts/all"))["results"]
    assert account["sync_status"]["positions"] is None
    base = f"/accounts/{account['id']}"
    assert (
        check("GET /accounts/{accountId}/positions/all", caller.get(f"{base}/positions/all"))["results"] == []
    )
    assert check("GET /accounts/{accountId}/balances", caller.get(f"{base}/balances")) == []
    old = check("GET /accounts/{accountId}", caller.get(base))
    assert old["sync_status"]["holdings"]["initial_sync_completed"] is False
    live.control("POST", "/reset")


def test_holdings_of_an_older_customer_validate(live, check):
    live.control("PUT", "/snaptrade", {"legacy_holdings": True})
    caller = live.registered()
    caller.connect("SCHWAB")
    account_id = caller.accounts()[0]["id"]
    body = check("GET /accounts/{accountId}/holdings", caller.get(f"/accounts/{account_id}/holdings"))
    (option,) = body["option_positions"]
    assert option["average_purchase_price"] == 4875


def test_errors_validate_where_their_schema_is_declared(live, newer_schemas):
    caller = live.registered()
    connection_id = caller.connect("SCHWAB")
    caller.post(f"/authorizations/{connection_id}/disable")
    live.sandbox.settle()
    refused = caller.post(f"/authorizations/{connection_id}/refresh")
    assert newer_schemas.problems("POST /authorizations/{authorizationId}/refresh", 402, refused.json()) == []
    live.control("PUT", "/rate-limit", {"name": "snaptrade", "limit": 1})
    throttled = caller.get("/accounts")
    throttled = caller.get("/accounts/x/balances") if throttled.status_code != 429 else throttled
    assert throttled.status_code == 429
    assert newer_schemas.problems("GET /accounts/{accountId}/balances", 429, throttled.json()) == []


def test_the_schemas_would_notice_a_mistake(live, check):
    caller = live.registered()
    caller.connect("SCHWAB")
    account_id = caller.accounts()[0]["id"]
    body = caller.get(f"/accounts/{account_id}/positions/all").json()
    body["results"][0]["units"] = 50
    endpoint = "GET /accounts/{accountId}/positions/all"
    assert check.newer.problems(endpoint, 200, body)
    assert check.older.problems(endpoint, 200, body)
