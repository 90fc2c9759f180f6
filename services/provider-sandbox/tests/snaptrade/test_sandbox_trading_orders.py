"""Placing, filling, cancelling and replacing at the SnapTrade face, in the official shapes."""

from decimal import Decimal
from typing import Any

import pytest

CLIENT_ORDER = "550e8400-e29b-41d4-a716-446655440000"


class Trader:
    """A user with a trade connection at Schwab and an account that holds AAPL 50, cash 3000 and a sweep of 2500."""

    def __init__(self, live: Any, newer: Any, older: Any) -> None:
        self.live, self.newer, self.older = live, newer, older
        live.control("PUT", "/rate-limit", {"name": "snaptrade", "limit": 100_000})
        self.caller = live.registered()
        self.connection = self.caller.connect("SCHWAB", connectionType="trade")
        self.account = self.caller.accounts()[0]["id"]

    def valid(self, endpoint: str, answer: Any) -> Any:
        assert answer.status_code == 200, (endpoint, answer.text)
        problems = self.newer.problems(endpoint, 200, answer.json())
        if self.older.has(endpoint):
            problems += self.older.problems(endpoint, 200, answer.json())
        assert not problems, (endpoint, problems[:5])
        return answer.json()

    def body(self, **changes: Any) -> dict[str, Any]:
        usual = {
            "account_id": self.account,
            "action": "BUY",
            "symbol": "AAPL",
            "universal_symbol_id": None,
            "order_type": "Market",
            "time_in_force": "Day",
            "units": 2,
            "client_order_id": CLIENT_ORDER,
        }
        return usual | changes

    def place(self, **changes: Any) -> Any:
        return self.valid("POST /trade/place", self.caller.post("/trade/place", self.body(**changes)))

    def refused(self, status: int, code: str, **changes: Any) -> str:
        answer = self.caller.post("/trade/place", self.body(**changes))
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        return str(answer.json()["detail"])

    def post(self, what: str, body: Any) -> Any:
        return self.caller.post(f"/accounts/{self.account}/{what}", body)

    def recent(self, *, every: bool = True) -> list[dict[str, Any]]:
        answer = self.caller.get(
            f"/accounts/{self.account}/recentOrders", only_executed="false" if every else "true"
        )
        return list(self.valid("GET /accounts/{accountId}/recentOrders", answer)["orders"])

    def units(self, symbol: str) -> str | None:
        self.live.sandbox.settle()
        rows = self.caller.get(f"/accounts/{self.account}/positions/all").json()["results"]
        return next((row["units"] for row in rows if row["instrument"]["symbol"] == symbol), None)

    def cash(self) -> Decimal:
        self.live.sandbox.settle()
        (row,) = self.caller.get(f"/accounts/{self.account}/balances").json()
        return Decimal(str(row["cash"]))

    def price(self, value: str, security: str = "AAPL") -> None:
        self.live.control("PUT", f"/securities/{security}/price", {"price": value})

    def trading(self, **conditions: Any) -> None:
        self.live.control("PUT", "/trading", conditions)


@pytest.fixture
def trader(live, newer_schemas, older_schemas) -> Trader:
    return Trader(live, newer_schemas, older_schemas)


def test_a_market_order_fills_at_once_and_changes_holdings_and_cash(trader):
    order = trader.place()
    assert (order["status"], order["filled_quantity"], order["execution_price"]) == ("EXECUTED", "2", "268.5")
    assert "client_order_id" not in order
    assert trader.units("AAPL") == "52"
    assert trader.cash() == Decimal(5500) - 537
    assert [row["brokerage_order_id"] for row in trader.recent()] == [order["brokerage_order_id"]]


def test_a_fill_tells_of_the_order_and_of_the_holdings(trader):
    before = len(trader.live.events())
    order = trader.place()
    events = trader.live.events()[before:]
    assert {e["eventType"] for e in events} == {"TRADE_UPDATE", "ACCOUNT_HOLDINGS_UPDATED"}
    told = [e["details"]["orders"][0] for e in events if e["eventType"] == "TRADE_UPDATE"]
    assert [o["status"] for o in told] == ["PENDING", "EXECUTED"]
    assert {o["brokerage_order_id"] for o in told} == {order["brokerage_order_id"]}
    assert told[-1]["execution_price"] == "268.5000000000"
    assert "price_effect" not in told[-1]


