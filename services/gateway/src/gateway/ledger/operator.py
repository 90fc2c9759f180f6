"""Looking at all users at once, for operators: a transaction has to say so, and reads only."""

from persistence.database import Connection


async def as_operator(conn: Connection) -> None:
    """See every user's charges, connections and open sessions until the transaction ends."""
    await conn.execute("SELECT set_config('app.operator', 'on', true)")
