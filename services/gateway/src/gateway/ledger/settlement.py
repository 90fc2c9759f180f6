"""What became of refreshes that were paid for: told by connectors, in any order and any number of times."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import structlog

from contracts.envelope import Received
from contracts.messages import RefreshSettled
from gateway import commands
from gateway.guards.settle import FINAL, ChargeState, settled
from gateway.ledger import charges, spend
from gateway.ledger.charges import Open
from gateway.ledger.measures import ChargeMeasures
from messaging.bus import Bus, BusError
from messaging.consume import EachConsumer, Habits
from messaging.measures import EventMetrics
from messaging.policy import Outcome, PermanentError, Retry
from messaging.publishing import received
from messaging.topology import GATEWAY
from persistence.database import Database, DatabaseUnavailable
from service_kit.clock import Clock

log = structlog.get_logger(__name__)

NO_REQUEST = "message"
PREFETCH = 8


class Settlements:
    """Consumes the queue ``gateway`` from ``run`` to ``stop``."""

    def __init__(
        self,
        database: Database,
        joined: Callable[[], Awaitable[Bus]],
        measures: ChargeMeasures,
        events: EventMetrics,
        clock: Clock,
    ) -> None:
        self._database = database
        self._joined = joined
        self._measures = measures
        self._events = events
        self._clock = clock
        self._consumer: EachConsumer[Received] | None = None
        self._stopping = False

    async def run(self) -> None:
        """Wait for the broker, then consume; to be run as a background task."""
        bus = await self._joined()
        if self._stopping:
            return
        habits = Habits(prefetch=PREFETCH, classify=_classify, metrics=self._events)
        self._consumer = EachConsumer(bus, GATEWAY, received, self._on, habits=habits)
        await self._consumer.run()

    async def stop(self) -> None:
        """Take no more and finish what is being settled."""
        self._stopping = True
        if self._consumer is not None:
            await self._consumer.stop()

    async def _on(self, came: Received) -> Outcome | None:
        if not isinstance(came.message, RefreshSettled):
            raise PermanentError(f"not for the ledger: {came.type}")
        await self.settle(came.message)
        return None

    async def settle(self, told: RefreshSettled) -> ChargeState | None:
        """Take note of one word about a charge; the state it brought, None where it changed nothing.

        Raises:
            PermanentError: there is no such charge of this user.
            DatabaseUnavailable: nothing was noted.
        """
        charge, to = await self._database.retrying(lambda: self._noted(told))
        if to is None:
            return None
        log.info("refresh.settled", provider=charge.provider, result=to)
        self._measures.refreshed(charge.provider, to)
        if to is ChargeState.CHARGED:
            self._measures.charged(charge.provider, charge.kind, charge.amount)
        return to

    async def _noted(self, told: RefreshSettled) -> tuple[Open, ChargeState | None]:
        async with self._database.transaction(told.user_id) as conn:
            charge = await charges.hold(conn, told.user_id, _id(told.charge_id))
            if charge is None:
                raise PermanentError("there is no such charge of this user")
            to = settled(charge.state, told.outcome)
            if to is None:
                return charge, None
            await charges.move(conn, told, to)
            await spend.settle(conn, charge, to)
            await commands.note(
                conn,
                told.user_id,
                "refresh.settled",
                charge.charge_id,
                details={
                    "provider": charge.provider,
                    "connection_id": told.connection_id,
                    "state": to,
                    "final": to in FINAL,
                    "amount": str(charge.amount),
                    "currency": charge.currency,
                    "error_code": told.error_code,
                },
                request_id=NO_REQUEST,
                now=self._clock.now(),
            )
            return charge, to


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise PermanentError("the charge's id is none") from error


def _classify(error: BaseException) -> Outcome | None:
    match error:
        case DatabaseUnavailable() | BusError():
            return Retry(type(error).__name__, error=error)
        case _:
            return None
