"""What the Plaid face can be set to."""

from dataclasses import dataclass
from typing import Self

from provider_sandbox.settings import Settings


@dataclass(frozen=True, slots=True)
class PlaidConfig:
    """Keys the face accepts and how it presents itself.

    `public_url` is where a browser reaches the Hosted Link pages; empty means the host the request was sent to.
    """

    client_id: str
    secret: str
    public_url: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the face's part of the process settings."""
        return cls(settings.plaid_client_id, settings.plaid_secret, settings.public_plaid_url.rstrip("/"))
