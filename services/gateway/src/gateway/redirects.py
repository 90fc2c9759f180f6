"""Where a user may be sent: addresses compared part by part with an allow-list. Pure.

Anything that two programs could read differently (user names, backslashes, control characters, fragments, hosts that
are not plain ASCII) is refused before it is compared.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_LENGTH = 2000
DEFAULT_PORTS = {"https": 443, "http": 80}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])"
    r"(:(?P<port>[0-9]{1,5}))?(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?"
    r"(?P<query>\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"
)


class RedirectRefusedError(ValueError):
    """An address nobody may be sent to; the text says why and never repeats it."""


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of an address that must match, and the query that may vary."""

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def place(self) -> tuple[str, str, int, str]:
        """What is compared."""
        return (self.scheme, self.host, self.port, self.path)

    def __str__(self) -> str:
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.path}{self.query}"


def parse(text: str) -> Address:
    """Read an address.

    Raises:
        RedirectRefusedError: it is not a plain http(s) address.
    """
    found = _ADDRESS.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if found is None:
        raise RedirectRefusedError("not a plain http or https address")
    scheme, path = found["scheme"], found["path"] or "/"
    port = int(found["port"] or DEFAULT_PORTS[scheme])
    if not 0 < port <= 65535:
        raise RedirectRefusedError("no such port")
    if "//" in path or any(part in {".", ".."} for part in path.lower().replace("%2e", ".").split("/")):
        raise RedirectRefusedError("the path is not in its plain form")
    if ".." in found["host"]:
        raise RedirectRefusedError("not a host name")
    return Address(scheme, found["host"].lower(), port, path, found["query"] or "")


def allowed(text: str, allow_list: Iterable[str]) -> str:
    """The address in its canonical form.

    Raises:
        RedirectRefusedError: it is not plain, or its scheme, host, port and path are not on the list.
    """
    address = parse(text)
    if address.place not in {parse(entry).place for entry in allow_list}:
        raise RedirectRefusedError("not on the allow-list")
    return str(address)


def is_safe_page(url: str, *, production: bool) -> bool:
    """Whether a user may be sent to a page that a provider named: https, or loopback while developing."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if (
        not url.isascii()
        or not url.isprintable()
        or "\\" in url
        or " " in url
        or not host
        or "@" in parts.netloc
    ):
        return False
    return parts.scheme == "https" or (
        parts.scheme == "http" and not production and host in {"localhost", "127.0.0.1", "::1"}
    )
