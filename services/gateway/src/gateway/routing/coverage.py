"""Coverage: which institutions are known, and which providers serve each. Data, read once."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


class CoverageError(ValueError):
    """The coverage file says something that cannot be."""


@dataclass(frozen=True, slots=True)
class Institution:
    """One institution and who serves it; ``references`` are its names at the providers."""

    slug: str
    name: str
    type: str
    preferred: str
    fallback: str | None = None
    allow_trading: bool = False
    popular: bool = False
    aliases: tuple[str, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict)

    def serves(self, provider: str) -> bool:
        """Whether coverage lists the provider for this institution."""
        return provider in {self.preferred, self.fallback} or provider in self.references


class Coverage:
    """The institutions by slug, and by every name people use for them."""

    def __init__(self, institutions: Iterable[Institution]) -> None:
        self._by_slug = MappingProxyType({one.slug: one for one in institutions})
        self._by_name = {
            _fold(name): one for one in self._by_slug.values() for name in (one.slug, one.name, *one.aliases)
        }

    def find(self, name: str) -> Institution | None:
        """The institution of that slug, display name or alias, however it is spelled."""
        return self._by_name.get(_fold(name))

    def search(self, query: str | None = None, *, popular: bool | None = None) -> list[Institution]:
        """Institutions whose name or alias contains the query, names that begin with it first."""
        wanted = _fold(query or "")
        found = [
            one
            for one in self._by_slug.values()
            if (popular is None or one.popular is popular)
            and any(wanted in _fold(name) for name in (one.slug, one.name, *one.aliases))
        ]
        return sorted(
            found, key=lambda one: (not _fold(one.name).startswith(wanted), not one.popular, one.name)
        )


def read(text: str) -> Coverage:
    """Read a coverage file.

    Raises:
        CoverageError: not TOML, an unknown or missing member, or a name two institutions claim.
    """
    try:
        rows = tomllib.loads(text)
        institutions = [_institution(slug, row) for slug, row in rows.items()]
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise CoverageError(str(error)) from error
    claimed: dict[str, str] = {}
    for one in institutions:
        for name in {_fold(name) for name in (one.slug, one.name, *one.aliases)}:
            if claimed.setdefault(name, one.slug) != one.slug:
                raise CoverageError(f"{one.slug} and {claimed[name]} both claim the name {name!r}")
    return Coverage(institutions)


def _institution(slug: str, row: Any) -> Institution:
    if not isinstance(row, dict) or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug):
        raise CoverageError(f"{slug!r} is not a slug with a table of members")
    try:
        return Institution(slug=slug, **row | {"aliases": tuple(row.get("aliases", ()))})
    except TypeError as error:
        raise CoverageError(f"{slug}: {error}") from error


def _fold(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())
