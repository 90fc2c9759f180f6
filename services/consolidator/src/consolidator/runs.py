"""The log of sync runs: each begins and ends once, and its end may be heard first."""

from consolidator.store import activity_tables as tables
from consolidator.store.arrays import Row, time
from consolidator.store.saving import Changes
from contracts.messages import SyncFinished, SyncStarted

STARTED = "started"


class Runs:
    """The runs of one batch of messages."""

    def __init__(self) -> None:
        self._started: dict[Row, Row] = {}
        self._finished: dict[Row, Row] = {}

    def began(self, event: SyncStarted) -> None:
        """A run began; nothing is known of what came of it."""
        row = (
            event.connection_id,
            event.provider,
            event.institution,
            event.kind,
            event.trigger,
            STARTED,
            time(event.started_at),
            str(event.version),
        )
        key = (event.user_id, event.run_id)
        self._started[key] = (*key, *row)

    def ended(self, event: SyncFinished) -> None:
        """A run ended: this is all there is to know of it."""
        key = (event.user_id, event.run_id)
        self._finished[key] = (*key, *_ended(event))

    def into(self, changes: Changes) -> None:
        """Add them; a beginning changes nothing where more is known."""
        changes.put("ignore", tables.SYNC_STARTED, self._started.values())
        changes.put("upsert", tables.SYNC_LOG, self._finished.values())


def _ended(event: SyncFinished) -> Row:
    return (
        event.connection_id,
        event.provider,
        event.institution,
        event.kind,
        event.trigger,
        event.status.value,
        time(event.started_at),
        str(event.version),
        str(event.accounts),
        str(event.holdings),
        str(event.unchanged),
        str(event.transactions),
        str(event.orders),
        event.covers_from.isoformat() if event.covers_from else None,
        event.covers_through.isoformat() if event.covers_through else None,
        str(event.provider_calls),
        str(event.cost.amount),
        event.cost.currency,
        time(event.finished_at),
        event.error_code,
        event.error,
    )
