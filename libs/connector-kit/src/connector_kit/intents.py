"""The table ``sync.link_intents``: one row per link session, from its beginning to its end."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row, scalar_row

from connector_kit.hold import CLAIM_FOR
from contracts.linking import LinkProgress, LinkRequest
from contracts.statuses import LINK_MOVES, LinkStatus, may_move
from persistence.database import Database

LATELY = timedelta(hours=3)
"""Providers deliver a webhook again for about this long."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A link session as the connector knows it."""

    link_session_id: str
    user_id: str
    institution: str | None
    institution_ref: str | None
    need_trading: bool
    reconnect_connection_id: str | None
    reconnect_external_id: str | None
    started: bool
    known: list[str]
    done: list[str]
    connection_ids: list[str]
    status: LinkStatus
    reason: str | None
    duplicate_of: str | None
    created_at: datetime
    asks: int
    tries: int
    expired: bool

    def __post_init__(self) -> None:
        # PostgreSQL hands over text; everything above speaks in the enum.
        object.__setattr__(self, "status", LinkStatus(self.status))

    @property
    def progress(self) -> LinkProgress:
        """What others are told; a session that ran out is expired until someone proves it finished."""
        ran_out = self.status is LinkStatus.PENDING and self.expired
        return LinkProgress(
            status=LinkStatus.EXPIRED if ran_out else self.status,
            connection_ids=self.connection_ids,
            reason=self.reason,
            duplicate_of=self.duplicate_of,
        )


_COLUMNS = """
    i.link_session_id, i.user_id, i.institution, i.institution_ref, i.need_trading, i.reconnect_connection_id,
    i.reconnect_external_id, i.started_at IS NOT NULL AS started, i.known, i.done, i.connection_ids, i.status,
    i.reason, i.duplicate_of, i.created_at, i.asks, i.tries, COALESCE(i.expires_at < clock_timestamp(), false) AS expired
"""


async def open_intent(
    database: Database, provider: str, request: LinkRequest, reconnect_external_id: str | None
) -> bool:
    """Note that a session is about to begin; False when it has begun or somebody else is beginning it.

    One whose beginner died can be begun again after a while. The connections the user has now are noted,
    so that later the new ones can be told from them.
    """
    values = {
        "id": request.link_session_id,
        "provider": provider,
        "user_id": request.user_id,
        "institution": request.institution,
        "institution_ref": request.institution_ref,
        "need_trading": request.need_trading,
        "reconnect": request.reconnect_connection_id,
        "reconnect_external": reconnect_external_id,
        "taken_for": CLAIM_FOR,
    }
    async with database.transaction() as conn:
        return (await conn.execute(_OPEN, values)).rowcount == 1


_OPEN = """
INSERT INTO sync.link_intents AS i (
    link_session_id, provider, user_id, institution, institution_ref, need_trading, reconnect_connection_id,
    reconnect_external_id, known, taken_until)
SELECT %(id)s, %(provider)s, %(user_id)s, %(institution)s, %(institution_ref)s, %(need_trading)s,
    %(reconnect)s, %(reconnect_external)s,
    COALESCE((SELECT array_agg(s.external_id ORDER BY s.external_id) FROM sync.sync_state s
               WHERE s.provider = %(provider)s AND s.user_id = %(user_id)s), '{}'),
    clock_timestamp() + %(taken_for)s
ON CONFLICT (link_session_id) DO UPDATE SET taken_until = clock_timestamp() + %(taken_for)s
 WHERE i.provider = EXCLUDED.provider AND i.user_id = EXCLUDED.user_id AND i.started_at IS NULL
   AND (i.taken_until IS NULL OR i.taken_until < clock_timestamp())
"""


async def start(
    database: Database, link_session_id: str, session_digest: str | None, expires_at: datetime
) -> None:
    """Note that the user can be sent to the provider."""
    async with database.transaction() as conn:
        await conn.execute(
            """UPDATE sync.link_intents
                  SET session_token_digest = %s, expires_at = %s, started_at = clock_timestamp(),
                      taken_until = NULL
                WHERE link_session_id = %s""",
            (session_digest, expires_at, link_session_id),
        )


async def abandon_start(database: Database, link_session_id: str) -> None:
    """Let go of a session that could not be begun, so that it can be begun again at once."""
    async with database.transaction() as conn:
        await conn.execute(
            "UPDATE sync.link_intents SET taken_until = NULL WHERE link_session_id = %s AND started_at IS NULL",
            (link_session_id,),
        )


async def get(database: Database, provider: str, link_session_id: str, user_id: str | None) -> Intent | None:
    """The session, unless it is another user's."""
    query = f"""
        SELECT {_COLUMNS} FROM sync.link_intents i
         WHERE i.link_session_id = %(id)s AND i.provider = %(provider)s
           AND (%(user_id)s::text IS NULL OR i.user_id = %(user_id)s)"""  # noqa: S608 - constants of this module
    values = {"id": link_session_id, "provider": provider, "user_id": user_id}
    async with database.transaction(rows=class_row(Intent)) as conn:
        return await (await conn.execute(query, values)).fetchone()


