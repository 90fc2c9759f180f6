"""The message frame: CloudEvents 1.0, structured JSON."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from contracts.holdings import HoldingsSnapshot
from contracts.ids import event_id
from contracts.messages import TYPE_OF, TYPES, Message, subject
from contracts.money import InexactNumberError, amount, quantity
from contracts.struct import Record

CONTENT_TYPE = "application/cloudevents+json"
SPEC_VERSION = "1.0"


class BadMessageError(ValueError):
    """A body that is not a message of ours: not JSON, not the envelope, or data that breaks its schema."""


class UnknownTypeError(BadMessageError):
    """A well-formed message of a type this version does not know."""


class Envelope(Record, frozen=True, kw_only=True):
    """The frame around every message; ``data`` is still encoded."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: msgspec.Raw
    dataschema: str | None = None
    datacontenttype: str = "application/json"
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A message that was read: its frame and its value."""

    id: str
    type: str
    source: str
    time: datetime
    traceparent: str | None
    message: Message


_ENCODER = msgspec.json.Encoder(decimal_format="string")
_ENVELOPE = msgspec.json.Decoder(Envelope)


@cache
def _decoder(kind: str) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(TYPES[kind], strict=True)


def encode_data(message: Record) -> bytes:
    """A value in its wire form; the same value always gives the same bytes."""
    return _ENCODER.encode(message)


def encode(
    message: Message, *, source: str, time: datetime, traceparent: str | None = None
) -> tuple[str, bytes]:
    """Frame a message; returns its id and the body.

    The id is derived from the type and the data, so saying the same fact again says it under the same id.
    """
    kind = TYPE_OF[type(message)]
    data = encode_data(message)
    identity = event_id(kind, data)
    envelope = Envelope(
        specversion=SPEC_VERSION,
        id=identity,
        source=source,
        type=kind,
        subject=subject(message),
        time=time,
        data=msgspec.Raw(data),
        dataschema=f"urn:onefolio:schema:{kind}",
        traceparent=traceparent,
    )
    return identity, _ENCODER.encode(envelope)


def decode(body: bytes) -> Received:
    """Read a message.

    Raises:
        UnknownTypeError: the type is not one of ours.
        BadMessageError: the body breaks the envelope's or the message's schema, or a number in it cannot
            be a quantity or an amount.
    """
    try:
        envelope = _ENVELOPE.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadMessageError(f"not an envelope: {error}") from error
    if envelope.specversion != SPEC_VERSION:
        raise BadMessageError(f"unsupported specversion {envelope.specversion[:16]!r}")
    if envelope.type not in TYPES:
        raise UnknownTypeError(f"unknown message type {envelope.type[:80]!r}")
    try:
        message = _decoder(envelope.type).decode(envelope.data)
        if isinstance(message, HoldingsSnapshot):
            check_numbers(message)
    except (msgspec.DecodeError, RecursionError, InexactNumberError) as error:
        raise BadMessageError(f"{envelope.type}: {error}") from error
    return Received(
        id=envelope.id,
        type=envelope.type,
        source=envelope.source,
        time=envelope.time,
        traceparent=envelope.traceparent,
        message=message,
    )


def check_numbers(snapshot: HoldingsSnapshot) -> None:
    """Refuse holdings whose numbers cannot be stored exactly.

    Raises:
        InexactNumberError: a number is NaN, infinite, too large or has too many decimals.
    """
    for holding in snapshot.holdings:
        _exact(quantity, holding.quantity)
        for value in (holding.market_value, holding.cost_basis):
            if value is not None:
                _exact(amount, value)
        if holding.price is not None:
            _exact(quantity, holding.price)


def _exact(rule: Any, value: Decimal) -> None:
    if rule(value) is not value:
        raise InexactNumberError("a number in the message has too many decimals")
