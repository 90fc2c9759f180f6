"""Link sessions: how one ends. May be asked any number of times, by anybody, at once."""

import uuid
from dataclasses import dataclass, field
from functools import partial

import structlog

from connector_kit import connections, credentials, intents, links, listed, names, streams
from connector_kit.connections import Linked, NewConnection
from connector_kit.engine import Engine
from connector_kit.hold import held
from connector_kit.intents import Intent, Verdict
from connector_kit.policy import OPERATORS_CODES
from connector_kit.publish import publish
from connector_kit.users import registered_access
from contracts.errors import GoneError, ProviderError, RefusedError
from contracts.ids import connection_id
from contracts.linking import ConnectionAccess, FinishLink, LinkedConnection, LinkOutcome, LinkProgress
from contracts.messages import ConnectionLinked, ConnectionStatusChanged, Event
from contracts.statuses import ConnectionStatus, LinkStatus
from persistence.database import DatabaseUnavailable
from persistence.secrets import SecretStoreUnavailableError

log = structlog.get_logger(__name__)

LOOKS = 3
KEEP_ATTEMPTS = 4
BUSY = "the link session is in other hands"
BUSY_WAIT = 5.0
"""Seconds after which to see whether the other hands finished it, or died."""


@dataclass(slots=True)
class Finished:
    """How a session stands, and the connections that this call found; those have not been read yet.

    ``busy`` says that somebody else is looking, so that the answer may be different in a moment.
    """

    progress: LinkProgress
    fresh: list[str] = field(default_factory=list)
    busy: bool = False


async def finish(
    engine: Engine,
    link_session_id: str,
    *,
    user_id: str | None,
    hint: str | None = None,
    named: str | None = None,
) -> Finished | None:
    """Ask the provider how a session ended and take over what it brought; None for an unknown or foreign one.

    ``hint`` is the external id of the connection the user says the session made, ``named`` of the one the provider
    has just spoken of: it may be another session's. The caller reads the fresh connections. Somebody else finishing the same session does the work once.

    Raises:
        ProviderError: the provider did not answer the question.
    """
    holder = uuid.uuid4().hex
    intent = await intents.take(engine.database, engine.provider, link_session_id, user_id, holder)
    if intent is None:
        known = await intents.get(engine.database, engine.provider, link_session_id, user_id)
        return _standing(known) if known else None
    async with held(partial(intents.renew, engine.database, intent, holder)):
        return await _Finishing(engine, intent, holder, hint, named).run()


def _standing(known: Intent) -> Finished:
    return Finished(known.progress, busy=known.started and known.status is not LinkStatus.COMPLETED)


