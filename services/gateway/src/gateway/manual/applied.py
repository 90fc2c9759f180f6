"""Waiting until what was committed shows in the portfolio: a change is told as an event, and takes a moment."""

from functools import partial

from gateway.context import Gateway
from gateway.decisions import wait
from gateway.manual.accounts import ManualAccount

_VERSION = """SELECT version >= %(version)s FROM portfolio.v_accounts
    WHERE user_id = %(user)s AND account_id = %(account)s"""
_REMOVED = """SELECT status = 'removed' FROM portfolio.v_connections
    WHERE user_id = %(user)s AND connection_id = %(connection)s"""


async def shows(gateway: Gateway, account: ManualAccount, *, removed: bool = False) -> bool:
    """Whether the portfolio shows this version of the account, or its removal, within a few seconds."""
    look = partial(_looked, gateway, account, _REMOVED if removed else _VERSION)
    return await wait.until(look, wait.PATIENCE) is not None


async def _looked(gateway: Gateway, account: ManualAccount, query: str) -> bool | None:
    values = {
        "user": account.user_id,
        "account": account.account_id,
        "connection": account.connection_id,
        "version": account.version,
    }
    async with gateway.database.transaction(account.user_id) as conn:
        row = await (await conn.execute(query, values)).fetchone()
    return True if row and row[0] else None
