"""Connection URLs derived from an administrator's URL. Pure."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

_CREDENTIALS = frozenset({"user", "password", "passfile", "options"})


def role_url(admin_url: str, role: str, password: str) -> str:
    """The same database as a login role; the URL's other parameters (TLS, hosts) stay."""
    parts = urlsplit(admin_url)
    _, _, place = parts.netloc.rpartition("@")
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name not in _CREDENTIALS]
    login = f"{quote(role, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{place}", query=urlencode(kept, quote_via=quote)))


def acting_url(admin_url: str, role: str) -> str:
    """The same database, the administrator acting as a role: for tests, which must not touch passwords."""
    parts = urlsplit(admin_url)
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name != "options"]
    query = urlencode([*kept, ("options", f"-c role={role}")], quote_via=quote)
    return urlunsplit(parts._replace(query=query))


def with_database(url: str, name: str) -> str:
    """The same server and role, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(name, safe='')}"))
