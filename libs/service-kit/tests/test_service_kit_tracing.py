import asyncio

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from service_kit import tracing

HEADER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_traceparent_is_read_and_written_the_same():
    trace = tracing.parse(HEADER)
    assert trace is not None
    assert trace.traceparent == HEADER


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        HEADER.upper(),
        HEADER + "-extra",
        HEADER.replace("00-", "ff-", 1),
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        HEADER[:-1],
        HEADER + "\n",
    ],
)
def test_an_invalid_traceparent_is_no_trace(header):
    assert tracing.parse(header) is None


def test_a_later_version_may_carry_more():
    trace = tracing.parse("01" + HEADER[2:] + "-what-the-future-brings")
    assert trace is not None
    assert trace.trace_id == "0af7651916cd43dd8448eb211c80319c"


@given(st.text())
def test_no_text_breaks_the_parser(text):
    assert tracing.parse(text) is None


def test_a_continued_trace_keeps_its_id_and_takes_a_new_step():
    with tracing.continued(HEADER) as trace:
        assert trace.trace_id in HEADER
        assert trace.span_id not in HEADER
        assert tracing.current() == trace
        assert structlog.contextvars.get_contextvars()["trace_id"] == trace.trace_id
        outgoing = tracing.parse(tracing.outgoing())
        assert outgoing is not None
        assert outgoing.trace_id == trace.trace_id
        assert outgoing.span_id != trace.span_id
    assert tracing.current() is None
    assert "trace_id" not in structlog.contextvars.get_contextvars()


def test_without_a_valid_header_a_new_trace_begins():
    with tracing.continued("garbage") as one, tracing.continued(None) as two:
        assert one.trace_id != two.trace_id
    assert tracing.parse(tracing.outgoing()) is not None


async def test_tasks_do_not_see_each_others_trace():
    async def work(header):
        with tracing.continued(header) as trace:
            await asyncio.sleep(0)
            return trace.trace_id == tracing.current().trace_id

    assert all(await asyncio.gather(*(work(None) for _ in range(10))))
