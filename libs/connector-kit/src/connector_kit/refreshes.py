"""The table ``sync.refreshes``: what was ordered under a charge, written before the provider is asked.

A row is inserted once, by whoever may call; from ``calling`` it moves to ``accepted``, ``refused`` or ``unknown``, and
from ``unknown`` to one of the others. ``told`` says that the event of the row's present state is published.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row

from contracts.messages import RefreshOutcome, SyncConnection
from persistence.database import Database

CALLING = "calling"
CALL_OVER = timedelta(minutes=3)
"""A call that is older has lost its process: no call takes as long."""
EVIDENCE_WITHIN = timedelta(minutes=15)
EARLY_PART = 2 / 3
"""A read that shows nothing new so late in that time speaks for a refusal."""
EVIDENCE_GIVEN_UP = timedelta(hours=24)
CLOCKS_APART = timedelta(seconds=5)
SOME = 200


@dataclass(frozen=True, slots=True)
class Refresh:
    """One ordered refresh and what is known of it."""

    charge_id: str
    user_id: str
    provider: str
    connection_id: str
    state: str
    called_at: datetime
    settled_at: datetime | None
    error_code: str | None
    error: str | None
    told: bool


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a refresh."""

    outcome: RefreshOutcome
    error_code: str | None = None
    error: str | None = None


_COLUMNS = (
    "charge_id, user_id, provider, connection_id, state, called_at, settled_at, error_code, error, told"
)


async def begin(database: Database, provider: str, command: SyncConnection) -> bool:
    """Write down that the provider is going to be asked; True for the one caller who may ask."""
    async with database.transaction() as conn:
        cursor = await conn.execute(_BEGIN, {"provider": provider, **_names(command)})
        return cursor.rowcount == 1


# When the provider last fetched from the institution, as far as our runs saw: some say it of the connection, others of
# each account, whose holdings' mark begins with it.
_FETCHED = r"""
(SELECT GREATEST(s.last_as_of, max(CASE WHEN split_part(t.mark, ' ', 1) ~ '^\d{4}-\d\d-\d\dT'
                                        THEN split_part(t.mark, ' ', 1)::timestamptz END))
   FROM sync.sync_state s LEFT JOIN sync.streams t ON t.connection_id = s.connection_id AND t.stream = 'holdings'
  WHERE s.connection_id = refreshed.connection_id GROUP BY s.last_as_of)
"""
_BEGIN = f"""
INSERT INTO sync.refreshes (charge_id, user_id, provider, connection_id, state, as_of_before)
SELECT %(charge_id)s, %(user_id)s, %(provider)s, connection_id, 'calling', {_FETCHED}
  FROM (VALUES (%(connection_id)s)) AS refreshed (connection_id)
ON CONFLICT (charge_id) DO NOTHING
"""  # noqa: S608 - constants of this module


def _names(command: SyncConnection) -> dict[str, str | None]:
    return {
        "charge_id": command.charge_id,
        "user_id": command.user_id,
        "connection_id": command.connection_id,
    }


async def find(database: Database, provider: str, charge_id: str) -> Refresh | None:
    """The refresh ordered under a charge."""
    query = f"SELECT {_COLUMNS} FROM sync.refreshes WHERE provider = %s AND charge_id = %s"  # noqa: S608 - constants
    async with database.transaction(rows=class_row(Refresh)) as conn:
        return await (await conn.execute(query, (provider, charge_id))).fetchone()


async def settle(database: Database, charge_id: str, settlement: Settlement) -> Refresh | None:
    """Record what became of a call; None when that is known already."""
    values = {
        "charge_id": charge_id,
        "state": settlement.outcome.value,
        "error_code": settlement.error_code,
        "error": settlement.error,
    }
    async with database.transaction(rows=class_row(Refresh)) as conn:
        return await (await conn.execute(_SETTLE, values)).fetchone()


