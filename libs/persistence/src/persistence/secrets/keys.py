"""Master keys and what they do: AES-256-GCM around data keys, data keys around secrets. Pure.

A ciphertext is bound to its place by associated data: moved to another row, user, name, key or version, it does
not open.
"""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from persistence.secrets.names import encode

VARIABLE = "SECRETS_MASTER_KEYS"
KEY_BYTES = 32
NONCE_BYTES = 12
SCHEME = "v1"
_IDENTITY = re.compile(r"[A-Za-z0-9_-]{1,64}")


class MasterKeyMissingError(Exception):
    """No master key was given, or not the one a data key was wrapped with."""


class BadMasterKeyError(ValueError):
    """The master keys are not written as `id:base64 of 32 bytes, …`. It never repeats them."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The master keys of this process; new data keys are wrapped with the current one."""

    current: str
    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "KeyRing":
        """Read `id:base64,…`; the first is the current one, the others are only for opening.

        Raises:
            MasterKeyMissingError: there is none.
            BadMasterKeyError: one is malformed, or an id is there twice.
        """
        entries = [entry.strip() for entry in text.replace("\n", ",").split(",") if entry.strip()]
        if not entries:
            raise MasterKeyMissingError(f"{VARIABLE} is empty")
        keys: dict[str, bytes] = {}
        for number, entry in enumerate(entries, 1):
            identity, _, encoded = entry.partition(":")
            if not _IDENTITY.fullmatch(identity):
                raise BadMasterKeyError(f"{VARIABLE}: key {number} has no plain id before a colon")
            if identity in keys:
                raise BadMasterKeyError(f"{VARIABLE}: the id of key {number} is there twice")
            keys[identity] = _key(encoded, number)
        return cls(next(iter(keys)), keys)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "KeyRing":
        """Read SECRETS_MASTER_KEYS, or the file SECRETS_MASTER_KEYS_FILE names.

        Raises:
            MasterKeyMissingError: neither is given.
            BadMasterKeyError: they are malformed.
        """
        if text := environ.get(VARIABLE):
            return cls.parse(text)
        if path := environ.get(f"{VARIABLE}_FILE"):
            return cls.parse(Path(path).read_text(encoding="utf-8"))
        raise MasterKeyMissingError(f"{VARIABLE} is not set (nor {VARIABLE}_FILE); it has no default")

    def wrap(self, data_key: bytes, user_id: str, dek_id: str) -> tuple[str, bytes]:
        """Encrypt a data key with the current master key; returns that key's id and nonce + ciphertext."""
        bound = _bound(SCHEME, "dek", user_id, dek_id, self.current)
        nonce = os.urandom(NONCE_BYTES)
        return self.current, nonce + AESGCM(self.keys[self.current]).encrypt(nonce, data_key, bound)

    def unwrap(self, kek_id: str, wrapped: bytes, user_id: str, dek_id: str) -> bytes:
        """Decrypt a data key.

        Raises:
            MasterKeyMissingError: its master key is not in the ring.
            cryptography.exceptions.InvalidTag: it was altered or moved.
        """
        if kek_id not in self.keys:
            raise MasterKeyMissingError(f"a data key needs master key {kek_id!r}, which was not given")
        nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        bound = _bound(SCHEME, "dek", user_id, dek_id, kek_id)
        return AESGCM(self.keys[kek_id]).decrypt(nonce, sealed, bound)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret's ciphertext belongs."""

    user_id: str
    name: str
    secret_id: str
    dek_id: str
    version: int

    @property
    def bound(self) -> bytes:
        """The associated data."""
        return _bound(SCHEME, self.user_id, self.name, self.secret_id, self.dek_id, str(self.version))


def new_data_key() -> bytes:
    """A fresh data key."""
    return AESGCM.generate_key(KEY_BYTES * 8)


def seal(data_key: bytes, value: str, place: Place) -> tuple[bytes, bytes]:
    """Encrypt a value for its place; returns nonce and ciphertext."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce, AESGCM(data_key).encrypt(nonce, value.encode(), place.bound)


def unseal(data_key: bytes, nonce: bytes, ciphertext: bytes, place: Place) -> str:
    """Decrypt a value.

    Raises:
        cryptography.exceptions.InvalidTag: it was altered or moved.
    """
    return AESGCM(data_key).decrypt(nonce, ciphertext, place.bound).decode()


def _bound(*parts: str) -> bytes:
    # Encoded parts hold no bar, so no two lists of parts give the same text.
    return "|".join("/".join(encode(piece) for piece in part.split("/")) for part in parts).encode()


def _key(encoded: str, number: int) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise BadMasterKeyError(f"{VARIABLE}: key {number} is not base64 of {KEY_BYTES} bytes")
    return key
