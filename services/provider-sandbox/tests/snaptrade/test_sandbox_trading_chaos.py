"""Chaos between a client and its broker, and the ledger that knows what really happened."""

from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import httpx
import pytest

from provider_sandbox.snaptrade.trading_chaos import KINDS, Chances, drawn


class Desk:
    """A user with one trade account, placing orders that go wrong."""

    def __init__(self, live: Any) -> None:
        self.live = live
        live.control("PUT", "/rate-limit", {"name": "snaptrade", "limit": 100_000})
        self.caller = live.registered()
        self.caller.connect("SCHWAB", connectionType="trade")
        self.account = self.caller.accounts()[0]["id"]

    def chaos(self, kind: str = "none", **more: Any) -> None:
        self.live.control("POST", "/trading/chaos", {"kind": kind, **more})

    def place(self, **changes: Any) -> Any:
        body = {
            "account_id": self.account,
            "action": "BUY",
            "symbol": "AAPL",
            "order_type": "Limit",
            "price": 1,
            "time_in_force": "GTC",
            "units": 1,
        }
        return self.caller.post("/trade/place", body | changes)

    def recent(self) -> list[str]:
        answer = self.caller.get(f"/accounts/{self.account}/recentOrders", only_executed="false")
        return [row["brokerage_order_id"] for row in answer.json()["orders"]]

    def ledger(self, query: str = "") -> dict[str, Any]:
        self.live.sandbox.settle()
        return dict(self.live.control("GET", f"/placements{query}"))

    def last(self) -> dict[str, Any]:
        return dict(self.ledger()["placements"][-1])


@pytest.fixture
def desk(live) -> Desk:
    return Desk(live)


@pytest.mark.parametrize(
    ("kind", "orders"), [("accept_then_drop", 1), ("drop_then_accept", 1), ("drop_before", 0)]
)
def test_a_dropped_connection_tells_nothing_of_the_order(desk, kind, orders):
    desk.chaos(kind, seconds=0.05)
    with pytest.raises(httpx.TransportError):
        desk.place()
    row = desk.last()
    assert (row["accepted"], row["answered"], row["chaos"]) == (bool(orders), None, kind)
    assert len(desk.recent()) == orders
    assert ([row["broker_order_id"]] if orders else []) == desk.recent()
    assert desk.place().status_code == 200


@pytest.mark.parametrize(
    ("kind", "status", "accepted"),
    [
        ("accept_then_error", 500, True),
        ("error_before", 500, False),
        ("accept_then_timed_out", 400, True),
        ("reject", 400, False),
        ("accept_then_wait", 200, True),
        ("accept_late", 200, True),
        ("reject_later", 200, True),
    ],
)
def test_an_answer_may_say_anything_of_an_order(desk, kind, status, accepted):
    desk.chaos(kind, seconds=0.05)
    answer = desk.place()
    row = desk.last()
    assert (answer.status_code, row["answered"], row["accepted"]) == (status, status, accepted)
    assert len(desk.recent()) == accepted
    assert row["request_id"] == answer.headers["X-Request-ID"]


def test_texts_codes_and_statuses_can_be_chosen(desk):
    desk.chaos("accept_then_timed_out", detail="Gateway timed out", code="3000")
    answer = desk.place()
    assert (answer.json()["detail"], answer.json()["code"]) == ("Gateway timed out", "3000")
    desk.chaos("accept_then_error", status=503)
    assert desk.place().status_code == 503


@pytest.mark.parametrize("shape", ["truncated", "html", "empty", "no_id"])
def test_a_malformed_answer_hides_the_order_it_tells_of(desk, shape):
    desk.chaos("accept_then_malformed", shape=shape)
    answer = desk.place()
    assert answer.status_code == 200
    try:
        assert "brokerage_order_id" not in answer.json()
    except ValueError:
        assert shape != "no_id"
    assert len(desk.recent()) == 1


