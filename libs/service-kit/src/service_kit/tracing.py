"""W3C trace context, carried in a context variable and in the logs."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import structlog

_HEADER = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_current: ContextVar["Trace | None"] = ContextVar("trace", default=None)


@dataclass(frozen=True, slots=True)
class Trace:
    """One step of a distributed trace."""

    trace_id: str
    span_id: str
    flags: str = "01"

    @property
    def traceparent(self) -> str:
        """Return the header that carries this step."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"

    def child(self) -> "Trace":
        """Return a new step of the same trace."""
        return Trace(self.trace_id, secrets.token_hex(8), self.flags)


def new_trace() -> Trace:
    """Begin a trace."""
    return Trace(secrets.token_hex(16), secrets.token_hex(8))


def parse(traceparent: str | None) -> Trace | None:
    """Read a ``traceparent`` header; None where it is absent or invalid (as the W3C recommendation says)."""
    match = _HEADER.fullmatch(traceparent or "")
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    valid = version != "ff" and set(trace_id) != {"0"} and set(span_id) != {"0"}
    if not valid or (version == "00" and rest):
        return None
    return Trace(trace_id, span_id, flags)


def current() -> Trace | None:
    """Return the step this task works in."""
    return _current.get()


def outgoing() -> str:
    """Return the ``traceparent`` for the next hop: a step below the current one, or a new trace."""
    trace = current()
    return (trace.child() if trace else new_trace()).traceparent


@contextmanager
def continued(traceparent: str | None) -> Iterator[Trace]:
    """Work in the caller's trace (a new one where there is none); its id is bound into the logs."""
    incoming = parse(traceparent)
    trace = incoming.child() if incoming else new_trace()
    token = _current.set(trace)
    try:
        with structlog.contextvars.bound_contextvars(trace_id=trace.trace_id):
            yield trace
    finally:
        _current.reset(token)
