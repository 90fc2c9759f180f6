"""Scenarios set through the control API, met by a client of the SnapTrade face."""

import time

import httpx
import pytest


@pytest.fixture
def connected(live):
    caller = live.registered()
    caller.connect("SCHWAB")
    return caller


@pytest.fixture
def read(connected):
    account_id = connected.accounts()[0]["id"]
    return lambda: connected.get(f"/accounts/{account_id}/positions/all")


POSITIONS = "GET /accounts/{accountId}/positions/all"


def fault(live, **values):
    live.control("POST", "/faults", {"provider": "snaptrade", "endpoint": POSITIONS} | values)


def test_a_status_fault_happens_as_often_as_asked(live, read):
    body = {"detail": "Brokerage failed", "status_code": 503, "code": "3002"}
    fault(live, kind="status", status=503, body=body, times=2, headers={"Retry-After": "3"})
    for _ in range(2):
        answer = read()
        assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (503, body, "3")
        assert answer.headers["x-request-id"]
    assert read().status_code == 200


def test_a_fault_meets_only_its_endpoint(live, connected, read):
    fault(live, kind="status", status=500)
    assert read().status_code == 500
    assert connected.get("/accounts/all").status_code == 200
    live.control("DELETE", "/faults")
    assert read().status_code == 200


def test_a_dropped_connection_gives_no_answer(live, read):
    fault(live, kind="drop", times=1)
    with pytest.raises(httpx.TransportError):
        read()
    assert read().status_code == 200


def test_a_lost_answer_may_have_had_its_effect(live):
    register = "POST /snapTrade/registerUser"
    live.control(
        "POST",
        "/faults",
        {"provider": "snaptrade", "endpoint": register, "kind": "drop", "after": True, "times": 1},
    )
    caller = live.commercial()
    with pytest.raises(httpx.TransportError):
        caller.post("/snapTrade/registerUser", {"userId": "u-7"})
    assert caller.get("/snapTrade/listUsers").json() == ["u-7"]


