"""What connectors tell operators."""

from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.schemas.values import Provider, Shown, Taken, Time

Unavailable = Annotated[
    list[str], Field(description="Providers whose connector gave no answer: what they would say is missing.")
]


class Orphan(Shown):
    """Something that exists on one side only: at the provider, or with us.

    `user` and `connection` exist at the provider and not with us, `missing` is a connection of ours that the provider
    does not list, `secret` belongs to no connection.
    """

    provider: Provider
    orphan_id: str
    kind: Annotated[str, Field(examples=["connection"])]
    user_id: str
    external_user_id: str | None
    external_id: str | None
    found_at: Time
    seen_at: Annotated[Time, Field(description="When a search saw it last.")]
    resolved_at: Time | None
    resolution: str | None


class OrphanPage(Shown):
    """What the last searches found."""

    items: list[Orphan]
    unavailable: Unavailable


class ConfirmBody(Taken):
    """That you mean it."""

    confirm: Literal[True]


class Breaker(Shown):
    """An institution (`*`: the provider as a whole) that fails, and until when it is left alone."""

    provider: Provider
    institution: str
    failures: int
    failed_at: Time | None
    open_until: Time | None
    probed_at: Time | None
    reason: str | None


class BreakerPage(Shown):
    """Breakers that are open, or have counted failures."""

    items: list[Breaker]
    unavailable: Unavailable


class Job(Shown):
    """How a daily job of a connector stands."""

    provider: Provider
    name: Annotated[str, Field(examples=["orphans"])]
    running: bool
    started_at: Time | None
    finished_at: Time | None
    next_at: Time | None
    result: Annotated[dict[str, Any] | None, Field(description="What its last run said of itself.")]


class JobPage(Shown):
    """The daily jobs."""

    items: list[Job]
    unavailable: Unavailable
