"""Who is calling: key, signature, clock, rate limit, user - in that order, as the real API refuses."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from starlette.requests import Request

from provider_sandbox import json_body
from provider_sandbox.snaptrade import errors
from provider_sandbox.snaptrade.limits import RollingLimit
from provider_sandbox.snaptrade.signing import request_is_signed
from provider_sandbox.snaptrade.store import Client, Store, User

Access = Literal["open", "client", "commercial", "user"]


@dataclass(slots=True)
class SignedCall:
    """A request that passed the gate. `headers` go onto the answer."""

    request: Request
    body: Any
    admitted_client: Client | None = None
    admitted_user: User | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def client(self) -> Client:
        """The API key; only on signed endpoints."""
        if self.admitted_client is None:
            raise errors.missing_credentials()
        return self.admitted_client

    @property
    def user(self) -> User:
        """The user; only on user-scoped endpoints."""
        if self.admitted_user is None:
            raise errors.missing_credentials()
        return self.admitted_user

    def path(self, name: str) -> str:
        """A path parameter."""
        return str(self.request.path_params[name])

    def query(self, name: str, default: str = "") -> str:
        """A query item, empty when absent."""
        return self.request.query_params.get(name, default)

    def member(self, name: str) -> Any:
        """A member of the JSON body, None when absent."""
        return self.body.get(name) if isinstance(self.body, dict) else None

    def required(self, name: str) -> str:
        """A string member of the body that must be there."""
        value = self.member(name)
        if not isinstance(value, str) or not value:
            raise errors.invalid(f"{name}: This field is required.")
        return value


class Gate:
    """Checks requests against the store; `limit` counts signed requests per client."""

    def __init__(self, store: Store, limit: RollingLimit, skew_seconds: float) -> None:
        self._store, self._limit, self._skew = store, limit, skew_seconds

    def admit(self, call: SignedCall, raw_body: bytes, access: Access, now: datetime) -> None:
        """Fill in client and user of a call; raises the SnapTradeError it must be refused with."""
        if access == "open":
            return
        client = self._signed_by(call, raw_body, now)
        call.admitted_client = client
        call.headers.update(self._limit.take(client.client_id, now))
        if access == "commercial" and client.personal:
            raise errors.forbidden()
        if access == "user":
            call.admitted_user = self._user(call, client)

    def _signed_by(self, call: SignedCall, raw_body: bytes, now: datetime) -> Client:
        if not call.query("clientId") or not call.query("timestamp"):
            raise errors.missing_credentials()
        client = self._store.clients.get(call.query("clientId"))
        if client is None:
            raise errors.unknown_client()
        scope = call.request.scope
        path = scope["raw_path"].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        signature = call.request.headers.get("Signature", "")
        if not request_is_signed(signature, client.consumer_key, path, query, raw_body):
            raise errors.bad_signature()
        self._check_clock(call.query("timestamp"), now)
        return client

    def _check_clock(self, timestamp: str, now: datetime) -> None:
        if not (timestamp.isascii() and timestamp.isdigit()):
            raise errors.bad_timestamp()
        if abs(int(timestamp) - now.timestamp()) > self._skew:
            raise errors.bad_timestamp()

    def _user(self, call: SignedCall, client: Client) -> User:
        user_id, secret = call.query("userId"), call.query("userSecret")
        if client.personal:
            if user_id or secret:
                raise errors.bad_user()
            return self._store.users[client.client_id, client.client_id]
        if not user_id or not secret:
            raise errors.missing_credentials()
        user = self._store.users.get((client.client_id, user_id))
        if user is None or user.secret != secret:
            raise errors.bad_user()
        return user


def parse_body(raw_body: bytes) -> Any:
    """Return the parsed JSON body, None when there is none; raises the 400 when it is not JSON."""
    if not raw_body:
        return None
    try:
        return json_body.parse(raw_body)
    except ValueError as error:
        raise errors.invalid(f"JSON parse error - {error}") from error
