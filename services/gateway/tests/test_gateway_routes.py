"""Every route: who may call it, what it answers when the database is away, what it lets through from browsers."""

import json
import re
import uuid

import pytest
from fastapi import APIRouter
from fastapi.routing import iter_route_contexts

from contracts.ids import snapshot_id
from gateway import api as gateway_api
from gateway.openapi import document
from gateway.policies import OPEN, PolicyMissingError, require_policies
from service_kit.health import Health
from service_kit.metrics import Metrics

PATHS = document()["paths"]
OPERATIONS = [(method.upper(), path) for path, operations in PATHS.items() for method in operations]


ASKED_OF_PROVIDERS = {("GET", "/v1/symbols/search")}
"""Routes that need no database of ours, but an answer of a provider."""
NAMED_ELSEWHERE = {"/v1/trading/impact", "/v1/trading/place", "/v1/quotes"}
"""Paths that name what they are about in the body or in the query."""
BODIES = {
    ("POST", "/v1/link"): {"institution": "chase"},
    ("POST", "/v1/portfolios"): {"name": "Retirement", "account_ids": []},
}


def filled(path, **ids):
    """The path with an id for every name in it, and a value for every query that demands one."""
    operations = PATHS[path].values()
    given = [one for operation in operations for one in operation.get("parameters", [])]
    demanded = {one["name"] for one in given if one["in"] == "query" and one["required"]}
    ids = {"user_id": "carol", "q": "zzz", "symbols": "ZZZ", "account_id": str(uuid.UUID(int=7))} | ids
    made = re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], str(uuid.UUID(int=7))), path)
    return made + ("?" + "&".join(f"{name}={ids[name]}" for name in sorted(demanded)) if demanded else "")


def body_for(method, path):
    if (method, path) in BODIES:
        return BODIES[method, path]
    taken = PATHS[path][method.lower()].get("requestBody", {}).get("content", {})
    return taken.get("application/json", {}).get("example")


def pass_for(api, path):
    """The headers that let somebody in."""
    return api.headers("alice", admin=path.startswith("/v1/admin/")) | keyed()


def keyed():
    """What routes that spend money demand."""
    return {"Idempotency-Key": str(uuid.uuid4())}


def test_the_document_lists_every_route_that_is_not_an_operation(settings):
    app = gateway_api.create_api(settings, Health(), Metrics("gateway"))
    served = {
        (method, route.path)
        for route in iter_route_contexts(app.routes)
        for method in route.methods
        if route.path not in OPEN and method != "HEAD"
    }
    assert served == set(OPERATIONS)


def test_a_route_without_a_policy_keeps_the_gateway_from_starting(settings, monkeypatch):
    planted = APIRouter()

    @planted.get("/v1/planted")
    async def planted_route() -> None: ...

    monkeypatch.setattr(gateway_api, "ROUTERS", (*gateway_api.ROUTERS, planted))
    with pytest.raises(PolicyMissingError, match="/v1/planted"):
        gateway_api.create_api(settings, Health(), Metrics("gateway"))


def test_operations_are_open_on_purpose(bare_api):
    require_policies(bare_api.service.app)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_nobody_comes_in_without_a_token(bare_api, method, path):
    for headers in (
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer x"},
    ):
        answer = await bare_api.request(method, filled(path), None, headers, json=body_for(method, path))
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), [one for one in OPERATIONS if one not in ASKED_OF_PROVIDERS])
async def test_without_its_database_every_route_answers_unavailable(bare_api, method, path):
    headers = pass_for(bare_api, path)
    answer = await bare_api.request(method, filled(path), headers=headers, json=body_for(method, path))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert answer.headers["retry-after"] == "5"


