"""Named portfolios, and consolidation on demand."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.schemas.decisions import DecidedBy, Status
from gateway.schemas.values import PLAIN_TEXT, Currency, Cursor, Id, Number, Shown, Slug, Taken, Time

Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=PLAIN_TEXT,
        description="Yours alone, in whatever case; `default` is taken.",
        examples=["Retirement"],
    ),
]
AccountIds = Annotated[
    list[Annotated[str, Field(max_length=64)]],
    Field(
        max_length=500,
        description="Accounts of yours. The portfolio holds the real accounts that these are sights of.",
    ),
]


class PortfolioBody(Taken):
    """A portfolio to make; it may be empty."""

    name: Name
    account_ids: AccountIds


class PortfolioChange(Taken):
    """What to change; what is left out (or null) stays."""

    name: Name | None = None
    account_ids: AccountIds | None = None


class ConsolidateBody(Taken):
    """Nothing needs to be said; the body may be left out."""


class HeldAccount(Shown):
    """A real account that a portfolio holds, with every account that is a sight of it."""

    real_account_id: Id
    institution: Slug
    account_ids: list[Id]
    counted_account_id: Id | None
    stale: bool
    needs_decision: bool


class PortfolioCounts(Shown):
    """How much a portfolio holds; `accounts` are all sights of its real accounts."""

    positions: int
    real_accounts: int
    accounts: int


class PortfolioTotal(Shown):
    """A portfolio's sum in one currency; not whole unless `complete`."""

    currency: Currency
    market_value: Number
    complete: bool
    positions: int


class Portfolio(Shown):
    """A named set of real accounts; `default` holds all of them."""

    id: Id
    name: str
    is_default: bool
    status: Status
    definition_version: Annotated[
        int | None, Field(description="Moves when the portfolio is changed; null for `default`.")
    ]
    account_ids: Annotated[
        list[Id] | None, Field(description="As they were named; null for `default`, which holds all.")
    ]
    real_accounts: list[HeldAccount]
    counts: PortfolioCounts
    totals: list[PortfolioTotal]
    version: Annotated[int, Field(description="Moves when a position changes.")]
    changed_at: Annotated[Time | None, Field(description="When a position changed last.")]
    created_at: Time | None
    updated_at: Time | None


class PortfolioPage(Shown):
    """All portfolios, `default` first."""

    items: list[Portfolio]
    next_cursor: Cursor


class DroppedPortfolio(Shown):
    """A portfolio that is gone, while its positions are still being cleared away."""

    id: Id
    status: Literal["pending"]


class Consolidated(Shown):
    """What a consolidation did to one portfolio."""

    portfolio_id: Id
    name: str
    positions: int
    accounts: Annotated[int, Field(description="Accounts that are counted, one per real account.")]
    real_accounts: int
    providers: Annotated[
        dict[str, int], Field(description="Counted accounts by provider.", examples=[{"snaptrade": 2}])
    ]
    changed: Annotated[int, Field(description="Positions that are new or different now.")]
    removed: Annotated[int, Field(description="Positions that are gone.")]
    breaks: Annotated[int, Field(description="Accounts that do not add up to their provider's total.")]
    version: Annotated[int, Field(description="The portfolio's, as of then.")]
    seconds: Number
    finished_at: Time


class Consolidation(Shown):
    """A consolidation on demand: completed once every portfolio asked for has its result."""

    request_id: Id
    status: Literal["running", "completed"]
    requested_by: DecidedBy
    requested_at: Time
    results: list[Consolidated]
    missing: Annotated[list[Id], Field(description="Portfolios without a result yet.")]