async def take(
    database: Database, provider: str, link_session_id: str, user_id: str | None, holder: str
) -> Intent | None:
    """Take a session in hand to see how it ended; None when it is over, unknown, foreign or in other hands.

    In other hands the wish is noted: whoever has it looks once more before letting go. Of a user's sessions one is in
    hand at a time: what the first brings must be known before the second is looked at, or one login is paid for twice.
    """
    values = {
        "id": link_session_id,
        "provider": provider,
        "user_id": user_id,
        "holder": holder,
        "taken_for": CLAIM_FOR,
    }
    async with database.transaction(rows=class_row(Intent)) as conn:
        await conn.execute(_ONE_BY_ONE, values)
        row = await (await conn.execute(_TAKE, values)).fetchone()
        if row is None:
            await conn.execute(
                """UPDATE sync.link_intents SET asks = asks + 1
                    WHERE link_session_id = %(id)s AND provider = %(provider)s AND status <> 'completed'
                      AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)""",
                values,
            )
    return row


# Released at the end of the statement's transaction: it only orders those who take at the same moment.
_ONE_BY_ONE = """
SELECT pg_advisory_xact_lock(hashtextextended('link ' || i.provider || ' ' || i.user_id, 0)) FROM sync.link_intents i
 WHERE i.link_session_id = %(id)s AND i.provider = %(provider)s
"""
_TAKE = f"""
UPDATE sync.link_intents i
   SET taken_by = %(holder)s, taken_until = clock_timestamp() + %(taken_for)s, tries = i.tries + 1
 WHERE i.link_session_id = %(id)s AND i.provider = %(provider)s AND i.status <> 'completed'
   AND i.started_at IS NOT NULL AND (%(user_id)s::text IS NULL OR i.user_id = %(user_id)s)
   AND (i.taken_until IS NULL OR i.taken_until < clock_timestamp())
   AND NOT EXISTS (SELECT 1 FROM sync.link_intents o
                    WHERE o.provider = i.provider AND o.user_id = i.user_id
                      AND o.link_session_id <> i.link_session_id
                      AND o.taken_by IS NOT NULL AND o.taken_until > clock_timestamp())
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants of this module


async def renew(database: Database, intent: Intent, holder: str) -> bool:
    """Keep a session in hand for longer; False when somebody else has it by now."""
    async with database.transaction() as conn:
        cursor = await conn.execute(
            """UPDATE sync.link_intents SET taken_until = clock_timestamp() + %s
                WHERE link_session_id = %s AND taken_by = %s""",
            (CLAIM_FOR, intent.link_session_id, holder),
        )
        return cursor.rowcount == 1


async def note_connection(
    database: Database, intent: Intent, connection_id: str, source: str | None, holder: str
) -> None:
    """Note that a connection of the session is stored and announced: it is never exchanged again."""
    async with database.transaction() as conn:
        await conn.execute(
            """UPDATE sync.link_intents
                  SET status = 'completing', taken_until = clock_timestamp() + %(taken_for)s,
                      done = CASE WHEN %(source)s::text IS NULL OR %(source)s = ANY(done) THEN done
                                  ELSE array_append(done, %(source)s) END,
                      connection_ids = CASE WHEN %(connection)s = ANY(connection_ids) THEN connection_ids
                                            ELSE array_append(connection_ids, %(connection)s) END
                WHERE link_session_id = %(id)s AND taken_by = %(holder)s""",
            {
                "id": intent.link_session_id,
                "source": source,
                "connection": connection_id,
                "holder": holder,
                "taken_for": CLAIM_FOR,
            },
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a session stands; ``duplicate_of`` is our id of the connection to repair instead."""

    status: LinkStatus
    reason: str | None = None
    duplicate_of: str | None = None


async def settle(database: Database, intent: Intent, verdict: Verdict, holder: str) -> Intent | None:
    """Note how the session stands and let it go; None when somebody else has it in hand by now.

    A move that is not allowed (a session that expired is not pending again) leaves the status as it is.
    """
    query = f"""
        UPDATE sync.link_intents i
           SET status = %(status)s, reason = %(reason)s, duplicate_of = %(duplicate)s, taken_by = NULL, taken_until = NULL,
               settled_at = CASE WHEN %(status)s IN ('pending', 'completing') THEN NULL
                                 ELSE clock_timestamp() END
         WHERE i.link_session_id = %(id)s AND i.taken_by = %(holder)s
        RETURNING {_COLUMNS}"""  # noqa: S608 - constants of this module
    allowed = may_move(LINK_MOVES, intent.status, verdict.status)
    settled = verdict if allowed else Verdict(intent.status, intent.reason, intent.duplicate_of)
    values = {
        "id": intent.link_session_id,
        "status": settled.status,
        "reason": settled.reason,
        "duplicate": settled.duplicate_of,
        "holder": holder,
    }
    async with database.transaction(rows=class_row(Intent)) as conn:
        return await (await conn.execute(query, values)).fetchone()


