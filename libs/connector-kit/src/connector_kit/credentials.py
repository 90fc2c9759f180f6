"""What the engine needs to speak for a connection, kept in the secret store.

A connection's secret is stored with what it came from: should everything after the exchange be lost, the
store alone tells which link session the connection belongs to.
"""

import msgspec
from pydantic import SecretStr

from connector_kit import names
from connector_kit.connections import Connection
from connector_kit.engine import Engine
from connector_kit.users import user_access
from contracts.errors import ErrorCode, RefusedError
from contracts.linking import ConnectionAccess, LinkedConnection
from contracts.struct import Record
from persistence.secrets import SecretName, SecretNotFoundError, access_token


class Credential(Record, frozen=True, kw_only=True):
    """The value of a connection's secret."""

    secret: str
    external_id: str
    link_session_id: str
    institution_ref: str | None
    institution_name: str | None
    connection_type: str
    source: str | None

    def __repr__(self) -> str:
        return "Credential(…)"

    @property
    def linked(self) -> LinkedConnection:
        """The connection as the adapter handed it over."""
        return LinkedConnection(
            external_id=self.external_id,
            secret=self.secret,
            institution_ref=self.institution_ref,
            institution_name=self.institution_name,
            connection_type=self.connection_type,
            source=self.source,
        )


_DECODER = msgspec.json.Decoder(Credential)


async def keep(
    engine: Engine, user_id: str, institution: str, link_session_id: str, linked: LinkedConnection
) -> str | None:
    """Put a new connection's secret into the store; the path of its name, or None where there is no secret."""
    if linked.secret is None:
        return None
    name = access_token(engine.provider, user_id, institution, linked.external_id)
    credential = Credential(
        secret=linked.secret,
        external_id=linked.external_id,
        link_session_id=link_session_id,
        institution_ref=linked.institution_ref,
        institution_name=linked.institution_name,
        connection_type=linked.connection_type,
        source=linked.source,
    )
    await engine.secrets.put(name, SecretStr(msgspec.json.encode(credential).decode()))
    return name.path


async def kept(engine: Engine, user_id: str, link_session_id: str) -> list[LinkedConnection]:
    """The connections of a session whose secrets are in the store, whatever else is known of them."""
    prefix = names.access_tokens(engine.provider, user_id)
    found = [await at(engine, name) for name in await engine.secrets.names(prefix)]
    return [one.linked for one in found if one.link_session_id == link_session_id]


async def access(engine: Engine, connection: Connection) -> ConnectionAccess:
    """What the adapter needs to read a connection.

    Raises:
        RefusedError: a secret is not in the store, though it was put there.
    """
    secret = None
    if connection.secret_name is not None:
        try:
            secret = (await at(engine, SecretName.parse(connection.secret_name))).secret
        except SecretNotFoundError as error:
            raise RefusedError(
                "the connection's secret is not in the store",
                code=ErrorCode.INTERNAL,
                provider=engine.provider,
            ) from error
    user = await user_access(
        engine, connection.user_id, connection.external_user_id, has_secret=connection.user_has_secret
    )
    return ConnectionAccess(
        user_id=connection.user_id, external_id=connection.external_id, user=user, secret=secret
    )


async def forget(engine: Engine, connection: Connection) -> None:
    """Delete a connection's secret; one that is gone is fine."""
    if connection.secret_name is not None:
        await engine.secrets.delete(SecretName.parse(connection.secret_name))


async def at(engine: Engine, name: SecretName) -> Credential:
    """The credential of that name.

    Raises:
        SecretNotFoundError: there is none.
    """
    return _DECODER.decode((await engine.secrets.get(name)).value.get_secret_value())
