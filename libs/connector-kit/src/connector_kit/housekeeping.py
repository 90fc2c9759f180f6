"""Forgetting what nobody needs any more."""

from datetime import timedelta
from typing import Any

from connector_kit import handled
from connector_kit.engine import Engine

KEPT = {
    "limits": timedelta(days=1),
    "breakers": timedelta(days=7),
    "orphans": timedelta(days=90),
    "refreshes": timedelta(days=400),
}
STATEMENTS = {
    "limits": """DELETE FROM sync.limits
        WHERE starts_with(key, %(provider)s || '/') AND tat < clock_timestamp() - %(kept)s
          AND (blocked_until IS NULL OR blocked_until < clock_timestamp())""",
    "breakers": """DELETE FROM sync.breakers
        WHERE provider = %(provider)s AND failures = 0 AND open_until IS NULL
          AND failed_at < clock_timestamp() - %(kept)s""",
    "orphans": """DELETE FROM sync.orphans
        WHERE provider = %(provider)s AND resolved_at < clock_timestamp() - %(kept)s""",
    "refreshes": """DELETE FROM sync.refreshes
        WHERE provider = %(provider)s AND told AND state IN ('accepted', 'refused')
          AND settled_at < clock_timestamp() - %(kept)s""",
    "streams": """DELETE FROM sync.streams t USING sync.sync_state s
        WHERE s.connection_id = t.connection_id AND s.provider = %(provider)s AND s.status = 'removed'""",
    "accounts": """DELETE FROM sync.accounts t USING sync.sync_state s
        WHERE s.connection_id = t.connection_id AND s.provider = %(provider)s AND s.status = 'removed'""",
}


async def tidy(engine: Engine) -> dict[str, Any]:
    """Forget idle limits, what was read of removed connections, and old records; how many of each."""
    counts: dict[str, Any] = {}
    for name, statement in STATEMENTS.items():
        async with engine.database.transaction() as conn:
            values = {"provider": engine.provider, "kept": KEPT.get(name)}
            counts[name] = (await conn.execute(statement, values)).rowcount
    await handled.forget_old(engine.database, engine.provider)
    return counts
