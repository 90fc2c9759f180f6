"""A frontend of the gateway, as small as one can be."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt

TERMINAL = {"completed", "failed", "expired", "abandoned"}


class DemoError(Exception):
    """The demo cannot go on; the message says where it stopped."""


def development_token(secret: str, user_id: str, *, seconds: int = 8 * 3600) -> str:
    """A user token as the gateway accepts it in development."""
    now = int(time.time())
    claims = {
        "iss": "onefolio-development",
        "aud": "onefolio",
        "sub": user_id,
        "roles": ["user"],
        "iat": now,
        "exp": now + seconds,
    }
    return jwt.encode(claims, secret, algorithm="HS256")


class Frontend:
    """Calls the gateway as one user."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=15, trust_env=False
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **query: str) -> Any:
        """Read something."""
        return self._checked(self._retried(lambda: self._http.get(path, params=query)), path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Ask for something."""
        return self._checked(self._retried(lambda: self._http.post(path, json=body)), path)

    def link(
        self, institution: str, visit: Callable[[str], None], *, provider: str | None = None
    ) -> dict[str, Any]:
        """Link an institution: begin, let somebody visit the provider's page, complete, and wait for the end.

        Raises:
            DemoError: the session did not complete.
        """
        wish = {"institution": institution} | ({"provider": provider} if provider else {})
        session = self.post("/v1/link", wish)
        visit(session["url"])
        self.post(f"/v1/link/{session['id']}/complete", {})
        done = self.wait(
            lambda: self.get(f"/v1/link/{session['id']}"),
            lambda now: now["status"] in TERMINAL,
            f"the link of {institution} to end",
        )
        if done["status"] != "completed":
            raise DemoError(f"linking {institution} ended as {done['status']}: {done.get('reason')}")
        return dict(session | done)

    def wait(
        self, read: Callable[[], Any], enough: Callable[[Any], bool], what: str, *, seconds: float = 60
    ) -> Any:
        """Read until it is enough.

        Raises:
            DemoError: it never was.
        """
        deadline = time.monotonic() + seconds
        while not enough(value := read()):
            if time.monotonic() > deadline:
                raise DemoError(f"waited {seconds:.0f} s for {what}")
            time.sleep(0.05)
        return value

    def _retried(self, call: Callable[[], httpx.Response]) -> httpx.Response:
        """A gateway that is just being restarted is asked again."""
        deadline = time.monotonic() + 20
        while True:
            try:
                answer = call()
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer
            if time.monotonic() > deadline:
                raise DemoError("the gateway does not answer")
            time.sleep(0.2)

    def _checked(self, answer: httpx.Response, path: str) -> Any:
        if answer.is_success:
            return answer.json()
        error = answer.json().get("error", {}) if "json" in answer.headers.get("content-type", "") else {}
        raise DemoError(
            f"{path} answered {answer.status_code} {error.get('code', '')}: {error.get('message', '')}"
        )
