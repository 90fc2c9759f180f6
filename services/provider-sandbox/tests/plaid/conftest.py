"""A live Plaid face on a free port; every answer it gives in a test is validated against the official OpenAPI file."""

import asyncio
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import plaid
import pytest
import uvicorn
import yaml
from fastapi import FastAPI
from jsonschema import Draft202012Validator, FormatChecker
from plaid.api import plaid_api

from provider_sandbox.plaid import PlaidFace, build_plaid_app, control_router
from provider_sandbox.settings import Settings
from provider_sandbox.state import State
from provider_sandbox.webhook_delivery import WebhookDelivery

TLS = ssl.create_default_context()  # made once: making it is slow
KEYS = {"client_id": "client-1", "secret": "secret-1"}
ONLY_IN_THE_NEWER_SPECIFICATION = {"figi", "connection_availability"}
WEBHOOKS = {
    "HOLDINGS/DEFAULT_UPDATE": "HoldingsDefaultUpdateWebhook",
    "INVESTMENTS_TRANSACTIONS/DEFAULT_UPDATE": "InvestmentsDefaultUpdateWebhook",
    "INVESTMENTS_TRANSACTIONS/HISTORICAL_UPDATE": "InvestmentsHistoricalUpdateWebhook",
    "ITEM/ERROR": "ItemErrorWebhook",
    "ITEM/LOGIN_REPAIRED": "ItemLoginRepairedWebhook",
    "ITEM/NEW_ACCOUNTS_AVAILABLE": "NewAccountsAvailableWebhook",
    "ITEM/PENDING_DISCONNECT": "PendingDisconnectWebhook",
    "ITEM/PENDING_EXPIRATION": "PendingExpirationWebhook",
    "ITEM/USER_ACCOUNT_REVOKED": "UserAccountRevokedWebhook",
    "ITEM/USER_PERMISSION_REVOKED": "UserPermissionRevokedWebhook",
    "ITEM/WEBHOOK_UPDATE_ACKNOWLEDGED": "WebhookUpdateAcknowledgedWebhook",
    "LINK/ITEM_ADD_RESULT": "ItemAddResultWebhook",
    "LINK/SESSION_FINISHED": "LinkSessionFinishedWebhook",
    "TRANSACTIONS/RECURRING_TRANSACTIONS_UPDATE": "RecurringTransactionsUpdateWebhook",
    "TRANSACTIONS/SYNC_UPDATES_AVAILABLE": "SyncUpdatesAvailableWebhook",
}
ROOT = Path(__file__).resolve().parents[4]


def shared_file(name: str) -> Path:
    folder = Path(os.environ.get("ONEFOLIO_SHARED", ROOT.parent / "shared"))
    path = folder / "providers" / name
    if not path.exists():
        pytest.skip(f"{name} is not at {folder / 'providers'}; set ONEFOLIO_SHARED")
    return path