@pytest.mark.parametrize(("method", "path"), [one for one in OPERATIONS if one not in ASKED_OF_PROVIDERS])
async def test_another_user_finds_nothing_of_anybody(api, portfolio, seed, method, path):
    if path == "/v1/stream":
        # A stream goes on for as long as it may.
        api.service.health.drain()
    transaction = str(uuid.uuid4())
    seed.insert(
        "transactions", user_id="alice", account_id=portfolio.account, external_id="t", version=1,
        transaction_id=transaction, removed=False,
    )  # fmt: skip
    ids = {
        "transaction_id": transaction,
        "connection_id": portfolio.connection,
        "account_id": portfolio.account,
        "position_id": portfolio.aapl,
        "snapshot_id": snapshot_id(portfolio.account, 3, "h"),
    }
    made = {
        "session_id": ("/v1/link", {"institution": "chase"}, "id"),
        "portfolio_id": ("/v1/portfolios", {"name": "Own", "account_ids": []}, "id"),
        "request_id": ("/v1/consolidate", None, "request_id"),
    }
    for name, (made_at, body, key) in made.items():
        if "{" + name + "}" in path:
            ids[name] = (await api.post(made_at, body)).json()[key]
    names = [name for name in ids if "{" + name + "}" in path]
    answer = await api.request(
        method,
        filled(path, user_id="alice", **ids),
        headers=api.headers("bob") | keyed(),
        json=body_for(method, path),
    )
    if path.startswith("/v1/admin/"):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")
    elif names or "{order_id}" in path or path in NAMED_ELSEWHERE:
        assert answer.status_code == 404
    else:
        assert answer.status_code in {200, 201, 202}
        assert "AAPL" not in answer.text
    assert not any(own in answer.text for own in ids.values())


@pytest.mark.parametrize(
    ("method", "path"), [one for one in OPERATIONS if one[0] == "POST" or body_for(*one)]
)
async def test_a_body_with_a_field_nobody_knows_is_refused_without_an_echo(bare_api, method, path):
    sent = (body_for(method, path) or {}) | {"canary-field": "canary-value"}
    answer = await bare_api.request(method, filled(path), headers=pass_for(bare_api, path), json=sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_FAILED")
    assert "canary-value" not in answer.text


@pytest.mark.parametrize(
    "text", ["{", "[]", '"x"', "null", '{"institution": ' + "[" * 2000 + "]" * 2000 + "}"]
)
async def test_a_body_that_is_no_wish_is_refused(bare_api, text):
    headers = {"Content-Type": "application/json"}
    answer = await bare_api.request("POST", "/v1/link", headers=headers, content=text)
    assert answer.status_code in {400, 422}


async def test_a_body_that_is_too_large_is_refused(bare_api):
    answer = await bare_api.request("POST", "/v1/link", json={"institution": "x" * 70_000})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com.evil.example",
        "https://evilapp.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com/",
        "https://APP.example.com.",
        "null",
        "https://\u0430pp.example.com".encode().decode("latin-1"),
    ],
)
async def test_a_browser_of_another_origin_gets_no_permission(bare_api, origin):
    answer = await bare_api.request("GET", "/v1/accounts", headers={"Origin": origin.encode("latin-1")})
    assert "access-control-allow-origin" not in answer.headers


async def test_a_browser_of_a_listed_origin_may_read_what_it_needs(bare_api):
    origin = "https://app.example.com"
    answer = await bare_api.request("GET", "/v1/accounts", headers={"Origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin
    assert "Origin" in answer.headers["vary"]
    assert "ETag" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers
    preflight = await bare_api.http.options(
        "/v1/link", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 200


async def test_health_tells_ready_from_alive(bare_api, api):
    assert (await bare_api.http.get("/healthz")).json() == {"status": "alive"}
    away = await bare_api.http.get("/readyz")
    assert (away.status_code, away.json()["checks"]) == (503, {"database": "failed", "broker": "ok"})
    ready = await api.http.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]) == (200, {"database": "ok", "broker": "ok"})


async def test_metrics_name_routes_by_template_and_never_by_id(api):
    one = str(uuid.uuid4())
    await api.get(f"/v1/accounts/{one}")
    text = (await api.http.get("/metrics")).text
    assert 'route="/v1/accounts/{account_id}"' in text
    assert one not in text


async def test_an_unknown_path_and_a_wrong_method_answer_in_the_house_form(bare_api):
    for method, path, code in (
        ("GET", "/v1/nothing", "NOT_FOUND"),
        ("PUT", "/v1/link", "METHOD_NOT_ALLOWED"),
    ):
        assert (await bare_api.request(method, path)).json()["error"]["code"] == code


async def test_production_serves_no_documentation(make_settings):
    production = make_settings(
        environment="production", jwt_secret=None, oidc_issuer="https://issuer.example"
    )
    app = gateway_api.create_api(production, Health(), Metrics("gateway"))
    assert {route.path for route in iter_route_contexts(app.routes)} & {"/docs", "/openapi.json"} == set()


async def test_the_served_document_is_the_generated_one(bare_api):
    assert json.loads((await bare_api.http.get("/openapi.json")).text) == document()
