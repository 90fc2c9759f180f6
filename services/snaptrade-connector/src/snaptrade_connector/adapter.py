"""The SnapTrade adapter: each method builds a request, calls, and maps the answer."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Literal, TypeVar

from connector_kit.calls import shared
from contracts.accounts import ProviderAccount
from contracts.connectors import (
    AccountRead,
    CatalogueInstitution,
    CatalogueInstrument,
    HistoryRead,
    RemoteConnection,
    TransactionPage,
)
from contracts.errors import ErrorCode, GoneError, ProviderError
from contracts.linking import (
    BeginLink,
    ConnectionAccess,
    ConnectionState,
    FinishLink,
    LinkBegun,
    LinkedConnection,
    LinkOutcome,
    LinkRequest,
    LinkStart,
    UserAccess,
)
from contracts.money import InexactNumberError
from contracts.orders import Order
from contracts.signals import Signal, WebhookDelivery
from contracts.statuses import LinkStatus
from service_kit.clock import Clock, SystemClock
from snaptrade_connector import listing, mapping, webhook, wire
from snaptrade_connector.client import SnapTradeClient
from snaptrade_connector.errors import PROVIDER, not_registered, protocol_error
from snaptrade_connector.outcomes import account_gone
from snaptrade_connector.streams import Streams
from snaptrade_connector.trading import Trading
from snaptrade_connector.trading_client import TradingClient
from snaptrade_connector.units import moment

T = TypeVar("T")
KeyType = Literal["commercial", "personal"]

PORTAL_LIFETIME = timedelta(minutes=5)
ACCOUNTS_SIDE_BY_SIDE = 4
PAGE = 1000
ACTIVITIES_EVERY = timedelta(hours=24)
"""SnapTrade has an account's activities once a day and asks not to be asked more often."""


