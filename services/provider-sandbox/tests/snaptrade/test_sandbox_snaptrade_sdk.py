"""The official Python SDK works against the sandbox without a change, with both kinds of key."""

import warnings
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    snaptrade_client = pytest.importorskip("snaptrade_client", reason="the official SDK is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def _without_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def sdk(live: Any, caller: Any, kind: str) -> Any:
    auth = getattr(snaptrade_client.SnapTradeAuth, kind)(
        consumer_key=caller.consumer_key, client_id=caller.client_id
    )
    return snaptrade_client.SnapTrade(auth=auth, host=live.url)


def read_everything(client: Any, who: dict[str, str], connection_id: str) -> list[str]:
    """Call every reading endpoint the sandbox serves; returns the kinds of instruments seen."""
    connections, information, experimental = (
        client.connections,
        client.account_information,
        client.experimental_endpoints,
    )
    assert connections.list_brokerage_authorizations(**who).body[0]["id"] == connection_id
    connections.detail_brokerage_authorization(authorization_id=connection_id, **who)
    connections.list_brokerage_authorization_accounts(authorization_id=connection_id, **who)
    connections.list_connection_accounts(connection_id=connection_id, **who)
    accounts = information.list_all_user_accounts(**who).body["results"]
    assert len(information.list_user_accounts(**who).body) == len(accounts)
    kinds: list[str] = []
    for account in accounts:
        one = {"account_id": account["id"], **who}
        information.get_account_details(**one)
        information.get_user_account_details(**one)
        information.get_user_account_balance(**one)
        rows = information.get_all_account_positions(**one).body["results"]
        kinds += [str(row["instrument"]["kind"]) for row in rows]
        information.get_account_activities(limit=5, **one)
        information.get_user_account_orders(state="all", days=30, **one)
        information.get_user_account_recent_orders(only_executed=False, **one)
        experimental.get_all_account_orders(**one)
        experimental.get_user_account_orders_v2(**one)
        experimental.get_user_account_recent_orders_v2(**one)
        client.reference_data.symbol_search_user_account(substring="A", **one)
    return kinds


def read_reference_data(client: Any) -> None:
    assert client.api_status.check().body["online"]
    data = client.reference_data
    assert data.get_partner_info().body["allowed_brokerages"]
    assert data.get_stock_exchanges().body
    assert data.get_symbols(substring="AAPL").body[0]["symbol"] == "AAPL"
    assert data.get_symbols_by_ticker(query="RY.TO").body["raw_symbol"] == "RY"
    assert data.list_all_brokerages().body
    assert data.list_institutions().body
    assert data.list_all_brokerage_authorization_type(brokerage="SCHWAB").body
    assert data.list_all_brokerage_instruments(slug="SCHWAB").body["instruments"]


def change_everything(client: Any, who: dict[str, str], connection_id: str) -> None:
    one = {"authorization_id": connection_id, **who}
    assert connection_id in client.connections.refresh_brokerage_authorization(**one).body["detail"]
    client.connections.sync_brokerage_authorization_transactions(**one)
    client.connections.disable_brokerage_authorization(**one)
    assert client.connections.detail_brokerage_authorization(**one).body["disabled"]
    client.connections.delete_connection(connection_id=connection_id, **who)


def portal(live: Any, client: Any, who: dict[str, str], **choice: Any) -> str:
    answer = client.authentication.login_snap_trade_user(
        immediate_redirect=True, custom_redirect="https://app.test/back", **choice, **who
    )
    return str(answer.body["redirectURI"])


def test_a_commercial_key_can_do_everything(live):
    caller = live.commercial()
    client = sdk(live, caller, "commercial_api_key")
    read_reference_data(client)
    user = client.authentication.register_snap_trade_user(user_id="u-sdk").body
    assert list(client.authentication.list_snap_trade_users().body) == ["u-sdk"]
    user = client.authentication.reset_snap_trade_user_secret(**_credentials(user)).body
    who = _credentials(user)
    link = portal(live, client, who, broker="SCHWAB", connection_type="trade")
    connection_id = live.visit(link).submit(username="demo")["connection_id"]
    live.sandbox.settle()
    assert set(read_everything(client, who, connection_id)) == {
        "stock",
        "etf",
        "option",
        "bond",
        "mutualfund",
    }
    change_everything(client, who, connection_id)
    assert client.authentication.delete_snap_trade_user(user_id="u-sdk").body["status"] == "deleted"
    live.sandbox.settle()
    assert list(client.authentication.list_snap_trade_users().body) == []


def test_a_personal_key_can_do_everything_but_manage_users(live):
    caller = live.personal()
    client = sdk(live, caller, "personal_api_key")
    read_reference_data(client)
    link = portal(live, client, {}, broker="SANDBOX")
    connection_id = live.visit(link).submit(scenario="every-kind")["connection_id"]
    live.sandbox.settle()
    kinds = set(read_everything(client, {}, connection_id))
    assert {"cfd", "future", "future_option", "tokenized_asset", "crypto", "cef", "adr", "other"} <= kinds
    change_everything(client, {}, connection_id)


def test_the_sdk_sees_a_wrong_key_as_an_error_with_its_code(live):
    caller = live.commercial()
    caller.consumer_key = "another-key"
    client = sdk(live, caller, "commercial_api_key")
    with pytest.raises(snaptrade_client.ApiException) as caught:
        client.authentication.list_snap_trade_users()
    assert caught.value.status == 401
    assert caught.value.body["code"] == "1076"


def _credentials(user: Any) -> dict[str, str]:
    return {"user_id": str(user["userId"]), "user_secret": str(user["userSecret"])}
