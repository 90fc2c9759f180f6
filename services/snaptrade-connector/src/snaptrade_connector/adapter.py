"""The SnapTrade adapter: each method builds a request, calls, and maps the answer."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Literal, TypeVar

from contracts.accounts import ProviderAccount
from contracts.connectors import AccountRead
from contracts.errors import ErrorCode, GoneError, ProviderError, TransientError
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
from contracts.signals import Signal, WebhookDelivery
from contracts.statuses import LinkStatus
from service_kit.clock import Clock, SystemClock
from snaptrade_connector import mapping, webhook, wire
from snaptrade_connector.client import SnapTradeClient
from snaptrade_connector.errors import PROVIDER, not_registered, protocol_error

T = TypeVar("T")
KeyType = Literal["commercial", "personal"]

PORTAL_LIFETIME = timedelta(minutes=5)
ACCOUNTS_SIDE_BY_SIDE = 4


class SnapTradeConnector:
    """Serves ``InvestmentsConnector`` for commercial and personal keys.

    With a commercial key every user is registered and named in each call. A personal key is its own one user:
    nobody is registered and nobody is named.
    """

    provider = PROVIDER

    def __init__(
        self, client: SnapTradeClient, key_type: KeyType = "commercial", clock: Clock | None = None
    ) -> None:
        self._client = client
        self._personal = key_type == "personal"
        self._clock = clock or SystemClock()

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

        A new connection to a login that was connected before keeps its id: then only the claim shows it.
        """
        found = {item.id: item for item in await self._client.authorizations(self._named(link.user))}
        if link.reconnect_external_id is not None:
            repaired = found.get(link.reconnect_external_id)
            if repaired is None:
                reason = ErrorCode.CONNECTION_GONE.value
                yield LinkOutcome(status=LinkStatus.FAILED, reason=reason)
                return
            mine = [] if repaired.disabled else [repaired]
        else:
            mine = [item for item in found.values() if item.id not in link.known or item.id == link.hint]
        for item in mine:
            yield mapping.linked(item)
        yield LinkOutcome(status=LinkStatus.COMPLETED if mine else LinkStatus.PENDING)

    async def state(self, connection: ConnectionAccess) -> ConnectionState:
        """How the connection stands; one that is disabled still answers, from SnapTrade's cache."""
        found = await self._client.authorization(self._named(connection.user), connection.external_id)
        return mapping.connection_state(found)

    async def unlink(self, connection: ConnectionAccess) -> None:
        """Delete the connection; SnapTrade does it some time later."""
        try:
            await self._client.delete_connection(self._named(connection.user), connection.external_id)
        except GoneError:
            return

    async def accounts(self, connection: ConnectionAccess, state: ConnectionState) -> list[ProviderAccount]:
        """Every account of the connection.

        Raises:
            TransientError: an account's total cannot be kept exactly (``PROVIDER_PROTOCOL``).
        """
        found = await self._client.accounts(self._named(connection.user), connection.external_id)
        try:
            return [mapping.provider_account(item, connection, state) for item in found]
        except InexactNumberError as error:
            raise protocol_error(f"an account's total cannot be kept: {error}") from error

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
            raise _account_gone(error) from error
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


def _already_gone(error: ProviderError) -> bool:
    """Whether a refusal to delete a user says that there is none."""
    return isinstance(error, GoneError) or error.code is ErrorCode.SNAPTRADE_NOT_REGISTERED


def _account_gone(error: GoneError) -> TransientError:
    """One account that vanished between listing and reading; the connection itself is not gone."""
    return TransientError(
        "an account is no longer there; the accounts must be listed again",
        code=ErrorCode.PROVIDER_UNAVAILABLE,
        provider=PROVIDER,
        provider_code=error.provider_code,
        provider_request_id=error.provider_request_id,
        status=error.status,
    )


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
