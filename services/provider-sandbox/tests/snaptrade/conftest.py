"""A live sandbox for the SnapTrade tests, an independent signing client, and the official schemas."""

import base64
import contextlib
import functools
import hashlib
import hmac
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
import yaml
from jsonschema import Draft202012Validator

from provider_sandbox.running import RunningSandbox
from provider_sandbox.settings import Settings
from provider_sandbox.state import SilentWebhooks, State

COMMERCIAL = ("ACMEPORTFOLIO-TEST", "made-up-commercial-key")
PERSONAL = ("ACMEPERSONAL-TEST", "made-up-personal-key")
LISTENER = "http://127.0.0.1:9/hooks/snaptrade"
ROOT = Path(__file__).resolve().parents[4]


@dataclass
class Clock:
    """The sandbox's clock, which a test may move."""

    offset: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def move(self, **amount: float) -> None:
        self.offset += timedelta(**amount)


def shared_file(name: str) -> Path:
    path = Path(os.environ.get("ONEFOLIO_SHARED", ROOT.parent / "shared")) / "providers" / name
    if not path.exists():
        pytest.skip(f"{name} is not in the shared provider files; set ONEFOLIO_SHARED")
    return path


def settings_for_tests(**changes: Any) -> Settings:
    values: dict[str, Any] = {
        "snaptrade_client_id": COMMERCIAL[0],
        "snaptrade_consumer_key": COMMERCIAL[1],
        "snaptrade_personal_client_id": PERSONAL[0],
        "snaptrade_personal_consumer_key": PERSONAL[1],
        "snaptrade_webhook_url": LISTENER,
        "plaid_client_id": "made-up",
        "plaid_secret": "made-up",
    }
    return Settings(**(values | changes))


@dataclass
class Live:
    """A running sandbox with what tests need at hand."""

    sandbox: RunningSandbox
    clock: Clock
    http: httpx.Client

    @property
    def url(self) -> str:
        return self.sandbox.urls.snaptrade

    def control(self, method: str, path: str, body: Any = None, expect: int = 200) -> Any:
        answer = self.http.request(method, f"{self.sandbox.urls.control}/_control{path}", json=body)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def events(self) -> list[dict[str, Any]]:
        self.sandbox.settle()
        return [json.loads(item["body"]) for item in self.sandbox.state.webhooks.deliveries()]

    def event_types(self) -> list[str]:
        return [event["eventType"] for event in self.events()]

    def visit(self, link: str) -> "PortalVisit":
        return PortalVisit(self, link)

    def commercial(self) -> "Caller":
        return Caller(self, *COMMERCIAL)

    def personal(self) -> "Caller":
        return Caller(self, *PERSONAL)

    def registered(self, user_id: str = "u-42") -> "Caller":
        caller = self.commercial()
        caller.user = caller.post("/snapTrade/registerUser", {"userId": user_id}).json()
        return caller


@dataclass
class Caller:
    """A signing client written for the tests alone; `user` adds userId and userSecret to the query."""

    live: Live
    client_id: str
    consumer_key: str
    user: dict[str, str] = field(default_factory=dict)
    prefix: str = ""

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.send("GET", path, query=query)

    def post(self, path: str, body: Any = None, **query: Any) -> httpx.Response:
        return self.send("POST", path, body=body, query=query)

    def delete(self, path: str, **query: Any) -> httpx.Response:
        return self.send("DELETE", path, query=query)

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: dict[str, Any] | None = None,
        timestamp: Any = None,
        signature: str | None = None,
    ) -> httpx.Response:
        items = {**(query or {}), **self.user, "clientId": self.client_id}
        items["timestamp"] = int(self.live.clock().timestamp()) if timestamp is None else timestamp
        text, full = urlencode(items), self.prefix + path
        signed = {"content": body or None, "path": full, "query": text}
        message = json.dumps(signed, separators=(",", ":"), sort_keys=True).encode()
        digest = hmac.new(self.consumer_key.encode(), message, hashlib.sha256).digest()
        headers = {"Signature": signature if signature is not None else base64.b64encode(digest).decode()}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        return self.live.http.request(
            method, f"{self.live.url}{full}?{text}", content=content, headers=headers
        )

    def open_portal(self, **body: Any) -> "PortalVisit":
        answer = self.post("/snapTrade/login", body or None)
        assert answer.status_code == 200, answer.text
        return self.live.visit(answer.json()["redirectURI"])

    def connect(self, broker: str = "SCHWAB", username: str = "demo", **body: Any) -> str:
        visit = self.open_portal(
            broker=broker, immediateRedirect=True, customRedirect="https://app.test/back", **body
        )
        outcome = visit.submit(username=username)
        self.live.sandbox.settle()
        assert outcome["status"] == "SUCCESS", outcome
        return outcome["connection_id"]

    def accounts(self) -> list[dict[str, Any]]:
        return self.get("/accounts/all").json()["results"]


