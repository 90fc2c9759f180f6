"""Link through two providers, sync, publish, consolidate, read: over HTTP, with every service its own process."""

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from local_demo.client import DemoError, Frontend
from local_demo.pages import Visit, sign_in
from local_demo.portfolio import differences
from local_stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def positions(frontend: Frontend) -> dict[str, Any]:
    return {row["instrument"]["key"]: row for row in frontend.get("/v1/positions")["items"]}


def link_the_demo(frontend: Frontend) -> None:
    for institution, provider in (
        ("charles-schwab", None),
        ("fidelity", None),
        ("chase", None),
        ("fidelity", "plaid"),
    ):
        frontend.link(institution, sign_in, provider=provider)


def expected_portfolio(frontend: Frontend) -> list[dict[str, Any]]:
    page = frontend.wait(
        lambda: frontend.get("/v1/positions"),
        lambda now: not differences(now["items"]),
        "the expected portfolio",
    )
    return list(page["items"])


def test_one_user_links_two_providers_and_reads_one_portfolio(frontend: Frontend) -> None:
    link_the_demo(frontend)
    rows = {row["instrument"]["key"]: row for row in expected_portfolio(frontend)}
    apple = rows["AAPL"]
    assert Decimal(apple["quantity"]) == 150
    assert apple["provider"] == "snaptrade"
    assert sorted(Decimal(part["quantity"]) for part in apple["contributions"]) == [50, 100]
    fund = rows["VTI"]
    assert [part["provider"] for part in fund["contributions"]] == ["snaptrade"]
    assert [part["provider"] for part in fund["excluded"]] == ["plaid"]
    accounts = frontend.get("/v1/accounts")["items"]
    apart = {
        account["provider"]: {
            row["instrument"]["key"]: Decimal(row["quantity"])
            for row in frontend.get(f"/v1/accounts/{account['id']}/positions")["items"]
        }
        for account in accounts
        if account["institution"] in {"charles-schwab", "chase"} and account["type"] == "brokerage"
    }
    assert (apart["snaptrade"]["AAPL"], apart["plaid"]["AAPL"]) == (50, 100)


@pytest.mark.parametrize(
    ("wish", "provider", "trading"),
    [
        ({"institution": "charles-schwab", "need_trading": True}, "snaptrade", True),
        ({"institution": "charles-schwab"}, "snaptrade", True),
        ({"institution": "fidelity"}, "snaptrade", False),
        ({"institution": "chase"}, "plaid", False),
        ({"institution": "A Credit Union Nobody Knows"}, "plaid", False),
    ],
)
def test_each_institution_goes_to_its_provider(
    frontend: Frontend, wish: dict[str, Any], provider: str, trading: bool
) -> None:
    session = frontend.post("/v1/link", wish)
    assert (session["provider"], session["capabilities"]["trading"]) == (provider, trading)
    assert session["reasons"]


def test_an_account_linked_for_trading_can_trade_and_a_read_only_one_cannot(frontend: Frontend) -> None:
    frontend.link("charles-schwab", sign_in)
    frontend.link("fidelity", sign_in)
    accounts = frontend.wait(
        lambda: frontend.get("/v1/accounts")["items"], lambda rows: len(rows) >= 2, "both accounts"
    )
    trading = {row["institution"]: row["capabilities"]["trading"] for row in accounts}
    assert trading == {"charles-schwab": True, "fidelity": False}


def test_nobody_sees_anothers_rows(frontend: Frontend, as_user: Callable[[str], Frontend]) -> None:
    session = frontend.link("charles-schwab", sign_in)
    frontend.wait(lambda: positions(frontend), bool, "positions")
    account = frontend.get("/v1/accounts")["items"][0]["id"]
    stranger = as_user("a-stranger")
    assert stranger.get("/v1/positions")["items"] == []
    for path in (f"/v1/accounts/{account}", f"/v1/accounts/{account}/positions", f"/v1/link/{session['id']}"):
        with pytest.raises(DemoError, match="404 NOT_FOUND"):
            stranger.get(path)
    with pytest.raises(DemoError, match="404 NOT_FOUND"):
        stranger.post(f"/v1/link/{session['id']}/complete", {})


@pytest.mark.parametrize("bearer", ["", "Bearer nonsense", "Bearer " + "x" * 20000, "Basic dXNlcjp4"])
def test_a_wrong_token_opens_nothing(stack: Stack, bearer: str) -> None:
    answer = httpx.get(
        f"{stack.state.url('gateway')}/v1/positions", headers={"Authorization": bearer}, trust_env=False
    )
    assert answer.status_code in {401, 431}
    assert answer.status_code != 401 or answer.json()["error"]["code"] == "UNAUTHENTICATED"


def test_completing_an_unfinished_link_does_not_link_anything(frontend: Frontend) -> None:
    session = frontend.post("/v1/link", {"institution": "chase"})
    frontend.post(f"/v1/link/{session['id']}/complete", {})
    assert frontend.get(f"/v1/link/{session['id']}")["status"] in {"pending", "completing"}
    assert frontend.get("/v1/connections")["items"] == []


def test_a_user_who_gives_up_is_told_so_and_may_still_finish(frontend: Frontend) -> None:
    session = frontend.post("/v1/link", {"institution": "chase"})
    Visit(session["url"], choices={"outcome": "cancel"}).finish()
    frontend.post(f"/v1/link/{session['id']}/complete", {})
    given_up = frontend.wait(
        lambda: frontend.get(f"/v1/link/{session['id']}"),
        lambda now: now["status"] in {"abandoned", "failed"},
        "the session to end",
    )
    assert given_up["status"] == "abandoned"


def test_a_link_nobody_completes_is_completed_by_the_webhook(frontend: Frontend) -> None:
    session = frontend.post("/v1/link", {"institution": "chase"})
    sign_in(session["url"])
    frontend.wait(lambda: positions(frontend), bool, "positions to arrive by themselves")
    assert frontend.get(f"/v1/link/{session['id']}")["status"] == "completed"


def test_holdings_that_change_at_the_broker_arrive_through_a_webhook(
    frontend: Frontend, control: httpx.Client
) -> None:
    frontend.link("vanguard", sign_in, provider="plaid")
    before = frontend.wait(lambda: positions(frontend), bool, "positions")
    held = "VTSAX"
    item = control.get("/_control/plaid/items").json()[-1]
    change = {"account": "vanguard-vera", "security": held, "quantity": "11"}
    assert control.post(f"/_control/plaid/items/{item['id']}/holdings", json=change).is_success
    after = frontend.wait(
        lambda: positions(frontend),
        lambda now: Decimal(now[held]["quantity"]) == 11,
        "the new quantity",
    )
    assert set(after) == set(before)


def test_no_secret_and_no_account_number_is_in_any_log(frontend: Frontend, stack: Stack, logs: Path) -> None:
    link_the_demo(frontend)
    expected_portfolio(frontend)
    text = "".join(path.read_text(errors="replace") for path in logs.glob("*.log"))
    assert "link.completed" in text
    canaries = [
        *stack.state.secrets.values(),
        *stack.state.roles.values(),
        "83104472",
        "000482915521",
        "Z71938865",
    ]
    assert [canary for canary in canaries if canary in text] == []
    assert re.findall(r"(?:access|public|link)-sandbox-[0-9a-f]{4,}|userSecret=[^*\s\"]{4,}", text) == []
