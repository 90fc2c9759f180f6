"""The search for what exists at the provider and not with us, or with us and not there. It only finds.

An orphan at the provider may be billed every month, and nobody sees it. Removing one is irreversible, so a person
confirms each; and what is to be removed is looked at once more before it is.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import structlog

from connector_kit import connections, credentials, orphan_table
from connector_kit.engine import Engine
from connector_kit.orphan_table import Finding, Orphan, Ours
from connector_kit.users import registered_access
from contracts.connectors import ListsRemotes, RemoteConnection
from contracts.errors import ErrorCode, GoneError, RefusedError
from contracts.ids import connection_id
from contracts.linking import ConnectionAccess, UserAccess
from persistence.secrets import SecretName
from service_kit.api_errors import ApiError

log = structlog.get_logger(__name__)


async def search(engine: Engine) -> dict[str, Any]:
    """Compare both sides and record the findings; how many of each kind there are.

    Raises:
        ProviderError: the provider did not list everything; nothing is concluded from that.
    """
    before = await orphan_table.ours(engine.database, engine.provider)
    remotes, asked = await _remotes(engine, before)
    secrets = await engine.secrets.names(f"{engine.provider}/access_token")
    # Looked at again after the provider: what was linked meanwhile is no orphan, and what was removed is not missing.
    after = await orphan_table.ours(engine.database, engine.provider)
    findings = [*_unknown(remotes, after), *_forgotten(secrets, after)]
    if asked is not None:
        findings += _missing(remotes, before, after, asked)
    await orphan_table.record(engine.database, engine.provider, findings)
    kinds = ("user", "connection", "secret", "missing")
    return {kind: sum(1 for one in findings if one.kind == kind) for kind in kinds}


async def _remotes(engine: Engine, ours: Ours) -> tuple[list[RemoteConnection], set[str] | None]:
    """What exists at the provider, and whose connections it listed; None where it cannot list them."""
    if not isinstance(engine.adapter, ListsRemotes):
        return [], None
    users = [
        access for user_id in ours.users.values() if (access := await _access(engine, user_id)) is not None
    ]
    remotes = [one async for one in engine.adapter.remotes(users)]
    return remotes, {
        ours.users[user.external_user_id] for user in users if user.external_user_id in ours.users
    }


async def _access(engine: Engine, user_id: str) -> UserAccess | None:
    try:
        return await registered_access(engine, user_id)
    except RefusedError as error:
        log.warning("orphans.user_without_secret", provider=engine.provider, error_code=error.code)
        return None


def _unknown(remotes: Iterable[RemoteConnection], ours: Ours) -> list[Finding]:
    """What the provider has and we have not."""
    externals = {external_id for _, external_id in ours.connections}
    findings = []
    for one in remotes:
        user_id = ours.users.get(one.external_user_id or "")
        if user_id in ours.busy or one.external_user_id in ours.busy:
            continue
        if user_id is None and one.external_user_id is not None:
            findings.append(Finding("user", one.external_user_id, one.external_user_id, None))
        elif one.external_id is not None and one.external_id not in externals:
            findings.append(Finding("connection", user_id or "", one.external_user_id, one.external_id))
    return list(dict.fromkeys(findings))


def _missing(
    remotes: Iterable[RemoteConnection], before: Ours, after: Ours, asked: set[str]
) -> list[Finding]:
    """Connections of users whose list we saw, that are not in it."""
    there = {one.external_id for one in remotes}
    both = before.connections & after.connections
    return [
        Finding("missing", user_id, None, external_id)
        for user_id, external_id in sorted(both)
        if user_id in asked and user_id not in after.busy and external_id not in there
    ]


def _forgotten(secrets: Iterable[SecretName], ours: Ours) -> list[Finding]:
    """Secrets that belong to no connection: with such a one somebody may be billed."""
    return [
        Finding("secret", name.user_id or "", None, name.path)
        for name in secrets
        if name.path not in ours.secrets and name.user_id not in ours.busy
    ]


async def remove(engine: Engine, orphan_id: str) -> Orphan:
    """Remove an orphan, as a person has confirmed; one that is none any more is left alone.

    Raises:
        ApiError: 404, there is no such finding.
        ProviderError: the provider did not remove it; ask again.
    """
    orphan = await orphan_table.find(engine.database, engine.provider, orphan_id)
    if orphan is None:
        raise ApiError(ErrorCode.NOT_FOUND, 404, "There is no such orphan.")
    if orphan.resolved_at is None:
        still = await _still(engine, orphan)
        resolution = await _remove(engine, orphan) if still else "belongs to somebody by now"
        await orphan_table.resolve(engine.database, orphan_id, resolution)
        log.warning("orphan.resolved", provider=engine.provider, kind=orphan.kind, resolution=resolution)
    return await orphan_table.find(engine.database, engine.provider, orphan_id) or orphan


async def _still(engine: Engine, orphan: Orphan) -> bool:
    ours = await orphan_table.ours(engine.database, engine.provider)
    if orphan.user_id in ours.busy:
        return False
    match orphan.kind:
        case "user":
            return orphan.external_user_id not in ours.users
        case "connection":
            return orphan.external_id not in {external_id for _, external_id in ours.connections}
        case "secret":
            return orphan.external_id not in ours.secrets
        case _:
            return (orphan.user_id, orphan.external_id or "") in ours.connections


async def _remove(engine: Engine, orphan: Orphan) -> str:
    match orphan.kind:
        case "user":
            await _gone(
                engine.adapter.forget(UserAccess(external_user_id=orphan.external_user_id or "", secret=None))
            )
            return "removed"
        case "connection":
            await _unlink(engine, orphan.user_id, orphan.external_id or "", None)
            return "removed"
        case "secret":
            name = SecretName.parse(orphan.external_id or "")
            credential = await credentials.at(engine, name)
            await _unlink(engine, orphan.user_id, credential.external_id, credential.secret)
            await engine.secrets.delete(name)
            return "removed"
        case _:
            ours = connection_id(engine.provider, orphan.user_id, orphan.external_id or "")
            await connections.postpone(engine.database, engine.provider, ours, datetime.now(UTC))
            return "is read again"


async def _unlink(engine: Engine, user_id: str, external_id: str, secret: str | None) -> None:
    user = await registered_access(engine, user_id)
    access = ConnectionAccess(user_id=user_id, external_id=external_id, user=user, secret=secret)
    await _gone(engine.adapter.unlink(access))


async def _gone(removal: Any) -> None:
    try:
        await removal
    except GoneError:
        log.info("orphan.gone_already")
