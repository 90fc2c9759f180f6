"""A delivery from the wire to the store: what arrived, what a verifier says of it, why it is refused. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

KIND_LIMIT = 120
KEY_LIMIT = 200


class Refusal(StrEnum):
    """Why a delivery is not believed; counted, never told to the sender."""

    MISSING_HEADER = "missing_header"
    MALFORMED_BODY = "malformed_body"
    MALFORMED_TOKEN = "malformed_token"  # noqa: S105 - a reason, not a secret
    WRONG_ALGORITHM = "alg_not_es256"
    UNKNOWN_KEY = "unknown_key"
    EXPIRED_KEY = "key_expired"
    BAD_SIGNATURE = "bad_signature"
    BODY_MISMATCH = "body_hash_mismatch"
    TOO_OLD = "too_old"
    IN_THE_FUTURE = "in_the_future"


class ForgedError(Exception):
    """The provider did not send this, as far as can be told."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(str(reason))
        self.reason = reason


class CannotVerifyError(Exception):
    """Whether it is genuine cannot be told now; the provider will send it again."""


class Age(StrEnum):
    """How old an authentic delivery is. Late ones are retries as a rule: their first came when we were away."""

    FRESH = "fresh"
    LATE = "late"
    TOO_OLD = "too_old"


@dataclass(frozen=True, slots=True)
class RawDelivery:
    """What arrived. Header names are lower case; `body` is exactly the bytes that were sent."""

    provider: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authentic:
    """What a verifier vouches for.

    Attributes:
        dedupe_key: the same for every copy of one delivery.
        kind: the provider's name of the event, cut to a bounded length.
        document: the body, parsed.
        signature: the header that was verified, kept as evidence.
        sent_at: when the provider says it happened, where it says so.
    """

    dedupe_key: str
    kind: str
    document: Mapping[str, Any] = field(repr=False)
    signature: str = field(repr=False)
    age: Age = Age.FRESH
    sent_at: datetime | None = None


def plain(text: str, limit: int) -> str:
    """A text of theirs as it may stand in a table or a label: bounded, and only characters one can see."""
    return "".join(character if character.isprintable() else "?" for character in text[:limit])


def text_of(document: Mapping[str, Any], *names: str) -> str | None:
    """The first of these members that is a text with something in it."""
    found = (document.get(name) for name in names)
    return next((value for value in found if isinstance(value, str) and value.strip()), None)
