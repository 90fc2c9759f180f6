"""Calls that change something at a broker: made once, not ended by who asked for them, and told as they came out.

Whatever is not surely "not done" is unknown: a defect of ours behind the request counts like a lost answer.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import structlog
from psycopg.rows import scalar_row

from connector_kit import breaker, connections, credentials
from connector_kit.connections import Connection
from connector_kit.engine import Engine
from contracts.connectors import TradingConnector
from contracts.errors import ErrorCode, OutcomeUnknownError, ProviderError, RefusedError, TransientError
from contracts.linking import ConnectionAccess
from contracts.trading import AccountRef
from service_kit.api_errors import ApiError

log = structlog.get_logger(__name__)

T = TypeVar("T")

TRADE = "trade"
REMEMBERED = 50_000
UNSENT = {"sent": False}
"""Of every refusal before anything was sent."""


@dataclass(frozen=True, slots=True)
class Ready:
    """All that a call about one account needs."""

    adapter: TradingConnector
    access: ConnectionAccess
    account: AccountRef
    institution_ref: str | None


@dataclass(frozen=True, slots=True)
class Made(Generic[T]):
    """What became of a call: its value, or why it has none."""

    value: T | None
    error: ProviderError | None


@dataclass(frozen=True, slots=True)
class Named:
    """Which call it is, for the log; never what a secret says."""

    operation: str
    user_id: str
    connection_id: str
    account_id: str
    more: dict[str, Any] = field(default_factory=dict)


class Once:
    """Remembers what was handed over: the same order twice is the same order, whoever repeats it."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._most = most

    def first(self, client_order_id: str) -> bool:
        """Whether it is handed over for the first time; from now on it is not."""
        if client_order_id in self._seen:
            return False
        self._seen[client_order_id] = None
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return True


def trader(engine: Engine) -> TradingConnector:
    """The adapter, if it trades.

    Raises:
        ApiError: 409 ``TRADING_NOT_SUPPORTED``.
    """
    adapter = engine.adapter
    if not isinstance(adapter, TradingConnector):
        message = "There is no trading through this provider."
        raise ApiError(ErrorCode.TRADING_NOT_SUPPORTED, 409, message, UNSENT)
    return adapter


async def ready(
    engine: Engine,
    *,
    user_id: str,
    connection_id: str,
    account_id: str,
    external_id: str | None = None,
) -> Ready:
    """What a call about one of the user's accounts needs.

    Raises:
        ApiError: 404, the connection or the account is unknown or another's; 409, nothing trades here; 410, gone.
        RefusedError: the connection's secret is lost.
    """
    adapter = trader(engine)
    found = await connections.find(engine.database, engine.provider, connection_id)
    account = await _account(engine, connection_id, account_id) if _mine(found, user_id) else None
    if found is None or account is None or external_id not in {None, account.ref.external_id}:
        raise ApiError(ErrorCode.NOT_FOUND, 404, "There is no such account.", UNSENT)
    if found.unlinked:
        raise ApiError(ErrorCode.CONNECTION_GONE, 410, "The connection was removed.", UNSENT)
    access = await credentials.access(engine, found)
    return Ready(adapter, access, account.ref, account.institution_ref)


async def may_trade(engine: Engine, connection_id: str) -> None:
    """Let through what may be tried at the broker now.

    Raises:
        ApiError: 409 ``ACCOUNT_NOT_TRADABLE``, the connection only reads.
        TransientError: the institution has been failing.
    """
    found = await connections.find(engine.database, engine.provider, connection_id)
    if found is None or found.connection_type != TRADE:
        details = {**UNSENT, "reason": "read_only_connection"}
        raise ApiError(ErrorCode.ACCOUNT_NOT_TRADABLE, 409, "The connection only reads.", details)
    await breaker.check(engine.database, engine.provider, found.institution)


def _mine(found: Connection | None, user_id: str) -> bool:
    return found is not None and found.user_id == user_id


@dataclass(frozen=True, slots=True)
class _Listed:
    ref: AccountRef
    institution_ref: str | None


async def _account(engine: Engine, connection_id: str, account_id: str) -> _Listed | None:
    async with engine.database.transaction() as conn:
        cursor = await conn.execute(
            "SELECT external_id, institution_ref FROM sync.accounts WHERE connection_id = %s AND account_id = %s",
            (connection_id, account_id),
        )
        row = await cursor.fetchone()
    return _Listed(AccountRef(account_id=account_id, external_id=row[0]), row[1]) if row else None


async def made(engine: Engine, name: Named, call: Callable[[], Awaitable[T]]) -> Made[T]:
    """Make a call that changes something, once, and say what became of it; it raises nothing of its own."""
    began = time.perf_counter()
    try:
        outcome = Made(await call(), None)
    except (RefusedError, TransientError, OutcomeUnknownError) as error:
        outcome = Made(None, error)
    except asyncio.CancelledError:
        log.warning("trading.cut_off", **_fields(engine, name, began), outcome="unknown")
        raise
    except Exception as error:
        log.exception("trading.broken", **_fields(engine, name, began))
        outcome = Made(None, lost(engine, error))
    _note(engine, name, outcome, began)
    return outcome


def lost(engine: Engine, cause: Exception | None = None) -> OutcomeUnknownError:
    """Nobody knows what became of a call."""
    known = cause if isinstance(cause, ProviderError) else None
    return OutcomeUnknownError(
        "No certain answer came from the broker.",
        code=ErrorCode.ORDER_OUTCOME_UNKNOWN,
        provider=engine.provider,
        provider_code=known.provider_code if known else None,
        provider_request_id=known.provider_request_id if known else None,
        status=known.status if known else None,
    )


def _note(engine: Engine, name: Named, outcome: Made[Any], began: float) -> None:
    word, error = _word(outcome.error), outcome.error
    engine.metrics.traded(name.operation, word)
    request_id = error.provider_request_id if error else getattr(outcome.value, "provider_request_id", None)
    write = log.warning if word == "unknown" else log.info
    write(
        "trading.settled",
        **_fields(engine, name, began),
        outcome=word,
        error_code=error.code if error else None,
        provider_code=error.provider_code if error else None,
        provider_status=error.status if error else None,
        provider_request_id=request_id,
        broker_order_ids=getattr(outcome.value, "broker_order_ids", None),
    )


def _fields(engine: Engine, name: Named, began: float) -> dict[str, Any]:
    return {
        "provider": engine.provider,
        "operation": name.operation,
        "user_id": name.user_id,
        "connection_id": name.connection_id,
        "account_id": name.account_id,
        "seconds": round(time.perf_counter() - began, 3),
        **name.more,
    }


def _word(error: ProviderError | None) -> str:
    if error is None:
        return "done"
    if isinstance(error, RefusedError):
        return "refused"
    return "not_sent" if isinstance(error, TransientError) else "unknown"


async def flags(engine: Engine, institution_ref: str | None, symbols: list[str]) -> dict[str, dict[str, Any]]:
    """What the catalogue says of symbols at an institution: whether they trade there, and in fractions."""
    if institution_ref is None or not symbols:
        return {}
    async with engine.database.transaction(rows=scalar_row) as conn:
        cursor = await conn.execute(
            """SELECT jsonb_build_object('symbol', symbol, 'tradable', tradable, 'fractional', fractional)
                 FROM sync.catalogue_instruments
                WHERE provider = %s AND ref = %s AND symbol = ANY(%s)""",
            (engine.provider, institution_ref, symbols),
        )
        return {row["symbol"]: row for row in await cursor.fetchall()}