@dataclass
class PortalVisit:
    """A person (or script) at the portal link."""

    live: Live
    link: str

    def look(self) -> httpx.Response:
        return self.live.http.get(self.link)

    def post(self, **form: str) -> httpx.Response:
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', self.look().text))
        return self.live.http.post(
            self.link, data={"action": "finish", "scenario": "success", **hidden, **form}
        )

    def submit(self, username: str = "demo", **form: str) -> dict[str, str]:
        answer = self.post(username=username, **form)
        assert answer.status_code == 303, answer.text
        return {
            name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()
        }


def run_sandbox(clock: Clock, **changes: Any) -> Iterator[Live]:
    state = State(webhooks=SilentWebhooks(), clock=clock)
    with (
        RunningSandbox(settings_for_tests(**changes), state) as sandbox,
        httpx.Client(trust_env=False) as http,
    ):
        yield Live(sandbox, clock, http)


@pytest.fixture(scope="session")
def _shared_live() -> Iterator[Live]:
    yield from run_sandbox(Clock())


@pytest.fixture
def live(_shared_live: Live) -> Live:
    """The sandbox on the daily plan, as if just started."""
    _shared_live.clock.offset = timedelta(0)
    _shared_live.control("POST", "/reset")
    _shared_live.sandbox.settle()
    return _shared_live


@contextlib.contextmanager
def _delivering(**changes: Any) -> Iterator[Live]:
    with RunningSandbox(settings_for_tests(**changes)) as sandbox, httpx.Client(trust_env=False) as http:
        yield Live(sandbox, Clock(), http)


@pytest.fixture
def delivering() -> Any:
    """Start a sandbox of its own that really delivers webhooks: `with delivering(**settings) as live`."""
    return _delivering


class Schemas:
    """Response schemas by `METHOD /path/{template}` and status, with `nullable` read as the documents mean it."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._paths = document["paths"]
        self._components = {"schemas": _plain(document["components"]["schemas"])}

    def has(self, endpoint: str) -> bool:
        method, path = endpoint.split(" ")
        return method.lower() in self._paths.get(path, {})

    def problems(self, endpoint: str, status: int, body: Any) -> list[str]:
        method, path = endpoint.split(" ")
        answer = self._paths[path][method.lower()]["responses"][str(status)]
        schema = answer["schema"] if "schema" in answer else answer["content"]["application/json"]["schema"]
        whole = {**_plain(schema), "components": self._components}
        return [
            f"{list(e.absolute_path)}: {e.message[:300]}"
            for e in Draft202012Validator(whole).iter_errors(body)
        ]


def _plain(node: Any) -> Any:
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {
        key: _plain(value)
        for key, value in node.items()
        if key not in {"example", "examples", "discriminator"}
    }
    if made.pop("nullable", False) is True:
        return {"anyOf": [made, {"type": "null"}]}
    return made


@functools.cache
def _newer() -> Schemas:
    return Schemas(json.loads(shared_file("snaptrade-schema-13.0.49.json").read_text()))


@functools.cache
def _older() -> Schemas:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return Schemas(yaml.load(shared_file("snaptrade-openapi.yaml").read_text(), loader))


@pytest.fixture
def newer_schemas() -> Schemas:
    """The contract of SDK 13.0.49."""
    return _newer()


@pytest.fixture
def older_schemas() -> Schemas:
    """The published OpenAPI file, some months older."""
    return _older()


@pytest.fixture
def vectors() -> list[dict[str, Any]]:
    """The request-signature vectors."""
    return list(json.loads(shared_file("snaptrade-signature-vectors.json").read_text())["vectors"])


@pytest.fixture
def webhook_vectors() -> list[dict[str, Any]]:
    """The webhook vectors."""
    return list(json.loads(shared_file("snaptrade-webhook-vectors.json").read_text())["vectors"])