class _Finishing:
    """One session in hand."""

    def __init__(
        self, engine: Engine, intent: Intent, holder: str, hint: str | None, named: str | None
    ) -> None:
        self._engine = engine
        self._intent = intent
        self._holder = holder
        self._hint = hint
        self._named = named
        self._fresh: list[str] = []
        self._sources: list[str] = []
        self._left = 0

    async def run(self) -> Finished:
        settled: Intent | None = self._intent
        for _ in range(LOOKS):
            verdict = self._verdict(await self._look_or_let_go())
            settled = await intents.settle(self._engine.database, self._intent, verdict, self._holder)
            if settled is None or settled.status is LinkStatus.COMPLETED:
                break
            if settled.asks == self._intent.asks:
                break
            # Somebody asked while we looked: the answer may be older than their reason to ask.
            again = await self._take_again()
            if again is None:
                break
            self._intent = again
        return await self._closed(settled)

    async def _take_again(self) -> Intent | None:
        engine, intent = self._engine, self._intent
        return await intents.take(
            engine.database, engine.provider, intent.link_session_id, intent.user_id, self._holder
        )

    async def _look_or_let_go(self) -> LinkOutcome:
        try:
            return await self._look()
        except BaseException:
            status = LinkStatus.COMPLETING if self._fresh else self._intent.status
            verdict = Verdict(status, self._intent.reason, self._intent.duplicate_of)
            await intents.settle(self._engine.database, self._intent, verdict, self._holder)
            raise

    def _verdict(self, outcome: LinkOutcome) -> Verdict:
        """The outcome in our ids."""
        twice = outcome.duplicate_of
        first = connection_id(self._engine.provider, self._intent.user_id, twice) if twice else None
        return Verdict(outcome.status, outcome.reason, first)

    async def _look(self) -> LinkOutcome:
        if self._intent.tries > 1:
            await self._recover()
        try:
            outcome = self._judged(await self._asked(await self._question()))
        except GoneError as error:
            return LinkOutcome(status=LinkStatus.EXPIRED, reason=error.code)
        except RefusedError as error:
            if error.code in OPERATORS_CODES:
                raise
            return LinkOutcome(status=LinkStatus.FAILED, reason=error.code)
        if outcome.status is LinkStatus.COMPLETED:
            await self._note_repair()
        return outcome

    async def _note_repair(self) -> None:
        """A repair has its connection as result, also where the provider has nothing to hand over."""
        repaired = self._intent.reconnect_connection_id
        if repaired is None or self._fresh or repaired in self._intent.connection_ids:
            return
        await streams.forget(self._engine.database, repaired, streams.ANYTHING)
        await connections.expires(self._engine.database, repaired, None)
        await intents.note_connection(self._engine.database, self._intent, repaired, None, self._holder)
        self._fresh.append(repaired)

    async def _question(self) -> FinishLink:
        engine, intent = self._engine, self._intent
        session = await links.session_of(engine, intent.user_id, intent.link_session_id)
        return FinishLink(
            session_token=session.session_token if session else None,
            user=await registered_access(engine, intent.user_id),
            known=frozenset(intent.known),
            done=frozenset([*intent.done, *self._sources]),
            reconnect_external_id=intent.reconnect_external_id,
            need_trading=intent.need_trading,
            hint=self._hint or self._named,
            accounts=await listed.of_user(engine.database, engine.provider, intent.user_id),
            begun_at=intent.created_at,
        )

    async def _asked(self, question: FinishLink) -> LinkOutcome | None:
        outcome = None
        async for answer in self._engine.adapter.finish_link(question):
            if isinstance(answer, LinkOutcome):
                outcome = answer
            elif await self._of_another_session(answer):
                self._left += 1
            else:
                await self._take_over(answer)
        return outcome

    async def _of_another_session(self, linked: LinkedConnection) -> bool:
        """Whether a connection came out of another session of the user, or out of none.

        Where the provider does not tell its sessions apart (the connection names no source), every one of them
        sees what is new. Taking it would end this session before the user has finished it.
        """
        engine, intent, ref = self._engine, self._intent, linked.institution_ref
        if linked.source is not None or linked.external_id in {self._hint, intent.reconnect_external_id}:
            return False
        here = ref is None or intent.institution_ref in {None, ref}
        identity = connection_id(engine.provider, intent.user_id, linked.external_id)
        if linked.external_id in intent.known:
            return not here or await self._is_old(linked.external_id, identity)
        if here or ref is None:
            return False
        return await intents.belongs_elsewhere(engine.database, intent, engine.provider, identity, ref)

    async def _is_old(self, external_id: str, identity: str) -> bool:
        """Whether a connection the user had before is no result of this session.

        The same login linked again keeps its connection. That the provider speaks of it is a proof, unless another
        session has just brought it; that it has changed is one only when the session is over: data change, too.
        """
        if external_id == self._named:
            return await intents.brought_lately(self._engine.database, self._intent, identity)
        return not self._intent.expired

    async def _recover(self) -> None:
        """Take over what an earlier try exchanged but did not live to record: the store has it."""
        intent = self._intent
        for linked in await credentials.kept(self._engine, intent.user_id, intent.link_session_id):
            if linked.source is None or linked.source not in intent.done:
                await self._take_over(linked)

    async def _take_over(self, linked: LinkedConnection) -> None:
        engine, intent = self._engine, self._intent
        identity = connection_id(engine.provider, intent.user_id, linked.external_id)
        if identity in intent.connection_ids or identity in self._fresh:
            return
        institution = names.institution_slug(
            requested=intent.institution,
            requested_ref=intent.institution_ref,
            linked_ref=linked.institution_ref,
            linked_name=linked.institution_name,
        )
        # First of all the secret: without it the connection would live, and cost, beyond our reach.
        secret_name = await self._kept(institution, linked)
        recorded = await connections.record(
            engine.database,
            NewConnection(
                connection_id=identity,
                provider=engine.provider,
                user_id=intent.user_id,
                institution=institution,
                secret_name=secret_name,
                linked=linked,
                frequency_seconds=engine.settings.sync_frequency_seconds,
            ),
        )
        if linked.accounts:
            await listed.expect(engine.database, identity, linked.accounts)
        if not recorded.created:
            await streams.forget(engine.database, identity, streams.ANYTHING)
        await publish(engine, *self._announcements(recorded))
        await intents.note_connection(engine.database, intent, identity, linked.source, self._holder)
        self._fresh.append(identity)
        if linked.source is not None:
            self._sources.append(linked.source)

    async def _kept(self, institution: str, linked: LinkedConnection) -> str | None:
        """Put the secret into the store; one that cannot be kept is removed at the provider while we still can.

        Raises:
            DatabaseUnavailable, SecretStoreUnavailableError: it could not be kept.
        """
        engine, intent = self._engine, self._intent
        for attempt in range(KEEP_ATTEMPTS):
            try:
                return await credentials.keep(
                    engine, intent.user_id, institution, intent.link_session_id, linked
                )
            except (DatabaseUnavailable, SecretStoreUnavailableError):
                if attempt == KEEP_ATTEMPTS - 1:
                    await self._give_back(linked)
                    raise
                await engine.sleep(float(2**attempt))
        raise AssertionError("the last attempt returns or raises")

    async def _give_back(self, linked: LinkedConnection) -> None:
        engine = self._engine
        access = ConnectionAccess(
            user_id=self._intent.user_id, external_id=linked.external_id, user=None, secret=linked.secret
        )
        try:
            await engine.adapter.unlink(access)
        except ProviderError as error:
            log.exception("link.left_behind", external_id=linked.external_id, error_code=error.code)
        else:
            log.warning("link.given_back", provider=engine.provider, external_id=linked.external_id)

    def _announcements(self, recorded: Linked) -> list[Event]:
        connection, now = recorded.connection, self._engine.clock.now()
        linked = ConnectionLinked(
            user_id=connection.user_id,
            provider=self._engine.provider,
            connection_id=connection.connection_id,
            external_id=connection.external_id,
            institution=connection.institution,
            institution_name=connection.institution_name,
            connection_type=connection.connection_type,
            link_session_id=self._intent.link_session_id,
            linked_at=now,
            version=connection.fence if recorded.created else connection.fence - 1,
        )
        if recorded.created:
            return [linked]
        active = ConnectionStatusChanged(
            user_id=connection.user_id,
            provider=self._engine.provider,
            connection_id=connection.connection_id,
            status=ConnectionStatus.ACTIVE,
            reason="reconnected",
            provider_code=None,
            changed_at=now,
            version=connection.fence,
        )
        return [linked, active]

    def _judged(self, outcome: LinkOutcome | None) -> LinkOutcome:
        """What the provider's answer means; a session that is over without a word of success has expired."""
        if outcome is None:
            brought = bool(self._fresh or self._intent.connection_ids)
            outcome = LinkOutcome(status=LinkStatus.COMPLETED if brought else LinkStatus.PENDING)
        elif outcome.status is LinkStatus.COMPLETED and self._brought_to_others_only:
            outcome = LinkOutcome(status=LinkStatus.PENDING)
        if outcome.status is LinkStatus.PENDING and self._intent.expired and not self._fresh:
            return LinkOutcome(status=LinkStatus.EXPIRED, reason=outcome.reason)
        return outcome

    @property
    def _brought_to_others_only(self) -> bool:
        return self._left > 0 and not self._fresh and not self._intent.connection_ids

    async def _closed(self, settled: Intent | None) -> Finished:
        """The answer; what was needed to finish a completed session is deleted."""
        engine, intent = self._engine, self._intent
        if settled is None:
            # Our hold ran out and somebody else took over: they answer for it now.
            settled = await intents.get(engine.database, engine.provider, intent.link_session_id, None)
        progress = (settled or intent).progress
        if progress.status is LinkStatus.PENDING:
            return Finished(progress, self._fresh)
        engine.metrics.linked(progress.status)
        if progress.status is LinkStatus.COMPLETED:
            name = names.link_token(engine.provider, intent.user_id, intent.link_session_id)
            await engine.secrets.delete(name)
            log.info("link.completed", provider=engine.provider, connections=len(self._fresh))
        return Finished(progress, self._fresh)
