"""Link sessions: how one begins."""

import msgspec
from pydantic import SecretStr

from connector_kit import connections, credentials, intents, names
from connector_kit.engine import Engine
from connector_kit.users import enrolled
from contracts.errors import ErrorCode, GoneError
from contracts.linking import BeginLink, ConnectionAccess, LinkProgress, LinkRequest, LinkStart
from persistence.secrets import SecretName, SecretNotFoundError
from service_kit.api_errors import ApiError


async def begin(engine: Engine, request: LinkRequest) -> LinkStart:
    """Begin a link session: register the user where needed, and get the page to send the user to.

    Asked again, a session that has begun answers with the same page.

    Raises:
        ApiError: 404 a foreign connection is to be repaired; 409 the session is being begun by somebody else,
            or has ended.
        ProviderError: the provider did not do it.
    """
    # The user first: nothing may be begun at the provider for a user whose secret is not safe.
    user = await enrolled(engine, request.user_id)
    reconnect = await _to_repair(engine, request)
    external_id = reconnect.external_id if reconnect else None
    if not await intents.open_intent(engine.database, engine.provider, request, external_id):
        return await _begun_before(engine, request)
    webhook_url = engine.settings.webhook_url
    link = BeginLink(
        request=request,
        user=user,
        reconnect=reconnect,
        webhook_url=str(webhook_url) if webhook_url else None,
    )
    try:
        begun = await engine.adapter.begin_link(link)
    except BaseException:
        await intents.abandon_start(engine.database, request.link_session_id)
        raise
    session = Session(session_token=begun.session_token, start=begun.start)
    await engine.secrets.put(_name(engine, request), SecretStr(msgspec.json.encode(session).decode()))
    digest = names.digest(begun.session_token) if begun.session_token else None
    await intents.start(engine.database, request.link_session_id, digest, begun.start.expires_at)
    engine.metrics.linked("started")
    return begun.start


class Session(msgspec.Struct, frozen=True):
    """The secret of a link session: what is needed to finish it, and the page."""

    session_token: str | None
    start: LinkStart

    def __repr__(self) -> str:
        return "Session(…)"


_SESSION = msgspec.json.Decoder(Session)


async def session_of(engine: Engine, user_id: str, link_session_id: str) -> Session | None:
    """The secret of a session; None when it never had one or is finished."""
    try:
        secret = await engine.secrets.get(names.link_token(engine.provider, user_id, link_session_id))
    except SecretNotFoundError:
        return None
    return _SESSION.decode(secret.value.get_secret_value())


async def progress(engine: Engine, link_session_id: str, user_id: str) -> LinkProgress | None:
    """How a session stands as far as we know, without asking the provider; None for a foreign one."""
    intent = await intents.get(engine.database, engine.provider, link_session_id, user_id)
    return intent.progress if intent else None


async def _to_repair(engine: Engine, request: LinkRequest) -> ConnectionAccess | None:
    """The access to the connection that is to be repaired.

    Raises:
        ApiError: 404, it is unknown or another user's.
        GoneError: it was removed.
    """
    if request.reconnect_connection_id is None:
        return None
    found = await connections.find(engine.database, engine.provider, request.reconnect_connection_id)
    if found is None or found.user_id != request.user_id:
        raise ApiError(ErrorCode.NOT_FOUND, 404, "There is no such connection.")
    if found.unlinked:
        raise GoneError(
            "the connection was removed", code=ErrorCode.CONNECTION_GONE, provider=engine.provider
        )
    return await credentials.access(engine, found)


async def _begun_before(engine: Engine, request: LinkRequest) -> LinkStart:
    intent = await intents.get(engine.database, engine.provider, request.link_session_id, request.user_id)
    if intent is None:
        # The id is taken by another user's session; say no more than for any unknown thing.
        raise ApiError(ErrorCode.NOT_FOUND, 404, "There is no such link session.")
    session = None
    if intent.started:
        session = await session_of(engine, request.user_id, request.link_session_id)
    if session is None or session.start.expires_at <= engine.clock.now():
        raise ApiError(ErrorCode.CONFLICT, 409, "The link session is being started, or is over.")
    return session.start


def _name(engine: Engine, request: LinkRequest) -> SecretName:
    return names.link_token(engine.provider, request.user_id, request.link_session_id)
