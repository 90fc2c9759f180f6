"""Plaid's webhook signature: an ES256 JWT over the body's hash, and the keys that verify it."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from provider_sandbox.plaid.errors import PlaidError


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A P-256 key pair with its id; `expired_at` is set once a rotation retired it."""

    kid: str
    private: ec.EllipticCurvePrivateKey
    created_at: int
    expired_at: int | None = None

    def jwk(self) -> dict[str, Any]:
        """The public half as `/webhook_verification_key/get` returns it."""
        numbers = self.private.public_key().public_numbers()
        return {
            "alg": "ES256",
            "crv": "P-256",
            "kid": self.kid,
            "kty": "EC",
            "use": "sig",
            "x": _coordinate(numbers.x),
            "y": _coordinate(numbers.y),
            "created_at": self.created_at,
            "expired_at": self.expired_at,
        }


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A SigningKey as plain values; `private` is PEM."""

    kid: str
    private: str
    created_at: int
    expired_at: int | None

    @classmethod
    def of(cls, key: SigningKey) -> Self:
        """Write a key down."""
        raw = key.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return cls(key.kid, raw.decode(), key.created_at, key.expired_at)

    def key(self) -> SigningKey:
        """The key again; ValueError when it is no P-256 key."""
        private = serialization.load_pem_private_key(self.private.encode(), None)
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != ec.SECP256R1.name:
            raise ValueError(f"signing key {self.kid} is no P-256 key")
        return SigningKey(self.kid, private, self.created_at, self.expired_at)


def _coordinate(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()


@dataclass(slots=True)
class SigningKeys:
    """All keys of this process; the last one signs, the earlier ones are expired."""

    now: Callable[[], datetime]
    _keys: list[SigningKey] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._keys.append(self._generate())

    @property
    def current(self) -> SigningKey:
        """The key that signs now."""
        return self._keys[-1]

    def rotate(self) -> SigningKey:
        """Expire the current key and sign with a new one from now on."""
        self._keys[-1] = replace(self.current, expired_at=self._seconds())
        self._keys.append(self._generate())
        return self.current

    def last_expired(self) -> str | None:
        """The id of the key rotated away last."""
        return self._keys[-2].kid if len(self._keys) > 1 else None

    def find(self, kid: str) -> SigningKey:
        """The key of that id; an unknown id is the documented kind of error."""
        for key in self._keys:
            if key.kid == kid:
                return key
        raise PlaidError("INVALID_WEBHOOK_VERIFICATION_KEY_ID")

    def kept(self) -> tuple[KeptKey, ...]:
        """Every key as plain values, oldest first."""
        return tuple(KeptKey.of(key) for key in self._keys)

    def restore(self, kept: Sequence[KeptKey]) -> None:
        """Take these keys instead of the present ones; ValueError when there is none or one cannot be read."""
        if not kept:
            raise ValueError("there is no signing key")
        self._keys = [entry.key() for entry in kept]

    def headers(self, body: bytes, *, kid: str | None = None) -> dict[str, str]:
        """The headers of one delivery attempt: a JWT issued now over the exact body bytes."""
        key = self.current if kid is None else self.find(kid)
        claims = {"iat": self._seconds(), "request_body_sha256": hashlib.sha256(body).hexdigest()}
        token = jwt.encode(claims, key.private, algorithm="ES256", headers={"kid": key.kid, "typ": "JWT"})
        return {"Content-Type": "application/json", "Plaid-Verification": token}

    def _generate(self) -> SigningKey:
        return SigningKey(str(uuid4()), ec.generate_private_key(ec.SECP256R1()), self._seconds())

    def _seconds(self) -> int:
        return int(self.now().timestamp())
