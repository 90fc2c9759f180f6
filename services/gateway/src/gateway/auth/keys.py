"""Where the key that checks a token comes from: the development secret, or the issuer's published keys."""

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import jwt
import structlog

from gateway.auth.tokens import TokenRefusedError
from service_kit.clock import Clock
from service_kit.http_client import OPERATION

log = structlog.get_logger(__name__)

MAX_AGE = 600.0
"""Seconds a set of keys is believed: a removed key stops working within ten minutes."""
STALE_IF_ERROR = 3600.0
"""Seconds an old set still serves while the issuer cannot be reached."""
MIN_INTERVAL = 30.0
"""Seconds between fetches, so that random key ids cannot make us hammer the issuer."""
AFTER_FAILURE = 5.0
"""Seconds until an issuer that did not answer is asked again."""
ALGORITHMS = ("RS256", "ES256")


class IssuerUnreachableError(Exception):
    """The issuer's keys cannot be had, so nobody can be told from anybody: come back later."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key and the algorithms it may be used with."""

    value: Any
    algorithms: list[str]


class KeySource(Protocol):
    """Finds the key for a token by its header."""

    async def find(self, header: dict[str, Any]) -> Key:
        """The key; ``TokenRefusedError`` when there is none."""
        ...


class SharedSecret:
    """The development secret."""

    def __init__(self, secret: str) -> None:
        self._key = Key(secret, ["HS256"])

    async def find(self, header: dict[str, Any]) -> Key:  # noqa: ARG002 - part of the port; there is one key
        """The one key there is; a token signed otherwise fails its signature check."""
        return self._key


class IssuerKeys:
    """The issuer's keys, fetched once for all who wait and kept for ten minutes."""

    def __init__(self, http: httpx.AsyncClient, path: str, clock: Clock) -> None:
        self._http = http
        self._path = path
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched: float | None = None
        self._next_try = float("-inf")
        self._fetching = asyncio.Lock()

    async def find(self, header: dict[str, Any]) -> Key:
        """The key the token names.

        Raises:
            TokenRefusedError: no such key, or an algorithm we do not accept.
            IssuerUnreachableError: there are no keys, or they are too old to be believed.
        """
        kid, algorithm = header.get("kid"), header.get("alg")
        if not isinstance(kid, str) or algorithm not in ALGORITHMS:
            raise TokenRefusedError("the token names no key of an accepted algorithm")
        if self._age() > MAX_AGE or kid not in self._keys:
            await self._refresh()
        if self._age() > STALE_IF_ERROR:
            raise IssuerUnreachableError
        if kid not in self._keys:
            raise TokenRefusedError("the issuer has no such key")
        key = self._keys[kid]
        if key.algorithm_name != algorithm:
            raise TokenRefusedError("the key is for another algorithm")
        return Key(key.key, [key.algorithm_name])

    def _age(self) -> float:
        return float("inf") if self._fetched is None else self._clock.monotonic() - self._fetched

    async def _refresh(self) -> None:
        """Fetch the keys, one for all who wait; old keys keep serving while the issuer does not answer."""
        async with self._fetching:
            now = self._clock.monotonic()
            if now < self._next_try:
                return
            self._next_try = now + AFTER_FAILURE
            document = await self._fetched_document()
            if document is not None:
                self._keys = _usable(document)
                self._fetched = now
                self._next_try = now + MIN_INTERVAL

    async def _fetched_document(self) -> dict[str, Any] | None:
        try:
            answer = await self._http.get(self._path, extensions={OPERATION: "jwks"})
            document = answer.json() if answer.status_code == httpx.codes.OK else None
        except (httpx.HTTPError, ValueError, RecursionError) as error:
            log.warning("issuer.unreachable", error=type(error).__name__)
            return None
        return document if isinstance(document, dict) and isinstance(document.get("keys"), list) else None


def _usable(document: dict[str, Any]) -> dict[str, jwt.PyJWK]:
    keys: dict[str, jwt.PyJWK] = {}
    for row in document["keys"]:
        if isinstance(row, dict) and isinstance(row.get("kid"), str) and row.get("use", "sig") == "sig":
            try:
                key = jwt.PyJWK.from_dict(row)
            except jwt.PyJWTError:
                # A key of a kind we do not use is not a reason to refuse the others.
                continue
            if key.algorithm_name in ALGORITHMS:
                keys[row["kid"]] = key
    return keys
