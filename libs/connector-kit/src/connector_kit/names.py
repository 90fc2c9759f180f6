"""Names: of institutions, and of what is kept about link sessions. Pure."""

import re
import unicodedata
from hashlib import sha256

from persistence.secrets import SecretName

_PUNCTUATION = re.compile(r"[^a-z0-9\s_-]")
_GAPS = re.compile(r"[\s_-]+")
UNKNOWN_INSTITUTION = "unknown"
DIGEST_PREFIX = "sha256:"


def slug(text: str | None) -> str | None:
    """The slug of an institution's name; None for nothing.

    ``Bank of America`` is ``bank-of-america`` and ``E*TRADE`` is ``etrade``: punctuation parts no words.
    """
    if text is None:
        return None
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return _GAPS.sub("-", _PUNCTUATION.sub("", plain))[:64].strip("-") or None


def institution_slug(
    *, requested: str | None, requested_ref: str | None, linked_ref: str | None, linked_name: str | None
) -> str:
    """Which institution a new connection belongs to.

    The requested one, where the provider confirms it. Otherwise the provider's own name decides: the user may
    have chosen another one there, and what a user typed is no name of an institution.
    """
    if requested and (linked_ref is None or linked_ref == requested_ref):
        return requested
    asked = requested if requested_ref is None else None
    return slug(linked_name) or asked or slug(linked_ref) or UNKNOWN_INSTITUTION


def link_token(provider: str, user_id: str, link_session_id: str) -> SecretName:
    """What is needed to finish a link session; deleted when it is finished."""
    return SecretName((provider, "link_token", user_id, link_session_id))


def access_tokens(provider: str, user_id: str) -> str:
    """What the names of a user's connection secrets begin with."""
    return SecretName((provider, "access_token", user_id)).path


def digest(token: str) -> str:
    """How a session token is known where the token itself must not be: ``sha256:<hex>``.

    A text that already is a digest stays as it is: deliveries arrive with tokens replaced by theirs.
    """
    return token if token.startswith(DIGEST_PREFIX) else DIGEST_PREFIX + sha256(token.encode()).hexdigest()
