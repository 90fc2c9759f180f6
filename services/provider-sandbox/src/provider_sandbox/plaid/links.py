"""Link tokens and the Hosted Link sessions opened with them."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from provider_sandbox.plaid.errors import PlaidError
from provider_sandbox.plaid.wire import new_request_id, new_token, timestamp
from provider_sandbox.world import Account

NEW_ITEM_LIFE = timedelta(hours=4)
UPDATE_LIFE = timedelta(minutes=30)
HOSTED_LIFE = {"sms": timedelta(days=1), "email": timedelta(days=7)}
DEFAULT_HOSTED_LIFE = timedelta(minutes=30)
SESSION_KEPT = timedelta(hours=6)


@dataclass(slots=True)
class LinkSession:
    """One visit of the user; `results` are `item_add_results`, `exit_status` is set when it was left."""

    started_at: datetime
    session_id: str = field(default_factory=lambda: str(uuid4()))
    finished_at: datetime | None = None
    results: list[dict[str, Any]] = field(default_factory=list)
    succeeded: bool = False
    exit_status: str | None = None
    error: str | None = None
    institution: dict[str, str] | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    def record(self, name: str, at: datetime, **metadata: str) -> None:
        """Add a Link event."""
        details = {**metadata, "request_id": new_request_id()}
        event = {"event_name": name, "event_id": str(uuid4()), "timestamp": timestamp(at)}
        self.events.append({**event, "event_metadata": details})

    def encode(self) -> dict[str, Any]:
        """The session as `/link/token/get` lists it."""
        return {
            "link_session_id": self.session_id,
            "started_at": timestamp(self.started_at),
            "finished_at": timestamp(self.finished_at) if self.finished_at else None,
            "events": list(self.events),
            "results": self._results() if self.succeeded else None,
            "exit": self._exit() if self.exit_status else None,
        }

    def _results(self) -> dict[str, Any]:
        return {
            "item_add_results": list(self.results),
            "cra_item_add_results": [],
            "cra_update_results": [],
            "bank_income_results": [],
            "payroll_income_results": [],
            "document_income_results": None,
        }

    def _exit(self) -> dict[str, Any]:
        return {
            "error": PlaidError(self.error).in_item() if self.error else None,
            "metadata": {
                "institution": self.institution,
                "status": self.exit_status,
                "link_session_id": self.session_id,
                "request_id": new_request_id(),
            },
        }


@dataclass(slots=True)
class LinkToken:
    """A link token, what it was created with and its sessions; `item_id` is set in update mode."""

    token: str
    client_name: str
    client_user_id: str | None
    language: str
    country_codes: tuple[str, ...]
    products: tuple[str, ...]
    consented: tuple[str, ...]
    webhook: str | None
    redirect_uri: str | None
    institution_id: str | None
    item_id: str | None
    account_filters: Mapping[str, tuple[str, ...]]
    hosted: bool
    completion_redirect_uri: str | None
    created_at: datetime
    expires_at: datetime
    handle: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    sessions: list[LinkSession] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether a session succeeded; the link cannot be used again."""
        return any(session.succeeded for session in self.sessions)

    def shares(self, account: Account) -> bool:
        """Whether the account filters let an account through; without filters every account passes."""
        subtypes = self.account_filters.get(account.plaid_type, ())
        return not self.account_filters or "all" in subtypes or account.plaid_subtype in subtypes

    def open_session(self, now: datetime) -> LinkSession:
        """The session under way, or a new one."""
        for session in self.sessions:
            if session.finished_at is None:
                return session
        session = LinkSession(now)
        session.record("OPEN", now)
        self.sessions.append(session)
        return session

    def encode(self, now: datetime) -> dict[str, Any]:
        """The body of `/link/token/get`; sessions are kept six hours after their end, newest first."""
        kept = [s for s in self.sessions if s.finished_at is None or now - s.finished_at < SESSION_KEPT]
        return {
            "link_token": self.token,
            "created_at": timestamp(self.created_at),
            "expiration": timestamp(self.expires_at),
            "link_sessions": [session.encode() for session in reversed(kept)],
            "metadata": {
                "initial_products": list(self.products),
                "webhook": self.webhook,
                "country_codes": list(self.country_codes),
                "language": self.language,
                "redirect_uri": self.redirect_uri,
                "client_name": self.client_name,
            },
        }


@dataclass(slots=True)
class Links:
    """All link tokens of this process, found by token or by the handle in their Hosted Link URL."""

    now: Callable[[], datetime]
    _tokens: dict[str, LinkToken] = field(default_factory=dict)
    _handles: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[LinkToken]:
        return iter(self._tokens.values())

    def add(self, life: timedelta, **fields: Any) -> LinkToken:
        """Create a link token living that long; `fields` are those of LinkToken without token and times."""
        now = self.now()
        link = LinkToken(token=new_token("link"), created_at=now, expires_at=now + life, **fields)
        self._tokens[link.token] = link
        self._handles[link.handle] = link.token
        return link

    def by_token(self, token: str) -> LinkToken:
        """The link token, or INVALID_LINK_TOKEN."""
        if token not in self._tokens:
            raise PlaidError("INVALID_LINK_TOKEN")
        return self._tokens[token]

    def by_handle(self, handle: str) -> LinkToken | None:
        """The link token a Hosted Link URL belongs to."""
        return self._tokens.get(self._handles.get(handle, ""))

    def restore(self, links: Iterable[LinkToken]) -> None:
        """Take these instead of the present ones."""
        self._tokens = {link.token: link for link in links}
        self._handles = {link.handle: link.token for link in self._tokens.values()}

    def clear(self) -> None:
        """Forget everything."""
        self._tokens.clear()
        self._handles.clear()