def test_a_limit_order_rests_until_the_price_crosses(trader):
    order = trader.place(order_type="Limit", time_in_force="GTC", price=250)
    assert (order["status"], order["open_quantity"]) == ("ACCEPTED", "2")
    assert trader.recent(every=False) == []
    trader.price("251")
    assert trader.recent()[0]["status"] == "ACCEPTED"
    trader.price("249.5")
    (shown,) = trader.recent()
    assert (shown["status"], shown["execution_price"], shown["limit_price"]) == ("EXECUTED", "249.5", "250")


def test_a_stop_order_sells_when_the_price_falls_to_it(trader):
    trader.place(action="SELL", order_type="Stop", stop=200, units=10)
    trader.price("201")
    assert trader.recent()[0]["status"] == "ACCEPTED"
    trader.price("199")
    assert trader.recent()[0]["status"] == "EXECUTED"
    assert trader.units("AAPL") == "40"


def test_a_triggered_stop_limit_goes_on_as_a_limit(trader):
    trader.place(order_type="StopLimit", stop=280, price=285, units=1)
    trader.price("290")
    assert trader.recent()[0]["status"] == "ACCEPTED"
    trader.price("270")
    assert trader.recent()[0]["status"] == "EXECUTED"


def test_a_partial_fill_stays_partial_until_control_says_more(trader):
    trader.trading(fill_share="0.5")
    order = trader.place(order_type="Limit", price=300, units=4)
    assert (order["status"], order["filled_quantity"], order["open_quantity"]) == ("PARTIAL", "2", "2")
    trader.live.control("POST", f"/trading/orders/{order['brokerage_order_id']}/fill", {"quantity": "1"})
    assert trader.recent()[0]["filled_quantity"] == "3"
    trader.trading(fill_share=1)
    assert trader.recent()[0]["status"] == "EXECUTED"
    assert trader.units("AAPL") == "54"


def test_an_order_that_must_fill_at_once_or_never_is_cancelled(trader):
    for force in ("IOC", "FOK"):
        order = trader.place(order_type="Limit", time_in_force=force, price=100)
        assert (order["status"], order["canceled_quantity"]) == ("CANCELED", "2")
    trader.trading(fill_share="0.5")
    assert trader.place(time_in_force="IOC", units=4)["status"] == "PARTIAL_CANCELED"
    assert trader.place(time_in_force="FOK", units=4)["filled_quantity"] == "0"


def test_an_order_fills_later_where_the_broker_is_slow(trader):
    trader.trading(fill_delay_seconds=60)
    assert trader.place()["status"] == "PENDING"
    trader.live.clock.move(seconds=61)
    assert trader.recent()[0]["status"] == "EXECUTED"


def test_day_orders_and_dated_orders_expire(trader):
    trader.place(order_type="Limit", price=100, units=1)
    expiry = (trader.live.clock()).replace(microsecond=0).isoformat()
    assert "future" in trader.refused(
        400, "1012", order_type="Limit", price=100, time_in_force="GTD", expiry_date=expiry
    )
    trader.place(
        order_type="Limit", price=100, time_in_force="GTD", expiry_date="2100-01-01T00:00:00Z", units=1
    )
    assert trader.live.control("POST", "/trading/end-of-day") == {"expired": 1}
    assert sorted(row["status"] for row in trader.recent()) == ["ACCEPTED", "EXPIRED"]


def test_every_list_and_detail_shows_a_placed_order_validly(trader):
    resting = trader.place(order_type="StopLimit", stop=280, price=285, units=1)
    trader.place(action="SELL", units=1.5)
    trader.live.control("POST", f"/connections/{trader.connection}/announce")
    trader.live.sandbox.settle()
    for what, member in (("orders", None), ("orders/v2", "orders"), ("orders/all", "results")):
        body = trader.valid(
            f"GET /accounts/{{accountId}}/{what}", trader.caller.get(f"/accounts/{trader.account}/{what}")
        )
        rows = body if member is None else body[member]
        assert resting["brokerage_order_id"] in {row["brokerage_order_id"] for row in rows}, what
        assert len(rows) == 2
    path = f"/accounts/{trader.account}/recentOrders/v2"
    recent = trader.valid("GET /accounts/{accountId}/recentOrders/v2", trader.caller.get(path))
    assert [row["legs"][0]["action"] for row in recent["orders"]] == ["SELL"]
    order_id = resting["brokerage_order_id"]
    detail = trader.post("orders/details", {"brokerage_order_id": order_id})
    assert trader.valid("POST /accounts/{accountId}/orders/details", detail)["stop_price"] == "280"
    newer = trader.caller.get(f"/accounts/{trader.account}/orders/details/v2/{order_id}")
    trader.valid("GET /accounts/{accountId}/orders/details/v2/{brokerageOrderId}", newer)
    assert trader.post("orders/details", {"brokerage_order_id": "nothing"}).status_code == 404


