"""The table ``sync.accounts``: what each user has linked, to recognise a login that comes a second time."""

from psycopg.rows import class_row

from connector_kit.connections import Claim
from contracts.accounts import ProviderAccount
from contracts.linking import ConnectionState, KnownAccount
from persistence.database import Database


async def keep(
    database: Database,
    claimed: Claim,
    state: ConnectionState,
    accounts: list[ProviderAccount],
    *,
    complete: bool,
) -> None:
    """Keep a connection's list of accounts; with a complete one, those that are not on it are forgotten.

    Nothing happens when somebody else holds the connection's lease by now.
    """
    values = {
        "id": claimed.connection.connection_id,
        "holder": claimed.holder,
        "ref": state.institution_ref,
        "ids": [account.account_id for account in accounts],
        "external": [_text(account.external_id) for account in accounts],
        "names": [_text(account.name) for account in accounts],
        "masks": [_text(account.mask) for account in accounts],
        "types": [_text(account.raw_type) for account in accounts],
    }
    async with database.transaction() as conn:
        if await (await conn.execute(_MINE, values)).fetchone() is None:
            return
        await conn.execute(_KEEP, values)
        if complete:
            await conn.execute(_FORGET, values)
            await conn.execute(_FORGET_STREAMS, values)


async def expect(database: Database, connection_id: str, accounts: list[KnownAccount]) -> None:
    """Keep what a link session said of a new connection's accounts, until they are listed for the first time."""
    values = {
        "id": connection_id,
        "ids": [f"chosen:{number}" for number in range(len(accounts))],
        "refs": [_text(account.institution_ref) for account in accounts],
        "names": [_text(account.name) for account in accounts],
        "masks": [_text(account.mask) for account in accounts],
        "types": [_text(account.raw_type) for account in accounts],
    }
    async with database.transaction() as conn:
        await conn.execute(_EXPECT, values)


_EXPECT = """
INSERT INTO sync.accounts (connection_id, account_id, user_id, external_id, institution_ref, name, mask, raw_type)
SELECT s.connection_id, n.account_id, s.user_id, n.account_id, n.ref, n.name, n.mask, n.raw_type
  FROM sync.sync_state s, unnest(%(ids)s::text[], %(refs)s::text[], %(names)s::text[], %(masks)s::text[],
       %(types)s::text[]) AS n (account_id, ref, name, mask, raw_type)
 WHERE s.connection_id = %(id)s AND NOT EXISTS (SELECT 1 FROM sync.accounts a WHERE a.connection_id = s.connection_id)
"""
_MINE = """
SELECT 1 FROM sync.sync_state s WHERE s.connection_id = %(id)s AND s.lease_holder = %(holder)s FOR SHARE
"""
_KEEP = """
INSERT INTO sync.accounts AS a (
    connection_id, account_id, user_id, external_id, institution_ref, name, mask, raw_type)
SELECT s.connection_id, n.account_id, s.user_id, n.external_id, %(ref)s, n.name, n.mask, n.raw_type
  FROM sync.sync_state s, unnest(%(ids)s::text[], %(external)s::text[], %(names)s::text[], %(masks)s::text[],
       %(types)s::text[]) AS n (account_id, external_id, name, mask, raw_type)
 WHERE s.connection_id = %(id)s
ON CONFLICT (connection_id, account_id) DO UPDATE
   SET external_id = EXCLUDED.external_id, institution_ref = COALESCE(EXCLUDED.institution_ref, a.institution_ref),
       name = EXCLUDED.name, mask = EXCLUDED.mask, raw_type = EXCLUDED.raw_type
 WHERE (a.external_id, a.institution_ref, a.name, a.mask, a.raw_type) IS DISTINCT FROM
       (EXCLUDED.external_id, COALESCE(EXCLUDED.institution_ref, a.institution_ref), EXCLUDED.name, EXCLUDED.mask,
        EXCLUDED.raw_type)
"""
_FORGET = "DELETE FROM sync.accounts WHERE connection_id = %(id)s AND account_id <> ALL(%(ids)s)"
_FORGET_STREAMS = """
DELETE FROM sync.streams WHERE connection_id = %(id)s AND account_id <> '' AND account_id <> ALL(%(ids)s)
"""


def _text(told: str | None) -> str | None:
    # PostgreSQL takes no NUL; a provider's typing error must not end every run of the connection.
    return told.replace("\x00", "") if told else told


async def of_user(database: Database, provider: str, user_id: str) -> list[KnownAccount]:
    """The accounts of all connections the user has through the provider; one that was revoked must be linked anew."""
    async with database.transaction(rows=class_row(KnownAccount)) as conn:
        cursor = await conn.execute(
            """SELECT s.external_id AS external_connection_id, a.institution_ref, a.name, a.mask, a.raw_type
                 FROM sync.accounts a JOIN sync.sync_state s USING (connection_id)
                WHERE s.provider = %s AND s.user_id = %s AND s.status NOT IN ('removed', 'revoked')
                ORDER BY s.external_id, a.account_id""",
            (provider, user_id),
        )
        return await cursor.fetchall()
