"""Institutions: what can be linked, and through whom."""

from typing import Annotated

from pydantic import Field

from gateway.schemas.values import Cursor, Provider, Shown, Slug


class LinkCapabilities(Shown):
    """What accounts linked this way can be expected to do, if they themselves allow it."""

    trading: bool


class Institution(Shown):
    """An institution of the coverage file."""

    slug: Slug
    name: Annotated[str, Field(examples=["Charles Schwab"])]
    type: Annotated[str, Field(examples=["brokerage"])]
    popular: bool
    provider: Annotated[
        Provider | None, Field(description="Who would link it for you now; null where nobody can.")
    ]
    capabilities: LinkCapabilities
    reasons: Annotated[
        list[str] | None, Field(description="Why this provider, in the order of the rules; with `explain`.")
    ]


class InstitutionPage(Shown):
    """A page of institutions."""

    items: list[Institution]
    next_cursor: Cursor
