"""The connection portal: a page a person clicks through and a script drives with one form post.

`GET /snapTrade/redeemToken?token=...` shows the form; `POST` to the same address with `broker` (when there is a
choice), `username`, `scenario` and `action` (`finish` or `abandon`) ends the session. The outcome is a redirect to the
application when it asked for that, else a result page; both carry the documented query items.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from provider_sandbox.snaptrade import brokerages, portal_pages
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.snaptrade.store import ConnectionType, PortalSession
from provider_sandbox.snaptrade.user_routes import PORTAL_PATH
from provider_sandbox.world import Institution

SUCCEEDING = (
    ("self-directed", "Self-directed"),
    ("cash-only", "Cash only"),
    ("no-transactions", "No transactions"),
    ("no-accounts", "No accounts"),
    ("every-kind", "Every kind of instrument"),
)
_SANDBOX = "snaptrade-sandbox"


@dataclass(frozen=True, slots=True)
class Failure:
    """A way to fail: what the redirect and the webhook say."""

    status_code: int
    error_code: str
    result: str
    detail: str


_INVALID = Failure(403, "1066", "INVALID_CREDENTIALS", "The brokerage did not accept these credentials.")
_FAILURES = {
    "invalid-credentials": _INVALID,
    "account-locked": Failure(500, "3000", "UNCAUGHT_ERROR", "The account is locked at the brokerage."),
    "rate-limited": Failure(429, "0000", "UNCAUGHT_ERROR", "The brokerage limits the number of attempts."),
}
FAILING = (
    ("invalid-credentials", "Invalid credentials"),
    ("account-locked", "Account locked"),
    ("rate-limited", "Rate limited"),
)
_DIFFERENT = Failure(400, "1023", "DIFFERENT_ACCOUNT", "This is a different brokerage login.")
_NO_TRADING = Failure(400, "1012", "UNCAUGHT_ERROR", "This brokerage does not have a trade type available.")


class Portal:
    """The two handlers of the portal page."""

    def __init__(self, face: SnapTradeFace) -> None:
        self._face = face

    def routes(self) -> list[Route]:
        """The routes to mount."""
        return [
            Route(PORTAL_PATH, self.show, methods=["GET"]),
            Route(PORTAL_PATH, self.submit, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Show the form, or say that the link is dead."""
        session = self._session(request.query_params.get("token", ""))
        if session is None:
            return _dead_link()
        brokers = [(i.slug, i.name) for i in self._choices(session)]
        sandbox_only = all(slug == _SANDBOX for slug, _ in brokers)
        scenarios = (*(() if sandbox_only else (("success", "Success"),)), *SUCCEEDING, *FAILING)
        if not any(slug == _SANDBOX for slug, _ in brokers):
            scenarios = (("success", "Success"), *FAILING)
        page = portal_pages.connect_page(
            {"token": session.token},
            brokers,
            scenarios,
            access=session.connection_type,
            dark=session.dark_mode,
        )
        return HTMLResponse(page)

    async def submit(self, request: Request) -> Response:
        """Take the form and end the session, or report a failed attempt that may be repeated."""
        form = dict(parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True))
        token = form.get("token") or request.query_params.get("token", "")
        session = self._session(token)
        if session is None:
            return _dead_link()
        if form.get("action") == "abandon":
            session.done = True
            return _outcome(
                session, {"status": "ABANDONED"}, "Nothing was connected", "You closed the portal."
            )
        institution = self._chosen(session, form.get("broker", ""))
        if institution is None:
            return _dead_link()
        outcome = self._attempt(session, institution, form)
        if isinstance(outcome, Failure):
            self._face.state.spawn(self._face.emit_attempt(session.user, institution, outcome.result))
            return _failed(session, outcome)
        session.done = True
        query = {"status": "SUCCESS", "connection_id": outcome}
        return _outcome(session, query, "Connected", f"{institution.name} is connected.")

    def _session(self, token: str) -> PortalSession | None:
        session = self._face.store.sessions.get(token)
        if session is None or session.done or self._face.now() >= session.expires:
            return None
        return session

    def _choices(self, session: PortalSession) -> list[Institution]:
        if session.reconnect in session.user.connections:
            return [self._face.institution(session.user.connections[session.reconnect])]
        known = brokerages.known(self._face.state.world)
        if session.broker is not None:
            return [i for i in known if i.slug == session.broker]
        return [i for i in known if session.connection_type != "trade" or i.snaptrade_allows_trading]

    def _chosen(self, session: PortalSession, slug: str) -> Institution | None:
        choices = self._choices(session)
        if len(choices) == 1:
            return choices[0]
        return next((i for i in choices if slug in {i.slug, i.snaptrade_slug}), None)

    def _attempt(
        self, session: PortalSession, institution: Institution, form: dict[str, str]
    ) -> Failure | str:
        scenario = form.get("scenario", "success")
        if scenario in _FAILURES:
            return _FAILURES[scenario]
        if session.connection_type == "trade" and not institution.snaptrade_allows_trading:
            return _NO_TRADING
        scripted = institution.slug == _SANDBOX and scenario in dict(SUCCEEDING)
        username = scenario if scripted else form.get("username", "").strip()
        login = self._face.state.world.login(username, institution.slug)
        if login is None:
            return _INVALID
        kind: ConnectionType = "read"
        if session.connection_type != "read" and institution.snaptrade_allows_trading:
            kind = "trade"
        if session.reconnect is None:
            return self._face.connect(session.user, institution, login, kind).id
        return self._repair(session, login.username, kind)

    def _repair(self, session: PortalSession, username: str, kind: ConnectionType) -> Failure | str:
        connection = session.user.connections.get(session.reconnect or "")
        if connection is None or connection.username != username:
            return _DIFFERENT
        self._face.reconnect(connection, kind)
        return connection.id


def _with_query(url: str, query: dict[str, Any]) -> str:
    parts = urlsplit(url)
    joined = "&".join(filter(None, (parts.query, urlencode(query))))
    return urlunsplit(parts._replace(query=joined))


def _outcome(session: PortalSession, query: dict[str, Any], title: str, detail: str) -> Response:
    target = _with_query(session.custom_redirect, query) if session.custom_redirect else None
    if target is not None and session.immediate_redirect:
        return RedirectResponse(target, 303)
    retry = f"{PORTAL_PATH}?token={session.token}" if not session.done else None
    return HTMLResponse(
        portal_pages.result_page(title, detail, return_to=target, retry=retry, dark=session.dark_mode),
    )


def _failed(session: PortalSession, failure: Failure) -> Response:
    query = {"status": "ERROR", "status_code": failure.status_code, "error_code": failure.error_code}
    return _outcome(session, query, "The connection failed", failure.detail)


def _dead_link() -> Response:
    page = portal_pages.result_page(
        "This link is no longer valid",
        "A connection link works once and for five minutes. Please start again from the application. (1006)",
        return_to=None,
        retry=None,
        dark=False,
    )
    return HTMLResponse(page, 400)
