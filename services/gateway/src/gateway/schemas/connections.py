"""Connections."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.schemas.values import Currency, Cursor, Id, Number, Provider, Shown, Slug, Taken, Time


class RefreshPrice(Shown):
    """What one refresh costs; "0.00" where the provider is only read again."""

    amount: Number
    currency: Currency
    estimated: Annotated[bool, Field(description="The provider tells no price in advance.")]


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
    auto_sync: Annotated[
        bool | None, Field(description="Whether it is read by itself; null where nothing is.")
    ]
    frequency_seconds: Annotated[int | None, Field(description="How often it is read by itself.")]
    next_sync_at: Annotated[
        Time | None, Field(description="When it is read next, if nothing happens before.")
    ]
    last_synced_at: Annotated[Time | None, Field(description="When it was last read with success.")]
    syncing: Annotated[bool, Field(description="It is being read, or waits to be.")]
    paused_reason: Annotated[str | None, Field(description="Why it is not read by itself at present.")]
    error_code: Annotated[
        str | None, Field(description="What went wrong when it was last read, if anything.")
    ]
    realtime: Annotated[bool, Field(description="The provider reads from the institution at every call.")]
    repair_by: Annotated[Time | None, Field(description="Access ends then unless the user renews it.")]
    refresh_price: Annotated[RefreshPrice | None, Field(description="Null where no refresh is possible.")]
    refresh_reason: Annotated[
        str | None,
        Field(
            description="Why it cannot be refreshed now without a confirmation: too_soon, just_refreshed, "
            "user_budget, global_budget, needs_repair, removed, provider_disabled or entered_by_hand; null: it can."
        ),
    ]
    next_refresh_at: Annotated[
        Time | None,
        Field(
            description="The next refresh without a confirmation; null: now, or never where the reason says so."
        ),
    ]


class ConnectionPage(Shown):
    """A page of connections."""

    items: list[Connection]
    next_cursor: Cursor


class RemovedConnection(Shown):
    """A connection on its way out: it is removed at the provider, then its secret is forgotten."""

    id: Id
    status: Literal["removing", "removed"]


class ConfigureBody(Taken):
    """What to change about how a connection is kept up to date; what is left out stays."""

    auto_sync: bool | None = None
    frequency_seconds: Annotated[
        int | None,
        Field(
            ge=1, le=10**9, description="Within the bounds of this installation; 422 names the one passed."
        ),
    ] = None
