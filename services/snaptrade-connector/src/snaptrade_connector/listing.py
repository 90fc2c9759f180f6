"""What exists at SnapTrade: users and connections, institutions and what can be traded there."""

from collections.abc import AsyncIterator, Sequence

from contracts.connectors import CatalogueInstitution, CatalogueInstrument, RemoteConnection
from contracts.errors import ErrorCode, RefusedError
from contracts.linking import UserAccess
from snaptrade_connector import wire
from snaptrade_connector.client import SnapTradeClient

INSTRUMENTS_MAX = 200_000
_NO_ACCESS = frozenset({ErrorCode.SNAPTRADE_USER_MISMATCH, ErrorCode.SNAPTRADE_NOT_REGISTERED})


async def remotes(client: SnapTradeClient, users: Sequence[UserAccess]) -> AsyncIterator[RemoteConnection]:
    """Every user of a commercial key, and the connections of those whose secrets are given.

    A user whose secret SnapTrade does not accept is told of without connections: it needs a reset.
    """
    there = await client.users()
    for name in there:
        yield RemoteConnection(external_user_id=name, external_id=None)
    known = frozenset(there)
    for user in users:
        if user.secret is None or user.external_user_id not in known:
            continue
        for found in await _connections(client, user):
            yield RemoteConnection(external_user_id=user.external_user_id, external_id=found.id)


async def own_remotes(client: SnapTradeClient) -> AsyncIterator[RemoteConnection]:
    """The connections of a personal key, whose one user is the key itself."""
    for found in await client.authorizations(None):
        yield RemoteConnection(external_user_id=None, external_id=found.id)


async def _connections(client: SnapTradeClient, user: UserAccess) -> list[wire.Authorization]:
    try:
        return await client.authorizations(user)
    except RefusedError as error:
        if error.code not in _NO_ACCESS:
            raise
        return []


async def institutions(client: SnapTradeClient) -> list[CatalogueInstitution]:
    """The institutions this key can use; one without a slug cannot be asked for and is left out."""
    return [
        CatalogueInstitution(
            ref=found.slug,
            name=found.display_name or found.name or found.slug,
            allows_trading=found.allows_trading,
            available=_available(found),
            logo_url=found.aws_s3_square_logo_url or found.aws_s3_logo_url,
        )
        for found in await client.brokerages()
        if found.slug
    ]


async def instruments(client: SnapTradeClient, institution_ref: str) -> list[CatalogueInstrument]:
    """What can be traded at an institution, at most ``INSTRUMENTS_MAX`` of it."""
    found = await client.instruments(institution_ref)
    return [
        CatalogueInstrument(
            symbol=one.symbol,
            provider_symbol_id=one.universal_symbol_id,
            tradable=one.tradeable,
            fractional=one.fractionable,
        )
        for one in found[:INSTRUMENTS_MAX]
    ]


def _available(found: wire.Brokerage) -> bool | None:
    if found.enabled is None and found.maintenance_mode is None:
        return None
    return found.enabled is not False and not found.maintenance_mode
