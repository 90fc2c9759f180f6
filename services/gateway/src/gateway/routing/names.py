"""Names of institutions nobody listed: what can be one, and its slug. Pure."""

import re
import unicodedata

_PLAUSIBLE = re.compile(r"[\w .,&'\u2019*+()/!-]{2,100}")
_NOT_SLUG = re.compile(r"[^a-z0-9]+")


def plausible_slug(name: str) -> str | None:
    """The slug of a name that can be an institution's (``First Example Bank`` is ``first-example-bank``).

    ``None`` for what cannot: no letters, other characters than names have, or too short or long.
    """
    text = " ".join(unicodedata.normalize("NFC", name).split())
    if not _PLAUSIBLE.fullmatch(text):
        return None
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    slug = _NOT_SLUG.sub("-", plain).strip("-")[:64].strip("-")
    return slug if len(slug) >= 2 and re.search(r"[a-z]", slug) else None
