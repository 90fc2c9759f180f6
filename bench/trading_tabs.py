"""Browser tabs of users who trade: they ask again when nobody answers, always with the same key, and never give up early."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

PREVIEW, PLACE = "/v1/trading/impact", "/v1/trading/place"
UNREACHABLE = 90.0
"""Seconds for which a tab asks again while nobody answers: a killed gateway comes back."""
UNDER_WAY = 4.0
"""Seconds for which it asks again while another request with its key is under way."""
PAUSE, POLITE = 0.4, 1.0
"""Seconds between two tries: while nobody answers, and when told to come again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tab was told in the end."""

    status: int
    body: Mapping[str, Any]
    replayed: bool = False

    @property
    def code(self) -> str:
        """The error's code; empty where there is none."""
        return str(self._error.get("code", ""))

    @property
    def order_id(self) -> str | None:
        """Which order it is about, if any was let through."""
        found = self.body.get("order_id") or self.details.get("order_id")
        return found if isinstance(found, str) else None

    @property
    def made(self) -> bool:
        """Whether the order was let through by the request that this answers."""
        return "order_id" in self.body or ("state" in self.details and self.code != "ORDER_BEING_VERIFIED")

    @property
    def details(self) -> Mapping[str, Any]:
        """The error's details."""
        found = self._error.get("details")
        return found if isinstance(found, dict) else {}

    @property
    def _error(self) -> Mapping[str, Any]:
        found = self.body.get("error")
        return found if isinstance(found, dict) else {}


class Tabs:
    """Tabs of any number of users, over as many gateways as there are."""

    def __init__(self, gateways: list[str], token: Callable[[str], str]) -> None:
        self._gateways = gateways
        self._mint = token
        self._tokens: dict[str, str] = {}
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=20),
            timeout=aiohttp.ClientTimeout(total=60, connect=5),
            trust_env=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def preview(self, user: str, order: Mapping[str, Any], tab: int = 0) -> Answer:
        """Preview an order, asking again while nobody answers or the broker is out of reach."""
        return await self._patiently(user, PREVIEW, order, {}, tab)

    async def place(
        self, user: str, preview_id: str, key: str, flags: Mapping[str, Any], *, tab: int = 0
    ) -> Answer | None:
        """Place what was previewed, as often as it takes to learn what came of it; None: it is still under way."""
        body = {"preview_id": preview_id, **flags}
        deadline = time.monotonic() + UNREACHABLE
        waiting = None
        while True:
            answer = await self._patiently(user, PLACE, body, {"Idempotency-Key": key}, tab)
            if answer.code not in {"REQUEST_IN_PROGRESS", "ORDER_RATE_LIMITED"}:
                return answer
            if answer.code == "REQUEST_IN_PROGRESS":
                waiting = waiting or time.monotonic() + UNDER_WAY
            if time.monotonic() > (waiting or deadline):
                return None
            await asyncio.sleep(POLITE)

    async def once(
        self,
        method: str,
        path: str,
        token: str | None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        tab: int = 0,
    ) -> Answer:
        """Ask once, with whatever token.

        Raises:
            aiohttp.ClientError: nobody answered.
            TimeoutError: not in time.
        """
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        url = self._gateways[tab % len(self._gateways)] + path
        data = None if body is None else json.dumps(body)
        async with self._http.request(method, url, data=data, headers=sent) as answer:
            text = await answer.text()
            replayed = answer.headers.get("Idempotency-Replayed") == "true"
            return Answer(answer.status, _object(text), replayed)

    def token(self, user: str) -> str:
        """What the user shows; minted once."""
        if user not in self._tokens:
            self._tokens[user] = self._mint(user)
        return self._tokens[user]

    async def _patiently(
        self, user: str, path: str, body: Mapping[str, Any], headers: Mapping[str, str], tab: int
    ) -> Answer:
        deadline = time.monotonic() + UNREACHABLE
        while True:
            try:
                answer = await self.once("POST", path, self.token(user), body, headers, tab=tab)
            except (aiohttp.ClientError, TimeoutError):
                answer = Answer(503, {})
            # A refusal with the id of an order is its end; any other 5xx is somebody who is away, and so is who
            # would have given the price.
            away = answer.status >= 500 or answer.details.get("reason") == "unpriced"
            if not away or answer.made or time.monotonic() > deadline:
                return answer
            await asyncio.sleep(PAUSE)


def new_key() -> str:
    """A key as an app makes it when the ticket is opened."""
    return str(uuid.uuid4())


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
