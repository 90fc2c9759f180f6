"""What is remembered, when it is written, and what a restart makes of it; sandboxes in this process."""

import base64
import hashlib
import hmac
import json
import shutil
import ssl
import time
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from provider_sandbox import picture, state_file
from provider_sandbox.app import build
from provider_sandbox.running import RunningSandbox
from provider_sandbox.settings import Settings
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.state import SilentWebhooks, State
from provider_sandbox.state_file import StateFileError
from provider_sandbox.webhook_delivery import WebhookDelivery

TLS = ssl.create_default_context()
KEYS = {"client_id": "client-1", "secret": "secret-1"}
LINK = {
    "client_name": "Folio",
    "language": "en",
    "country_codes": ["US"],
    "user": {"client_user_id": "u-1"},
    "products": ["investments"],
    "hosted_link": {},
}


def settings_with(path: Path, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "snaptrade_client_id": "snap",
        "snaptrade_consumer_key": "made-up",
        "snaptrade_personal_client_id": "personal",
        "snaptrade_personal_consumer_key": "made-up",
        "plaid_client_id": KEYS["client_id"],
        "plaid_secret": KEYS["secret"],
        "state_file": str(path),
    }
    return Settings(**(values | changes))


class Run:
    """A sandbox with a state file and a client."""

    def __init__(self, path: Path, state: State | None = None, **changes: Any) -> None:
        self.path = path
        self.sandbox = RunningSandbox(settings_with(path, **changes), state)
        self.http = httpx.Client(trust_env=False, verify=TLS, timeout=20)

    def __enter__(self) -> Self:
        self.sandbox.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.sandbox.__exit__(None, None, None)

    @property
    def face(self) -> SnapTradeFace:
        face = self.sandbox.state.faces["snaptrade"]
        assert isinstance(face, SnapTradeFace)
        return face

    def plaid(self, path: str, **body: Any) -> dict[str, Any]:
        return self.http.post(self.sandbox.urls.plaid + path, json={**KEYS, **body}).json()

    def control(self, method: str, path: str, **body: Any) -> Any:
        url = f"{self.sandbox.urls.control}/_control{path}"
        return self.http.request(method, url, json=body).raise_for_status().json()

    def item(self) -> str:
        """An access token of Chase's demo user."""
        made = self.plaid(
            "/sandbox/public_token/create", institution_id="ins_56", initial_products=["investments"]
        )
        token = self.plaid("/item/public_token/exchange", public_token=made["public_token"])["access_token"]
        assert isinstance(token, str)
        return token

    def connection(self, username: str = "demo", institution: str = "charles-schwab") -> Any:
        """A SnapTrade connection of the personal key's user, made as the portal makes it."""

        async def connect() -> Any:
            state = self.sandbox.state
            login = state.world.login(username, institution)
            assert login is not None
            user = self.face.store.users["personal", "personal"]
            return self.face.connect(user, state.world.institutions[institution], login, "read")

        made = self.sandbox.run(connect())
        self.sandbox.settle()
        self.touch()
        return made

    def delete_connection(self, connection_id: str) -> httpx.Response:
        """A signed request of the personal key."""
        path, query = f"/connection/{connection_id}", f"clientId=personal&timestamp={int(time.time())}"
        signed = {"content": None, "path": path, "query": query}
        message = json.dumps(signed, separators=(",", ":"), sort_keys=True).encode()
        signature = base64.b64encode(hmac.new(b"made-up", message, hashlib.sha256).digest()).decode()
        url = f"{self.sandbox.urls.snaptrade}{path}?{query}"
        return self.http.delete(url, headers={"Signature": signature})

    def touch(self) -> None:
        """A request that changes nothing but is not known to only read."""
        self.control("DELETE", "/faults")

    def file_id(self) -> tuple[int, int]:
        found = self.path.stat()
        return found.st_ino, found.st_mtime_ns


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


def taken(sandbox: RunningSandbox) -> bytes:
    async def take() -> bytes:
        return picture.take(sandbox.state)

    return sandbox.run(take())


def test_everything_comes_back_exactly(path, tmp_path):
    with Run(path) as run:
        token = run.item()
        run.plaid("/item/remove", access_token=run.item())
        run.plaid("/link/token/create", **LINK)
        run.connection()
        broken = run.connection("demo", "fidelity")
        run.control("POST", f"/connections/{broken.id}/break")
        run.control("PUT", "/accounts/ibkr-margo/cash", currency="USD", amount="77.10")
        run.control("PUT", "/securities/AAPL/price", price="123.4500")
        run.control("POST", "/synthetic", username="many", institution="fidelity", accounts=2, holdings=30)
        run.control("PUT", "/rate-limit", name="snaptrade", limit=7)
        run.control("PUT", "/snaptrade", refresh_seconds=1.5, plan="realtime", legacy_holdings=True)
        run.control("POST", "/plaid/keys/rotate")
        run.control("PUT", "/plaid/quirks/chase", cash_row="none", hidden_tickers=["AAPL"])
        run.control("PUT", "/plaid/surprises", unknown_fields=True)
        run.control("PUT", "/plaid/webhooks/session-status", spelling="upper")
        run.control("PUT", "/plaid/limits", endpoint="/item/get", per_item=3)
        run.plaid("/sandbox/item/reset_login", access_token=token)
        before = taken(run.sandbox)
        killed = tmp_path / "as-killed"
        shutil.copy(path, killed)
    assert state_file.read(killed) == before
    with Run(killed) as run:
        assert taken(run.sandbox) == before
        assert run.plaid("/item/get", access_token=token)["item"]["error"]["error_code"]
        assert run.sandbox.state.rate_limits == {"snaptrade": 7}


