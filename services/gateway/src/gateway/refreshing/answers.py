"""First answers, kept beside their idempotency key for as long as the key is."""

from gateway.decisions.decider import Decider
from persistence.database import Connection


async def keep(conn: Connection, who: Decider, action: str, body: str) -> None:
    """Keep the answer (JSON text) to the request whose key this transaction has just kept; without a key, nothing."""
    if who.key is not None:
        await conn.execute(
            """UPDATE gateway.idempotency_keys SET answer = %s::json
            WHERE user_id = %s AND actor = %s AND action = %s AND key = %s""",
            (body, who.user_id, who.by, action, who.key),
        )


async def first(conn: Connection, who: Decider, action: str) -> str:
    """The first answer to a key that came before, byte for byte."""
    cursor = await conn.execute(
        """SELECT answer::text FROM gateway.idempotency_keys
        WHERE user_id = %s AND actor = %s AND action = %s AND key = %s""",
        (who.user_id, who.by, action, who.key),
    )
    row = await cursor.fetchone()
    if row is None or row[0] is None:
        raise LookupError(f"an idempotency key of {action} without its answer")
    return str(row[0])
