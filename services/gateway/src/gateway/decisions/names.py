"""Names of portfolios: which are allowed, and which are the same. Pure."""

import re
from unicodedata import category, normalize
from uuid import UUID

DEFAULT = "default"
"""The portfolio that holds every real account; everyone has it, and nobody defines it."""
LONGEST = 64
_SPACES = re.compile(r"\s+")
_REFUSED = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
"""Invisible, yet part of how some scripts and emoji are written."""


class NameRefusedError(ValueError):
    """A text that cannot be a portfolio's name; the message says why, without repeating it."""


def checked(name: str) -> str:
    """The name without the space around it.

    Raises:
        NameRefusedError: it is empty, too long, looks like an id, or holds what cannot be seen.
    """
    name = name.strip()
    if not 1 <= len(name) <= LONGEST or not key_of(name):
        raise NameRefusedError(f"a name has 1 to {LONGEST} characters")
    if any(category(one) in _REFUSED or _is_invisible(one) for one in name):
        raise NameRefusedError("a name has no control characters")
    if is_id(name):
        raise NameRefusedError("a name does not look like an id")
    return name


def key_of(name: str) -> str:
    """What two names have in common that people would call the same: case, width and spacing do not matter."""
    seen = "".join(one for one in normalize("NFKC", name) if category(one) != "Cf")
    return _SPACES.sub(" ", normalize("NFKC", seen.casefold())).strip()


def is_id(text: str) -> bool:
    """Whether a text would be read as an id."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold a text at all."""
    return "\x00" not in text and not any("\ud800" <= one <= "\udfff" for one in text)


def _is_invisible(character: str) -> bool:
    return category(character) == "Cf" and character not in _JOINERS
