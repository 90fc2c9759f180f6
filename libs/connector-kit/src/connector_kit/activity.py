"""What accounts did and how they fared: transactions page by page, recent orders, daily totals.

A page is published and confirmed before the cursor behind it is kept. A crash between the two says the page once
more, which changes nothing; a crash anywhere else goes on where the cursor is.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from connector_kit import streams
from connector_kit.due import history_due, orders_due, orders_mark
from connector_kit.policy import OPERATORS_CODES
from connector_kit.publish import publish
from connector_kit.reading import read
from connector_kit.running import Running
from connector_kit.snapshots import history_snapshot, orders_snapshot, transactions_batch
from connector_kit.streams import NOT_SUPPORTED, WHOLE, Note, Stream
from contracts.accounts import ProviderAccount
from contracts.connectors import ReadsHistory, ReadsOrders, ReadsTransactions, TransactionPage
from contracts.errors import ErrorCode, GoneError, RefusedError, TransientError
from contracts.linking import ConnectionAccess, ConnectionState

log = structlog.get_logger(__name__)
T = TypeVar("T")

SHARE_OF_DEADLINE = 0.7
"""A history that is not told by then is gone on with by the next run, which follows at once."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A connection as a run sees it."""

    access: ConnectionAccess
    state: ConnectionState
    accounts: list[ProviderAccount]


async def read_transactions(running: Running, adapter: ReadsTransactions, sight: Sight) -> None:
    """Read and publish what happened since the cursor, a page at a time.

    Raises:
        ProviderError: the provider did not answer; the cursor stands behind the last page that was published.
        BusError: a page was not confirmed; the cursor stands before it.
    """
    kept = running.noted(WHOLE, Stream.TRANSACTIONS)
    cursor = kept.cursor if kept else None
    while True:
        page = await _page(running, adapter, sight, cursor)
        await _publish(running, sight.state, page)
        if page.cursor != cursor and not await _keep(running, page.cursor):
            log.warning("sync.overtaken", provider=running.engine.provider, stream=Stream.TRANSACTIONS)
            running.outcome.unfinished = True
            return
        if not page.has_more:
            return
        cursor = page.cursor
        if running.lasted > SHARE_OF_DEADLINE * running.engine.settings.sync_deadline_seconds:
            running.outcome.unfinished = True
            return


async def _page(
    running: Running, adapter: ReadsTransactions, sight: Sight, cursor: str | None
) -> TransactionPage:
    access, state, accounts = sight.access, sight.state, sight.accounts
    version = running.claim.version
    page = await read(running.engine, lambda: adapter.transactions(access, state, accounts, cursor, version))
    if page.has_more and page.cursor == cursor:
        raise TransientError(
            "there is more, but the cursor stands still",
            code=ErrorCode.PROVIDER_PROTOCOL,
            provider=running.engine.provider,
        )
    return page


async def _publish(running: Running, state: ConnectionState, page: TransactionPage) -> None:
    batches = [
        transactions_batch(running.origin, state, part, running.run_id)
        for part in page.parts
        if part.transactions or part.removed or part.sweep or part.covers_through
    ]
    await publish(running.engine, *batches)
    outcome = running.outcome
    for batch in batches:
        outcome.transactions += len(batch.transactions)
        outcome.cover(batch.covers_from, batch.covers_through)
    running.progressed(Stream.TRANSACTIONS, outcome.transactions)


async def _keep(running: Running, cursor: str) -> bool:
    note = Note(WHOLE, Stream.TRANSACTIONS, cursor=cursor, read_at=running.started_at)
    running.notes[note.key] = note
    return await streams.save(running.engine.database, running.claim, [note]) == 1


async def read_orders(running: Running, adapter: ReadsOrders, sight: Sight) -> None:
    """Read and publish the recent orders of each account whose orders may have moved."""
    for account in sight.accounts:
        kept = running.noted(account.account_id, Stream.ORDERS)
        holdings = running.noted(account.account_id, Stream.HOLDINGS)
        if not orders_due(account, kept, holdings, running.started_at, running.full):
            continue
        question = partial(adapter.orders, sight.access, account)
        found = await _beside(running, account, Stream.ORDERS, question)
        if found is not None:
            running.send(orders_snapshot(running.origin, sight.state, account, found, running.run_id))
            running.note(account.account_id, Stream.ORDERS, orders_mark(account))
            running.outcome.orders += len(found)
            running.progressed(Stream.ORDERS, running.outcome.orders)


async def read_history(running: Running, adapter: ReadsHistory, sight: Sight) -> None:
    """Read and publish each account's daily totals, once a day."""
    for account in sight.accounts:
        if not history_due(account, running.noted(account.account_id, Stream.HISTORY), running.started_at):
            continue
        question = partial(adapter.history, sight.access, account)
        found = await _beside(running, account, Stream.HISTORY, question)
        if found is not None:
            running.send(history_snapshot(running.origin, sight.state, account, found))
            running.note(account.account_id, Stream.HISTORY, None)


async def _beside(
    running: Running, account: ProviderAccount, stream: Stream, question: Callable[[], Awaitable[T]]
) -> T | None:
    """Ask for one account's part of a stream that nothing else depends on; None where there is no answer.

    That an institution does not have it is noted and no failure; that an account is gone the next list tells.

    Raises:
        ProviderError: any other failure; the rest of the stream waits for the next run.
    """
    try:
        return await read(running.engine, question)
    except RefusedError as error:
        if error.code in OPERATORS_CODES:
            raise
        if error.code is ErrorCode.NOT_SUPPORTED:
            running.note(account.account_id, stream, NOT_SUPPORTED)
        else:
            running.outcome.problem = error
    except GoneError as error:
        running.outcome.problem = error
    return None
