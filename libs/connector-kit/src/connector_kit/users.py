"""The table ``sync.provider_users``: who is registered at the provider, and how a user gets there once.

A registration cannot be asked about afterwards and gives its secret once. So the intent to register is
committed first, and a registration whose answer was lost is not repeated under the same name: the next
attempt uses another one. What was lost owns no connection and costs nothing.
"""

from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

import structlog
from psycopg.rows import class_row
from pydantic import SecretStr

from connector_kit.engine import Engine
from contracts.errors import ErrorCode, ProviderError, RefusedError, TransientError
from contracts.linking import UserAccess
from persistence.database import Database
from persistence.secrets import SecretNotFoundError, user_secret

log = structlog.get_logger(__name__)

TAKEN_FOR = timedelta(seconds=60)
LOOK_EVERY = 0.05
LOOKS = 400
SERVER_FAULT = HTTPStatus.INTERNAL_SERVER_ERROR


@dataclass(frozen=True, slots=True)
class ProviderUser:
    """A user as the provider keeps it; ``external_user_id`` is None where it keeps none."""

    registered: bool
    external_user_id: str | None
    has_secret: bool
    attempt: int
    mine: bool


async def enrolled(engine: Engine, user_id: str) -> UserAccess | None:
    """The user's access at the provider, registering the user the first time.

    Concurrent callers register once: the others wait for the one who does.

    Raises:
        ProviderError: the registration failed.
    """
    for _ in range(LOOKS):
        user = await _take(engine.database, engine.provider, user_id)
        if user.registered:
            return await _access(engine, user_id, user)
        if user.mine:
            return await _register(engine, user_id, user.attempt)
        await engine.sleep(LOOK_EVERY)
    raise TransientError(
        "the user is being registered", code=ErrorCode.PROVIDER_UNAVAILABLE, provider=engine.provider
    ).waiting(TAKEN_FOR.total_seconds())


async def _register(engine: Engine, user_id: str, attempt: int) -> UserAccess | None:
    name = user_id if attempt == 1 else f"{user_id}.{attempt}"
    if attempt > 1:
        log.warning("user.registered_again", provider=engine.provider, attempt=attempt)
    try:
        access = await engine.adapter.enroll(name)
    except ProviderError as error:
        # A refusal is an answer: nothing was registered, and the next attempt may use the name.
        spent = 0 if refused(error) else 1
        await _let_go(engine.database, engine.provider, user_id, attempt - 1 + spent)
        raise
    if access is not None and access.secret is not None:
        await engine.secrets.put(user_secret(engine.provider, user_id), SecretStr(access.secret))
    await _registered(engine.database, engine.provider, user_id, access)
    return access


def refused(error: ProviderError) -> bool:
    """Whether an error proves that the provider did nothing."""
    answered = error.status is not None and HTTPStatus.BAD_REQUEST <= error.status < SERVER_FAULT
    return isinstance(error, RefusedError) or answered


async def _access(engine: Engine, user_id: str, user: ProviderUser) -> UserAccess | None:
    return await user_access(engine, user_id, user.external_user_id, has_secret=user.has_secret)


async def user_access(
    engine: Engine, user_id: str, external_user_id: str | None, *, has_secret: bool
) -> UserAccess | None:
    """The access of a registered user; None where the provider keeps no users.

    Raises:
        RefusedError: the user's secret is not in the store, though it was put there.
    """
    if external_user_id is None:
        return None
    if not has_secret:
        return UserAccess(external_user_id=external_user_id, secret=None)
    try:
        secret = await engine.secrets.get(user_secret(engine.provider, user_id))
    except SecretNotFoundError as error:
        raise RefusedError(
            "the user's secret is not in the store", code=ErrorCode.INTERNAL, provider=engine.provider
        ) from error
    return UserAccess(external_user_id=external_user_id, secret=secret.value.get_secret_value())


async def registered_access(engine: Engine, user_id: str) -> UserAccess | None:
    """The access of a user who may or may not be registered."""
    async with engine.database.transaction(rows=class_row(ProviderUser)) as conn:
        cursor = await conn.execute(
            """SELECT state = 'registered' AS registered, external_user_id, has_secret, attempt, false AS mine
                 FROM sync.provider_users WHERE provider = %s AND user_id = %s""",
            (engine.provider, user_id),
        )
        user = await cursor.fetchone()
    return await _access(engine, user_id, user) if user and user.registered else None


async def _take(database: Database, provider: str, user_id: str) -> ProviderUser:
    """The user's row; ``mine`` when the caller is the one to register the user now."""
    values = {"provider": provider, "user_id": user_id, "taken_for": TAKEN_FOR}
    async with database.transaction(rows=class_row(ProviderUser)) as conn:
        row = await (await conn.execute(_READ, values)).fetchone()
        if row is None or not row.registered:
            row = await (await conn.execute(_TAKE, values)).fetchone() or row
    # Not even a row: somebody else committed theirs between our two statements.
    return row or ProviderUser(False, None, has_secret=False, attempt=0, mine=False)


_READ = """
SELECT state = 'registered' AS registered, external_user_id, has_secret, attempt, false AS mine
  FROM sync.provider_users WHERE provider = %(provider)s AND user_id = %(user_id)s
"""
_TAKE = """
INSERT INTO sync.provider_users AS u (provider, user_id, state, attempt, taken_until)
VALUES (%(provider)s, %(user_id)s, 'registering', 1, clock_timestamp() + %(taken_for)s)
ON CONFLICT (provider, user_id) DO UPDATE
   SET attempt = u.attempt + 1, taken_until = clock_timestamp() + %(taken_for)s
 WHERE u.state = 'registering' AND (u.taken_until IS NULL OR u.taken_until < clock_timestamp())
RETURNING state = 'registered' AS registered, external_user_id, has_secret, attempt, true AS mine
"""


async def _registered(database: Database, provider: str, user_id: str, access: UserAccess | None) -> None:
    async with database.transaction() as conn:
        await conn.execute(
            """UPDATE sync.provider_users
                  SET state = 'registered', external_user_id = %s, has_secret = %s, taken_until = NULL,
                      registered_at = clock_timestamp()
                WHERE provider = %s AND user_id = %s""",
            (
                access.external_user_id if access else None,
                access is not None and access.secret is not None,
                provider,
                user_id,
            ),
        )


async def _let_go(database: Database, provider: str, user_id: str, attempt: int) -> None:
    async with database.transaction() as conn:
        await conn.execute(
            """UPDATE sync.provider_users SET taken_until = NULL, attempt = %s
                WHERE provider = %s AND user_id = %s AND state = 'registering'""",
            (attempt, provider, user_id),
        )
