"""The sandbox as a process that is killed and started again on the same ports and file."""

import base64
import hashlib
import hmac
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import jwt
import pytest

from provider_sandbox import state_file

pytestmark = pytest.mark.slow

SOURCES = str(Path(__file__).resolve().parents[1] / "src")
TLS = ssl.create_default_context()
KEYS = {"client_id": "plaid-id", "secret": "plaid-secret"}
LINK = {
    "client_name": "Folio",
    "language": "en",
    "country_codes": ["US"],
    "user": {"client_user_id": "u-1"},
    "products": ["investments"],
    "hosted_link": {},
}


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


class Process:
    """The process, and clients of both providers and of control."""

    def __init__(self, file: Path, webhook_url: str = "") -> None:
        names = ("CONTROL", "SNAPTRADE", "PLAID")
        self.ports = dict(zip(names, free_ports(3), strict=True))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")}
        self.environment = {
            **kept,
            **{f"SANDBOX_{name}_PORT": str(port) for name, port in self.ports.items()},
            "PYTHONPATH": SOURCES,
            "SANDBOX_SNAPTRADE_CLIENT_ID": "snap",
            "SANDBOX_SNAPTRADE_CONSUMER_KEY": "snap-key",
            "SANDBOX_SNAPTRADE_WEBHOOK_URL": webhook_url,
            "SANDBOX_SNAPTRADE_RATE_LIMIT": "100000",
            "SANDBOX_PLAID_CLIENT_ID": KEYS["client_id"],
            "SANDBOX_PLAID_SECRET": KEYS["secret"],
            "SANDBOX_STATE_FILE": str(file),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(trust_env=False, verify=TLS, timeout=20)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def start(self) -> None:
        command = [sys.executable, "-m", "provider_sandbox"]
        self.process = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        for name, path in (("CONTROL", "/healthz"), ("SNAPTRADE", "/"), ("PLAID", "/")):
            while True:
                try:
                    self.http.get(self.url(name) + path)
                    break
                except httpx.TransportError:
                    assert self.process.poll() is None, "the sandbox did not start"
                    assert time.monotonic() < deadline, "the sandbox does not answer"
                    time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def snaptrade(
        self, method: str, path: str, user: dict[str, str] | None = None, body: Any = None, **query: str
    ) -> httpx.Response:
        items = {**query, **(user or {}), "clientId": "snap", "timestamp": str(int(time.time()))}
        text = urlencode(items)
        signed = json.dumps(
            {"content": body, "path": path, "query": text}, separators=(",", ":"), sort_keys=True
        )
        digest = hmac.new(b"snap-key", signed.encode(), hashlib.sha256).digest()
        return self.http.request(
            method,
            f"{self.url('SNAPTRADE')}{path}?{text}",
            headers={"Signature": base64.b64encode(digest).decode(), "Content-Type": "application/json"},
            content=None if body is None else json.dumps(body).encode(),
        )

    def plaid(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.http.post(self.url("PLAID") + path, json={**KEYS, **body}).json()
        answer.pop("request_id", None)
        return answer

    def control(self, method: str, path: str, **body: Any) -> Any:
        url = f"{self.url('CONTROL')}/_control{path}"
        return self.http.request(method, url, json=body).raise_for_status().json()

    def portal(self, user: dict[str, str], **body: Any) -> str:
        request = {"immediateRedirect": True, "customRedirect": "https://app.test/back", **body}
        return self.snaptrade("POST", "/snapTrade/login", user, request).json()["redirectURI"]

    def finish_portal(self, link: str) -> str:
        assert "form" in self.http.get(link).text
        form = {"action": "finish", "scenario": "success", "username": "demo"}
        answer = self.http.post(link, data=form)
        assert answer.status_code == 303, answer.text
        return parse_qs(urlsplit(answer.headers["location"]).query)["connection_id"][0]

    def public_token(self, created: dict[str, Any]) -> str:
        form = {"institution_id": "ins_56", "username": "demo"}
        self.http.post(created["hosted_link_url"], data=form).raise_for_status()
        session = self.plaid("/link/token/get", link_token=created["link_token"])["link_sessions"][0]
        return session["results"]["item_add_results"][0]["public_token"]


class Listener:
    """Takes webhooks and answers 200."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.came = threading.Condition()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                with listener.came:
                    listener.received.append(({k.lower(): v for k, v in self.headers.items()}, raw))
                    listener.came.notify_all()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def wait_for(self, header: str, text: bytes) -> tuple[dict[str, str], bytes]:
        """The last webhook with a header whose body holds a text."""

        def found() -> list[tuple[dict[str, str], bytes]]:
            return [hook for hook in self.received if header in hook[0] and text in hook[1]]

        with self.came:
            assert self.came.wait_for(found, 15), [raw for _, raw in self.received]
            return found()[-1]

    def forget(self) -> None:
        with self.came:
            self.received.clear()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


@pytest.fixture
def process(tmp_path: Path, listener: Listener) -> Iterator[Process]:
    made = Process(tmp_path / "state", listener.url)
    yield made
    made.kill()
    made.http.close()


def register(process: Process, user_id: str) -> dict[str, str]:
    return process.snaptrade("POST", "/snapTrade/registerUser", body={"userId": user_id}).json()


def snaptrade_answers(process: Process, user: dict[str, str]) -> dict[str, Any]:
    """Everything SnapTrade says about a user, without the time of asking."""
    accounts = process.snaptrade("GET", "/accounts/all", user).json()["results"]
    told = {"connections": process.snaptrade("GET", "/authorizations", user).json(), "accounts": accounts}
    for account in accounts:
        for part in ("balances", "positions/all", "activities"):
            path = f"/accounts/{account['id']}/{part}"
            told[path] = process.snaptrade("GET", path, user).json()
    return told


def test_snaptrade_answers_the_same_after_a_kill(process):
    process.start()
    user, other = register(process, "u-1"), register(process, "u-2")
    process.finish_portal(process.portal(user, broker="SCHWAB"))
    broken = process.finish_portal(process.portal(user, broker="FIDELITY"))
    gone = process.finish_portal(process.portal(other, broker="SCHWAB"))
    process.control("POST", f"/connections/{broken}/break")
    process.control("PUT", "/securities/AAPL/price", price="1.25")
    half_done = process.portal(other, broker="SCHWAB")
    abandoned = process.portal(other, broker="SCHWAB")
    process.http.post(abandoned, data={"action": "abandon"})
    assert "form" in process.http.get(half_done).text
    old_secret = dict(other)
    other = process.snaptrade("POST", "/snapTrade/resetUserSecret", body=other).json()
    process.snaptrade("DELETE", f"/connection/{gone}", other)
    deleted = register(process, "u-3")
    process.snaptrade("DELETE", "/snapTrade/deleteUser", userId="u-3")
    before = snaptrade_answers(process, user)
    assert {c["disabled"] for c in before["connections"]} == {True, False}

    process.restart()

    assert snaptrade_answers(process, user) == before
    assert process.snaptrade("GET", "/snapTrade/listUsers").json() == ["u-1", "u-2"]
    assert process.snaptrade("GET", "/accounts", old_secret).status_code == 401
    assert process.snaptrade("GET", "/accounts", deleted).status_code == 401
    assert process.snaptrade("GET", "/authorizations", other).json() == []
    assert process.http.get(abandoned).status_code == 400
    connected = process.finish_portal(half_done)
    assert [c["id"] for c in process.snaptrade("GET", "/authorizations", other).json()] == [connected]
    assert process.http.get(half_done).status_code == 400
    assert {c["id"] for c in process.control("GET", "/connections")["connections"]} >= {connected, broken}


def test_plaid_answers_the_same_after_a_kill_and_its_webhooks_verify(process, listener):
    process.start()
    created = process.plaid("/link/token/create", **LINK, webhook=listener.url)
    access = process.plaid("/item/public_token/exchange", public_token=process.public_token(created))
    token = {"access_token": access["access_token"]}
    removed = process.public_token(process.plaid("/link/token/create", **LINK))
    gone = process.plaid("/item/public_token/exchange", public_token=removed)["access_token"]
    process.plaid("/item/remove", access_token=gone)
    unspent = process.public_token(process.plaid("/link/token/create", **LINK))
    half_done = process.plaid("/link/token/create", **LINK)
    process.http.get(half_done["hosted_link_url"])
    visit = process.plaid("/link/token/get", link_token=half_done["link_token"])["link_sessions"]
    process.control("PUT", "/accounts/chase-invest-demo/holdings", security="AAPL", quantity="175")
    first, raw = listener.wait_for("plaid-verification", b"ITEM_ADD_RESULT")
    kid = jwt.get_unverified_header(first["plaid-verification"])["kid"]
    key = process.plaid("/webhook_verification_key/get", key_id=kid)["key"]
    endpoints = ("/accounts/get", "/item/get", "/investments/holdings/get")
    before = {endpoint: process.plaid(endpoint, **token) for endpoint in endpoints}
    assert 175 in {row["quantity"] for row in before["/investments/holdings/get"]["holdings"]}

    process.restart()

    assert {endpoint: process.plaid(endpoint, **token) for endpoint in endpoints} == before
    assert process.plaid("/webhook_verification_key/get", key_id=kid)["key"] == key
    assert process.plaid("/item/get", access_token=gone)["error_code"] == "ITEM_NOT_FOUND"
    spent = process.plaid("/item/public_token/exchange", public_token=removed)
    assert spent["error_code"] == "INVALID_PUBLIC_TOKEN"
    assert "access_token" in process.plaid("/item/public_token/exchange", public_token=unspent)
    again = process.plaid("/link/token/get", link_token=half_done["link_token"])["link_sessions"]
    assert again == visit
    assert process.public_token(half_done)
    assert len(process.plaid("/link/token/get", link_token=half_done["link_token"])["link_sessions"]) == 1
    listener.forget()
    process.plaid(
        "/sandbox/item/fire_webhook", **token, webhook_code="DEFAULT_UPDATE", webhook_type="HOLDINGS"
    )
    headers, raw = listener.wait_for("plaid-verification", b"DEFAULT_UPDATE")
    claims = jwt.decode(headers["plaid-verification"], jwt.PyJWK(key).key, algorithms=["ES256"])
    assert claims["request_body_sha256"] == hashlib.sha256(raw).hexdigest()


def test_what_a_webhook_told_is_known_after_a_kill(process, listener):
    process.start()
    for _ in range(3):
        listener.forget()
        created = process.plaid("/link/token/create", **LINK, webhook=listener.url)
        form = {"institution_id": "ins_56", "username": "demo"}
        sending = threading.Thread(target=_posted, args=(created["hosted_link_url"], form))
        sending.start()
        _, raw = listener.wait_for("plaid-verification", b"ITEM_ADD_RESULT")
        process.restart()
        sending.join()
        exchanged = process.plaid("/item/public_token/exchange", public_token=json.loads(raw)["public_token"])
        assert "access_token" in exchanged


def _posted(url: str, form: dict[str, str]) -> None:
    try:
        httpx.post(url, data=form, trust_env=False, verify=TLS)
    except httpx.TransportError:
        return


def test_a_kill_in_the_middle_of_many_writes_forgets_nothing_that_was_answered(process, tmp_path):
    process.start()
    known: list[dict[str, str]] = []
    for turn in range(3):
        enough = threading.Semaphore(0)

        def write(worker: int, turn: int = turn, enough: threading.Semaphore = enough) -> None:
            number = 0
            while True:
                number += 1
                try:
                    answer = register(process, f"user-{turn}-{worker}-{number}")
                except httpx.TransportError:
                    return
                known.append(answer)
                enough.release()

        workers = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
        for worker in workers:
            worker.start()
        for _ in range(40):
            assert enough.acquire(timeout=30)
        process.kill()
        for worker in workers:
            worker.join()
        assert state_file.read(tmp_path / "state") is not None
        process.start()
        listed = set(process.snaptrade("GET", "/snapTrade/listUsers").json())
        assert {user["userId"] for user in known} <= listed
    assert all(process.snaptrade("GET", "/authorizations", user).status_code == 200 for user in known[::7])


def test_a_damaged_file_stops_the_start_and_is_left_alone(process, tmp_path):
    process.start()
    secret = register(process, "u-1")["userSecret"]
    process.kill()
    file = tmp_path / "state"
    assert file.stat().st_mode & 0o777 == 0o600
    damaged = file.read_bytes()[:-20]
    file.write_bytes(damaged)
    done = subprocess.run(
        [sys.executable, "-m", "provider_sandbox"],
        env=process.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "SANDBOX_STATE_FILE" in done.stderr
    assert "damaged" in done.stderr
    assert "Traceback" not in done.stderr
    assert secret not in done.stderr
    assert file.read_bytes() == damaged
