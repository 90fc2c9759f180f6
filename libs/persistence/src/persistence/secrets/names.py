"""Names of secrets: paths whose parts cannot break out of their place. Pure.

    snaptrade/app_credentials
    snaptrade/user_secret/{user_id}
    plaid/access_token/{user_id}/{institution}/{item_id}

The third part, where there is one, is the user the secret belongs to.
"""

import re
from dataclasses import dataclass

MOST_PARTS = 6
LONGEST_PART = 200
LONGEST_NAME = 450
_USER = 2
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.@+")
_ESCAPE = re.compile(r"=([0-9A-F]{2})")


class BadSecretNameError(ValueError):
    """A name that is empty, too long, or holds control characters or dot parts. It never repeats the name."""


@dataclass(frozen=True, slots=True)
class SecretName:
    """A secret's name; at least a provider and a kind.

    Raises:
        BadSecretNameError: the parts cannot make a name.
    """

    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.parts) <= MOST_PARTS:
            raise BadSecretNameError(f"a name has 2 to {MOST_PARTS} parts")
        for part in self.parts:
            _check(part)
        if len(self.path) > LONGEST_NAME:
            raise BadSecretNameError(f"a name has at most {LONGEST_NAME} characters")

    @property
    def path(self) -> str:
        """The name as one text; other characters than letters, digits and `_-.@+` are written `=XX`."""
        return "/".join(encode(part) for part in self.parts)

    @property
    def user_id(self) -> str | None:
        """Whose it is; None for the application's own."""
        return self.parts[_USER] if len(self.parts) > _USER else None

    @classmethod
    def parse(cls, path: str) -> "SecretName":
        """Read a path back.

        Raises:
            BadSecretNameError: it is not one that `path` gives.
        """
        try:
            name = cls(tuple(_decode(part) for part in path.split("/")))
        except UnicodeDecodeError as error:
            raise BadSecretNameError("a name is UTF-8") from error
        if name.path != path:
            raise BadSecretNameError("a name has one spelling")
        return name


def app_credentials(provider: str) -> SecretName:
    """The application's own credentials at a provider."""
    return SecretName((provider, "app_credentials"))


def user_secret(provider: str, user_id: str) -> SecretName:
    """The secret a provider gave for a user."""
    return SecretName((provider, "user_secret", user_id))


def access_token(provider: str, user_id: str, institution: str, external_id: str) -> SecretName:
    """The token a provider gave for one of a user's connections."""
    return SecretName((provider, "access_token", user_id, institution, external_id))


def encode(part: str) -> str:
    """A part without any character that means something in a path, a pattern or a cloud's rules."""
    return "".join(chr(byte) if byte in _PLAIN else f"={byte:02X}" for byte in part.encode())


def _decode(part: str) -> str:
    raw = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), part)
    try:
        return raw.encode("latin-1").decode()
    except UnicodeEncodeError as error:
        raise BadSecretNameError("a name is written in ASCII") from error


def _check(part: str) -> None:
    if not part or len(part) > LONGEST_PART:
        raise BadSecretNameError(f"a part of a name has 1 to {LONGEST_PART} characters")
    if part in {".", ".."} or not part.isprintable():
        raise BadSecretNameError("a part of a name is printable and no dot directory")
