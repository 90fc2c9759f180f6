"""Messages on their way back: what is copied, added and left out when one is retried, parked or replayed. Pure."""

import traceback
from collections.abc import Mapping
from datetime import datetime

from messaging.bus import (
    ATTEMPT,
    EXCHANGE,
    FIRST_FAILED,
    REASON,
    ROUTING_KEY,
    TRACE,
    Delivery,
    Header,
    Outgoing,
)
from service_kit.redaction import redact

REASON_LIMIT = 500
TRACE_LIMIT = 2000
TRACE_FRAMES = 5
_FAILURE = frozenset({REASON, TRACE, FIRST_FAILED, ATTEMPT})


def failed(
    delivery: Delivery, target: str, reason: str, error: BaseException | None, now: datetime
) -> Outgoing:
    """The message for a retry tier or the parking queue, with the history of its failures."""
    headers = _kept(delivery.headers) | {
        EXCHANGE: delivery.exchange,
        ROUTING_KEY: delivery.routing_key,
        ATTEMPT: delivery.attempt,
        REASON: redact(reason)[:REASON_LIMIT],
        FIRST_FAILED: delivery.headers.get(FIRST_FAILED) or now.isoformat(),
        TRACE: summary(error),
    }
    return Outgoing("", target, delivery.body, delivery.event_id, delivery.type, headers)


def replayed(delivery: Delivery, queue: str) -> Outgoing:
    """A parked message for its queue again, as if for the first time."""
    headers = {name: value for name, value in _kept(delivery.headers).items() if name not in _FAILURE}
    headers |= {EXCHANGE: delivery.exchange, ROUTING_KEY: delivery.routing_key}
    return Outgoing("", queue, delivery.body, delivery.event_id, delivery.type, headers)


def summary(error: BaseException | None) -> str:
    """The last frames of an error, without credentials and of bounded length; empty for no error."""
    if error is None:
        return ""
    frames = traceback.extract_tb(error.__traceback__)[-TRACE_FRAMES:]
    places = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames]
    return redact("\n".join([f"{type(error).__name__}: {error}"[:REASON_LIMIT], *places]))[:TRACE_LIMIT]


def _kept(headers: Mapping[str, Header]) -> dict[str, Header]:
    # x-death on a republished message makes brokers before 4.0 see a cycle and drop it without a word.
    return {name: value for name, value in headers.items() if not name.startswith("x-")}