def test_a_rejected_order_ends_as_rejected(desk):
    desk.chaos("reject_later", seconds=30)
    order = desk.place(price=10_000, units=0.1).json()
    assert order["status"] == "ACCEPTED"
    desk.live.clock.move(seconds=31)
    (row,) = desk.caller.get(f"/accounts/{desk.account}/recentOrders", only_executed="false").json()["orders"]
    assert (row["status"], row["filled_quantity"]) == ("REJECTED", "0")


def test_an_accepted_order_can_be_invisible_for_a_while(desk):
    desk.chaos("accept_then_drop", invisible_seconds=20)
    with pytest.raises(httpx.TransportError):
        desk.place()
    assert desk.last()["chaos"] == "accept_then_drop+invisible"
    assert desk.recent() == []
    desk.live.clock.move(seconds=21)
    assert len(desk.recent()) == 1


def test_somebody_else_may_place_an_order_of_the_same_shape(desk):
    desk.chaos("drop_before", foreign=True)
    with pytest.raises(httpx.TransportError):
        desk.place()
    (order_id,) = desk.recent()
    assert desk.ledger()["counts"]["accepted"] == 0
    (order,) = desk.live.control("GET", f"/trading/orders?account={desk.account}")["orders"]
    assert (order["broker_order_id"], order["ours"]) == (order_id, False)
    details = desk.caller.post(f"/accounts/{desk.account}/orders/details", {"brokerage_order_id": order_id})
    assert details.status_code == 404


def test_control_places_foreign_orders_and_ends_orders(desk):
    leg = {"instrument": {"kind": "equity", "symbol": "AAPL"}, "action": "buy", "units": "3"}
    form = {"order_type": "limit", "time_in_force": "gtc", "limit_price": "1", "legs": [leg]}
    made = desk.live.control("POST", "/trading/orders", {"account": "schwab-demo", "order": form})
    ended = desk.live.control("POST", f"/trading/orders/{made['broker_order_id']}/cancel")
    assert (ended["status"], ended["legs"][0]["quantity"]) == ("CANCELED", "3")
    desk.live.control("POST", f"/trading/orders/{made['broker_order_id']}/fill", expect=400)
    desk.live.control("POST", "/trading/orders/nothing/fill", expect=404)
    desk.live.control("POST", "/trading/orders", {"account": "nobody", "order": form}, expect=404)
    desk.live.control("POST", "/trading/orders", {"account": "schwab-demo", "order": {}}, expect=400)


def test_chaos_is_for_one_account_some_endpoints_and_so_many_times(desk):
    desk.chaos("reject", account=desk.account, times=2)
    assert [desk.place().status_code for _ in range(3)] == [400, 400, 200]
    desk.chaos("reject", account="fidelity-demo", times=None)
    desk.chaos("reject", endpoints=["cancel"])
    order = desk.place().json()["brokerage_order_id"]
    body = {"brokerage_order_id": order}
    cancel = [desk.caller.post(f"/accounts/{desk.account}/trading/cancel", body) for _ in range(2)]
    assert [answer.status_code for answer in cancel] == [400, 200]
    assert len(desk.live.control("GET", "/trading/chaos")["rules"]) == 1
    assert desk.live.control("DELETE", "/trading/chaos") == {"rules": [], "random": None}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/trading/chaos", {"kind": "nonsense"}),
        ("POST", "/trading/chaos", {"kind": "reject", "endpoints": ["nowhere"]}),
        ("POST", "/trading/chaos", {"kind": "reject", "times": 0}),
        ("PUT", "/trading/random", {"probabilities": {"nonsense": 0.1}}),
        ("PUT", "/trading/random", {"probabilities": {"reject": 0.9, "drop_before": 0.2}}),
        ("PUT", "/trading/random", {"seconds": 3}),
        ("PUT", "/trading", {"market": "sometimes"}),
        ("PUT", "/trading", {"nonsense": 1}),
        ("PUT", "/trading", {"fills": "yes"}),
        ("PUT", "/trading", {"commission": "-1"}),
        ("PUT", "/trading", {"commission": "much"}),
    ],
)
def test_control_refuses_what_it_does_not_understand(live, method, path, body):
    assert live.control(method, path, body, expect=400)["error"]