def test_cached_data_stay_what_the_last_sync_saw(path):
    with Run(path) as run:
        connection = run.connection()
        account = next(iter(connection.accounts))
        run.control("PUT", "/securities/AAPL/price", price="1.00")
        run.control("PUT", f"/accounts/{account}/holdings", security="AAPL", quantity="3", announce=False)
        before = run.face.view(connection, account)
    with Run(path) as run:
        restored = run.face.store.connection(connection.id)
        assert restored is not None
        seen = run.face.view(restored, account)
        assert (seen.account, seen.securities, seen.total) == (
            before.account,
            before.securities,
            before.total,
        )
        assert (seen.at, seen.version) == (before.at, before.version)
        assert run.sandbox.state.world.securities["AAPL"].price != seen.securities["AAPL"].price
        run.control("POST", f"/connections/{connection.id}/repair")
        run.sandbox.settle()
        assert run.face.view(restored, account).total != before.total


def test_a_longer_history_reaches_a_cached_account_only_with_its_next_sync(path):
    with Run(path) as run:
        connection = run.connection()
        account = next(iter(connection.accounts))
        run.control("PUT", f"/plaid/accounts/{account}/history", activities=999)
    with Run(path) as run:
        restored = run.face.store.connection(connection.id)
        assert restored is not None
        assert run.face.view(restored, account).account.activities != 999
        assert run.sandbox.state.world.accounts[account].activities == 999


def test_reading_writes_nothing_and_refused_requests_neither(path):
    with Run(path) as run:
        token = run.item()
        run.plaid("/investments/holdings/get", access_token=token)
        run.touch()
        run.sandbox.run(run.sandbox._sandbox.memory.keep())
        written = run.file_id()
        for endpoint in ("/accounts/get", "/investments/holdings/get", "/item/get"):
            assert "error_code" not in run.plaid(endpoint, access_token=token)
        run.control("GET", "/connections")
        assert run.plaid("/item/remove", access_token="access-sandbox-unknown")["error_code"]
        run.touch()
        assert run.file_id() == written


def test_a_change_is_on_disk_before_its_answer(path, tmp_path):
    with Run(path) as run:
        for number in range(5):
            token = run.item()
            copied = tmp_path / f"copy-{number}"
            shutil.copy(path, copied)
            assert token.encode() in copied.read_bytes()
        run.control("POST", "/reset")
        assert b"access-sandbox" not in path.read_bytes()


def test_the_effect_of_a_request_whose_answer_a_fault_took_is_on_disk(path):
    with Run(path) as run:
        token = run.item()
        run.control("POST", "/faults", provider="plaid", kind="drop", after=True, times=1)
        with pytest.raises(httpx.TransportError):
            run.plaid("/item/remove", access_token=token)
        run.touch()
        assert json.loads(state_file.read(path))["plaid"]["items"][0]["removed"] is True


def test_what_is_queued_behind_an_answer_is_on_disk_with_it(path):
    with Run(path) as run:
        connection = run.connection()
        run.sandbox.state.changed = lambda: None  # so that only the request itself can have it written
        answer = run.delete_connection(connection.id)
        assert answer.json()["detail"] == "Connection queued for deletion."
        assert json.loads(state_file.read(path))["snaptrade"]["users"][0]["connections"] == []


