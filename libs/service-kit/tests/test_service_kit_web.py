import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, HTTPException, Request
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from service_kit import tracing
from service_kit.health import Health
from service_kit.logs import configure
from service_kit.metrics import Metrics
from service_kit.settings import ServiceSettings
from service_kit.web import ApiError, create_app

CANARY = "c4nary7f3e9d"
SECRET = "s" * 40


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    quantity: Annotated[Decimal, Field(max_digits=10)]
    account: UUID | None = None
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None


class Answered(BaseModel):
    quantity: int


router = APIRouter(prefix="/v1")


@router.get("/things/{thing_id}")
async def thing(thing_id: int, request: Request):
    trace = tracing.current()
    return {"id": thing_id, "request_id": request.scope["request_id"], "trace_id": trace and trace.trace_id}


@router.post("/orders")
async def order(order: Order):
    return {"quantity": str(order.quantity)}


@router.post("/raw")
async def raw(request: Request):
    return {"bytes": len(await request.body())}


@router.post("/swallows")
async def swallows(request: Request):
    try:
        await request.body()
    except Exception:  # noqa: BLE001  a careless handler
        return {"body": "ignored"}
    return {"body": "read"}


@router.get("/refused")
async def refused():
    details = {"nextRefreshAt": "2026-01-01T00:00:00Z", "price": Decimal("0.05")}
    raise ApiError("REFRESH_TOO_SOON", 429, "Too soon.", details, {"Retry-After": "60"})


@router.get("/teapot")
async def teapot():
    raise HTTPException(418, "short and stout")


@router.get("/crash")
async def crash():
    raise RuntimeError(f"userSecret={CANARY}")


@router.get("/invalid-answer", response_model=Answered)
async def invalid_answer():
    return {"quantity": CANARY}


@router.get("/slow")
async def slow():
    await asyncio.sleep(10)


@router.get("/own-timeout")
async def own_timeout():
    raise TimeoutError


@router.get("/stream")
async def stream():
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"tick"
            await asyncio.sleep(0.1)

    return StreamingResponse(chunks())


@router.get("/breaks-off")
async def breaks_off():
    async def chunks() -> AsyncIterator[bytes]:
        yield b"begun"
        raise RuntimeError(CANARY)

    return StreamingResponse(chunks())


@router.get("/cached")
async def cached():
    return Response("x", headers={"Cache-Control": "private, max-age=5"})


class Rig:
    def __init__(self, settings, **options):
        self.health = Health()
        self.metrics = Metrics("sample")
        self.app = create_app("sample", settings, self.health, self.metrics, **options)
        self.app.include_router(router)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://sample")

    async def error(self, method, path, status, **options):
        answer = await self.client.request(method, path, **options)
        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"error"}
        error = answer.json()["error"]
        assert set(error) - {"details"} == {"code", "message", "requestId"}
        assert error["requestId"] == answer.headers["x-request-id"]
        assert CANARY not in answer.text
        return error, answer


@pytest.fixture
async def rig(settings):
    rig = Rig(settings, handler_seconds=0.2, body_seconds=0.02)
    async with rig.client:
        yield rig


