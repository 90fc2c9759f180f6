import asyncio
import gzip
import json

import httpx
import pytest

from service_kit import tracing
from service_kit.http_client import (
    DeadlineExceeded,
    Limits,
    ResponseTooLarge,
    TargetRefused,
    deadline,
    outbound_client,
)
from service_kit.logs import configure
from service_kit.metrics import Metrics

BASE = "https://api.acme.example/api/v1"
CALLS = "onefolio_outbound_requests_total"
CANARY = "c4nary7f3e9d"


class Rig:
    def __init__(self, handler, **options):
        self.metrics = Metrics("sample")
        self.seen: list[httpx.Request] = []
        self._handler = handler
        transport = httpx.MockTransport(self._handle)
        self.client = outbound_client("acme", BASE, self.metrics, transport=transport, **options)

    async def _handle(self, request):
        self.seen.append(request)
        answer = self._handler(request)
        return await answer if asyncio.iscoroutine(answer) else answer

    def count(self, result, operation="GET /accounts/{id}"):
        return self.metrics.value(CALLS, target="acme", operation=operation, result=result)

    async def get(self, path="/accounts/1", **options):
        async with self.client:
            return await self.client.get(path, extensions={"operation": "GET /accounts/{id}"}, **options)


def answering(status, **options):
    return Rig(lambda _request: httpx.Response(status, **options))


async def test_a_call_goes_to_the_base_url_and_comes_back_whole():
    rig = answering(200, json={"a": 1}, headers={"X-Request-ID": "p-1"})
    answer = await rig.get()
    assert str(rig.seen[0].url) == f"{BASE}/accounts/1"
    assert (answer.json(), answer.headers["x-request-id"]) == ({"a": 1}, "p-1")
    assert answer.request is rig.seen[0]


async def test_compressed_answers_are_decoded():
    body = gzip.compress(b'{"a": 1}')
    answer = await answering(200, content=body, headers={"Content-Encoding": "gzip"}).get()
    assert answer.json() == {"a": 1}
    assert answer.headers["content-length"] == "8"


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, "ok"),
        (204, "ok"),
        (302, "ok"),
        (404, "client_error"),
        (429, "rate_limited"),
        (503, "server_error"),
    ],
)
async def test_calls_are_counted_by_operation_and_result(status, result):
    rig = answering(status)
    await rig.get()
    assert rig.count(result) == 1
    name = "onefolio_outbound_request_duration_seconds_count"
    assert rig.metrics.value(name, target="acme", operation="GET /accounts/{id}") == 1


async def test_redirects_are_not_followed():
    rig = answering(302, headers={"Location": "http://169.254.169.254/"})
    assert (await rig.get()).status_code == 302
    assert len(rig.seen) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "http://api.acme.example/x",
        "https://api.acme.example:8443/x",
        "https://user@evil.example/x",
        "http://169.254.169.254/latest",
    ],
)
async def test_another_origin_is_refused_and_nothing_is_sent(url):
    rig = answering(200)
    with pytest.raises(TargetRefused):
        await rig.get(url)
    assert rig.seen == []
    assert rig.count("refused") == 1


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (httpx.ConnectError, "connect_failed"),
        (httpx.ConnectTimeout, "connect_failed"),
        (httpx.ReadTimeout, "timeout"),
        (httpx.PoolTimeout, "timeout"),
        (httpx.ReadError, "network_error"),
        (httpx.RemoteProtocolError, "network_error"),
        (ZeroDivisionError, "failed"),
    ],
)
async def test_failures_are_counted_and_passed_on(error, result):
    def fail(_request):
        raise error("no")

    rig = Rig(fail)
    with pytest.raises(error):
        await rig.get()
    assert rig.count(result) == 1


async def test_a_call_is_bounded_as_a_whole():
    async def drip():
        for _ in range(1000):
            yield b"x"
            await asyncio.sleep(0.01)

    rig = Rig(lambda _request: httpx.Response(200, content=drip()), limits=Limits(total=0.05))
    with pytest.raises(DeadlineExceeded):
        await rig.get()
    assert rig.count("timeout") == 1


async def test_a_cancelled_call_is_counted_and_stays_cancelled():
    begun = asyncio.Event()

    async def hang():
        begun.set()
        await asyncio.Event().wait()

    rig = Rig(lambda _request: hang())
    task = asyncio.create_task(rig.get())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rig.count("cancelled") == 1


@pytest.mark.parametrize("compress", [False, True])
async def test_an_answer_that_is_too_large_is_cut_off(compress):
    body = b"0" * 100_000
    headers = {"Content-Encoding": "gzip"} if compress else {}
    content = gzip.compress(body) if compress else body
    rig = Rig(
        lambda _request: httpx.Response(200, content=content, headers=headers),
        limits=Limits(response_bytes=50_000),
    )
    with pytest.raises(ResponseTooLarge):
        await rig.get()
    assert rig.count("too_large") == 1


async def test_a_call_without_a_name_is_counted_as_unnamed():
    rig = answering(200)
    async with rig.client:
        await rig.client.get("/x")
    assert rig.count("ok", "unnamed") == 1


async def test_cookies_of_one_call_do_not_travel_with_the_next():
    rig = answering(200, headers={"Set-Cookie": "session=someone; Path=/"})
    async with rig.client:
        await rig.client.get("/x")
        await rig.client.get("/x")
    assert "cookie" not in rig.seen[1].headers


async def test_proxy_variables_of_the_environment_are_ignored(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    async with outbound_client("acme", BASE, Metrics("sample")) as client:
        assert client.trust_env is False
        assert client._mounts == {}


async def test_the_trace_travels_only_where_asked():
    for propagate in (True, False):
        rig = Rig(lambda _request: httpx.Response(200), propagate_trace=propagate)
        with tracing.continued(None) as trace:
            await rig.get()
        sent = rig.seen[0].headers.get("traceparent", "")
        assert (trace.trace_id in sent) is propagate


async def test_the_log_shows_host_and_operation_and_never_the_url(capsys):
    configure("sample", "DEBUG")
    rig = answering(200)
    await rig.get(f"/accounts/{CANARY}", params={"userSecret": CANARY, "x": CANARY})
    output = capsys.readouterr().out
    assert CANARY not in output
    (line,) = [json.loads(line) for line in output.splitlines()]
    assert (line["event"], line["method"], line["host"]) == ("outbound.request", "GET", "api.acme.example")
    assert (line["operation"], line["result"]) == ("GET /accounts/{id}", "ok")


async def test_a_stream_is_handed_over_unread():
    rig = answering(200, content=b"abc")
    async with rig.client, rig.client.stream("GET", "/x") as answer:
        assert [chunk async for chunk in answer.aiter_bytes()] == [b"abc"]


async def test_a_deadline_leaves_other_timeouts_alone():
    with pytest.raises(TimeoutError):
        async with deadline(10):
            raise TimeoutError
    with pytest.raises(DeadlineExceeded):
        async with deadline(0.01):
            await asyncio.sleep(10)