def test_a_webhook_waits_for_the_file(path, monkeypatch):
    with Run(path, webhook_timescale=0.0001) as run:
        token = run.item()
        item = run.plaid("/item/get", access_token=token)["item"]["item_id"]
        run.plaid("/item/webhook/update", access_token=token, webhook="http://127.0.0.1:9/hook")
        run.sandbox.run(run.sandbox.state.webhooks.settle())

        def fail(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr(state_file, "write", fail)
            with pytest.raises(httpx.HTTPStatusError):
                run.control("POST", f"/plaid/items/{item}/break")
            run.sandbox.run(run.sandbox.state.webhooks.settle())
        last = run.sandbox.state.webhooks.deliveries()[-1]
        assert json.loads(last["body"])["webhook_code"] == "ERROR"
        assert all("No space left" in attempt["error"] for attempt in last["attempts"])


def test_a_holdings_change_is_announced_after_a_restart_as_it_would_have_been_before(path):
    with Run(path, State(webhooks=SilentWebhooks())) as run:
        token = run.item()
        run.plaid("/item/webhook/update", access_token=token, webhook="http://127.0.0.1:9/hook")
        run.plaid("/investments/holdings/get", access_token=token)
        run.sandbox.settle()
        run.touch()
    with Run(path, State(webhooks=SilentWebhooks())) as run:
        run.plaid("/investments/refresh", access_token=token)
        assert run.sandbox.state.webhooks.deliveries() == []
        account = "chase-invest-demo"
        run.control("PUT", f"/accounts/{account}/holdings", security="AAPL", quantity="7", announce=False)
        run.control("PUT", "/plaid/limits", endpoint="/investments/refresh", per_item=0)
        run.plaid("/investments/refresh", access_token=token)
        assert [json.loads(d["body"])["webhook_type"] for d in run.sandbox.state.webhooks.deliveries()] == [
            "HOLDINGS"
        ]


def test_a_full_disk_fails_the_request_and_is_forgotten_when_there_is_room_again(path, monkeypatch):
    with Run(path) as run:
        token = run.item()

        def fail(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr(state_file, "write", fail)
            answer = run.http.post(
                f"{run.sandbox.urls.plaid}/item/remove", json={**KEYS, "access_token": token}
            )
            assert answer.status_code == 500
        run.touch()
        assert json.loads(state_file.read(path))["plaid"]["items"][0]["removed"] is True


async def test_no_webhook_leaves_before_what_it_tells_is_on_disk():
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    problems = [OSError(28, "No space left on device")]

    async def before() -> None:
        assert len(sent) == 0
        if problems:
            raise problems.pop()

    delivery = WebhookDelivery(time_scale=0, transport=httpx.MockTransport(answer))
    delivery.before_attempt = before
    await delivery.send("plaid", "http://127.0.0.1:1/hook", b"{}", dict)
    await delivery.settle()
    await delivery.aclose()
    attempts = delivery.deliveries()[0]["attempts"]
    assert [attempt["status"] for attempt in attempts] == [None, 200]
    assert "No space left" in attempts[0]["error"]


def test_a_file_of_another_customer_is_refused(path):
    with Run(path) as run:
        run.face.store.users["snap", "u"] = run.face.store.users["personal", "personal"]
        run.touch()
    with pytest.raises(StateFileError, match="client id personal"):
        build(settings_with(path, snaptrade_personal_client_id="", snaptrade_personal_consumer_key=""))


def test_a_well_formed_file_with_a_wrong_content_is_refused_without_quoting_it(path):
    build(settings_with(path))
    content = json.loads(state_file.read(path))
    content["snaptrade"]["users"][0]["secret"] = ["my-precious"]
    state_file.write(path, json.dumps(content).encode())
    raw = path.read_bytes()
    with pytest.raises(StateFileError, match=r"snaptrade\.users\.0\.secret") as refused:
        build(settings_with(path))
    assert "my-precious" not in str(refused.value)
    assert path.read_bytes() == raw


@pytest.mark.parametrize("spoil", ["no keys", "no pem", "unknown account"])
def test_a_content_that_does_not_fit_is_refused(path, spoil):
    with Run(path) as run:
        run.connection()
    content = json.loads(state_file.read(path))
    if spoil == "no keys":
        content["plaid"]["keys"] = []
    elif spoil == "no pem":
        content["plaid"]["keys"][0]["private"] = "not PEM"
    else:
        connection = content["snaptrade"]["users"][0]["connections"][0]
        connection["seen"] = {"nowhere": next(iter(connection["seen"].values()))}
    state_file.write(path, json.dumps(content).encode())
    with pytest.raises(StateFileError, match="does not fit"):
        build(settings_with(path))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StateFileError, match="cannot be written: No such file"):
        build(settings_with(tmp_path / "missing" / "state"))


def test_text_and_numbers_that_no_file_can_hold_are_refused_at_the_door(path):
    with Run(path) as run:
        headers = {"content-type": "application/json"}
        body = json.dumps({**KEYS, **LINK, "client_name": "\ud800"}).encode()
        answer = run.http.post(run.sandbox.urls.plaid + "/link/token/create", content=body, headers=headers)
        assert answer.json()["error_code"] == "INVALID_BODY"
        for where, wrong in (
            ("/securities/AAPL/price", b'{"price": "NaN"}'),
            ("/snaptrade", b'{"refresh_seconds": 1e999}'),
            ("/snaptrade", b'{"webhook_url": "\\ud800"}'),
        ):
            url = f"{run.sandbox.urls.control}/_control{where}"
            assert run.http.put(url, content=wrong, headers=headers).status_code == 400
    assert json.loads(state_file.read(path))["snaptrade"]["settings"] == {}


def test_without_a_file_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sandbox = build(settings_with(Path("unused"), state_file=""))
    assert sandbox.memory is None
    assert list(tmp_path.iterdir()) == []
