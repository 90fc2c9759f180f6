"""Applying batches: refuse what cannot be ours, split by user into lanes, commit each lane."""

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from consolidator.admission import refused
from consolidator.catalogue import Catalogue
from consolidator.measures import Measures
from consolidator.rules import Rules
from consolidator.store.remembered import Remembered
from consolidator.work import Work
from contracts.envelope import Received
from messaging.policy import DONE, Outcome, TransientError
from persistence.database import Database, DatabaseUnavailable
from service_kit.clock import Clock

SPLIT_FROM = 8
"""A batch of at least this many users is applied in lanes: one computes while another's statements run."""


class Applier:
    """Turns batches of messages into committed positions. Safe to repeat and to run in many processes.

    Args:
        database: as the consolidator's role.
        lanes: transactions a large batch may be split into, by user.
    """

    def __init__(
        self, database: Database, rules: Rules, clock: Clock, measures: Measures, *, lanes: int = 2
    ) -> None:
        self._database = database
        self._rules = rules
        self._clock = clock
        self._measures = measures
        self._lanes = lanes
        self._catalogue = Catalogue()
        self._remembered = Remembered()

    async def __call__(self, batch: Sequence[Received]) -> list[Outcome]:
        """Apply messages; returns one outcome each, in order.

        Raises:
            TransientError: the database is away; nothing may be called done.
            psycopg.Error: a statement failed; the caller tries the messages one by one.
        """
        began = perf_counter()
        outcomes: list[Outcome] = [refused(one.message) or DONE for one in batch]
        admitted = [place for place, outcome in enumerate(outcomes) if outcome is DONE]
        lanes = _split([(place, batch[place].message) for place in admitted], self._lanes)
        works = await asyncio.gather(
            *(self._committed([batch[place].message for place in lane]) for lane in lanes),
            return_exceptions=True,
        )
        for lane, work in zip(lanes, works, strict=True):
            if isinstance(work, DatabaseUnavailable):
                raise TransientError("the database is away") from work
            if isinstance(work, BaseException):
                raise work
            for place, outcome in zip(lane, work.outcomes, strict=True):
                outcomes[place] = outcome
        self._measures.batch(len(batch), perf_counter() - began)
        return outcomes

    async def touch(self, users: Sequence[str]) -> None:
        """Look at these users again although no message came: a source grows too old by itself.

        Raises:
            DatabaseUnavailable: the database is away, or others held a user's lock for too long.
        """
        await self._committed([], sorted(set(users)))

    async def _committed(self, messages: list[Any], users: list[str] | None = None) -> Work:
        """Apply messages in one transaction, again as a whole if the database asks for it."""
        names = sorted({message.user_id for message in messages}) if users is None else users

        async def once() -> Work:
            now = self._clock.now()
            work = Work(messages, names, self._catalogue, self._remembered, self._rules, now)
            async with self._database.transaction() as conn:
                await work.run(conn)
            return work

        work = await self._database.retrying(once)
        work.remember()
        self._measures.committed(work)
        return work


def _split(messages: list[tuple[int, Any]], lanes: int) -> list[list[int]]:
    """Places by lane; all of one user's messages are in one lane, in their order."""
    users: dict[str, list[int]] = {}
    for place, message in messages:
        users.setdefault(message.user_id, []).append(place)
    count = lanes if len(users) >= SPLIT_FROM else 1
    found: list[list[int]] = [[] for _ in range(count)]
    for number, places in enumerate(users.values()):
        found[number % count] += places
    return [sorted(places) for places in found if places]