async def belongs_elsewhere(
    database: Database, intent: Intent, provider: str, connection_id: str, institution_ref: str
) -> bool:
    """Whether another session of the user, begun for that institution, has the connection or waits for it."""
    async with database.transaction() as conn:
        cursor = await conn.execute(
            """SELECT 1 FROM sync.link_intents
                WHERE provider = %(provider)s AND user_id = %(user_id)s AND link_session_id <> %(id)s
                  AND institution_ref = %(ref)s AND started_at IS NOT NULL
                  AND (status IN ('pending', 'completing') OR %(connection)s = ANY(connection_ids))""",
            {
                "provider": provider,
                "user_id": intent.user_id,
                "id": intent.link_session_id,
                "ref": institution_ref,
                "connection": connection_id,
            },
        )
        return await cursor.fetchone() is not None


async def brought_lately(database: Database, intent: Intent, connection_id: str) -> bool:
    """Whether another session repairs the connection, or brought it so lately that word of it may be under way."""
    async with database.transaction() as conn:
        cursor = await conn.execute(
            """SELECT 1 FROM sync.link_intents
                WHERE user_id = %(user_id)s AND link_session_id <> %(id)s
                  AND (reconnect_connection_id = %(connection)s OR %(connection)s = ANY(connection_ids))
                  AND (settled_at IS NULL OR settled_at > clock_timestamp() - %(lately)s)""",
            {
                "user_id": intent.user_id,
                "id": intent.link_session_id,
                "connection": connection_id,
                "lately": LATELY,
            },
        )
        return await cursor.fetchone() is not None


async def waiting_for(database: Database, provider: str, user_id: str, external_id: str) -> list[str]:
    """The user's open sessions that a connection they had before may end: its repair, or the same login anew."""
    query = """
        SELECT link_session_id FROM sync.link_intents
         WHERE provider = %(provider)s AND user_id = %(user_id)s AND started_at IS NOT NULL
           AND status IN ('pending', 'completing') AND created_at > clock_timestamp() - interval '1 day'
           AND COALESCE(reconnect_external_id = %(external)s, %(external)s = ANY(known))
         ORDER BY created_at"""
    values = {"provider": provider, "user_id": user_id, "external": external_id}
    async with database.transaction(rows=scalar_row) as conn:
        return list(await (await conn.execute(query, values)).fetchall())


async def by_session_token(database: Database, provider: str, digest: str) -> list[str]:
    """The sessions begun with that token."""
    return await _ids(database, "session_token_digest = %(value)s", provider, digest)


async def open_of_external_user(database: Database, provider: str, external_user_id: str) -> list[str]:
    """The unfinished sessions of the provider's user."""
    condition = """status <> 'completed' AND created_at > clock_timestamp() - interval '1 day'
        AND user_id IN (SELECT u.user_id FROM sync.provider_users u
                         WHERE u.provider = %(provider)s AND u.external_user_id = %(value)s)"""
    return await _ids(database, condition, provider, external_user_id)


async def ran_out(database: Database, provider: str, limit: int = 20) -> list[str]:
    """Sessions that expired without anybody having looked how they ended."""
    condition = "status IN ('pending', 'completing') AND expires_at < clock_timestamp()"
    return (await _ids(database, condition, provider, ""))[:limit]


async def _ids(database: Database, condition: str, provider: str, value: str) -> list[str]:
    query = f"""
        SELECT link_session_id FROM sync.link_intents
         WHERE provider = %(provider)s AND started_at IS NOT NULL AND {condition}
         ORDER BY created_at LIMIT 100"""  # noqa: S608 - constants of this module
    async with database.transaction(rows=scalar_row) as conn:
        return list(await (await conn.execute(query, {"provider": provider, "value": value})).fetchall())


async def outlived(database: Database, provider: str) -> list[tuple[str, str]]:
    """User and id of sessions that nobody can finish any more, whose secret is still kept."""
    query = """
        SELECT user_id, link_session_id FROM sync.link_intents
         WHERE provider = %s AND NOT token_forgotten AND created_at < clock_timestamp() - interval '7 days'
         ORDER BY created_at LIMIT 100"""
    async with database.transaction() as conn:
        return [(row[0], row[1]) for row in await (await conn.execute(query, (provider,))).fetchall()]


async def forget_token(database: Database, link_session_id: str) -> None:
    """Note that the secret of a session was deleted."""
    async with database.transaction() as conn:
        await conn.execute(
            "UPDATE sync.link_intents SET token_forgotten = true WHERE link_session_id = %s",
            (link_session_id,),
        )
