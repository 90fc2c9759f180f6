"""What a database error means for the caller: run again, come back later, or a defect. Pure."""

import psycopg
from psycopg import pq

RUN_AGAIN = frozenset({"40001", "40P01", "57P01"})
LOST_CLASS = "08"
# Out of something (disk, memory, connections), the server is on its way down or up, or others hold the lock.
LATER_CLASS = "53"
LOCKED = "55P03"
LATER = frozenset({"57P01", "57P02", "57P03", "25P03", LOCKED})


class DatabaseUnavailable(Exception):  # noqa: N818 - the name says what to do: come back later
    """The database cannot do it now: no connection, the connection broke, or it is out of a resource.

    Attributes:
        sqlstate: the database's own code, where it gave one.
        run_again: the connection broke under a unit of work, which may be run again as a whole. A COMMIT that
            got no answer may have taken effect, so the unit must be safe to repeat.
    """

    def __init__(self, reason: str, *, sqlstate: str | None = None, run_again: bool = False) -> None:
        super().__init__(reason)
        self.sqlstate = sqlstate
        self.run_again = run_again


def unavailable(error: psycopg.Error) -> DatabaseUnavailable | None:
    """The same error as "come back later", or None where the statement itself is at fault."""
    if not _is_lost(error) and not _is_short(error.sqlstate):
        return None
    # The server's text can repeat what was sent; its class and code cannot.
    reason = f"{type(error).__name__} ({error.sqlstate or 'connection lost'})"
    return DatabaseUnavailable(reason, sqlstate=error.sqlstate, run_again=can_run_again(error))


def can_run_again(error: BaseException) -> bool:
    """Whether the whole unit of work may be run again after this error."""
    if isinstance(error, DatabaseUnavailable):
        return error.run_again
    if not isinstance(error, psycopg.Error):
        return False
    return error.sqlstate in RUN_AGAIN or _is_lost(error)


def _is_lost(error: psycopg.Error) -> bool:
    if error.sqlstate is not None:
        return error.sqlstate.startswith(LOST_CLASS)
    # libpq noticed a dead socket by itself: class 08 without the code.
    broken = error.pgconn is None or error.pgconn.status != pq.ConnStatus.OK
    return isinstance(error, psycopg.OperationalError) and broken


def _is_short(sqlstate: str | None) -> bool:
    return sqlstate is not None and (sqlstate in LATER or sqlstate.startswith(LATER_CLASS))
