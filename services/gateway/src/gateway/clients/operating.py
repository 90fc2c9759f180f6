"""What connectors tell operators: orphans, breakers and jobs, as far as they are shown."""

from datetime import datetime
from typing import Any

from contracts.struct import Record


class Orphan(Record, frozen=True, kw_only=True):
    """Something that exists on one side only; ids are the provider's where ours are not known."""

    orphan_id: str
    kind: str
    user_id: str
    external_user_id: str | None
    external_id: str | None
    found_at: datetime
    seen_at: datetime
    resolved_at: datetime | None
    resolution: str | None


class Breaker(Record, frozen=True, kw_only=True):
    """An institution (``*``: the provider as a whole) that is left alone until ``open_until``."""

    institution: str
    failures: int
    failed_at: datetime | None
    open_until: datetime | None
    probed_at: datetime | None
    reason: str | None


class Job(Record, frozen=True, kw_only=True):
    """How a daily job stands."""

    name: str
    running: bool
    started_at: datetime | None
    finished_at: datetime | None
    next_at: datetime | None
    result: dict[str, Any] | None


class Orphans(Record, frozen=True, kw_only=True):
    """A connector's answer."""

    orphans: list[Orphan]


class Breakers(Record, frozen=True, kw_only=True):
    """A connector's answer."""

    breakers: list[Breaker]


class Jobs(Record, frozen=True, kw_only=True):
    """A connector's answer."""

    jobs: list[Job]
