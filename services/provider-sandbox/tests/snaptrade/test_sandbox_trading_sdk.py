"""The official Python SDK trades against the sandbox, and a restart forgets neither orders nor placements."""

import warnings
from pathlib import Path
from typing import Any

import httpx
import pytest

from provider_sandbox.running import RunningSandbox
from provider_sandbox.settings import Settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    snaptrade_client = pytest.importorskip("snaptrade_client", reason="the official SDK is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
CLIENT, KEY = "ACMEPORTFOLIO-TEST", "made-up-commercial-key"


@pytest.fixture(autouse=True)
def _without_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def sdk(url: str) -> Any:
    auth = snaptrade_client.SnapTradeAuth.commercial_api_key(consumer_key=KEY, client_id=CLIENT)
    return snaptrade_client.SnapTrade(auth=auth, host=url)


def trading_user(url: str, client: Any) -> dict[str, str]:
    user = client.authentication.register_snap_trade_user(user_id="u-sdk").body
    who = {"user_id": str(user["userId"]), "user_secret": str(user["userSecret"])}
    login = client.authentication.login_snap_trade_user(broker="SCHWAB", connection_type="trade", **who)
    form = {"action": "finish", "scenario": "success", "username": "demo"}
    answer = httpx.post(str(login.body["redirectURI"]), data=form, trust_env=False)
    assert answer.status_code == 200, answer.text
    return who


def limit_order(account: str, **changes: Any) -> dict[str, Any]:
    usual = {
        "account_id": account,
        "action": "BUY",
        "symbol": "AAPL",
        "order_type": "Limit",
        "time_in_force": "Day",
        "price": 250.0,
        "units": 1.0,
        "client_order_id": "550e8400-e29b-41d4-a716-446655440000",
    }
    return usual | changes


def test_the_sdk_previews_places_replaces_cancels_and_reads_back(live):
    client = sdk(live.url)
    who = trading_user(live.url, client)
    live.sandbox.settle()
    account = str(client.account_information.list_all_user_accounts(**who).body["results"][0]["id"])
    trading, one = client.trading, {"account_id": account, **who}
    quote = trading.get_user_account_quotes(symbols="AAPL", use_ticker=True, **one).body[0]
    checked = trading.get_order_impact(
        account_id=account,
        action="BUY",
        universal_symbol_id=str(quote["symbol"]["id"]),
        order_type="Market",
        time_in_force="Day",
        units=1.0,
        **who,
    ).body
    bought = trading.place_order(trade_id=str(checked["trade"]["id"]), wait_to_confirm=True, **who).body
    assert bought["status"] == "EXECUTED"
    placed = trading.place_force_order(**limit_order(account), **who).body
    changed = trading.replace_order(
        brokerage_order_id=str(placed["brokerage_order_id"]),
        action="BUY",
        order_type="Limit",
        time_in_force="Day",
        price=251.0,
        units=2.0,
        **one,
    ).body
    order_id = str(changed["brokerage_order_id"])
    cancelled = trading.cancel_order(brokerage_order_id=order_id, **one).body
    assert cancelled["brokerage_order_id"] == order_id
    info, experimental = client.account_information, client.experimental_endpoints
    detail = info.get_user_account_order_detail(brokerage_order_id=order_id, **one).body
    assert detail["status"] == "CANCELED"
    experimental.get_user_account_order_detail_v2(brokerage_order_id=order_id, **one)
    recent = info.get_user_account_recent_orders(only_executed=False, **one).body["orders"]
    assert sorted(str(row["status"]) for row in recent) == ["CANCELED", "EXECUTED", "REPLACED"]
    connection = client.connections.list_brokerage_authorizations(**who).body[0]["id"]
    live.control("POST", f"/connections/{connection}/announce")
    live.sandbox.settle()
    assert len(info.get_user_account_orders(**one).body) == 3
    assert len(experimental.get_all_account_orders(**one).body["results"]) == 3
    assert len(experimental.get_user_account_orders_v2(**one).body["orders"]) == 3


def test_the_sdk_trades_options_and_simple_orders(live):
    client = sdk(live.url)
    who = trading_user(live.url, client)
    live.sandbox.settle()
    account = str(client.account_information.list_all_user_accounts(**who).body["results"][0]["id"])
    one = {"account_id": account, **who}
    instrument = {"symbol": "AAPL  280121C00250000", "instrument_type": "OPTION"}
    legs = [{"instrument": instrument, "action": "SELL_TO_CLOSE", "units": 1}]
    form = {"order_type": "MARKET", "time_in_force": "Day", "legs": legs}
    assert client.trading.get_option_impact(**form, **one).body["estimated_fee_total"] == "0.65"
    assert client.trading.place_mleg_order(**form, **one).body["orders"][0]["status"] == "EXECUTED"
    leg = {"instrument": {"kind": "equity", "symbol": "MSFT"}, "action": "sell", "units": "1.5"}
    done = client.experimental_endpoints.place_simple_order(
        order_type="limit", time_in_force="day", legs=[leg], limit_price="600", **one
    ).body
    (order,) = live.control("GET", f"/trading/orders?account={account}")["orders"][1:]
    assert (order["broker_order_id"], order["status"]) == (done["brokerage_order_id"], "ACCEPTED")


def test_the_sdk_sees_a_refusal_with_its_code(live):
    client = sdk(live.url)
    who = trading_user(live.url, client)
    account = str(client.account_information.list_all_user_accounts(**who).body["results"][0]["id"])
    with pytest.raises(snaptrade_client.ApiException) as caught:
        client.trading.place_force_order(**limit_order(account, units=1000.0), **who)
    assert (caught.value.status, caught.value.body["code"]) == (400, "1068")


def test_a_restart_remembers_orders_placements_and_conditions(tmp_path: Path):
    settings = Settings(
        snaptrade_client_id=CLIENT,
        snaptrade_consumer_key=KEY,
        plaid_client_id="made-up",
        plaid_secret="made-up",
        state_file=str(tmp_path / "state"),
    )
    with RunningSandbox(settings) as sandbox:
        client = sdk(sandbox.urls.snaptrade)
        who = trading_user(sandbox.urls.snaptrade, client)
        account = str(client.account_information.list_all_user_accounts(**who).body["results"][0]["id"])
        placed = client.trading.place_force_order(**limit_order(account), **who).body
        control(sandbox, "PUT", "/trading", {"commission": "1.5"})
        before = control(sandbox, "GET", "/placements")
    with RunningSandbox(settings) as sandbox:
        assert control(sandbox, "GET", "/placements") == before
        assert control(sandbox, "GET", "/trading")["conditions"]["commission"] == "1.5"
        control(sandbox, "PUT", "/securities/AAPL/price", {"price": "249"})
        info = sdk(sandbox.urls.snaptrade).account_information
        (row,) = info.get_user_account_recent_orders(account_id=account, **who).body["orders"]
        assert row["brokerage_order_id"] == placed["brokerage_order_id"]
        assert row["status"] == "EXECUTED"


def control(sandbox: Any, method: str, path: str, body: Any = None) -> Any:
    answer = httpx.request(method, f"{sandbox.urls.control}/_control{path}", json=body, trust_env=False)
    return answer.raise_for_status().json()