_SETTLE = f"""
UPDATE sync.refreshes
   SET state = %(state)s, settled_at = clock_timestamp(), error_code = %(error_code)s, error = %(error)s, told = false
 WHERE charge_id = %(charge_id)s
   AND (state = 'calling' OR (state = 'unknown' AND %(state)s IN ('accepted', 'refused')))
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants of this module


async def mark_told(database: Database, told: Refresh) -> None:
    """Note that the present state was published; a row that has moved on since must be told again."""
    async with database.transaction() as conn:
        await conn.execute(
            "UPDATE sync.refreshes SET told = true WHERE charge_id = %s AND state = %s",
            (told.charge_id, told.state),
        )


async def untold(database: Database, provider: str) -> list[Refresh]:
    """Settled refreshes whose event was perhaps never published; fresh ones are in their own process's hands."""
    async with database.transaction(rows=class_row(Refresh)) as conn:
        cursor = await conn.execute(_UNTOLD, {"provider": provider, "some": SOME})
        return await cursor.fetchall()


_UNTOLD = f"""
SELECT {_COLUMNS} FROM sync.refreshes
 WHERE provider = %(provider)s AND NOT told AND state <> 'calling'
   AND settled_at < clock_timestamp() - interval '10 seconds'
 ORDER BY called_at LIMIT %(some)s
"""  # noqa: S608 - constants of this module


async def give_up_calls(database: Database, provider: str) -> list[str]:
    """Calls whose process is gone have an unknown outcome now; their connections."""
    async with database.transaction() as conn:
        cursor = await conn.execute(
            """UPDATE sync.refreshes
                  SET state = 'unknown', settled_at = clock_timestamp(), error = 'the process ended during the call'
                WHERE provider = %s AND state = 'calling' AND called_at < clock_timestamp() - %s
            RETURNING connection_id""",
            (provider, CALL_OVER),
        )
        return [row[0] for row in await cursor.fetchall()]


async def judge(database: Database, provider: str, within: timedelta = EVIDENCE_WITHIN) -> None:
    """Decide by evidence what is unknown: the provider fetched after the call, or it has not for too long."""
    values = {
        "provider": provider,
        "apart": CLOCKS_APART,
        "within": within,
        "read_after": within * EARLY_PART,
        "given_up": EVIDENCE_GIVEN_UP,
    }
    async with database.transaction() as conn:
        await conn.execute(_ACCEPT, values)
        await conn.execute(_REFUSE, values)


_ACCEPT = f"""
UPDATE sync.refreshes r
   SET state = 'accepted', settled_at = clock_timestamp(), told = false, error_code = NULL, error = NULL
  FROM (SELECT refreshed.charge_id, {_FETCHED} AS fetched_at FROM sync.refreshes refreshed
         WHERE refreshed.provider = %(provider)s AND refreshed.state = 'unknown') seen
 WHERE r.charge_id = seen.charge_id AND r.state = 'unknown'
   AND seen.fetched_at >= r.called_at - %(apart)s AND seen.fetched_at IS DISTINCT FROM r.as_of_before
"""  # noqa: S608 - constants of this module
# A connection that could not be read since says nothing; only so long can a reservation stand.
_REFUSE = """
UPDATE sync.refreshes r
   SET state = 'refused', settled_at = clock_timestamp(), told = false, error = 'the provider has fetched nothing since'
 WHERE r.provider = %(provider)s AND r.state = 'unknown' AND r.called_at < clock_timestamp() - %(within)s
   AND (r.called_at < clock_timestamp() - %(given_up)s
        OR EXISTS (SELECT 1 FROM sync.sync_state s
                    WHERE s.connection_id = r.connection_id AND s.last_synced_at > r.called_at + %(read_after)s))
"""


async def wanting_evidence(
    database: Database, provider: str, within: timedelta = EVIDENCE_WITHIN
) -> list[str]:
    """Connections that must be read for an unknown refresh to be judged."""
    async with database.transaction() as conn:
        values = {"provider": provider, "read_after": within * EARLY_PART, "some": SOME}
        cursor = await conn.execute(_WANTING, values)
        return [row[0] for row in await cursor.fetchall()]


_WANTING = """
SELECT DISTINCT r.connection_id FROM sync.refreshes r JOIN sync.sync_state s USING (connection_id)
 WHERE r.provider = %(provider)s AND r.state = 'unknown' AND s.status <> 'removed'
   AND r.called_at + %(read_after)s < clock_timestamp()
   AND (s.last_synced_at IS NULL OR s.last_synced_at <= r.called_at + %(read_after)s)
   AND (s.wanted_at IS NULL OR s.wanted_at <= r.called_at + %(read_after)s)
 LIMIT %(some)s
"""
