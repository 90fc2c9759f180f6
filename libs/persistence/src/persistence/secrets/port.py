"""The port: what any store of secrets can do."""

from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from persistence.secrets.names import SecretName


class SecretNotFoundError(LookupError):
    """There is no secret of that name (or no previous version of it)."""


class SecretStoreUnavailableError(Exception):
    """The store cannot be reached now."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret's value, masked wherever it is printed, and its version (1 is the first)."""

    value: SecretStr
    version: int


class SecretStore(Protocol):
    """Keeps secrets; the newest and the one before it."""

    async def get(self, name: SecretName, *, previous: bool = False) -> Secret:
        """Read the newest version, or the one before it.

        Raises:
            SecretNotFoundError: there is none.
            SecretStoreUnavailableError: the store cannot be reached (an encrypted store raises
                `DatabaseUnavailable` instead).
        """
        ...

    async def put(self, name: SecretName, value: SecretStr) -> int:
        """Write a new version and return its number; the version before it is kept, older ones go."""
        ...

    async def delete(self, name: SecretName) -> bool:
        """Remove all versions; False where there were none."""
        ...

    async def names(self, prefix: str) -> list[SecretName]:
        """The names whose path begins with these whole parts (`plaid/access_token/u1`), sorted."""
        ...