def test_conditions_can_be_set_for_one_account(desk):
    desk.live.control("PUT", f"/trading/accounts/{desk.account}", {"market": "closed"})
    assert desk.place().status_code == 400
    shown = desk.live.control("GET", "/trading")
    assert (shown["conditions"]["market"], shown["accounts"]["schwab-demo"]["market"]) == ("open", "closed")
    assert set(shown["meaning"]) == set(shown["conditions"])
    desk.live.control("POST", "/reset")
    assert desk.live.control("GET", "/trading")["accounts"] == {}


def test_the_ledger_knows_every_request_and_finds_what_was_placed_twice(desk):
    client_order = "550e8400-e29b-41d4-a716-446655440000"
    for _ in range(2):
        desk.place(client_order_id=client_order)
    desk.place(symbol="NOPE")
    desk.caller.post("/trade/place", {"account_id": 7})
    stranger = desk.live.commercial()
    stranger.post("/trade/place", {"account_id": desk.account})
    found = desk.ledger()
    assert found["counts"]["received"] == 5
    assert (found["counts"]["accepted"], found["counts"]["refused"]) == (2, 3)
    assert found["counts"]["twice"]["client_order_id"] == {client_order: 2}
    assert list(found["counts"]["twice"]["shape"].values()) == [2]
    assert found["counts"]["too_fast"] == 1
    assert [row["error"][:4] if row["error"] else None for row in found["placements"]] == [
        None,
        None,
        "1012",
        "1012",
        "0000",
    ]
    first = found["placements"][0]
    assert (first["symbol"], first["side"], first["quantity"], first["user"]) == ("AAPL", "BUY", "1", "u-42")
    assert first["order_status"] == "ACCEPTED"
    assert len(desk.ledger(f"?client_order_id={client_order}&accepted=true&after=1")["placements"]) == 1
    assert desk.ledger(f"?account={desk.account}&symbol=NOPE")["counts"]["accepted"] == 0
    assert desk.live.control("GET", "/placements/counts")["received"] == 5
    desk.live.control("GET", "/placements?after=x", expect=400)


def test_a_second_order_within_a_second_can_be_refused(desk):
    desk.live.control("PUT", "/trading", {"pace": True})
    assert [desk.place().status_code for _ in range(2)] == [200, 429]
    desk.live.clock.move(seconds=2)
    assert desk.place().status_code == 200


def test_the_same_seed_draws_the_same_chaos():
    chances = Chances(
        seed=7, probabilities={"accept_then_drop": 0.3, "drop_before": 0.3}, foreign=0.2, invisible=0.5
    )
    one, other = Random(7), Random(7)
    first = [drawn(chances, one) for _ in range(500)]
    assert first == [drawn(chances, other) for _ in range(500)]
    assert {c.kind for c in first} == {"none", "accept_then_drop", "drop_before"}
    assert any(c.foreign for c in first)
    assert any(c.invisible_seconds for c in first)


def _attempt(desk: Desk, number: int) -> None:
    try:
        desk.place(units=1, price=round(1 + number / 100, 2))
    except httpx.TransportError:
        return


def test_under_random_chaos_ledger_and_broker_agree(desk):
    share = 1 / len(KINDS)
    mode = {
        "seed": 3,
        "probabilities": {kind: share for kind in KINDS if kind != "none"},
        "foreign": 0.1,
        "invisible": 0.2,
        "seconds": [0.0, 0.02],
        "invisible_seconds": [0.0, 0.02],
    }
    desk.live.control("PUT", "/trading/random", mode)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: _attempt(desk, number), range(120)))
    rows = desk.ledger()["placements"]
    orders = desk.live.control("GET", "/trading/orders")["orders"]
    ours = {order["broker_order_id"] for order in orders if order["ours"]}
    assert len(rows) == 120
    assert {row["broker_order_id"] for row in rows if row["accepted"]} == ours
    assert len(ours) == desk.live.control("GET", "/placements/counts")["accepted"]
    assert len({order["request_id"] for order in orders if order["ours"]}) == len(ours)
    assert len(orders) > len(ours)