class SnapTradeConnector(Trading):
    """Serves every port, for commercial and personal keys; those of trading are its base's.

    With a commercial key every user is registered and named in each call. A personal key is its own one user:
    nobody is registered and nobody is named. All connections of a user that are read in one round share two calls,
    the list of connections and that of accounts.
    """

    provider = PROVIDER

    def __init__(
        self,
        client: SnapTradeClient,
        key_type: KeyType = "commercial",
        clock: Clock | None = None,
        *,
        page: int = PAGE,
        activities_every: timedelta = ACTIVITIES_EVERY,
    ) -> None:
        self._client = client
        self._trading = TradingClient(client)
        self._personal = key_type == "personal"
        self._clock = clock or SystemClock()
        self._streams = Streams(client, self._clock.now, page, activities_every)

    async def aclose(self) -> None:
        """Close the connections to SnapTrade."""
        await self._client.aclose()

    async def enroll(self, user_id: str) -> UserAccess | None:
        """Register the user; its one secret is told only now.

        Raises:
            RefusedError: the id is taken (``SNAPTRADE_USER_MISMATCH``): its secret is with somebody else.
            OutcomeUnknownError: no answer came; the user may be registered with a secret nobody has.
        """
        if self._personal:
            return None
        registered = await self._client.register_user(user_id)
        return UserAccess(external_user_id=registered.user_id, secret=registered.user_secret)

    async def forget(self, user: UserAccess) -> None:
        """Delete the user with all its connections; SnapTrade does it some time later."""
        if self._personal:
            return
        try:
            await self._client.delete_user(user.external_user_id)
        except ProviderError as error:
            if not _already_gone(error):
                raise

    async def begin_link(self, link: BeginLink) -> LinkBegun:
        """A portal link, good for five minutes."""
        user = self._named(link.user)
        at = self._clock.now()
        portal = await self._client.login(user, login_body(link.request, link.reconnect))
        start = LinkStart(url=portal.redirect_uri, expires_at=at + PORTAL_LIFETIME)
        return LinkBegun(start=start, session_token=portal.session_id)

    async def finish_link(self, link: FinishLink) -> AsyncIterator[LinkedConnection | LinkOutcome]:
        """The user's connections that are new, were to be repaired and work again, or are claimed and theirs.

        A login that is connected anew keeps its connection and id: then the claim shows it, or that it has changed
        since the session began.
        """
        found = {item.id: item for item in await self._client.authorizations(self._named(link.user))}
        if link.reconnect_external_id is not None:
            repaired = found.get(link.reconnect_external_id)
            if repaired is None:
                reason = ErrorCode.CONNECTION_GONE.value
                yield LinkOutcome(status=LinkStatus.FAILED, reason=reason)
                return
            mine = [repaired] if _repaired(repaired, link) else []
        else:
            mine = [
                item
                for item in found.values()
                if item.id not in link.known or item.id == link.hint or _changed(item, link)
            ]
        for item in mine:
            yield mapping.linked(item)
        yield LinkOutcome(status=LinkStatus.COMPLETED if mine else LinkStatus.PENDING)

    async def state(self, connection: ConnectionAccess) -> ConnectionState:
        """How the connection stands; one that is disabled still answers, from SnapTrade's cache.

        Raises:
            GoneError: neither the user's list nor SnapTrade, asked for it by name, has it.
        """
        user = self._named(connection.user)
        every = await shared(_key("connections", user), lambda: self._client.authorizations(user))
        found = next((item for item in every if item.id == connection.external_id), None)
        return mapping.connection_state(
            found or await self._client.authorization(user, connection.external_id)
        )

    async def unlink(self, connection: ConnectionAccess) -> None:
        """Delete the connection; SnapTrade does it some time later."""
        try:
            await self._client.delete_connection(self._named(connection.user), connection.external_id)
        except GoneError:
            return

    async def accounts(self, connection: ConnectionAccess, state: ConnectionState) -> list[ProviderAccount]:
        """Every account of the connection: read now where the connection is live, else as SnapTrade has them.

        Raises:
            TransientError: an account's total cannot be kept exactly (``PROVIDER_PROTOCOL``).
        """
        found = await self._listed(self._named(connection.user), connection, live=state.realtime)
        try:
            return [mapping.provider_account(item, connection, state) for item in found]
        except InexactNumberError as error:
            raise protocol_error(f"an account's total cannot be kept: {error}") from error

    async def _listed(
        self, user: UserAccess | None, connection: ConnectionAccess, *, live: bool
    ) -> list[wire.Account]:
        if live:
            return await self._client.live_accounts(user, connection.external_id)
        try:
            every = await shared(_key("accounts", user), lambda: self._client.accounts(user))
        except GoneError as error:
            # It names no connection: whatever is gone, it is not this one.
            raise protocol_error("SnapTrade does not list the accounts of the user") from error
        return mapping.of_connection(every, connection.external_id)

    async def holdings(
        self,
        connection: ConnectionAccess,
        state: ConnectionState,  # noqa: ARG002  the port's; each account says for itself how it stands
        accounts: list[ProviderAccount],
    ) -> AsyncIterator[AccountRead]:
        """Each account as soon as it is read; the first failure is raised after all others arrived."""
        user = self._named(connection.user)
        turns = asyncio.Semaphore(ACCOUNTS_SIDE_BY_SIDE)

        async def in_turn(account: ProviderAccount) -> AccountRead:
            async with turns:
                return await self._read(user, account)

        tasks = [asyncio.create_task(in_turn(account)) for account in accounts]
        failure: ProviderError | None = None
        try:
            for arrived in asyncio.as_completed(tasks):
                try:
                    read = await arrived
                except ProviderError as error:
                    failure = failure or error
                else:
                    yield read
        finally:
            await _ended(tasks)
        if failure is not None:
            raise failure

    async def transactions(
        self,
        connection: ConnectionAccess,
        state: ConnectionState,  # noqa: ARG002  the port's; each account says for itself what is new
        accounts: list[ProviderAccount],
        cursor: str | None,
        version: int,
    ) -> TransactionPage:
        """The next page of an account with days that SnapTrade has confirmed and that were not read.

        Raises:
            TransientError: it fails or asks to slow down, or what it says cannot be understood.
        """
        return await self._streams.transactions(self._named(connection.user), accounts, cursor, version)

    async def orders(self, connection: ConnectionAccess, account: ProviderAccount) -> list[Order]:
        """The account's orders of the last 30 days.

        Raises:
            RefusedError: ``NOT_SUPPORTED``, the institution tells none.
        """
        try:
            return await self._streams.orders(self._named(connection.user), account)
        except GoneError as error:
            raise account_gone(error) from error

    async def history(self, connection: ConnectionAccess, account: ProviderAccount) -> HistoryRead:
        """What the account was worth day by day, and its rates of return.

        Raises:
            RefusedError: ``NOT_SUPPORTED``, the key has no balance history.
        """
        try:
            return await self._streams.history(self._named(connection.user), account)
        except GoneError as error:
            raise account_gone(error) from error

    async def refresh(self, connection: ConnectionAccess) -> None:
        """Have SnapTrade read the institution now, for money; what it reads is told by webhook.

        Raises:
            RepairNeededError: the connection is disabled.
            RefusedError: ``NOT_SUPPORTED``, it is live already or the key has no refresh.
            TransientError: it was refreshed just now (with the wait), or the request was not sent.
            OutcomeUnknownError: it may have been taken.
        """
        await self._client.refresh(self._named(connection.user), connection.external_id)

    def remotes(self, users: list[UserAccess]) -> AsyncIterator[RemoteConnection]:
        """Every user of the key, and the connections of those in ``users``."""
        return listing.own_remotes(self._client) if self._personal else listing.remotes(self._client, users)

    async def institutions(self) -> list[CatalogueInstitution]:
        """The institutions this key can use."""
        return await listing.institutions(self._client)

    async def instruments(self, institution_ref: str) -> list[CatalogueInstrument]:
        """What can be traded at an institution; empty where SnapTrade does not say."""
        return await listing.instruments(self._client, institution_ref)

    def signals(self, delivery: WebhookDelivery) -> list[Signal]:
        """What a webhook means."""
        return webhook.signals(delivery)

    async def _read(self, user: UserAccess | None, account: ProviderAccount) -> AccountRead:
        try:
            async with _underway(self._client.balances(user, account.external_id)) as balances_asked:
                positions = await self._positions(user, account)
                balances = await balances_asked
            return mapping.account_read(account, positions, balances)
        except GoneError as error:
            raise account_gone(error) from error
        except InexactNumberError as error:
            raise protocol_error(f"an account's cash cannot be kept: {error}") from error

    async def _positions(self, user: UserAccess | None, account: ProviderAccount) -> wire.Positions | None:
        if not account.holds_securities:
            return None
        return await self._client.positions(user, account.external_id)

    def _named(self, user: UserAccess | None) -> UserAccess | None:
        """Whom a call names.

        Raises:
            RefusedError: a commercial key needs a user, and none is registered.
        """
        if self._personal:
            return None
        if user is None or user.secret is None:
            raise not_registered()
        return user


