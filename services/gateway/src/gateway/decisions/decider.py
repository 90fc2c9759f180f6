"""Who decides, for whom; and the one queue that a user's decisions stand in."""

from dataclasses import dataclass

from gateway.auth.tokens import Principal
from persistence.database import Connection


@dataclass(frozen=True, slots=True)
class Decider:
    """Whose accounts are decided about, by whom, in which request, and the caller's own key of it."""

    user_id: str
    by: str
    request_id: str
    key: str | None = None


def themselves(caller: Principal, request_id: str, key: str | None = None) -> Decider:
    """A user who decides for themselves."""
    return Decider(caller.user_id, f"user:{caller.user_id}", request_id, key)


def on_behalf(admin: Principal, user_id: str, request_id: str, key: str | None = None) -> Decider:
    """An admin who decides for a user."""
    return Decider(user_id, f"admin:{admin.user_id}", request_id, key)


async def one_at_a_time(conn: Connection, user_id: str) -> None:
    """Wait until nobody else decides for this user; ends with the transaction."""
    lock = f"gateway.decisions:{user_id}"
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (lock,))
