"""What trading asks connectors without changing anything: previews, symbols, quotes. Placing has a client of its own."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import httpx
import msgspec
import structlog

from contracts.errors import MEANING, ErrorCode
from contracts.struct import Record
from contracts.trading import OrderImpact, Quote, SymbolMatch
from contracts.trading_calls import ImpactCall, QuotesCall, QuotesFound, SymbolsCall, SymbolsFound
from gateway.clients.connectors import ISSUER, PASSED_ON, SHOWN
from gateway.refusals import refusal
from service_kit.api_errors import ApiError
from service_kit.auth import ServiceAuth
from service_kit.clock import Clock
from service_kit.http_client import OPERATION, Limits, OutboundClient, deadline, outbound_client
from service_kit.metrics import Metrics
from service_kit.settings import ServiceSettings

log = structlog.get_logger(__name__)
T = TypeVar("T", bound=Record)
LIMITS = Limits(connect=2.0, read=15.0, pool=2.0, total=15.0, response_bytes=1024 * 1024)
IMPACT_SECONDS, SEARCH_SECONDS, QUOTE_SECONDS = 12.0, 8.0, 6.0
TOLD = PASSED_ON | {ErrorCode.NOT_SUPPORTED, ErrorCode.ORDER_REJECTED, ErrorCode.ACCOUNT_NOT_TRADABLE}
"""Codes that are about the order or the account; every other failure is between our services."""
SHOWN_MORE = (*SHOWN, "reason")
_ENCODER = msgspec.json.Encoder(decimal_format="string")


class TradingReads(Protocol):
    """What the gateway asks; all raise ``ApiError`` when a connector or its provider does not answer."""

    async def impact(self, provider: str, call: ImpactCall) -> OrderImpact:
        """The broker's preview; code ``NOT_SUPPORTED`` where it has none of such an order."""
        ...

    async def symbols(self, provider: str, call: SymbolsCall) -> list[SymbolMatch]:
        """Instruments that match, best first."""
        ...

    async def quotes(self, provider: str, call: QuotesCall) -> list[Quote]:
        """Quotes of up to ten symbols; one that is not quoted is left out."""
        ...


class HttpTradingReads:
    """The reads over HTTP, a client for each connector."""

    def __init__(self, clients: Mapping[str, OutboundClient]) -> None:
        self._clients = clients

    async def impact(self, provider: str, call: ImpactCall) -> OrderImpact:
        """The broker's preview; code ``NOT_SUPPORTED`` where it has none of such an order."""
        return await self._ask(provider, "impact", call, OrderImpact, IMPACT_SECONDS)

    async def symbols(self, provider: str, call: SymbolsCall) -> list[SymbolMatch]:
        """Instruments that match, best first."""
        return (await self._ask(provider, "symbols", call, SymbolsFound, SEARCH_SECONDS)).symbols

    async def quotes(self, provider: str, call: QuotesCall) -> list[Quote]:
        """Quotes of up to ten symbols; one that is not quoted is left out."""
        return (await self._ask(provider, "quotes", call, QuotesFound, QUOTE_SECONDS)).quotes

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()

    async def _ask(self, provider: str, what: str, call: Record, kind: type[T], seconds: float) -> T:
        client = self._clients.get(provider)
        if client is None:
            raise refusal(ErrorCode.PROVIDER_DISABLED, details={"provider": provider})
        operation = f"POST /trading/{what}"
        try:
            async with deadline(seconds):
                answer = await client.request(
                    "POST",
                    f"/internal/v1/trading/{what}",
                    content=_ENCODER.encode(call),
                    headers={"Content-Type": "application/json"},
                    extensions={OPERATION: operation},
                )
        except httpx.HTTPError as error:
            log.warning(
                "connector.unreachable", provider=provider, operation=operation, error=type(error).__name__
            )
            raise unavailable(provider) from error
        if not answer.is_success:
            raise passed_on(provider, answer)
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.DecodeError as error:
            # The text of the error can repeat what was sent.
            log.error("connector.unreadable", provider=provider, expected=kind.__name__)  # noqa: TRY400 - see above
            raise unavailable(provider) from error


def http_trading_reads(
    settings: ServiceSettings,
    urls: Mapping[str, str],
    metrics: Metrics,
    clock: Clock,
    transport: httpx.AsyncBaseTransport | None = None,
) -> HttpTradingReads:
    """Clients of the connectors at these internal addresses (provider → URL)."""
    return HttpTradingReads(
        {
            provider: outbound_client(
                f"{provider}-connector",
                url,
                metrics,
                limits=LIMITS,
                auth=ServiceAuth(
                    settings.service_auth_secret, issuer=ISSUER, audience=f"{provider}-connector", clock=clock
                ),
                propagate_trace=True,
                transport=transport,
            )
            for provider, url in urls.items()
        }
    )


def unavailable(provider: str) -> ApiError:
    """The refusal while a connector or its provider is away."""
    details = {"provider": provider}
    return refusal(ErrorCode.PROVIDER_UNAVAILABLE, details=details, headers={"Retry-After": "5"})


def passed_on(provider: str, answer: httpx.Response) -> ApiError:
    """A connector's error as the user should see it."""
    body = _error_of(answer)
    code, message, given = str(body.get("code")), body.get("message"), body.get("details")
    log.info("connector.refused", provider=provider, status=answer.status_code, code=code[:64])
    if code not in TOLD:
        return unavailable(provider)
    told = given if isinstance(given, dict) else {}
    details = {"provider": provider} | {
        name: told[name][:200] for name in SHOWN_MORE if isinstance(told.get(name), str)
    }
    wait = answer.headers.get("Retry-After", "")
    asked_again = MEANING[ErrorCode(code)].status in {429, 503}
    headers = {"Retry-After": wait if wait.isdecimal() else "5"} if asked_again else None
    why = message[:300] if isinstance(message, str) else None
    return refusal(ErrorCode(code), why, details=details, headers=headers)


def _error_of(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}
