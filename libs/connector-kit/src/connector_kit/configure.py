"""How a connection is kept up to date, as its user wants it: may come twice and in any order, the latest wish holds."""

from datetime import timedelta

from connector_kit import handled
from connector_kit.engine import Engine
from contracts.messages import ConfigureConnection
from messaging.policy import PermanentError


async def configure(engine: Engine, command: ConfigureConnection) -> None:
    """Change how a connection is kept up to date; each setting keeps the latest wish for it.

    Raises:
        PermanentError: the user has no such connection.
    """
    if await handled.was_handled(engine.database, engine.provider, command.user_id, command.idempotency_id):
        return
    floor = engine.settings.sync_frequency_floor_seconds
    wanted = command.frequency_seconds
    values = {
        "provider": engine.provider,
        "id": command.connection_id,
        "user_id": command.user_id,
        "asked_at": command.asked_at,
        "auto_sync": command.auto_sync,
        "frequency": None if wanted is None else max(floor, wanted),
        "resume": command.resume,
        "jitter": timedelta(seconds=floor * engine.chance() / 10),
    }
    async with engine.database.transaction() as conn:
        if (await conn.execute(_CONFIGURE, values)).rowcount != 1:
            raise PermanentError("there is no such connection of this user")
    await handled.mark_handled(engine.database, engine.provider, command.user_id, command.idempotency_id)


# While a run is on, next_sync_at belongs to its lease; the run's end looks at configured_at. What waits after a failure
# or for its daily look waits on. The wish of a resume is served by the next run, also of one that does not sync by itself.
_CONFIGURE = """
WITH s AS (
    SELECT connection_id,
           %(auto_sync)s::boolean IS NOT NULL AND (auto_asked_at IS NULL OR auto_asked_at < %(asked_at)s) AS auto,
           %(frequency)s::int IS NOT NULL AND (frequency_asked_at IS NULL OR frequency_asked_at < %(asked_at)s) AS pace,
           %(resume)s AND (paused_reason IS NOT NULL OR started_at IS NULL OR started_at < %(asked_at)s) AS again,
           lease_holder IS NULL AND status = 'active' AND failures = 0 AND paused_reason IS NULL AS calm
      FROM sync.sync_state
     WHERE connection_id = %(id)s AND provider = %(provider)s AND user_id = %(user_id)s AND status <> 'removed'
       FOR UPDATE)
UPDATE sync.sync_state t
   SET auto_sync = CASE WHEN s.auto THEN %(auto_sync)s::boolean ELSE t.auto_sync END,
       auto_asked_at = CASE WHEN s.auto THEN %(asked_at)s ELSE t.auto_asked_at END,
       frequency_seconds = CASE WHEN s.pace THEN %(frequency)s::int ELSE t.frequency_seconds END,
       frequency_asked_at = CASE WHEN s.pace THEN %(asked_at)s ELSE t.frequency_asked_at END,
       configured_at = GREATEST(t.configured_at, %(asked_at)s),
       paused_reason = CASE WHEN s.again THEN NULL ELSE t.paused_reason END,
       failures = CASE WHEN s.again THEN 0 ELSE t.failures END,
       wanted_at = CASE WHEN s.again THEN GREATEST(t.wanted_at, %(asked_at)s, clock_timestamp()) ELSE t.wanted_at END,
       next_sync_at = CASE
           WHEN s.again THEN CASE WHEN t.lease_holder IS NULL THEN clock_timestamp() ELSE t.next_sync_at END
           WHEN (s.pace OR s.auto) AND s.calm THEN GREATEST(clock_timestamp() + %(jitter)s,
                COALESCE(t.last_synced_at, clock_timestamp()) + make_interval(
                    secs => CASE WHEN s.pace THEN %(frequency)s::int ELSE t.frequency_seconds END))
           ELSE t.next_sync_at END
  FROM s WHERE t.connection_id = s.connection_id
"""
