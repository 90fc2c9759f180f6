"""The adapter to Plaid: three steps a method — build, call, map."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from connector_kit.calls import shared
from contracts.accounts import ProviderAccount
from contracts.connectors import AccountRead, TransactionPage
from contracts.errors import ErrorCode, GoneError, ProviderError, RefusedError
from contracts.linking import (
    BeginLink,
    ConnectionAccess,
    ConnectionState,
    FinishLink,
    LinkBegun,
    LinkedConnection,
    LinkOutcome,
    LinkStart,
    UserAccess,
)
from contracts.signals import Signal, WebhookDelivery
from contracts.statuses import ConnectionStatus, LinkStatus
from plaid_connector import links, mapping, marks, webhook
from plaid_connector.client import PlaidClient
from plaid_connector.cursor import Now
from plaid_connector.duplicates import duplicate_of, known_by
from plaid_connector.errors import PROVIDER, item_error, meaning, protocol_error
from plaid_connector.history import Asked, History
from plaid_connector.settings import PlaidSettings
from plaid_connector.wire import Item, ItemAnswer
from service_kit.clock import Clock, SystemClock

NOTICE = timedelta(days=30)
"""How long before consent ends the user is asked to renew it; earlier, it would only be noise."""
_NO_HOLDINGS = {"PRODUCTS_NOT_SUPPORTED", "PRODUCT_NOT_SUPPORTED", "NO_INVESTMENT_ACCOUNTS"}


class PlaidAdapter:
    """Serves the ports of ``contracts.connectors`` from Plaid; it reads, it cannot trade."""

    provider = PROVIDER

    def __init__(self, client: PlaidClient, settings: PlaidSettings, clock: Clock | None = None) -> None:
        self._client = client
        self._settings = settings
        self._clock = clock or SystemClock()

    async def aclose(self) -> None:
        """Close the connections to Plaid."""
        await self._client.aclose()

    async def enroll(self, user_id: str) -> UserAccess | None:  # noqa: ARG002 - Plaid keeps no users of ours
        """Nothing to do: Plaid keeps its secret per connection."""
        return None

    async def forget(self, user: UserAccess) -> None:
        """Nothing to do: removing the connections is all there is."""

    async def begin_link(self, link: BeginLink) -> LinkBegun:
        """Make a Hosted Link page."""
        if link.request.need_trading:
            raise _refused("Plaid cannot trade", ErrorCode.TRADING_NOT_SUPPORTED)
        made = await self._client.link_token_create(links.link_token_body(link, self._settings))
        if made.hosted_link_url is None:
            raise _refused("Plaid gave no hosted page", ErrorCode.PROVIDER_PROTOCOL)
        start = LinkStart(
            url=made.hosted_link_url, expires_at=mapping.moment(made.expiration), link_token=made.link_token
        )
        return LinkBegun(start=start, session_token=made.link_token)

    async def finish_link(self, link: FinishLink) -> AsyncIterator[LinkedConnection | LinkOutcome]:
        """Exchange each public token of the session, one at a time, then say how the session stands.

        A login that is linked already is not exchanged: an unused public token costs nothing and expires.
        """
        if link.session_token is None:
            yield LinkOutcome(status=LinkStatus.FAILED, reason="the session has no link token")
            return
        try:
            status = await self._client.link_token_get(link.session_token)
        except RefusedError as error:
            if error.code is not ErrorCode.LINK_SESSION_EXPIRED:
                raise
            yield LinkOutcome(status=LinkStatus.EXPIRED, reason=error.provider_code)
            return
        repeated, linked, known = None, links.any_done(status, link.done), [*link.accounts]
        for added in links.items_added(status, link.done):
            if found := duplicate_of(added, known):
                repeated = found
                continue
            exchanged = await self._client.exchange(added.public_token)
            chosen = known_by(added, exchanged.item_id)
            linked, known = True, known + chosen
            yield LinkedConnection(
                external_id=exchanged.item_id,
                secret=exchanged.access_token,
                institution_ref=added.institution.institution_id if added.institution else None,
                institution_name=added.institution.name if added.institution else None,
                connection_type="read",
                source=links.digest(added.public_token),
                accounts=chosen,
            )
        yield links.outcome(
            status,
            repairing=link.reconnect_external_id is not None,
            duplicate_of=repeated,
            linked=linked,
        )

    async def state(self, connection: ConnectionAccess) -> ConnectionState:
        """How the Item stands; free at Plaid. An Item in error is broken, whatever its caches still answer."""
        answer = await self._client.item(_token(connection))
        error = answer.item.error
        status = ConnectionStatus.ACTIVE
        if error is not None:
            gone = issubclass(meaning(error, 400)[0], GoneError)
            status = ConnectionStatus.REVOKED if gone else ConnectionStatus.BROKEN
        broken = error is not None
        return ConnectionState(
            status=status,
            connection_type="read",
            realtime=False,
            data_as_of=mapping.moment(text) if (text := _last_update(answer)) else None,
            data_ready=True,
            institution_ref=answer.item.institution_id,
            institution_name=answer.item.institution_name,
            reason=error.error_type if error else None,
            provider_code=error.error_code if error else None,
            mark=None if broken else marks.mark(marks.freshness(answer)),
            repair_by=self._repair_by(answer.item),
        )

    async def accounts(self, connection: ConnectionAccess, state: ConnectionState) -> list[ProviderAccount]:
        """Every account of the Item; free at Plaid."""
        answer = await self._client.accounts(_token(connection))
        _check(answer.item, answer.request_id)
        return [mapping.account(connection.user_id, raw, state.data_as_of) for raw in answer.accounts]

    async def holdings(
        self,
        connection: ConnectionAccess,
        state: ConnectionState,  # noqa: ARG002 - part of the port; Plaid's answer needs nothing of it
        accounts: list[ProviderAccount],
    ) -> AsyncIterator[AccountRead]:
        """Holdings and balances of every account, from one answer."""
        token = _token(connection)
        answer = None
        if any(account.holds_securities for account in accounts):
            try:
                given = await self._client.holdings(token)
                _check(given.item, given.request_id)
                answer = given
            except ProviderError as error:
                if error.provider_code not in _NO_HOLDINGS:
                    raise
        raws = {raw.account_id: raw for raw in answer.accounts} if answer else {}
        # Holdings come with every account there is: one that holds securities and is not there was cut off.
        wanted = {one.external_id for one in accounts if answer is None or not one.holds_securities}
        if wanted - raws.keys():
            listed = await self._client.accounts(token)
            raws = {raw.account_id: raw for raw in listed.accounts if raw.account_id in wanted} | raws
        try:
            reads = mapping.reads(accounts, list(raws.values()), answer)
        except ValueError as error:
            request_id = answer.request_id if answer else None
            raise protocol_error("/investments/holdings/get", 200, request_id) from error
        for read in reads:
            yield read

    async def transactions(
        self,
        connection: ConnectionAccess,
        state: ConnectionState,
        accounts: list[ProviderAccount],
        cursor: str | None,
        version: int,
    ) -> TransactionPage:
        """The page after a cursor; nothing is asked while Plaid has fetched nothing since.

        Investment accounts are read where the setting allows it (it costs a subscription), bank accounts where the
        Item has the product: reading never adds one.
        """
        token = _token(connection)
        found = marks.read(state.mark)
        if found is None:
            answer = await shared(("plaid item", connection.external_id), lambda: self._client.item(token))
            _check(answer.item, answer.request_id)
            found = marks.freshness(answer)
        reads_investments = found.investments and self._settings.investments_transactions
        now = Now(
            today=self._clock.now().date(),
            version=version,
            mark=found.investments_at,
            as_of=state.data_as_of.date() if state.data_as_of else None,
        )
        asked = Asked(
            token=token,
            investments=[one for one in accounts if one.holds_securities] if reads_investments else [],
            banks=[one for one in accounts if not one.holds_securities] if found.transactions else [],
            now=now,
            bank_mark=found.transactions_at,
        )
        return await History(self._client, self._settings.page).page(asked, cursor)

    async def refresh(self, connection: ConnectionAccess) -> None:
        """Have Plaid ask the institution now; charged for each success. When it returns the data is there."""
        await self._client.refresh(_token(connection))

    async def unlink(self, connection: ConnectionAccess) -> None:
        """Remove the Item, which ends its billing; already gone counts as done."""
        try:
            await self._client.remove(_token(connection))
        except GoneError:
            return

    def signals(self, delivery: WebhookDelivery) -> list[Signal]:
        """What a webhook means."""
        return webhook.signals(delivery)

    def _repair_by(self, item: Item) -> datetime | None:
        """When consent ends, where that is near."""
        if not item.consent_expiration_time:
            return None
        try:
            ends = mapping.moment(item.consent_expiration_time)
        except ValueError:
            return None
        return ends if ends - self._clock.now() <= NOTICE else None


def _last_update(answer: ItemAnswer) -> str | None:
    if answer.status is None:
        return None
    for product in (answer.status.investments, answer.status.transactions):
        if product and product.last_successful_update:
            return product.last_successful_update
    return None


def _check(item: Item, request_id: str) -> None:
    """Refuse data that came beside an error of the Item: they are of its last good days, and may be any part of them.

    Raises:
        ProviderError: what the Item's error means.
    """
    if item.error is not None:
        raise item_error(item.error, request_id)


def _token(connection: ConnectionAccess) -> str:
    if not connection.secret:
        raise _refused("the connection has no access token", ErrorCode.CONNECTION_GONE)
    return connection.secret


def _refused(text: str, code: ErrorCode) -> RefusedError:
    return RefusedError(text, code=code, provider=PROVIDER)
