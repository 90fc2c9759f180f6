"""Plaid's webhooks: a JWT in the header, signed with ES256, that holds the SHA-256 of the raw body.

Source: plaid.com/docs/api/webhooks/webhook-verification. The body is hashed as it came, never written again. The
token's own key hints (`jwk`, `jku`, `x5u`) are ignored; only Plaid says which key belongs to a `kid`.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import jwt

from service_kit.clock import Clock, SystemClock
from webhooks.delivery import KIND_LIMIT, Authentic, ForgedError, RawDelivery, Refusal, plain, text_of
from webhooks.strict_json import parse_object

PROVIDER = "plaid"
HEADER = "plaid-verification"
ALGORITHM = "ES256"
OLDEST = 300
AHEAD = 60
LAST_SECOND = 253_402_300_799  # of the year 9999
TOKEN_LIMIT = 4096
UNNAMED = "UNNAMED"
_KID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Token:
    """A token taken apart; nothing in it is believed yet."""

    text: str = field(repr=False)
    kid: str
    claims: Mapping[str, Any]

    @property
    def signed(self) -> bytes:
        """What the signature covers."""
        return self.text.rpartition(".")[0].encode()


class Keys(Protocol):
    """Where verification keys come from."""

    async def get(self, kid: str) -> jwt.PyJWK:
        """The key of this id.

        Raises:
            ForgedError: there is none, or it has expired.
            CannotVerifyError: it cannot be fetched now.
        """
        ...


class PlaidVerifier:
    """Verifies with the keys Plaid publishes; cheap checks come before a key is looked up."""

    provider = PROVIDER

    def __init__(self, keys: Keys, *, clock: Clock | None = None) -> None:
        self._keys = keys
        self._clock = clock or SystemClock()

    async def verify(self, delivery: RawDelivery) -> Authentic:
        """Vouch for a delivery.

        Raises:
            ForgedError: it is not genuine, too old, or from the future.
            CannotVerifyError: its key cannot be fetched now.
        """
        token = take_apart(delivery.headers.get(HEADER, ""))
        check_claims(token, delivery.body, self._clock.now())
        check_signature(token, await self._keys.get(token.kid))
        return authentic(token, parse_object(delivery.body))


def take_apart(text: str) -> Token:
    """Read a token without believing it.

    Raises:
        ForgedError: there is none, it is no JWT, not ES256, or its key id has not the form of one.
    """
    if not text:
        raise ForgedError(Refusal.MISSING_HEADER)
    parts = text.split(".")
    if len(text) > TOKEN_LIMIT or len(parts) != 3:
        raise ForgedError(Refusal.MALFORMED_TOKEN)
    header = _object(_decoded(parts[0]))
    claims = _object(_decoded(parts[1]))
    _decoded(parts[2])
    if header.get("alg") != ALGORITHM:
        raise ForgedError(Refusal.WRONG_ALGORITHM)
    kid = header.get("kid")
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise ForgedError(Refusal.UNKNOWN_KEY)
    return Token(text, kid, claims)


def check_claims(token: Token, body: bytes, now: datetime) -> None:
    """Check the token's age and the body's hash.

    Raises:
        ForgedError: older than five minutes, more than a minute ahead, or made for another body.
    """
    issued = token.claims.get("iat")
    # The range also keeps out NaN, with which every comparison fails, and numbers no clock can hold.
    if isinstance(issued, bool) or not isinstance(issued, int | float) or not 0 <= issued <= LAST_SECOND:
        raise ForgedError(Refusal.TOO_OLD)
    passed = now.timestamp() - issued
    if passed > OLDEST:
        raise ForgedError(Refusal.TOO_OLD)
    if passed < -AHEAD:
        raise ForgedError(Refusal.IN_THE_FUTURE)
    claimed = token.claims.get("request_body_sha256")
    actual = hashlib.sha256(body).hexdigest().encode()
    if not isinstance(claimed, str) or not hmac.compare_digest(
        claimed.encode(errors="surrogatepass"), actual
    ):
        raise ForgedError(Refusal.BODY_MISMATCH)


def check_signature(token: Token, key: jwt.PyJWK) -> None:
    """Check the signature with Plaid's key.

    Raises:
        ForgedError: another key made it, or something was changed.
    """
    try:
        jwt.PyJWS().decode(token.text, key, algorithms=[ALGORITHM])
    except jwt.PyJWTError as error:
        raise ForgedError(Refusal.BAD_SIGNATURE) from error


def authentic(token: Token, document: Mapping[str, Any]) -> Authentic:
    """What a verified delivery says.

    Plaid gives its events no id. What was signed names the copy: whoever holds a token can write its signature in
    a second valid way, so the signature is no part of the name.
    """
    kind = "/".join(text_of(document, name) or UNNAMED for name in ("webhook_type", "webhook_code"))
    return Authentic(
        dedupe_key=f"sha256:{hashlib.sha256(token.signed).hexdigest()}",
        kind=plain(kind, KIND_LIMIT),
        document=document,
        signature=token.text,
        sent_at=datetime.fromtimestamp(token.claims["iat"], UTC),
    )


def public_key(jwk: Mapping[str, Any], kid: str) -> jwt.PyJWK:
    """The key of a JWK as Plaid publishes it.

    Raises:
        ForgedError: the key has expired, or is not the P-256 key that was asked for.
    """
    expected = {"kid": kid, "alg": ALGORITHM, "kty": "EC", "crv": "P-256"}
    if any(jwk.get(name) != value for name, value in expected.items()):
        raise ForgedError(Refusal.UNKNOWN_KEY)
    if jwk.get("expired_at") is not None:
        raise ForgedError(Refusal.EXPIRED_KEY)
    try:
        return jwt.PyJWK.from_dict(dict(jwk), algorithm=ALGORITHM)
    except jwt.PyJWTError as error:
        raise ForgedError(Refusal.UNKNOWN_KEY) from error


def _decoded(part: str) -> bytes:
    """Base64url in its one right spelling; a lenient reader would take several texts for the same bytes."""
    try:
        raw = base64.b64decode(part.encode("ascii") + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise ForgedError(Refusal.MALFORMED_TOKEN) from error
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != part:
        raise ForgedError(Refusal.MALFORMED_TOKEN)
    return raw


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ForgedError(Refusal.MALFORMED_TOKEN) from error
    if not isinstance(found, dict):
        raise ForgedError(Refusal.MALFORMED_TOKEN)
    return found
