"""Refreshes."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.schemas.values import Currency, Id, Number, Provider, Shown, Slug, Taken, Time


class RefreshBody(Taken):
    """How to refresh."""

    confirm_cost: Annotated[
        bool,
        Field(description="Pay for a refresh that would otherwise have to wait (`override` in the refusal)."),
    ] = False


class RefreshItem(Shown):
    """One connection, and what became of the wish to refresh it."""

    connection_id: Id
    provider: Provider
    institution: Slug
    institution_name: str | None
    status: Annotated[
        Literal["queued", "refused", "needs_confirmation"],
        Field(description="`needs_confirmation`: it would run with `confirm_cost`."),
    ]
    code: Annotated[str | None, Field(description="The error code a refusal would carry on its own.")]
    reason: Annotated[str | None, Field(description="Why not: too_soon, just_refreshed, user_budget, …")]
    paid: Annotated[bool, Field(description="Whether the provider charges for it.")]
    price: Number
    currency: Currency
    estimated: Annotated[bool, Field(description="The provider tells no price in advance.")]
    override: Annotated[Literal["confirm_cost"] | None, Field(description="What would make it run now.")]
    retry_at: Annotated[Time | None, Field(description="When the same request would pass.")]
    next_refresh_at: Annotated[
        Time | None, Field(description="When a refresh without a confirmation is possible next.")
    ]
    charge_id: Annotated[Id | None, Field(description="The charge in the ledger, where it may cost.")]


class RefreshTotals(Shown):
    """How many, and for how much."""

    queued: int
    refused: int
    needs_confirmation: int
    price: Annotated[Number, Field(description="Of what is queued.")]
    price_to_confirm: Annotated[Number, Field(description="Of what would run with `confirm_cost`.")]
    currency: Currency
    estimated: bool


class RefreshAll(Shown):
    """What became of each connection."""

    items: list[RefreshItem]
    totals: RefreshTotals
