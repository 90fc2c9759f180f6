"""Link sessions."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.statuses import LinkStatus
from gateway.schemas.institutions import LinkCapabilities
from gateway.schemas.values import PLAIN_TEXT, Id, Provider, Shown, Slug, Taken, Time

Redirect = Annotated[
    str | None,
    Field(
        max_length=2000,
        description="Where to send the user afterwards; scheme, host, port and path must be on the allow-list.",
        examples=["https://app.example.com/linked"],
    ),
]


class LinkBody(Taken):
    """What to link. `institution` is a slug, a display name or any name; the routing decides who links it."""

    institution: Annotated[
        str | None, Field(min_length=1, max_length=100, pattern=PLAIN_TEXT, examples=["charles-schwab"])
    ] = None
    need_trading: Annotated[bool, Field(description="Refuse providers that cannot trade here.")] = False
    provider: Annotated[
        str | None, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$", description="An explicit choice of provider.")
    ] = None
    redirect_uri: Redirect = None
    reconnect_connection_id: Annotated[
        UUID | None, Field(description="Repair this connection instead of making one.")
    ] = None


class ReconnectBody(Taken):
    """How to repair a connection."""

    redirect_uri: Redirect = None


class CompleteBody(Taken):
    """A claim that the user finished. `connection_id` is a hint the connector looks up, never believes."""

    connection_id: Annotated[str | None, Field(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._~-]*$")] = (
        None
    )


class LinkSession(Shown):
    """A link session as it stands."""

    id: Id
    status: LinkStatus
    reason: Annotated[str | None, Field(description="Why it ended as it did, where somebody said.")]
    provider: Provider
    institution: Slug
    institution_name: str
    capabilities: LinkCapabilities
    reasons: Annotated[list[str], Field(description="Why this provider, in the order of the rules.")]
    policy_version: str
    redirect_uri: str | None
    reconnect_connection_id: Id | None
    connection_ids: Annotated[list[Id], Field(description="The connections it brought.")]
    code: Annotated[
        str | None,
        Field(description="`ALREADY_LINKED` where it failed because the same login is linked already."),
    ]
    duplicate_of: Annotated[Id | None, Field(description="The connection that the same login made before.")]
    repair: Annotated[str | None, Field(description="POST here to repair that connection instead.")]
    created_at: Time
    expires_at: Annotated[Time, Field(description="It must be completed by then.")]


class StartedLink(LinkSession):
    """A new link session with the page to send the user to. The page is a credential: shown once, stored nowhere."""

    url: Annotated[str, Field(description="Where to send the user.")]
    url_expires_at: Annotated[Time, Field(description="The page must be opened by then.")]
    link_token: Annotated[str | None, Field(description="Where the provider's own widget is used instead.")]
