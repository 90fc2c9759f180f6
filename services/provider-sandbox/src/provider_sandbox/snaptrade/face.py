"""The SnapTrade face: what happens to users and connections, and which events tell of it."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from provider_sandbox.settings import Settings
from provider_sandbox.snaptrade import errors, events
from provider_sandbox.snaptrade.accounts import covered_day
from provider_sandbox.snaptrade.brokerages import brokerage_id
from provider_sandbox.snaptrade.gate import Gate, SignedCall
from provider_sandbox.snaptrade.limits import RollingLimit
from provider_sandbox.snaptrade.orders import Order, given
from provider_sandbox.snaptrade.seen import Seen, look
from provider_sandbox.snaptrade.store import Client, Connection, ConnectionType, Store, User
from provider_sandbox.snaptrade.timeline import Changes, Timeline
from provider_sandbox.snaptrade.trading_desk import Desk
from provider_sandbox.snaptrade.trading_news import News
from provider_sandbox.state import State
from provider_sandbox.traffic import note
from provider_sandbox.world import Institution, Login

_A_LONG_TIME = timedelta(days=3650)
_NO_CHANGES = Changes()


def clients_of(settings: Settings) -> list[Client]:
    """Return the API keys the settings name."""
    keys = (
        Client(settings.snaptrade_client_id, settings.snaptrade_consumer_key),
        Client(
            settings.snaptrade_personal_client_id, settings.snaptrade_personal_consumer_key, personal=True
        ),
    )
    return [key for key in keys if key.client_id]


class SnapTradeFace:
    """Implements `state.Face`; the routes call it."""

    provider = "snaptrade"

    def __init__(self, state: State, settings: Settings) -> None:
        self.state, self.settings, self._initial_settings = state, settings, settings
        self.store = Store(clients_of(settings))
        self.changes: dict[str, Changes] = {}
        self._limit = RollingLimit(self._limit_of("snaptrade", settings.snaptrade_rate_limit), "")
        account_limit = self._limit_of("snaptrade-account", settings.snaptrade_account_rate_limit)
        self._account_limit = RollingLimit(account_limit, "Account-")
        self.gate = Gate(self.store, self._limit, settings.snaptrade_clock_skew_seconds)
        self.trading = Desk(state, News(self))
        state.faces[self.provider] = self

    def _limit_of(self, name: str, default: int) -> Any:
        return lambda: self.state.rate_limits.get(name, default)

    @property
    def realtime(self) -> bool:
        """Whether the plan reads brokers live."""
        return self.settings.snaptrade_plan == "realtime"

    def now(self) -> datetime:
        """The server's clock."""
        return self.state.clock()

    # Reading

    def institution(self, connection: Connection) -> Institution:
        """The brokerage of a connection."""
        return self.state.world.institutions[connection.institution]

    def view(self, connection: Connection, account_key: str, *, live: bool = True) -> Seen:
        """What this connection shows of an account now: live on the real-time plan, else the last sync.

        A disabled connection always shows its last sync, and so does a list that is never `live`.
        """
        seen = connection.seen.get(account_key)
        live = live and self.realtime and connection.disabled_at is None
        if seen is None or (live and seen.version != self.state.world.version):
            seen = connection.seen[account_key] = look(self.state.world, account_key, self.now())
            self.state.changed()
        elif live:
            seen.at = self.now()
        return seen

    def synced(self, connection: Connection, seen: Seen) -> datetime | None:
        """When an account was synced; None while the first sync runs."""
        return seen.at if self.now() >= connection.ready_at else None

    def timeline(self, connection: Connection, seen: Seen) -> Timeline:
        """The activities a connection shows of an account."""
        return Timeline(
            seen=seen,
            institution=self.institution(connection).name,
            past_end=covered_day(connection.created),
            through=covered_day(seen.at),
            changes=self.changes.get(seen.account.key) or _NO_CHANGES,
        )

    def orders_added(self, seen: Seen) -> list[Order]:
        """The orders that control gave an account, newest first."""
        changes = self.changes.get(seen.account.key) or _NO_CHANGES
        return [given(order, seen, self.state.world) for order in reversed(changes.orders)]

    def changed_history(self, account_key: str) -> Changes:
        """What control changed of an account's history, to be changed further."""
        return self.changes.setdefault(account_key, Changes())

    def find_connection(self, call: SignedCall, connection_id: str) -> Connection:
        """The caller's own connection; 404 for anyone else's."""
        connection = call.user.connections.get(connection_id)
        if connection is None:
            raise errors.not_found()
        note(call.request, connection=connection_id)
        return connection

    def find_account(self, call: SignedCall, account_id: str) -> tuple[Connection, Seen]:
        """The caller's own account with its connection; counts against the account's limit on personal keys."""
        if call.client.personal:
            key = f"{call.client.client_id}/{account_id}"
            call.headers.update(self._account_limit.take(key, self.now()))
        for connection in call.user.connections.values():
            for account_key, known in connection.accounts.items():
                if known == account_id:
                    note(call.request, connection=connection.id, account=account_id)
                    return connection, self.view(connection, account_key)
        raise errors.not_found()

    # Users

    def register(self, client: Client, user_id: str) -> User:
        """Create a user; 400 `1010` when the id is taken."""
        if (client.client_id, user_id) in self.store.users:
            raise errors.user_exists(user_id)
        user = self.store.users[client.client_id, user_id] = User(client.client_id, user_id)
        self.state.spawn(self.emit(user, "USER_REGISTERED"))
        return user

    async def delete_user(self, user: User) -> None:
        """Delete a user with everything they have, as the queue behind deleteUser does."""
        for connection in tuple(user.connections.values()):
            await self.delete_connection(connection)
        self.store.users.pop((user.client_id, user.user_id), None)
        await self.emit(user, "USER_DELETED")

    # Connections

    def connect(self, user: User, institution: Institution, login: Login, kind: ConnectionType) -> Connection:
        """Connect a login; the same healthy login of the same user gives the connection that is there."""
        for known in user.connections.values():
            if (known.institution, known.username) == (
                institution.slug,
                login.username,
            ) and not known.disabled_at:
                self._upgrade(known, kind)
                return known
        now = self.now()
        ready = now + timedelta(seconds=self.settings.snaptrade_initial_sync_seconds)
        accounts = {key: str(uuid4()) for key in login.accounts}
        connection = Connection(user, institution.slug, login.username, kind, now, ready, accounts)
        user.connections[connection.id] = connection
        self.state.spawn(self._announce_new(connection))
        return connection

    def _upgrade(self, connection: Connection, kind: ConnectionType) -> None:
        if kind == "trade" and connection.type == "read":
            connection.type, connection.updated = "trade", self.now()
            self.state.spawn(self.emit_for(connection, "CONNECTION_UPDATED"))

    def reconnect(self, connection: Connection, kind: ConnectionType) -> None:
        """Repair or upgrade a connection; its id and its accounts' ids stay."""
        was_disabled = connection.disabled_at is not None
        connection.disabled_at, connection.updated = None, self.now()
        upgraded = kind == "trade" and connection.type == "read"
        if upgraded:
            connection.type = "trade"
        self.state.spawn(self._announce_reconnect(connection, fixed=was_disabled, upgraded=upgraded))

    async def _announce_new(self, connection: Connection) -> None:
        await self.emit_attempt(connection.user, self.institution(connection), "SUCCESS")
        await self.emit_for(connection, "CONNECTION_ADDED", self._brokerage(connection))
        for account_id in connection.accounts.values():
            await self.emit_for(connection, "NEW_ACCOUNT_AVAILABLE", {"accountId": account_id})
        await asyncio.sleep(max(0.0, (connection.ready_at - self.now()).total_seconds()))
        await self.sync(connection)
        for account_id in connection.accounts.values():
            await self.emit_for(connection, "ACCOUNT_TRANSACTIONS_INITIAL_UPDATE", {"accountId": account_id})

    async def _announce_reconnect(self, connection: Connection, *, fixed: bool, upgraded: bool) -> None:
        await self.emit_attempt(connection.user, self.institution(connection), "SUCCESS")
        if fixed:
            await self.emit_for(connection, "CONNECTION_FIXED")
        if upgraded:
            await self.emit_for(connection, "CONNECTION_UPDATED")
        await self.sync(connection)

    async def disable(self, connection: Connection) -> None:
        """Disable a connection as a changed password would; what was last seen stays readable."""
        for key in connection.accounts:
            self.view(connection, key)
        connection.disabled_at = connection.updated = self.now()
        await self.emit_for(connection, "CONNECTION_BROKEN")

    async def delete_connection(self, connection: Connection) -> None:
        """Remove a connection with its accounts."""
        if connection.user.connections.pop(connection.id, None) is not None:
            await self.emit_for(connection, "CONNECTION_DELETED", self._brokerage(connection))

    def look_again(self, connection: Connection, only: str | None = None) -> list[str]:
        """Read every account (or one, by world key) anew, silently; returns the ids of those read, none while disabled."""
        if connection.disabled_at is not None or connection.id not in connection.user.connections:
            return []
        read = {key: account_id for key, account_id in connection.accounts.items() if only in {None, key}}
        for key in read:
            connection.seen[key] = look(self.state.world, key, self.now())
        return list(read.values())

    async def sync(self, connection: Connection, only: str | None = None) -> None:
        """Read every account (or one, by world key) anew and announce it; nothing while disabled."""
        for account_id in self.look_again(connection, only):
            extra = {"accountId": account_id, **self._brokerage(connection), **events.sync_details()}
            await self.emit_for(connection, "ACCOUNT_HOLDINGS_UPDATED", extra)

    async def tell_of_transactions(self, connection: Connection, only: str | None = None) -> None:
        """Announce new activities of every account (or one, by world key)."""
        for key, account_id in connection.accounts.items():
            if only in {None, key}:
                await self.emit_for(connection, "ACCOUNT_TRANSACTIONS_UPDATED", {"accountId": account_id})

    # Events

    def _brokerage(self, connection: Connection) -> dict[str, str]:
        return {"brokerageId": brokerage_id(self.institution(connection))}

    async def emit_attempt(self, user: User, institution: Institution, result: str) -> None:
        """Tell of an attempt to connect, and of its failure."""
        extra = {"connectionAttemptedResult": result, "brokerageId": brokerage_id(institution)}
        await self.emit(user, "CONNECTION_ATTEMPTED", extra)
        if result != "SUCCESS":
            await self.emit(user, "CONNECTION_FAILED")

    async def emit_for(
        self, connection: Connection, event_type: str, extra: Mapping[str, Any] | None = None
    ) -> None:
        """Send an event about a connection."""
        await self.emit(
            connection.user, event_type, {**(extra or {}), "brokerageAuthorizationId": connection.id}
        )

    async def emit(self, user: User, event_type: str, extra: Mapping[str, Any] | None = None) -> None:
        """Send an event to the listener; without one nothing is sent."""
        url = self.settings.snaptrade_webhook_url
        if not url:
            return
        payload = events.event(user.client_id, user.user_id, event_type, self.now(), extra or {})
        key = self.store.clients[user.client_id].consumer_key
        body = events.encode(payload)
        await self.state.webhooks.send(self.provider, url, body, lambda: events.headers(key, payload))

    # What control needs

    def reset(self) -> None:
        """Forget users, connections, sessions, rate-limit windows and changed settings."""
        self.settings = self._initial_settings
        self.trading.reset()
        self.store.reset()
        self.changes.clear()
        self._limit.reset()
        self._account_limit.reset()

    def connections(self) -> list[dict[str, Any]]:
        """Every connection as JSON."""
        return [
            {
                "provider": self.provider,
                "id": item.id,
                "user": item.user.user_id,
                "institution": item.institution,
                "username": item.username,
                "type": item.type,
                "status": "disabled" if item.disabled_at else "active",
                "accounts": [{"id": account_id, "key": key} for key, account_id in item.accounts.items()],
            }
            for item in self.store.connections()
        ]

    async def break_connection(self, connection_id: str) -> bool:
        """Disable a connection."""
        connection = self.store.connection(connection_id)
        if connection is None:
            return False
        await self.disable(connection)
        return True

    async def repair_connection(self, connection_id: str) -> bool:
        """Repair a connection."""
        connection = self.store.connection(connection_id)
        if connection is None:
            return False
        self.reconnect(connection, "read")
        return True

    def connection_of(self, path: Mapping[str, str], _body: bytes) -> str | None:
        """The connection named in a path, or the one of the account named there."""
        named = path.get("authorizationId") or path.get("connectionId")
        account_id = path.get("accountId")
        if named is not None or account_id is None:
            return named
        showing = (item for item in self.store.connections() if account_id in item.accounts.values())
        return next((item.id for item in showing), None)

    async def announce(self, connection_id: str) -> bool:
        """Sync a connection anew and tell of it, disabled or not; a disabled one shows what it showed."""
        connection = self.store.connection(connection_id)
        if connection is None:
            return False
        await self.sync(connection)
        if connection.disabled_at is not None:
            for account_id in connection.accounts.values():
                extra = {"accountId": account_id, **self._brokerage(connection), **events.sync_details()}
                await self.emit_for(connection, "ACCOUNT_HOLDINGS_UPDATED", extra)
        return True

    async def hold_first_sync(self, connection_id: str, *, held: bool) -> bool:
        """Put a connection back into its unfinished first sync, or end that; False when there is no such connection."""
        connection = self.store.connection(connection_id)
        if connection is not None:
            connection.ready_at = self.now() + _A_LONG_TIME if held else min(connection.ready_at, self.now())
        return connection is not None

    def limits(self) -> dict[str, Any]:
        """How often each limit was exceeded, and the most requests seen in one window."""
        named = {"customer": self._limit, "account": self._account_limit}
        return {name: {"violations": one.violations, "peak": one.peak} for name, one in named.items()}

    async def account_changed(self, account_key: str) -> int:
        """Sync the account on every healthy connection that shows it, as the daily sync would."""
        showing = [item for item in self.store.connections() if account_key in item.accounts]
        for connection in showing:
            await self.sync(connection, account_key)
        return len(showing)

    async def activities_changed(self, account_key: str) -> int:
        """Sync the account on every healthy connection that shows it and tell of new activities."""
        showing = [item for item in self.store.connections() if account_key in item.accounts]
        for connection in showing:
            if self.look_again(connection, account_key):
                await self.tell_of_transactions(connection, account_key)
        return len(showing)

    def changed_settings(self) -> dict[str, Any]:
        """The settings that are not as at the start."""
        now, initial = asdict(self.settings), asdict(self._initial_settings)
        return {name: value for name, value in now.items() if value != initial[name]}

    def configure(self, **changes: Any) -> None:
        """Change settings of this face until the next reset."""
        self.settings = replace(self.settings, **changes)
