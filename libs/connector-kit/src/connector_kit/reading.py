"""Safe reads: tried again inside a run when that may help. Never used for anything that changes something."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from connector_kit.engine import Engine
from connector_kit.policy import read_again_in
from contracts.accounts import ProviderAccount
from contracts.connectors import AccountRead
from contracts.errors import ProviderError
from contracts.linking import ConnectionAccess, ConnectionState

T = TypeVar("T")


async def read(engine: Engine, question: Callable[[], Awaitable[T]]) -> T:
    """Ask a question that changes nothing, again after a transient failure.

    Raises:
        ProviderError: the last failure.
    """
    attempt = 1
    while True:
        try:
            return await question()
        except ProviderError as error:
            await _wait_or_raise(engine, error, attempt)
            attempt += 1


async def read_holdings(
    engine: Engine, access: ConnectionAccess, state: ConnectionState, accounts: list[ProviderAccount]
) -> AsyncIterator[AccountRead]:
    """The holdings of each account as they arrive; after a transient failure only the missing ones are asked for.

    Raises:
        ProviderError: the last failure, after everything that could be read.
    """
    missing = {account.account_id: account for account in accounts}
    attempt = 1
    while missing:
        try:
            async for one in engine.adapter.holdings(access, state, list(missing.values())):
                if missing.pop(one.account.account_id, None) is not None:
                    yield one
        except ProviderError as error:
            await _wait_or_raise(engine, error, attempt)
            attempt += 1
        else:
            return


async def _wait_or_raise(engine: Engine, error: ProviderError, attempt: int) -> None:
    wait = read_again_in(error, attempt, engine.chance())
    if wait is None:
        raise error
    await engine.sleep(wait)