def test_a_truncated_body_is_no_json(live, read):
    whole = read().content
    fault(live, kind="truncate", times=1)
    answer = read()
    assert answer.status_code == 200
    assert answer.content == whole[: len(whole) // 2]


def test_a_gateway_page_is_html(live, read):
    fault(live, kind="html", times=1)
    answer = read()
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")


@pytest.mark.parametrize(("kind", "count"), [("empty_list", 0), ("partial", 3), ("missing_list", None)])
def test_lists_can_be_emptied_halved_and_lost(live, read, kind, count):
    fault(live, kind=kind, times=1)
    rows = read().json().get("results")
    assert (None if rows is None else len(rows)) == count


def test_a_slow_drip_still_arrives_whole(live, read):
    whole = read().json()["results"]
    fault(live, kind="slow_drip", seconds=0.2, times=1)
    assert read().json()["results"] == whole


def test_latency_delays_and_is_removed(live, read):
    live.control("PUT", "/latency", {"provider": "snaptrade", "endpoint": POSITIONS, "seconds": 0.15})
    started = time.monotonic()
    read()
    assert time.monotonic() - started >= 0.15
    live.control("PUT", "/latency", {"provider": "snaptrade", "endpoint": POSITIONS, "seconds": 0})
    assert live.sandbox.state.faults.latency("snaptrade", POSITIONS) == 0


def test_the_ledger_knows_every_call(live, connected, read):
    fault(live, kind="status", status=500, times=1)
    read()
    read()
    found = live.control("GET", "/calls?endpoint=GET%20/accounts/{accountId}/positions/all")["calls"]
    assert [(call["status"], call["fault"], call["accepted"]) for call in found] == [
        (500, "status", False),
        (200, None, True),
    ]
    assert found[1]["user"] == "u-42"
    assert found[1]["connection"] == connected.get("/authorizations").json()[0]["id"]
    assert live.control("GET", "/calls/counts")["counts"]["snaptrade"][POSITIONS] == 2


def test_control_breaks_and_repairs_a_connection(live, connected):
    (connection,) = live.control("GET", "/connections")["connections"]
    live.control("POST", f"/connections/{connection['id']}/break")
    assert connected.get("/authorizations").json()[0]["disabled"] is True
    live.control("POST", f"/connections/{connection['id']}/repair")
    assert connected.get("/authorizations").json()[0]["disabled"] is False
    types = live.event_types()
    assert types.index("CONNECTION_BROKEN") < types.index("CONNECTION_FIXED")
    live.control("POST", "/connections/nothing/break", expect=404)


def test_changed_holdings_are_announced_and_read(live, connected, read):
    change = {"security": "GOOGL", "quantity": "7", "average_cost": "100"}
    answer = live.control("PUT", "/accounts/schwab-demo/holdings", change)
    assert answer["announced"] == 1
    assert {row["instrument"]["symbol"]: row["units"] for row in read().json()["results"]}["GOOGL"] == "7"
    live.control("DELETE", "/accounts/schwab-demo/holdings/GOOGL")
    assert "GOOGL" not in {row["instrument"]["symbol"] for row in read().json()["results"]}
    assert [
        w for w in live.control("GET", "/webhooks")["webhooks"] if "ACCOUNT_HOLDINGS_UPDATED" in w["body"]
    ]


def test_cash_and_prices_can_be_changed(live, connected, read):
    before = connected.accounts()[0]["net_value"]["amount"]
    live.control("PUT", "/accounts/schwab-demo/cash", {"amount": "3100.25"})
    assert connected.accounts()[0]["net_value"]["amount"] == before + 100.25
    live.control("PUT", "/securities/AAPL/price", {"price": None})
    live.control("PUT", "/accounts/schwab-demo/cash", {"amount": "3000"})
    prices = {row["instrument"]["symbol"]: row["price"] for row in read().json()["results"]}
    assert prices["AAPL"] is None


def test_benchmark_accounts_are_made_on_demand(live):
    live.control(
        "POST", "/synthetic", {"username": "many", "institution": "fidelity", "accounts": 3, "holdings": 40}
    )
    caller = live.registered()
    caller.connect("FIDELITY", "many")
    accounts = caller.accounts()
    assert len(accounts) == 3
    rows = caller.get(f"/accounts/{accounts[2]['id']}/positions/all").json()["results"]
    assert len({row["instrument"]["id"] for row in rows}) == 40
    other = live.registered("other")
    other.connect("SCHWAB", "bench-500")
    rows = other.get(f"/accounts/{other.accounts()[0]['id']}/positions/all").json()["results"]
    assert len(rows) == 500


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/faults", {"provider": "snaptrade", "kind": "nonsense"}),
        ("POST", "/faults", {"provider": "snaptrade", "kind": "drop", "times": 0}),
        ("POST", "/faults", {"provider": "snaptrade", "kind": "status", "headers": "none"}),
        ("PUT", "/latency", {"seconds": "long"}),
        ("PUT", "/accounts/schwab-demo/holdings", {"security": "AAPL"}),
        ("PUT", "/accounts/schwab-demo/holdings", {"security": "AAPL", "quantity": "many"}),
        ("PUT", "/accounts/schwab-demo/cash", {"amount": "1", "currency": "XXX"}),
        ("POST", "/synthetic", {"institution": "nowhere"}),
        ("PUT", "/snaptrade", {"plan": "hourly"}),
        ("PUT", "/snaptrade", {"host": "0.0.0.0"}),
        ("PUT", "/snaptrade", {"refresh_seconds": "soon"}),
    ],
)
def test_control_says_what_is_wrong_with_a_request(live, method, path, body):
    assert live.control(method, path, body, expect=400)["error"]


def test_control_knows_no_unknown_account_or_security(live):
    live.control("PUT", "/accounts/nobody/holdings", {"security": "AAPL", "quantity": "1"}, expect=404)
    live.control("PUT", "/accounts/schwab-demo/holdings", {"security": "NOPE", "quantity": "1"}, expect=404)
