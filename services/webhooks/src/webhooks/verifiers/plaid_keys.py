"""Plaid's verification keys: fetched when first met, kept for hours, and never more look-ups than Plaid would like.

Whoever calls us chooses the `kid`, so look-ups are what an attacker could spend: one at a time per key, unknown
keys remembered, and a ceiling per minute.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import structlog

from service_kit.clock import Clock, SystemClock
from service_kit.http_client import OPERATION
from webhooks.delivery import CannotVerifyError, ForgedError, Refusal
from webhooks.verifiers.plaid import public_key

log = structlog.get_logger(__name__)

PATH = "/webhook_verification_key/get"
VERSION = "2020-09-14"
KEPT = 12 * 3600.0
UNKNOWN_KEPT = 300.0
LOOKUPS = 10
MINUTE = 60.0
ANSWER_LIMIT = 64 * 1024
OUR_FAULT = frozenset({"INVALID_API_KEYS", "UNAUTHORIZED_ENVIRONMENT", "MISSING_FIELDS"})

Fetch = Callable[[str], Awaitable[jwt.PyJWK]]


@dataclass(frozen=True, slots=True)
class _Known:
    until: float
    key: jwt.PyJWK | None
    refusal: Refusal = Refusal.UNKNOWN_KEY


class PlaidKeys:
    """A cache of verification keys in front of Plaid."""

    def __init__(self, fetch: Fetch, *, clock: Clock | None = None) -> None:
        self._fetch = fetch
        self._clock = clock or SystemClock()
        self._known: dict[str, _Known] = {}
        self._running: dict[str, asyncio.Task[_Known]] = {}
        self._lookups: deque[float] = deque(maxlen=LOOKUPS)

    async def get(self, kid: str) -> jwt.PyJWK:
        """The key of this id.

        Raises:
            ForgedError: Plaid knows no such key, or it has expired.
            CannotVerifyError: Plaid cannot be asked now, or was asked too often this minute.
        """
        known = self._remembered(kid)
        if known is None:
            task = self._running.get(kid) or self._begin(kid)
            # Shielded: a caller that goes away must not take the answer from the others.
            known = await asyncio.shield(task)
        if known.key is None:
            raise ForgedError(known.refusal)
        return known.key

    def _remembered(self, kid: str) -> _Known | None:
        known = self._known.get(kid)
        if known is None or known.until > self._clock.monotonic():
            return known
        del self._known[kid]
        return None

    def _begin(self, kid: str) -> "asyncio.Task[_Known]":
        now = self._clock.monotonic()
        if len(self._lookups) == LOOKUPS and now - self._lookups[0] < MINUTE:
            raise CannotVerifyError("too many key look-ups this minute")
        self._lookups.append(now)
        task = asyncio.create_task(self._look_up(kid))
        self._running[kid] = task
        task.add_done_callback(lambda done: self._end(kid, done))
        return task

    async def _look_up(self, kid: str) -> _Known:
        try:
            key = await self._fetch(kid)
        except ForgedError as error:
            return _Known(self._clock.monotonic() + UNKNOWN_KEPT, None, error.reason)
        return _Known(self._clock.monotonic() + KEPT, key)

    def _end(self, kid: str, task: "asyncio.Task[_Known]") -> None:
        self._running.pop(kid, None)
        self._known = {k: v for k, v in self._known.items() if v.until > self._clock.monotonic()}
        if not task.cancelled() and task.exception() is None:
            self._known[kid] = task.result()


class PlaidKeyClient:
    """Asks Plaid for a key."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def __call__(self, kid: str) -> jwt.PyJWK:
        """Fetch the key of this id.

        Raises:
            ForgedError: Plaid knows no such key, or it has expired.
            CannotVerifyError: Plaid did not answer, or not with a key.
        """
        try:
            answer = await self._http.post(PATH, json={"key_id": kid}, extensions={OPERATION: f"POST {PATH}"})
        except httpx.TransportError as error:
            raise CannotVerifyError(f"Plaid cannot be asked: {type(error).__name__}") from error
        body = _body(answer)
        if answer.status_code == httpx.codes.OK and isinstance(body.get("key"), dict):
            return public_key(body["key"], kid)
        code = str(body.get("error_code"))[:64]
        if answer.status_code in {400, 404} and "error_code" in body and code not in OUR_FAULT:
            raise ForgedError(Refusal.UNKNOWN_KEY)
        log.error("plaid.key_not_fetched", status=answer.status_code, code=code)
        raise CannotVerifyError(f"Plaid answered {answer.status_code}")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def credentials(client_id: str, secret: str) -> dict[str, str]:
    """The headers of every request to Plaid."""
    return {"PLAID-CLIENT-ID": client_id, "PLAID-SECRET": secret, "Plaid-Version": VERSION}


def _body(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