def test_the_cached_list_shows_an_order_as_the_last_sync_saw_it(trader):
    trader.trading(sync_after_fill=False)
    trader.place(order_type="Limit", price=100, units=1)
    path = f"/accounts/{trader.account}/orders"
    assert trader.caller.get(path).json() == []
    assert len(trader.recent()) == 1
    trader.live.control("POST", f"/connections/{trader.connection}/announce")
    assert [row["status"] for row in trader.caller.get(path, state="open").json()] == ["ACCEPTED"]
    assert trader.caller.get(path, state="executed").json() == []


def test_a_cancelled_order_never_fills(trader):
    order = trader.place(order_type="Limit", price=250)
    body = {"brokerage_order_id": order["brokerage_order_id"]}
    trader.valid("POST /accounts/{accountId}/trading/cancel", trader.post("trading/cancel", body))
    trader.price("240")
    assert [row["status"] for row in trader.recent()] == ["CANCELED"]
    again = trader.post("trading/cancel", body)
    assert (again.status_code, again.json()["code"]) == (400, "1012")


@pytest.mark.parametrize(
    ("outcome", "status", "at_first", "in_the_end"),
    [
        ("too_late", 400, "EXECUTED", "EXECUTED"),
        ("pending", 200, "CANCEL_PENDING", "CANCELED"),
        ("fills_anyway", 200, "CANCEL_PENDING", "EXECUTED"),
    ],
)
def test_a_cancel_races_with_a_fill(trader, outcome, status, at_first, in_the_end):
    trader.trading(cancel=outcome, cancel_seconds=30)
    order = trader.place(order_type="Limit", price=250)
    answer = trader.post("trading/cancel", {"brokerage_order_id": order["brokerage_order_id"]})
    assert answer.status_code == status
    assert trader.recent()[0]["status"] == at_first
    trader.live.clock.move(seconds=31)
    assert trader.recent()[0]["status"] == in_the_end


def replace(trader: Trader, order: dict[str, Any], **changes: Any) -> Any:
    usual = {
        "brokerage_order_id": order["brokerage_order_id"],
        "action": "BUY",
        "order_type": "Limit",
        "time_in_force": "Day",
        "price": 260,
        "units": 3,
    }
    return trader.post("trading/replace", usual | changes)


def test_a_replacement_has_a_new_id_and_ends_the_old_order(trader):
    old = trader.place(order_type="Limit", price=250)
    new = trader.valid("POST /accounts/{accountId}/trading/replace", replace(trader, old))
    assert new["brokerage_order_id"] != old["brokerage_order_id"]
    assert (new["total_quantity"], new["limit_price"]) == ("3", "260")
    assert {row["brokerage_order_id"]: row["status"] for row in trader.recent()} == {
        old["brokerage_order_id"]: "REPLACED",
        new["brokerage_order_id"]: "ACCEPTED",
    }
    assert replace(trader, old).status_code == 400
    assert replace(trader, new, action="SELL").status_code == 400
    kept = replace(trader, new, units=None).json()
    assert kept["total_quantity"] == "3"


def test_a_replacement_may_keep_the_id_or_come_too_late(trader):
    trader.trading(replace="same_id")
    old = trader.place(order_type="Limit", price=250)
    assert replace(trader, old).json()["brokerage_order_id"] == old["brokerage_order_id"]
    assert [row["limit_price"] for row in trader.recent()] == ["260"]
    trader.trading(replace="too_late")
    assert replace(trader, old, price=255).status_code == 400
    assert [row["status"] for row in trader.recent()] == ["EXECUTED"]


def test_an_impact_can_be_placed_once_within_five_minutes(trader):
    symbol = trader.caller.post("/symbols", {"substring": "AAPL"}).json()[0]["id"]
    body = trader.body(universal_symbol_id=symbol)
    del body["symbol"], body["client_order_id"]
    checked = trader.valid("POST /trade/impact", trader.caller.post("/trade/impact", body))
    assert checked["combined_remaining_balance"]["cash"] == 5500 - 537
    path = f"/trade/{checked['trade']['id']}"
    trader.trading(fill_delay_seconds=60)
    placed = trader.valid("POST /trade/{tradeId}", trader.caller.post(path, {"wait_to_confirm": False}))
    assert placed["status"] == "PENDING"
    assert trader.caller.post(path).status_code == 404
    late = trader.caller.post("/trade/impact", body).json()["trade"]["id"]
    trader.live.clock.move(seconds=301)
    assert "expired" in trader.caller.post(f"/trade/{late}").json()["detail"]
    stranger = trader.live.registered("somebody-else")
    assert stranger.post(f"/trade/{late}").status_code == 404
    trader.trading(impact=False)
    assert trader.caller.post("/trade/impact", body).status_code == 400


