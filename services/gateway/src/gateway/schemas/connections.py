"""Connections."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.schemas.values import Cursor, Id, Provider, Shown, Slug, Time


class Connection(Shown):
    """One authorization of one user at one institution through one provider."""

    id: Id
    provider: Provider
    institution: Slug
    institution_name: str | None
    connection_type: Annotated[str | None, Field(description="`read` or `trade`.", examples=["trade"])]
    status: Annotated[
        str, Field(description="active, stale_cache, broken, revoked or removed.", examples=["active"])
    ]
    status_reason: str | None
    provider_code: Annotated[str | None, Field(description="The provider's own code, for support.")]
    status_at: Time | None
    needs_repair: Annotated[bool, Field(description="Offer the user to reconnect.")]
    linked_at: Time | None
    accounts: int
    as_of: Annotated[Time | None, Field(description="When the provider last read its oldest account.")]
    synced_at: Annotated[Time | None, Field(description="When we last read its oldest account.")]


class ConnectionPage(Shown):
    """A page of connections."""

    items: list[Connection]
    next_cursor: Cursor


class RemovedConnection(Shown):
    """A connection on its way out: it is removed at the provider, then its secret is forgotten."""

    id: Id
    status: Literal["removing", "removed"]
