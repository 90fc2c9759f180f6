"""A sync run while it goes on: what it has on its way to the broker, and what it may note once that has arrived."""

import asyncio
import uuid
from datetime import datetime, timedelta

from connector_kit import streams
from connector_kit.connections import Claim
from connector_kit.due import ever_whole
from connector_kit.engine import Engine
from connector_kit.outcome import INCREMENTAL, INITIAL, Outcome
from connector_kit.publish import publish
from connector_kit.snapshots import Origin
from connector_kit.streams import Note, Notes, Stream
from contracts.messages import Event, SyncProgressed, SyncStarted

TELL_EVERY = 1.0
"""Seconds between two words of how far a run has come; a shorter run says none."""


class Running:
    """One run.

    Attributes:
        notes: what is known of each stream, this run included.
        outcome: what the run has so far.
    """

    def __init__(self, engine: Engine, claimed: Claim, trigger: str, notes: Notes) -> None:
        connection = claimed.connection
        self.engine = engine
        self.claim = claimed
        self.trigger = trigger
        self.run_id = uuid.uuid4().hex
        self.started_at = engine.clock.now()
        self.origin = Origin(
            user_id=connection.user_id,
            provider=engine.provider,
            connection_id=connection.connection_id,
            institution=connection.institution,
            synced_at=self.started_at,
            version=claimed.version,
        )
        self.notes = notes
        self.outcome = Outcome(kind=INCREMENTAL if ever_whole(notes) else INITIAL)
        self._begun = self._told = engine.clock.monotonic()
        self._sending: set[asyncio.Task[None]] = set()
        self._unsaved: list[Note] = []

    @property
    def lasted(self) -> float:
        """Seconds since the run began."""
        return self.engine.clock.monotonic() - self._begun

    @property
    def full(self) -> timedelta:
        """After this everything is fetched, whatever the provider says of it."""
        return timedelta(seconds=self.engine.settings.full_read_seconds)

    def noted(self, account_id: str, stream: Stream) -> Note | None:
        """What is known of a stream."""
        return self.notes.get((account_id, stream))

    def note(
        self, account_id: str, stream: Stream, mark: str | None, read_at: datetime | None = None
    ) -> None:
        """Note that a stream was read; kept at the next ``checkpoint``, when the broker has what was read."""
        self.keep(Note(account_id, stream, mark=mark, read_at=read_at or self.started_at))

    def keep(self, note: Note) -> None:
        """Keep a note as it is, at the next ``checkpoint``."""
        self.notes[note.key] = note
        self._unsaved.append(note)

    def send(self, *events: Event) -> None:
        """Publish in the background: the next thing is read meanwhile."""
        self._sending.add(asyncio.ensure_future(publish(self.engine, *events)))

    async def sent(self) -> None:
        """Wait until the broker has everything.

        Raises:
            BusError: it does not.
        """
        # Not gather: given up while it waits, it would cancel what is on its way.
        while self._sending:
            done, _ = await asyncio.wait(self._sending)
            self._sending -= done
            for error in [task.exception() for task in done]:
                if error is not None:
                    raise error

    async def checkpoint(self) -> None:
        """Have everything confirmed, then keep what was noted.

        Raises:
            BusError: something was not confirmed; nothing is kept.
        """
        await self.sent()
        await streams.save(self.engine.database, self.claim, self._unsaved)
        self._unsaved = []

    def begins(self) -> None:
        """Say that the run began."""
        self.send(
            SyncStarted(
                user_id=self.origin.user_id,
                provider=self.origin.provider,
                connection_id=self.origin.connection_id,
                institution=self.origin.institution,
                run_id=self.run_id,
                kind=self.outcome.kind,
                trigger=self.trigger,
                started_at=self.started_at,
                version=self.origin.version,
            )
        )

    def progressed(self, stream: Stream, done: int, total: int | None = None) -> None:
        """Say how far the run has come, where it is long enough for anybody to ask."""
        now = self.engine.clock.monotonic()
        if now - self._told < TELL_EVERY:
            return
        self._told = now
        self.send(
            SyncProgressed(
                user_id=self.origin.user_id,
                provider=self.origin.provider,
                connection_id=self.origin.connection_id,
                run_id=self.run_id,
                stream=stream,
                done=done,
                total=total,
                at=self.engine.clock.now(),
            )
        )