def test_options_are_placed_and_previewed_with_one_leg_and_with_two(trader):
    near, far = "AAPL  280121C00250000", "AAPL  280121C00260000"
    one = {"instrument": {"symbol": near, "instrument_type": "OPTION"}, "action": "SELL_TO_CLOSE", "units": 1}
    form = {"order_type": "MARKET", "time_in_force": "Day", "legs": [one]}
    preview = trader.valid(
        "POST /accounts/{accountId}/trading/options/impact", trader.post("trading/options/impact", form)
    )
    assert preview == {
        "estimated_cash_change": "5230.00",
        "cash_change_direction": "CREDIT",
        "estimated_fee_total": "0.65",
    }
    done = trader.valid("POST /accounts/{accountId}/trading/options", trader.post("trading/options", form))
    assert done["orders"][0]["action"] == "SELL_CLOSE"
    assert trader.units(near) == "1"
    assert trader.cash() == Decimal(5500) + 5230 - Decimal("0.65")
    legs = [
        {"instrument": {"symbol": near, "instrument_type": "OPTION"}, "action": "BUY_TO_OPEN", "units": 1},
        {"instrument": {"symbol": far, "instrument_type": "OPTION"}, "action": "SELL_TO_OPEN", "units": 1},
    ]
    spread = {
        "order_type": "LIMIT",
        "time_in_force": "Day",
        "limit_price": "90",
        "price_effect": "DEBIT",
        "legs": legs,
    }
    done = trader.valid("POST /accounts/{accountId}/trading/options", trader.post("trading/options", spread))
    assert [row["status"] for row in done["orders"]] == ["EXECUTED", "EXECUTED"]
    assert trader.units(far) == "-1"
    assert len(trader.recent()) == 3


def test_the_simple_form_places_and_knows_no_other_members(trader):
    leg = {"instrument": {"kind": "equity", "symbol": "MSFT"}, "action": "buy", "units": "1.5"}
    form = {"order_type": "limit", "time_in_force": "day", "legs": [leg], "limit_price": "500"}
    endpoint = "POST /accounts/{accountId}/trading/simple"
    done = trader.post("trading/simple", form)
    assert done.status_code == 200, done.text
    assert trader.newer.problems(endpoint, 200, done.json()) == []
    assert trader.units("MSFT") == "21.5"
    assert trader.post("trading/simple", form | {"extra": 1}).status_code == 400
    money = {**form, "order_type": "market", "notional_value": "100", "legs": [{**leg, "units": None}]}
    assert trader.post("trading/simple", money | {"limit_price": None}).status_code == 200
    assert trader.post("trading/simple", {"legs": []}).status_code == 400


def test_quotes_follow_the_world_and_leave_out_what_is_unknown(trader):
    path = f"/accounts/{trader.account}/quotes"
    symbol = trader.caller.post("/symbols", {"substring": "AAPL"}).json()[0]["id"]
    endpoint = "GET /accounts/{accountId}/quotes"
    by_ticker = trader.valid(endpoint, trader.caller.get(path, symbols="AAPL,NOPE,PHNTM", use_ticker="true"))
    assert [(q["symbol"]["symbol"], q.get("last_trade_price")) for q in by_ticker] == [
        ("AAPL", 268.5),
        ("PHNTM", None),
    ]
    assert trader.valid(endpoint, trader.caller.get(path, symbols=symbol))[0]["bid_price"] < 268.5
    assert trader.caller.get(path, symbols=",".join(["AAPL"] * 11)).status_code == 400
    assert trader.caller.get(f"{path}/options", symbol="AAPL  280121C00250000").status_code == 410


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"units": 1000}, "1068"),
        ({"action": "SELL", "units": 51}, "1068"),
        ({"order_type": "Limit"}, "1012"),
        ({"order_type": "Stop"}, "1012"),
        ({"universal_symbol_id": CLIENT_ORDER}, "1012"),
        ({"symbol": None}, "1012"),
        ({"symbol": "NOPE"}, "1012"),
        ({"symbol": "PHNTM"}, "1012"),
        ({"symbol": "BTC"}, "1012"),
        ({"symbol": "FXAIX"}, "1012"),
        ({"units": None}, "1012"),
        ({"units": 0}, "1012"),
        ({"units": True}, "1012"),
        ({"units": "2"}, "1012"),
        ({"units": 1, "notional_value": "100"}, "1012"),
        ({"units": None, "notional_value": "100", "time_in_force": "GTC"}, "1012"),
        ({"action": "BUY_TO_OPEN"}, "1012"),
        ({"action": "HOLD"}, "1012"),
        ({"symbol": "AAPL  280121C00250000", "action": "BUY"}, "1012"),
        ({"symbol": "AAPL  280121C00250000", "action": "BUY_TO_OPEN", "units": 0.5}, "1012"),
        ({"symbol": "AAPL  280121C00250000", "action": "SELL_TO_CLOSE", "units": 3}, "1068"),
        ({"trading_session": "EXTENDED"}, "1012"),
        ({"time_in_force": "GTD", "order_type": "Limit", "price": 1}, "1012"),
        ({"client_order_id": "no-uuid"}, "1012"),
        ({"price": float("1e400")}, "1012"),
    ],
)
def test_what_no_broker_takes_is_refused_and_leaves_no_order(trader, changes, code):
    trader.refused(400, code, **changes)
    assert trader.recent() == []
    assert trader.live.control("GET", "/placements")["counts"]["accepted"] == 0


