"""Logging: JSON lines on stdout, redacted, whoever writes them.

Events are dotted names with fields beside them: ``log.info("sync.finished", provider=provider, calls=calls)``.
"""

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from .redaction import redact, redact_field

__all__ = ["configure", "redact", "redact_event"]

QUIET = (
    "aio_pika",
    "aiormq",
    "asyncio",
    "boto3",
    "botocore",
    "h11",
    "hpack",
    "httpcore",
    "httpx",
    "urllib3",
    "uvicorn",
    "uvicorn.access",
    "uvicorn.error",
)
"""Libraries that log URLs, bodies or every step: heard from WARNING up."""

_PLAIN = frozenset({"timestamp", "level", "service", "logger"})


def configure(service: str, level: str = "INFO") -> None:
    """Make this process log JSON lines to stdout; the standard library's loggers go the same way.

    May be called again: the last call wins.
    """
    shared = _shared(service)
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, redact_event, _render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Stdout,
        # A cached logger would keep the configuration of its first use.
        cache_logger_on_first_use=False,
    )
    _route_standard_library(shared, level)


def redact_event(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Mask credentials in every field of a log event (a structlog processor)."""
    return {k: v if k in _PLAIN else redact_field(k, v) for k, v in event.items() if not k.startswith("_")}


class _Stdout:
    """Writes lines to whatever stdout is now."""

    def __init__(self, *_args: Any) -> None:
        pass

    def msg(self, line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    debug = info = warning = error = critical = exception = fatal = warn = log = msg


class _StdoutHandler(logging.Handler):
    """Sends the standard library's records to whatever stdout is now."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stdout.write(f"{self.format(record)}\n")
            sys.stdout.flush()
        except Exception:  # noqa: BLE001  a log record must not break its caller: logging's own contract
            self.handleError(record)


def _shared(service: str) -> list[Processor]:
    def add_service(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        add_service,
    ]


def _route_standard_library(shared: list[Processor], level: str) -> None:
    handler = _StdoutHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[_exception_text, redact_event, _render],
        )
    )
    # A failing handler must not print the record, and with it the secret, to stderr.
    logging.raiseExceptions = False
    root = logging.getLogger()
    for previous in [h for h in root.handlers if isinstance(h, _StdoutHandler)]:
        root.removeHandler(previous)
    root.addHandler(handler)
    root.setLevel(level)
    for name in QUIET:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))


def _exception_text(logger: Any, method: str, event: EventDict) -> EventDict:
    return structlog.processors.format_exc_info(logger, method, event)


def _render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    # ASCII only: no character can break a line or fail to be encoded.
    return json.dumps(event, separators=(",", ":"), default=str)