def as_json_schema(node: Any) -> Any:
    """OpenAPI 3.0 `nullable` in terms of JSON Schema."""
    if isinstance(node, list):
        return [as_json_schema(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"]}
    made = {
        key: as_json_schema(value)
        for key, value in node.items()
        if key not in {"example", "examples", "x-codegen"}
    }
    if made.pop("nullable", False) is True:
        return {"anyOf": [made, {"type": "null"}]}
    return made


class Specification:
    """The official description of the API."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            raw = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self.paths = raw["paths"]
        self.components = as_json_schema({"schemas": raw["components"]["schemas"]})

    def problems(self, path: str, status: int, body: Any) -> list[str]:
        responses = self.paths.get(path, {}).get("post", {}).get("responses", {})
        answer = (
            responses.get("200") if status == 200 else {"content": {"application/json": {"schema": _ERROR}}}
        )
        if answer is None:
            return [f"{path} is not in the specification"]
        schema = as_json_schema(answer["content"]["application/json"]["schema"])
        return self.violations(schema, body)

    def violations(self, schema: Any, body: Any) -> list[str]:
        whole = {**schema, "components": self.components}
        found = Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(body)
        return [f"{error.json_path}: {error.message}" for error in found] + self.unknown(schema, body, "$")

    def unknown(self, schema: Any, value: Any, where: str) -> list[str]:
        """Names the specification does not have, save those of its successor."""
        if isinstance(value, list):
            items = self._parts(schema, "items")
            return [
                line for entry in value for item in items for line in self.unknown(item, entry, f"{where}[]")
            ]
        known = {name: sub for part in self._parts(schema, "properties") for name, sub in part.items()}
        if not isinstance(value, dict) or not known:
            return []
        lines = [
            f"{where}.{name} is unknown"
            for name in value
            if name not in known.keys() | ONLY_IN_THE_NEWER_SPECIFICATION
        ]
        for name in value.keys() & known.keys():
            lines += self.unknown(known[name], value[name], f"{where}.{name}")
        return lines

    def _parts(self, schema: Any, keyword: str) -> list[Any]:
        if "$ref" in schema:
            schema = self.components["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
            return self._parts(schema, keyword)
        parts = [schema[keyword]] if keyword in schema else []
        for name in ("allOf", "anyOf", "oneOf"):
            for sub in schema.get(name, []):
                parts += self._parts(sub, keyword)
        return parts


_ERROR = {"$ref": "#/components/schemas/PlaidError"}


@pytest.fixture(scope="session")
def specification() -> Specification:
    return Specification(shared_file("plaid-openapi.yml"))


@dataclass
class Received:
    """A webhook as the listener got it."""

    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.raw)

    @property
    def name(self) -> str:
        return f"{self.body['webhook_type']}/{self.body['webhook_code']}"


class Listener:
    """A webhook receiver that answers 200, or the statuses queued in `answers` first."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: list[int] = []
        self._changed = threading.Condition()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                status = listener.take(Received({k.lower(): v for k, v in self.headers.items()}, raw))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def take(self, webhook: Received) -> int:
        with self._changed:
            self.received.append(webhook)
            self._changed.notify_all()
            return self.answers.pop(0) if self.answers else 200

    def wait(self, count: int) -> list[Received]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= count, 15), [
                w.name for w in self.received
            ]
            return list(self.received)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def listener(specification: Specification) -> Iterator[Listener]:
    """A webhook receiver; what it got is validated against the specification when the test is over."""
    made = Listener()
    yield made
    made.close()
    for webhook in made.received:
        if webhook.name in WEBHOOKS:
            schema = {"$ref": f"#/components/schemas/{WEBHOOKS[webhook.name]}"}
            problems = specification.violations(schema, webhook.body)
            assert not problems, (webhook.body, problems)


@dataclass
class Clock:
    """The real time plus what a test adds."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Live:
    """A running face and ways to talk to it."""

    url: str
    state: State
    clock: Clock
    loop: asyncio.AbstractEventLoop
    answers: list[tuple[str, int, bytes]] = field(default_factory=list)

    @property
    def face(self) -> PlaidFace:
        found = self.state.faces["plaid"]
        assert isinstance(found, PlaidFace)
        return found

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def post(self, path: str, body: dict[str, Any] | None = None, **options: Any) -> httpx.Response:
        keys = options.pop("keys", KEYS)
        return httpx.post(
            self.url + path, json={**keys, **(body or {})}, trust_env=False, verify=TLS, **options
        )

    def ok(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.post(path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def error(self, path: str, **body: Any) -> tuple[int, str, str]:
        answer = self.post(path, body)
        return answer.status_code, answer.json()["error_type"], answer.json()["error_code"]

    def link(self, institution: str = "ins_56", username: str = "demo", **options: Any) -> dict[str, Any]:
        """An Item by Hosted Link, exchanged: access_token, item_id."""
        created = self.link_token(**options)
        form = {"institution_id": institution, "username": username}
        httpx.post(created["hosted_link_url"], data=form, trust_env=False, verify=TLS).raise_for_status()
        session = self.ok("/link/token/get", link_token=created["link_token"])["link_sessions"][0]
        token = session["results"]["item_add_results"][0]["public_token"]
        return self.ok("/item/public_token/exchange", public_token=token)

    def link_token(self, **options: Any) -> dict[str, Any]:
        request = {
            "client_name": "Folio",
            "language": "en",
            "country_codes": ["US"],
            "user": {"client_user_id": "u-1"},
            "products": ["investments"],
            "hosted_link": {},
        }
        return self.ok("/link/token/create", **(request | options))


def recording(app: Any, answers: list[tuple[str, int, bytes]]) -> Any:
    """Keep every JSON answer, before its client can have it."""

    async def record(scope: Any, receive: Any, send: Any) -> None:
        seen: dict[str, Any] = {"status": 0, "body": b"", "json": False}

        async def watch(message: Any) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                seen["json"] = (b"content-type", b"application/json") in message["headers"]
            else:
                seen["body"] += message.get("body", b"")
                if seen["json"] and not message.get("more_body"):
                    answers.append((scope["path"], seen["status"], seen["body"]))
            await send(message)

        await app(scope, receive, watch)

    return record


class _Server:
    """uvicorn in a thread of its own."""

    def __init__(self, app: Any, state: State) -> None:
        self.loop = asyncio.new_event_loop()
        self._state = state
        # Naming the protocol lets asyncio switch off Nagle's algorithm, which would cost 40 ms per answer.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(128)
        self.port = self._socket.getsockname()[1]
        config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.loop.run_until_complete(self._serve())
        finally:
            self.loop.close()

    async def _serve(self) -> None:
        await self._server.serve(sockets=[self._socket])
        await self._state.aclose()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()


@pytest.fixture
def live(specification: Specification) -> Iterator[Live]:
    clock = Clock()
    state = State(clock=clock, webhooks=WebhookDelivery(time_scale=0.0005))
    answers: list[tuple[str, int, bytes]] = []
    settings = Settings(plaid_client_id=KEYS["client_id"], plaid_secret=KEYS["secret"])
    server = _Server(recording(build_plaid_app(state, settings), answers), state)
    yield Live(f"http://127.0.0.1:{server.port}", state, clock, server.loop, answers)
    server.stop()
    for path, status, body in answers:
        problems = specification.problems(path, status, json.loads(body))
        assert not problems, (path, status, problems[:10], body[:500])
        assert len(json.loads(body)["request_id"]) == 15


@pytest.fixture
def sdk(live: Live) -> Iterator[plaid_api.PlaidApi]:
    keys = {"clientId": KEYS["client_id"], "secret": KEYS["secret"]}
    client = plaid.ApiClient(plaid.Configuration(host=live.url, api_key=keys))
    yield plaid_api.PlaidApi(client)
    client.rest_client.pool_manager.clear()
    client.close()


@pytest.fixture
def examples() -> dict[str, Any]:
    return json.loads(shared_file("plaid-examples.json").read_text())


@pytest.fixture
def control(live: Live) -> Any:
    """Calls a control route of the face: method, path, body; the expected status is 200."""
    app = FastAPI()
    app.include_router(control_router(live.state))

    async def call(method: str, path: str, body: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://control") as client:
            return await client.request(method, "/_control/plaid" + path, json=body)

    def order(method: str, path: str, body: Any = None, expect: int = 200) -> Any:
        answer = live.run(call(method, path, body))
        assert answer.status_code == expect, answer.text
        return answer.json()

    return order