def login_body(request: LinkRequest, reconnect: ConnectionAccess | None) -> dict[str, str | bool]:
    """The body of ``login``; a connection is asked to trade only where that is needed or allowed."""
    wanted = "trade-if-available" if request.allow_trading else "read"
    body: dict[str, str | bool] = {
        "immediateRedirect": True,
        "connectionType": "trade" if request.need_trading else wanted,
    }
    if request.institution_ref is not None:
        body["broker"] = request.institution_ref
    if request.redirect_uri is not None:
        body["customRedirect"] = request.redirect_uri
    if reconnect is not None:
        body["reconnect"] = reconnect.external_id
    return body


def _key(what: str, user: UserAccess | None) -> tuple[str, ...]:
    """Under which name an answer is shared within a round; never with another user."""
    return (PROVIDER, what, user.external_user_id if user else "")


def _repaired(found: wire.Authorization, link: FinishLink) -> bool:
    """Whether a connection is what its repair was for: it works, and can trade where that was asked."""
    return not found.disabled and (found.type == mapping.TRADE or not link.need_trading)


def _changed(found: wire.Authorization, link: FinishLink) -> bool:
    """Whether a connection works and has changed since the session began; that its data were read changes it, too."""
    at = moment(found.updated_date)
    return not found.disabled and at is not None and link.begun_at is not None and at > link.begun_at


def _already_gone(error: ProviderError) -> bool:
    """Whether a refusal to delete a user says that there is none."""
    return isinstance(error, GoneError) or error.code is ErrorCode.SNAPTRADE_NOT_REGISTERED


@asynccontextmanager
async def _underway(call: Coroutine[None, None, T]) -> AsyncIterator["asyncio.Task[T]"]:
    """A call that runs beside what happens inside, and does not outlive it."""
    task = asyncio.create_task(call)
    try:
        yield task
    finally:
        await _ended([task])


async def _ended(tasks: Sequence["asyncio.Task[T]"]) -> None:
    """Leave no call behind when the reader stops early."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
