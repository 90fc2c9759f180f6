"""SnapTrade's own ids: a UUID per thing, always the same for the same thing."""

from functools import lru_cache
from uuid import UUID, uuid5

_SPACE = UUID("5a9db0c2-0000-4000-8000-0000000000d5")


@lru_cache(maxsize=65_536)
def stable_id(what: str, key: str) -> str:
    """Return the UUID of a brokerage, security, exchange, currency or order; the same at every start."""
    return str(uuid5(_SPACE, f"{what}/{key}"))
