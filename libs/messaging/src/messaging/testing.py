"""What tests need of a broker: virtual hosts of their own, or names of their own on a shared one."""

import uuid
from collections.abc import Callable
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from messaging.topology import PREFIX_PARAMETER

BATCH = 12

# One evaluation for many virtual hosts: each start of rabbitmqctl costs a second of CPU.
_ADD = """\
[begin
   rabbit_vhost:add(Name, <<"tests">>),
   rabbit_auth_backend_internal:set_permissions(<<"{user}">>, Name, <<".*">>, <<".*">>, <<".*">>, <<"tests">>)
 end || Name <- [{names}]], ok."""
_DELETE = '[rabbit_vhost:delete(Name, <<"tests">>) || Name <- [{names}]], ok.'


def with_prefix(url: str, prefix: str) -> str:
    """The same AMQP URL, asking the bus to put `prefix` before every queue and exchange name."""
    parts = urlsplit(url)
    query = urlencode([*parse_qsl(parts.query), (PREFIX_PARAMETER, prefix)])
    return urlunsplit(parts._replace(query=query))


class VirtualHosts:
    """A stock of empty virtual hosts, filled in batches; used ones are deleted when it is refilled.

    Args:
        url: an administrator's AMQP URL.
        evaluate: runs Erlang text on the node (`rabbitmqctl eval`).
    """

    def __init__(self, url: str, evaluate: Callable[[str], object]) -> None:
        self._url = urlsplit(url)
        self._evaluate = evaluate
        self._fresh: list[str] = []
        self._used: list[str] = []

    def take(self) -> str:
        """URL of a virtual host that nobody has used."""
        if not self._fresh:
            self._refill()
        return urlunsplit(self._url._replace(path="/" + quote(self._fresh.pop(), safe="")))

    def give_back(self, url: str) -> None:
        """Say that a test is done with its virtual host."""
        self._used.append(unquote(urlsplit(url).path.removeprefix("/")))

    def close(self) -> None:
        """Delete all of them."""
        self._delete([*self._used, *self._fresh])

    def _refill(self) -> None:
        self._delete(self._used)
        self._used = []
        self._fresh = [f"test-{uuid.uuid4().hex}" for _ in range(BATCH)]
        user = unquote(self._url.username or "guest")
        self._evaluate(_ADD.format(user=user, names=_binaries(self._fresh)))

    def _delete(self, names: list[str]) -> None:
        if names:
            self._evaluate(_DELETE.format(names=_binaries(names)))


def _binaries(names: list[str]) -> str:
    return ", ".join(f'<<"{name}">>' for name in names)