def test_open_orders_reserve_cash_and_units(trader):
    trader.place(order_type="Limit", price=250, units=20)
    trader.refused(400, "1068", order_type="Limit", price=250, units=3)
    trader.place(action="SELL", order_type="Limit", price=400, units=40)
    trader.refused(400, "1068", action="SELL", units=11)


def test_each_reason_not_to_trade_has_its_own_answer(live):
    caller = live.registered()
    caller.connect("FIDELITY")
    caller.connect("SCHWAB")
    accounts = {a["institution_account_id"]: a["id"] for a in caller.accounts()}
    body = {"action": "BUY", "symbol": "AAPL", "order_type": "Market", "time_in_force": "Day", "units": 1}
    answers = {
        name: caller.post("/trade/place", body | {"account_id": account})
        for name, account in accounts.items()
    }
    found = sorted((a.status_code, a.json()["code"]) for a in answers.values())
    assert found == [(400, "1012"), (403, "1066")]
    assert caller.post("/trade/place", body | {"account_id": CLIENT_ORDER}).status_code == 404
    connection = caller.connect("SCHWAB", connectionType="trade")
    live.control("POST", f"/connections/{connection}/break")
    account = next(a["id"] for a in caller.accounts() if a["connection_id"] == connection)
    assert caller.post("/trade/place", body | {"account_id": account}).status_code == 402


def test_a_closed_market_refuses_or_queues(trader):
    trader.trading(market="closed")
    assert "closed" in trader.refused(400, "1068")
    late = trader.place(order_type="Limit", price=300, trading_session="EXTENDED")
    assert late["status"] == "EXECUTED"
    trader.trading(market="queueing")
    assert trader.place()["status"] == "QUEUED"
    trader.trading(market="open")
    assert trader.recent()[0]["status"] == "EXECUTED"


def test_a_sweep_fund_pays_when_cash_runs_out(trader):
    trader.place(units=15)
    trader.live.sandbox.settle()
    rows = trader.caller.get(f"/accounts/{trader.account}/positions/all").json()["results"]
    (sweep,) = [row["units"] for row in rows if row.get("cash_equivalent")]
    assert Decimal(sweep) == 2500 - (15 * Decimal("268.5") - 3000)
    assert trader.cash() == 5500 - 15 * Decimal("268.5")


def test_only_a_margin_account_sells_short(trader):
    accounts = {
        "short": {"number": "11112222", "margin": True, "cash": {"USD": "1000"}, "holdings": []},
        "plain": {"number": "11113333", "cash": {"USD": "1000"}, "holdings": []},
    }
    trader.live.control("PUT", "/logins/charles-schwab/two", {"accounts": list(accounts.values())})
    trader.caller.connect("SCHWAB", "two", connectionType="trade")
    by_mask = {a["masked_account_number"][-4:]: a["id"] for a in trader.caller.accounts()}
    trader.refused(400, "1068", account_id=by_mask["3333"], action="SELL")
    trader.account = by_mask["2222"]
    trader.place(action="SELL")
    assert trader.units("AAPL") == "-2"
    assert trader.cash() == 1000 + 2 * Decimal("268.5")
    trader.place(units=3)
    assert trader.units("AAPL") == "1"
