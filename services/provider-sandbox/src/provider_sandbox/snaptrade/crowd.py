"""Many users at once: each with connections of their own logins and accounts of their own, synced and silent."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from provider_sandbox.data.synthetic import make_accounts, make_securities
from provider_sandbox.snaptrade.brokerages import known
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.snaptrade.seen import look
from provider_sandbox.snaptrade.store import Client, Connection, ConnectionType, User
from provider_sandbox.world import Login


@dataclass(frozen=True, slots=True)
class CrowdOrder:
    """How many of what; connections of a user take turns among `institutions`."""

    users: int
    connections: int = 1
    accounts: int = 1
    holdings: int = 2
    activities: int = 0
    prefix: str = "crowd"
    institutions: tuple[str, ...] = ()
    type: ConnectionType = "read"


def make(face: SnapTradeFace, client: Client, order: CrowdOrder) -> list[dict[str, Any]]:
    """Make them all; raises ValueError when a user is there already or an institution is not."""
    names = order.institutions or tuple(item.slug for item in known(face.state.world) if not item.is_paper)
    usable = {item.slug for item in known(face.state.world)}
    if not usable.issuperset(names):
        raise ValueError(f"institutions must be among {', '.join(sorted(usable))}")
    wanted = [f"{order.prefix}-{number}" for number in range(1, order.users + 1)]
    if any((client.client_id, name) in face.store.users for name in wanted):
        raise ValueError("users of this prefix are there already")
    securities = make_securities(order.holdings)
    world = face.state.world
    world.securities.update({s.key: s for s in securities if s != world.securities.get(s.key)})
    return [_user(face, client, order, name, names) for name in wanted]


def _user(
    face: SnapTradeFace, client: Client, order: CrowdOrder, name: str, institutions: tuple[str, ...]
) -> dict[str, Any]:
    user = face.store.users[client.client_id, name] = User(client.client_id, name)
    made = [
        _connection(face, order, user, institutions[number % len(institutions)], number)
        for number in range(order.connections)
    ]
    return {"user_id": name, "secret": user.secret, "connections": [_shown(one) for one in made]}


def _connection(
    face: SnapTradeFace, order: CrowdOrder, user: User, institution: str, number: int
) -> Connection:
    username, world, now = f"{user.user_id}-{number + 1}", face.state.world, face.now()
    accounts = [
        replace(account, activities=order.activities)
        for account in make_accounts(username, institution, order.accounts, order.holdings)
    ]
    world.set_login(Login(username, institution, tuple(one.key for one in accounts)), accounts)
    ids = {account.key: str(uuid4()) for account in accounts}
    connection = Connection(user, institution, username, order.type, now, now, ids)
    connection.seen = {account.key: look(world, account.key, now) for account in accounts}
    user.connections[connection.id] = connection
    return connection


def _shown(connection: Connection) -> dict[str, Any]:
    return {
        "id": connection.id,
        "institution": connection.institution,
        "username": connection.username,
        "accounts": [{"id": account_id, "key": key} for key, account_id in connection.accounts.items()],
    }
