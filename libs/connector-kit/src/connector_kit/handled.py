"""The table ``sync.handled_commands``: what was asked for under an idempotency id and has been done."""

from persistence.database import Database

KEPT_DAYS = 7


async def was_handled(database: Database, provider: str, user_id: str, idempotency_id: str) -> bool:
    """Whether the command has been carried out."""
    async with database.transaction() as conn:
        cursor = await conn.execute(
            """SELECT 1 FROM sync.handled_commands
                WHERE provider = %s AND user_id = %s AND idempotency_id = %s""",
            (provider, user_id, idempotency_id),
        )
        return await cursor.fetchone() is not None


async def mark_handled(database: Database, provider: str, user_id: str, idempotency_id: str) -> None:
    """Note that the command has been carried out."""
    async with database.transaction() as conn:
        await conn.execute(
            """INSERT INTO sync.handled_commands (provider, user_id, idempotency_id) VALUES (%s, %s, %s)
               ON CONFLICT DO NOTHING""",
            (provider, user_id, idempotency_id),
        )


async def forget_old(database: Database, provider: str) -> None:
    """Forget commands that nobody repeats any more."""
    async with database.transaction() as conn:
        await conn.execute(
            """DELETE FROM sync.handled_commands
                WHERE provider = %s AND handled_at < clock_timestamp() - make_interval(days => %s)""",
            (provider, KEPT_DAYS),
        )
