"""Users, client configuration and the login that opens the connection portal."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from provider_sandbox.snaptrade import brokerages, errors
from provider_sandbox.snaptrade.endpoint import Endpoint
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.snaptrade.gate import SignedCall
from provider_sandbox.snaptrade.numbers import moment
from provider_sandbox.snaptrade.store import PORTAL_LIFETIME, Connection, PortalSession
from provider_sandbox.traffic import note
from provider_sandbox.world import Institution

PORTAL_PATH = "/snapTrade/redeemToken"
_CONNECTION_TYPES = frozenset({"read", "trade", "trade-if-available"})
_SCRIPT_SCHEMES = frozenset({"", "javascript", "data", "vbscript"})
_LOCALES = frozenset({"en", "ptbr"})


def status(face: SnapTradeFace, _: SignedCall) -> dict[str, Any]:
    """`GET /`: the server's clock, unsigned."""
    return {"version": 153, "timestamp": moment(face.now()), "online": True}


def list_users(face: SnapTradeFace, call: SignedCall) -> list[str]:
    """`GET /snapTrade/listUsers`."""
    return [user.user_id for user in face.store.users_of(call.client.client_id)]


def register_user(face: SnapTradeFace, call: SignedCall) -> dict[str, str]:
    """`POST /snapTrade/registerUser`: the secret is only shown here."""
    user = face.register(call.client, call.required("userId"))
    note(call.request, user=user.user_id)
    return {"userId": user.user_id, "userSecret": user.secret}


def delete_user(face: SnapTradeFace, call: SignedCall) -> dict[str, str]:
    """`DELETE /snapTrade/deleteUser`: queued, done when USER_DELETED arrives."""
    user = face.store.users.get((call.client.client_id, call.query("userId")))
    if user is None:
        raise errors.not_found()
    note(call.request, user=user.user_id)
    face.state.spawn(face.delete_user(user))
    return {"status": "deleted", "detail": "User queued for deletion.", "userId": user.user_id}


def reset_user_secret(face: SnapTradeFace, call: SignedCall) -> dict[str, str]:
    """`POST /snapTrade/resetUserSecret`: old secret in, new one out."""
    user = face.store.users.get((call.client.client_id, call.required("userId")))
    if user is None or user.secret != call.required("userSecret"):
        raise errors.bad_user()
    note(call.request, user=user.user_id)
    user.rotate_secret()
    return {"userId": user.user_id, "userSecret": user.secret}


def partners(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /snapTrade/partners`: the client's configuration."""
    shown = [brokerages.brokerage(i, realtime=face.realtime) for i in brokerages.known(face.state.world)]
    return {
        "slug": call.client.client_id,
        "name": "Provider sandbox customer",
        "logo_url": None,
        "allowed_brokerages": shown,
        "can_access_trades": True,
        "can_access_holdings": True,
        "can_access_account_history": True,
        "can_access_reference_data": True,
        "can_access_portfolio_management": False,
        "can_access_orders": True,
        "redirect_uri": None,
        "pin_required": False,
    }


def login(face: SnapTradeFace, call: SignedCall) -> dict[str, str]:
    """`POST /snapTrade/login`: a portal link for five minutes."""
    if call.body is not None and not isinstance(call.body, dict):
        raise errors.invalid("Invalid data. Expected a dictionary.")
    _check_locale(call)
    kind = call.member("connectionType") or "read"
    if kind not in _CONNECTION_TYPES:
        raise errors.invalid(f'connectionType: "{kind}" is not a valid choice.')
    known = _connection_to_repair(face, call)
    institution = _institution(face, call)
    if kind == "trade" and institution is not None and not institution.snaptrade_allows_trading:
        raise errors.invalid(f"{institution.snaptrade_slug} does not have a trade type available")
    session = PortalSession(
        user=call.user,
        expires=face.now() + PORTAL_LIFETIME,
        broker=institution.slug if institution else None,
        immediate_redirect=_flag(call, "immediateRedirect"),
        custom_redirect=_url(call, "customRedirect"),
        reconnect=known.id if known else None,
        connection_type=kind,
        dark_mode=_flag(call, "darkMode"),
    )
    face.store.sessions[session.token] = session
    query = {"token": session.token, "clientId": call.client.client_id, "sessionId": session.session_id}
    if institution is not None:
        query["broker"] = institution.snaptrade_slug or ""
    link = (
        f"{face.settings.snaptrade_url}{PORTAL_PATH}?{urlencode(query | {'connectionPortalVersion': 'v4'})}"
    )
    return {"redirectURI": link, "sessionId": session.session_id}


def _check_locale(call: SignedCall) -> None:
    locale = call.member("locale")
    if locale is not None and str(locale).lower().replace("-", "").replace("_", "") not in _LOCALES:
        raise errors.invalid(f'locale: "{locale}" is not supported.')


def _flag(call: SignedCall, name: str) -> bool:
    value = call.member(name)
    if value is not None and not isinstance(value, bool):
        raise errors.invalid(f"{name}: Must be a valid boolean.")
    return bool(value)


def _url(call: SignedCall, name: str) -> str | None:
    value = call.member(name)
    if value in {None, ""}:
        return None
    scheme, separator, _ = str(value).partition("://")
    if not isinstance(value, str) or not separator or scheme.lower() in _SCRIPT_SCHEMES:
        raise errors.invalid(f"{name}: Enter a valid URL.")
    return value


def _connection_to_repair(face: SnapTradeFace, call: SignedCall) -> Connection | None:
    wanted = call.member("reconnect")
    if wanted in {None, ""}:
        return None
    try:
        UUID(wanted)
    except (ValueError, TypeError, AttributeError) as error:
        raise errors.invalid("reconnect: Must be a valid UUID.") from error
    return face.find_connection(call, wanted)


def _institution(face: SnapTradeFace, call: SignedCall) -> Institution | None:
    slug = call.member("broker")
    if slug in {None, ""}:
        return None
    found = face.state.world.by_snaptrade_slug(str(slug))
    if found is None:
        raise errors.invalid(f"Brokerage with slug {slug} is not available")
    return found


ENDPOINTS = (
    Endpoint("GET", "/", status, "open"),
    Endpoint("GET", "/snapTrade/listUsers", list_users, "commercial"),
    Endpoint("POST", "/snapTrade/registerUser", register_user, "commercial"),
    Endpoint("DELETE", "/snapTrade/deleteUser", delete_user, "commercial"),
    Endpoint("POST", "/snapTrade/resetUserSecret", reset_user_secret, "commercial"),
    Endpoint("GET", "/snapTrade/partners", partners, "client"),
    Endpoint("POST", "/snapTrade/login", login),
)
