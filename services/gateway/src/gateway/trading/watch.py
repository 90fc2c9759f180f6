"""The background work on orders: every instance does it, and each order is looked at by one of them at a time."""

import asyncio
from datetime import timedelta

import psycopg
import structlog

from gateway.ledger.operator import as_operator
from gateway.trading import follow, intents, reconcile
from gateway.trading.intents import Due, Intent
from gateway.trading.settle import Desk
from gateway.trading.states import OPEN, UNDER_WAY, State
from persistence.database import DatabaseUnavailable

log = structlog.get_logger(__name__)

EVERY = 1.0
BATCH = 50
SIDE_BY_SIDE = 4
ALONE = timedelta(seconds=60)
"""For how long whoever took an order has it to themselves; a process that dies with it holds nobody up for longer."""


class Watch:
    """Looks after orders that are not over, from ``run`` to ``stop``. It never sends one."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._stopping = asyncio.Event()
        self._few = asyncio.Semaphore(SIDE_BY_SIDE)

    async def run(self) -> None:
        """Look after orders until ``stop``; to be run as a background task."""
        while not self._stopping.is_set():
            try:
                await self.turn()
            except (DatabaseUnavailable, psycopg.Error) as error:
                log.warning("orders.interrupted", error=type(error).__name__)
            await self._pause()

    async def stop(self) -> None:
        """Take no more orders; what is being looked at is finished."""
        self._stopping.set()

    async def turn(self) -> int:
        """Look at what is due; how many orders that were.

        Raises:
            DatabaseUnavailable: it cannot be said what is due.
        """
        async with self._desk.gateway.database.transaction() as conn:
            await as_operator(conn)
            found = await intents.due(conn, self._desk.now(), BATCH)
            self._desk.measures.waiting(await intents.waiting(conn))
        looked = await asyncio.gather(*(self._one(seen) for seen in found))
        return sum(looked)

    async def _one(self, seen: Due) -> int:
        async with self._few:
            try:
                return await self._looked(seen)
            except (DatabaseUnavailable, psycopg.Error) as error:
                log.warning(
                    "order.look_interrupted", order_id=str(seen.intent_id), error=type(error).__name__
                )
            except Exception as error:
                # What is wrong with one order keeps none of the others from its turn; this one comes again later.
                log.exception("order.look_broke", order_id=str(seen.intent_id), error=type(error).__name__)
        return 0

    async def _looked(self, seen: Due) -> int:
        desk = self._desk
        async with desk.gateway.database.transaction(seen.user_id) as conn:
            intent = await intents.take(conn, seen, desk.now() + ALONE)
        if intent is None or self._stopping.is_set():
            return 0
        await look(desk, intent)
        return 1

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(EVERY):
                await self._stopping.wait()
        except TimeoutError:
            return


async def look(desk: Desk, intent: Intent) -> Intent | None:
    """Look at one order as its state asks for; how it stands where that moved it."""
    if intent.state in UNDER_WAY:
        return await reconcile.left(desk, intent)
    if intent.state is State.UNKNOWN:
        return await reconcile.look(desk, intent)
    return await follow.look(desk, intent) if intent.state in OPEN else None
