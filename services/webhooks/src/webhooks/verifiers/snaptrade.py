"""SnapTrade's webhooks: HMAC-SHA256 over the parsed body written again, with the consumer key.

Source: docs.snaptrade.com/docs/webhooks. The signed text is not the raw body but its parsed form with sorted keys,
no spaces and ASCII escapes, exactly as Python's own `json` writes it; so that module is used here and no faster
one. Retries begin after half an hour and may carry the first attempt's timestamp: an old delivery is late, not
forged.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from service_kit.clock import Clock, SystemClock
from webhooks.delivery import (
    KEY_LIMIT,
    KIND_LIMIT,
    Age,
    Authentic,
    ForgedError,
    RawDelivery,
    Refusal,
    plain,
    text_of,
)
from webhooks.strict_json import parse_object

PROVIDER = "snaptrade"
HEADER = "signature"
FRESH = timedelta(seconds=300)
LATE = timedelta(hours=24)
AHEAD = timedelta(seconds=60)
UNNAMED = "UNNAMED"


class SnapTradeVerifier:
    """Verifies with the consumer key, and the previous one while keys are being changed.

    Args:
        keys: consumer keys, any of which may have signed.
        strict: refuse what is older than five minutes, and with it every retry.
        clock: tells how old a delivery is.
    """

    provider = PROVIDER

    def __init__(
        self, keys: Sequence[SecretStr], *, strict: bool = False, clock: Clock | None = None
    ) -> None:
        self._keys = [key.get_secret_value() for key in keys]
        self._strict = strict
        self._clock = clock or SystemClock()

    async def verify(self, delivery: RawDelivery) -> Authentic:
        """Vouch for a delivery.

        Raises:
            ForgedError: it is not genuine, or from the future.
        """
        signature = delivery.headers.get(HEADER, "")
        return verify(delivery.body, signature, self._keys, self._clock.now(), strict=self._strict)


def verify(
    body: bytes, signature: str, keys: Sequence[str], now: datetime, *, strict: bool = False
) -> Authentic:
    """Verify one delivery.

    Raises:
        ForgedError: no signature, a body that cannot be what was signed, another signature, or a time that is
            yet to come.
    """
    if not signature:
        raise ForgedError(Refusal.MISSING_HEADER)
    document = parse_object(body)
    signed = canonical(document)
    if not any(_matches(signed, signature, key) for key in keys):
        raise ForgedError(Refusal.BAD_SIGNATURE)
    sent_at = _time(document)
    return Authentic(
        dedupe_key=_dedupe_key(document, signed),
        kind=plain(text_of(document, "eventType") or UNNAMED, KIND_LIMIT),
        document=document,
        signature=signature,
        age=age(sent_at, now, strict=strict),
        sent_at=sent_at,
    )


def canonical(document: Mapping[str, Any]) -> bytes:
    """The text SnapTrade signs.

    Raises:
        ForgedError: it has no such text (a number too large to be one).
    """
    try:
        return json.dumps(document, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise ForgedError(Refusal.MALFORMED_BODY) from error


def sign(document: Mapping[str, Any], key: str) -> str:
    """The `Signature` header of a body."""
    return _mac(canonical(document), key).decode()


def age(sent_at: datetime | None, now: datetime, *, strict: bool = False) -> Age:
    """Class a delivery by its timestamp; one without is late, for it can do no more than a late one.

    Raises:
        ForgedError: it was sent more than a minute from now.
    """
    if sent_at is None:
        return Age.TOO_OLD if strict else Age.LATE
    passed = now - sent_at
    if passed < -AHEAD:
        raise ForgedError(Refusal.IN_THE_FUTURE)
    if passed <= FRESH:
        return Age.FRESH
    return Age.LATE if passed <= LATE and not strict else Age.TOO_OLD


def _matches(signed: bytes, signature: str, key: str) -> bool:
    # Bytes: compare_digest refuses texts that are not ASCII with an exception.
    return hmac.compare_digest(_mac(signed, key), signature.encode(errors="surrogatepass"))


def _mac(signed: bytes, key: str) -> bytes:
    return base64.b64encode(hmac.new(key.encode(), signed, hashlib.sha256).digest())


def _dedupe_key(document: Mapping[str, Any], signed: bytes) -> str:
    # The provider's own reference spells it `webookId`; where both are there they differ, and this one counts.
    named = text_of(document, "webhookId", "webookId")
    if named and len(named) <= KEY_LIMIT and named.isprintable():
        return named
    return f"sha256:{hashlib.sha256(signed).hexdigest()}"


def _time(document: Mapping[str, Any]) -> datetime | None:
    text = text_of(document, "eventTimestamp")
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    if found is None:
        return None
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        return None
