import json
import logging

import httpx
import pytest
import structlog
from pydantic import SecretStr

from service_kit.logs import configure

CANARY = "c4nary7f3e9d"


@pytest.fixture
def lines(capsys):
    configure("sample", "INFO")

    def read():
        output = capsys.readouterr()
        assert output.err == ""
        assert CANARY not in output.out
        return [json.loads(line) for line in output.out.splitlines()]

    return read


def test_a_log_event_is_one_json_line_with_its_fields(lines):
    structlog.get_logger().info("sync.finished", provider="acme", accounts=3)
    (line,) = lines()
    assert line["event"] == "sync.finished"
    assert (line["service"], line["level"], line["provider"], line["accounts"]) == (
        "sample",
        "info",
        "acme",
        3,
    )
    assert line["timestamp"].endswith("Z")


def test_context_is_added_to_every_line(lines):
    with structlog.contextvars.bound_contextvars(request_id="r-1", trace_id="t-1"):
        structlog.get_logger().info("a")
        logging.getLogger("other.library").info("b")
    first, second = lines()
    assert (first["request_id"], first["trace_id"]) == ("r-1", "t-1")
    assert (second["request_id"], second["trace_id"]) == ("r-1", "t-1")


def test_credentials_are_masked_in_fields_at_any_depth(lines):
    structlog.get_logger().info(
        f"called https://x.example/?userSecret={CANARY}",
        access_token=CANARY,
        headers={"Authorization": f"Bearer {CANARY}", "Signature": CANARY},
        items=[{"public_token": CANARY}, SecretStr(CANARY), CANARY.encode()],
        url=f"https://x.example/?Signature={CANARY}&a=1",
    )
    (line,) = lines()
    assert line["access_token"] == "[redacted]"
    assert line["url"].startswith("https://x.example/?Signature=[redacted]")


def fail_with_a_cause():
    try:
        int(f"userSecret={CANARY}")
    except ValueError as cause:
        raise RuntimeError(f"token: {CANARY}") from cause


def test_credentials_are_masked_in_exceptions(lines):
    try:
        fail_with_a_cause()
    except RuntimeError as error:
        structlog.get_logger().exception("failed")
        structlog.get_logger().error("failed", error=error)
        logging.getLogger("x").exception("failed with userSecret=%s", CANARY)
    first, second, third = lines()
    assert "RuntimeError" in first["exception"]
    assert "ValueError" in first["exception"]
    assert "RuntimeError" in second["error"]
    assert "RuntimeError" in third["exception"]


def test_credentials_are_masked_in_exception_groups(lines):
    group = ExceptionGroup(
        "several", [ValueError(f"access-sandbox-{CANARY}"), KeyError(f"password={CANARY}")]
    )
    structlog.get_logger().error("failed", exc_info=group)
    assert "ExceptionGroup" in lines()[0]["exception"]


def test_an_http_status_error_does_not_show_its_url(lines):
    request = httpx.Request("GET", f"https://x.example/a?userSecret={CANARY}")
    try:
        httpx.Response(500, request=request).raise_for_status()
    except httpx.HTTPStatusError:
        structlog.get_logger().exception("failed")
        logging.getLogger("y").exception("failed")
    assert all("HTTPStatusError" in line["exception"] for line in lines())


def test_the_standard_library_is_routed_with_its_logger_name(lines):
    logging.getLogger("some.library").warning("userSecret=%s", CANARY)
    (line,) = lines()
    assert (line["logger"], line["level"], line["service"]) == ("some.library", "warning", "sample")


@pytest.mark.parametrize("name", ["httpx", "httpcore", "uvicorn", "uvicorn.access", "aio_pika", "aiormq"])
def test_talkative_libraries_are_heard_from_warning_up(capsys, name):
    configure("sample", "DEBUG")
    logging.getLogger(name).info("GET %s", "https://x.example/")
    logging.getLogger(name).warning("trouble")
    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["trouble"]


async def test_httpx_does_not_log_the_url_of_a_call(lines):
    transport = httpx.MockTransport(lambda _request: httpx.Response(200))
    async with httpx.AsyncClient(transport=transport) as client:
        await client.get(f"https://x.example/?userSecret={CANARY}&other={CANARY}")
    assert lines() == []


def test_lines_below_the_level_are_not_written(lines):
    structlog.get_logger().debug("quiet")
    logging.getLogger("x").debug("quiet")
    assert lines() == []


def test_configuring_again_does_not_write_lines_twice(capsys):
    configure("one")
    configure("two")
    logging.getLogger("x").warning("once")
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["service"] == "two"


def test_a_record_with_wrong_arguments_reveals_nothing_and_breaks_nothing(lines):
    logging.getLogger("x").warning("one %s two %s", *[CANARY])
    lines()


def test_a_line_stays_one_line_whatever_is_in_it(lines):
    structlog.get_logger().info("a", text='line\nbreak " \u2028 \x00', name="Zoë")
    (line,) = lines()
    assert line["text"] == 'line\nbreak " \u2028 \x00'