@pytest.fixture
def log_lines(capsys):
    configure("sample", "INFO")
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_a_callers_request_id_comes_back_and_reaches_the_handler(rig):
    answer = await rig.client.get("/v1/things/1", headers={"X-Request-ID": "caller-0001"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "caller-0001"


@pytest.mark.parametrize(
    "given", ["", "short", "x" * 129, "with space in it", 'a"quote-quote', "<script>alert(1)"]
)
async def test_an_unfit_request_id_is_replaced(rig, given):
    answer = await rig.client.get("/v1/things/1", headers={"X-Request-ID": given})
    assert answer.headers["x-request-id"] != given
    assert len(answer.headers["x-request-id"]) == 32


async def test_the_callers_trace_is_continued(rig):
    header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = await rig.client.get("/v1/things/1", headers={"traceparent": header})
    assert answer.json()["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


async def test_an_api_error_is_answered_as_it_is(rig):
    error, answer = await rig.error("GET", "/v1/refused", 429)
    assert error["code"] == "REFRESH_TOO_SOON"
    assert error["details"]["nextRefreshAt"] == "2026-01-01T00:00:00Z"
    assert answer.headers["retry-after"] == "60"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("DELETE", "/v1/refused", 405, "METHOD_NOT_ALLOWED"),
        ("BREW", "/v1/refused", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/teapot", 418, "IM_A_TEAPOT"),
        ("GET", "/v1/things/7/", 404, "NOT_FOUND"),
        ("POST", "/v1/orders/", 404, "NOT_FOUND"),
    ],
)
async def test_what_the_framework_refuses_has_the_same_body(rig, method, path, status, code):
    assert (await rig.error(method, path, status))[0]["code"] == code


@pytest.mark.parametrize(
    "body",
    [
        {"quantity": CANARY},
        {"quantity": "1", CANARY + " ": "x"},
        {"quantity": "1", "account": CANARY},
        {"quantity": "1", "pet": {"kind": CANARY}},
        {"quantity": [CANARY]},
        [CANARY],
        CANARY,
        None,
    ],
)
async def test_validation_errors_say_where_and_do_not_repeat_the_input(rig, body):
    error, _ = await rig.error("POST", "/v1/orders", 422, json=body)
    assert error["code"] == "VALIDATION_FAILED"
    assert error["details"]["errors"][0]["location"][0] == "body"
    assert set(error["details"]["errors"][0]) == {"location", "type", "message"}


@pytest.mark.parametrize("content", [b"{", b'{"quantity": ' + CANARY.encode(), b"\xff\xfe", b"[" * 5000])
async def test_unreadable_bodies_are_refused(rig, content):
    headers = {"Content-Type": "application/json"}
    answer = await rig.client.post("/v1/orders", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BAD_REQUEST"
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""]
)
async def test_a_body_that_does_not_say_it_is_json_is_refused_as_such(rig, media_type):
    headers = {"Content-Type": media_type}
    error, _ = await rig.error("POST", "/v1/orders", 415, content=b'{"quantity": "1"}', headers=headers)
    assert error["code"] == "UNSUPPORTED_MEDIA_TYPE"
    assert "details" not in error


async def test_a_crash_is_logged_with_its_stack_and_answered_safely(rig, log_lines):
    error, _ = await rig.error("GET", "/v1/crash", 500)
    assert error["code"] == "INTERNAL"
    crash, access = log_lines()
    assert crash["event"] == "http.unhandled"
    assert "RuntimeError" in crash["exception"]
    assert CANARY not in json.dumps(crash)
    assert crash["request_id"] == access["request_id"] == error["requestId"]
    assert access["status"] == 500


async def test_an_answer_that_breaks_its_model_is_a_500_and_not_in_the_logs(rig, log_lines):
    await rig.error("GET", "/v1/invalid-answer", 500)
    lines = log_lines()
    assert lines[0]["event"] == "http.invalid_response"
    assert lines[0]["locations"] == ["response.quantity"]
    assert CANARY not in json.dumps(lines)


async def test_the_access_log_names_the_template_and_never_the_path(rig, log_lines):
    await rig.client.get(f"/v1/things/{CANARY}?token={CANARY}")
    await rig.client.get(f"/{CANARY}")
    first, second = log_lines()
    assert (first["event"], first["method"], first["status"]) == ("http.request", "GET", 422)
    assert first["route"] == "/v1/things/{thing_id}"
    assert second["route"] == "unmatched"
    assert CANARY not in json.dumps([first, second])


async def test_health_and_metrics_do_not_fill_the_access_log(rig, log_lines):
    for path in ("/healthz", "/readyz", "/metrics"):
        await rig.client.get(path)
    assert log_lines() == []


@pytest.mark.parametrize(
    "path", ["/v1/things/1", "/nowhere", "/v1/refused", "/v1/crash", "/v1/slow", "/healthz"]
)
async def test_every_answer_carries_the_security_headers(rig, path):
    headers = (await rig.client.get(path)).headers
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


async def test_a_handler_may_choose_its_own_caching(rig):
    assert (await rig.client.get("/v1/cached")).headers["cache-control"] == "private, max-age=5"


async def endless(megabytes, sent):
    for _ in range(megabytes * 16):
        sent.append(1)
        yield b"x" * 65536


async def test_a_declared_body_that_is_too_large_is_refused_unread(rig):
    error, answer = await rig.error("POST", "/v1/raw", 413, content=b"x" * 65537)
    assert error["code"] == "BODY_TOO_LARGE"
    assert error["details"] == {"maxBytes": 65536}
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/v1/raw", "/v1/orders", "/v1/swallows"])
async def test_a_chunked_body_is_cut_off_where_it_becomes_too_large(rig, path):
    sent = []
    error, _ = await rig.error("POST", path, 413, content=endless(10, sent))
    assert error["code"] == "BODY_TOO_LARGE"
    assert len(sent) <= 3


@pytest.mark.parametrize("size", [0, 1, 65536])
async def test_a_body_within_the_limit_passes(rig, size):
    assert (await rig.client.post("/v1/raw", content=b"x" * size)).json() == {"bytes": size}


async def test_the_limit_is_a_setting_of_the_app(settings):
    rig = Rig(settings, max_body_bytes=10)
    async with rig.client:
        assert (await rig.client.post("/v1/raw", content=b"x" * 10)).status_code == 200
        await rig.error("POST", "/v1/raw", 413, content=b"x" * 11)


@pytest.mark.parametrize("length", ["-1", "abc", "1e9", "99999999999999999999"])
async def test_a_nonsensical_content_length_is_refused(rig, length):
    await rig.error("POST", "/v1/raw", 413, content=b"x", headers={"Content-Length": length})


async def test_a_body_that_never_ends_is_given_up(rig):
    async def drips():
        yield b"x"
        await asyncio.sleep(10)
        yield b"y"

    error, _ = await rig.error("POST", "/v1/raw", 408, content=drips())
    assert error["code"] == "REQUEST_TIMEOUT"


async def test_a_handler_that_takes_too_long_is_ended(rig):
    error, answer = await rig.error("GET", "/v1/slow", 503)
    assert error["code"] == "TIMEOUT"
    assert answer.headers["retry-after"]


async def test_a_handlers_own_timeout_is_not_mistaken_for_ours(rig):
    assert (await rig.error("GET", "/v1/own-timeout", 500))[0]["code"] == "INTERNAL"


async def test_a_stream_that_has_begun_may_outlive_the_deadline(rig):
    assert (await rig.client.get("/v1/stream")).content == b"tick" * 4


async def test_a_stream_that_breaks_off_is_not_answered_twice(rig, log_lines):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/v1/breaks-off", "query_string": b"", "headers": []}
    await rig.app({**scope, "asgi": {"spec_version": "2.4"}}, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[1] == {"type": "http.response.body", "body": b"begun", "more_body": True}
    assert [line["event"] for line in log_lines()] == ["http.unhandled", "http.request"]


async def test_liveness_shows_no_detail_and_readiness_names_only(rig):
    async def fails():
        raise ConnectionError(CANARY)

    assert (await rig.client.get("/readyz")).json() == {"status": "ready", "checks": {}}
    rig.health.add("database", fails)
    answer = await rig.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "failing", "checks": {"database": "failed"}}
    answer = await rig.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


async def test_while_starting_only_health_and_metrics_answer(rig):
    rig.health.starting = True
    assert (await rig.error("GET", "/v1/things/1", 503))[0]["code"] == "STARTING"
    assert (await rig.client.get("/readyz")).json()["status"] == "starting"
    assert (await rig.client.get("/healthz")).status_code == 200
    rig.health.starting = False
    assert (await rig.client.get("/v1/things/1")).status_code == 200


async def test_while_draining_requests_are_still_answered(rig):
    rig.health.drain()
    assert (await rig.client.get("/readyz")).status_code == 503
    assert (await rig.client.get("/v1/things/1")).status_code == 200


async def test_requests_are_counted_by_template(rig):
    for number in range(3):
        await rig.client.get(f"/v1/things/{number}")
    await rig.client.get("/v1/crash")
    await rig.client.get("/random/path")
    await rig.client.request("BREW", "/v1/refused")
    count = rig.metrics.value
    name = "onefolio_http_requests_total"
    assert count(name, method="GET", route="/v1/things/{thing_id}", status="200") == 3
    assert count(name, method="GET", route="/v1/crash", status="500") == 1
    assert count(name, method="GET", route="unmatched", status="404") == 1
    assert count(name, method="OTHER", route="/v1/refused", status="405") == 1
    text = (await rig.client.get("/metrics")).text
    assert (
        'onefolio_http_request_duration_seconds_count{method="GET",route="/v1/things/{thing_id}"} 3.0' in text
    )
    assert "/random/path" not in text


async def test_the_openapi_document_gives_every_operation_the_error_body(rig):
    document = (await rig.client.get("/openapi.json")).json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len(operations) >= 10
    for operation in operations:
        schema = operation["responses"]["default"]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/ErrorBody"}
    assert "HTTPValidationError" not in json.dumps(document)
    assert "/healthz" not in document["paths"]


async def test_the_answered_errors_fit_the_documented_schema(rig):
    schemas = (await rig.client.get("/openapi.json")).json()["components"]["schemas"]
    validator = Draft202012Validator(
        {"$ref": "#/components/schemas/ErrorBody", "components": {"schemas": schemas}}
    )
    for path in ("/nowhere", "/v1/refused", "/v1/things/x", "/v1/crash"):
        validator.validate((await rig.client.get(path)).json())


async def test_documentation_pages_are_on_in_development_and_off_in_production(rig):
    page = await rig.client.get("/docs")
    assert page.status_code == 200
    assert "script-src" in page.headers["content-security-policy"]
    production = Rig(ServiceSettings(environment="production", service_auth_secret=SECRET))
    async with production.client:
        for path in ("/docs", "/openapi.json", "/redoc"):
            await production.error("GET", path, 404)


async def test_operations_can_be_left_out(settings):
    rig = Rig(settings, operations=False)
    async with rig.client:
        for path in ("/healthz", "/readyz", "/metrics"):
            await rig.error("GET", path, 404)


async def test_many_requests_at_once_keep_their_own_ids(rig):
    ids = [f"request-{number:04}" for number in range(50)]
    answers = await asyncio.gather(
        *(rig.client.get("/v1/things/1", headers={"X-Request-ID": i}) for i in ids)
    )
    assert [answer.json()["request_id"] for answer in answers] == ids
