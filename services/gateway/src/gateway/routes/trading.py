"""What comes before an order: whether an account can trade, symbols, quotes, and the preview."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from contracts.errors import ErrorCode
from contracts.instruments import ticker
from gateway.auth.caller import Caller
from gateway.context import Gateway, Parts
from gateway.decisions.decider import themselves
from gateway.reads.pages import known_id
from gateway.refusals import refusal
from gateway.routes.answers import refusals
from gateway.routing.choose import TRADING_PROVIDERS
from gateway.schemas.trading import AccountTrading, ImpactBody, OrderPreview, QuotesAnswer, SymbolsAnswer
from gateway.schemas.values import PathId
from gateway.trading import facts, guards, market_data, market_hours, show
from gateway.trading.previewing import Wanted, can_trade, preview
from gateway.trading.refused import check
from gateway.trading.values import Account, Confirmed
from service_kit.web import request_id_of

router = APIRouter(tags=["trading"])
QUOTES_MOST = 10
QueryAccount = Annotated[str, Query(max_length=64, description="The account whose broker is asked.")]


@router.post(
    "/v1/trading/impact",
    summary="Preview an order.",
    response_model=OrderPreview,
    responses=refusals(
        ErrorCode.NOT_FOUND,
        ErrorCode.TRADING_NOT_SUPPORTED,
        ErrorCode.ACCOUNT_NOT_TRADABLE,
        ErrorCode.TRADING_DISABLED,
        ErrorCode.CONNECTION_BROKEN,
        ErrorCode.CONNECTION_GONE,
        ErrorCode.PROVIDER_DISABLED,
        ErrorCode.INSUFFICIENT_BUYING_POWER,
        ErrorCode.INSUFFICIENT_QUANTITY,
        ErrorCode.ORDER_TOO_LARGE,
        ErrorCode.DAILY_LIMIT_EXCEEDED,
        ErrorCode.PRICE_OUT_OF_RANGE,
        ErrorCode.DUPLICATE_SUSPECTED,
        ErrorCode.ORDER_BEING_VERIFIED,
        ErrorCode.ORDER_REJECTED,
        ErrorCode.PROVIDER_UNAVAILABLE,
    ),
)
async def preview_order(caller: Caller, parts: Parts, *, request: Request, body: ImpactBody) -> Response:
    """What an order would cost and do, and whether it may be placed; nothing is placed.

    Every number says where it comes from: the broker, our estimate, or nobody. The preview holds for five minutes.
    """
    who = themselves(caller, request_id_of(request))
    confirmed = Confirmed(duplicate=body.confirm_duplicate, unverified=body.confirm_unverified)
    wanted = Wanted(known_id(body.account_id, "account"), body.asked(), confirmed)
    return _shown(await preview(parts, who, wanted))


@router.get(
    "/v1/accounts/{account_id}/trading",
    summary="See whether an account can trade.",
    response_model=AccountTrading,
    responses=refusals(ErrorCode.NOT_FOUND),
)
async def read_trading(caller: Caller, parts: Parts, account_id: PathId) -> Response:
    """Whether orders can be placed in it now, every reason why not and what helps, and what orders are held to."""
    known, held_to = await can_trade(parts, caller.user_id, known_id(account_id, "account"))
    account, now = known.account, market_hours.market(parts.clock.now())
    reasons = show.reasons(guards.lasting(known))
    return _shown(
        {
            "account_id": str(account.account_id),
            "connection_id": str(account.connection_id),
            "provider": account.provider,
            "institution": account.institution,
            "can_trade": not reasons,
            "reasons": reasons,
            "limits": show.held_to(known, held_to),
            "market": {
                "session": now.session.value,
                "opens_at": None if now.opens_at is None else now.opens_at.isoformat(),
            },
        }
    )


@router.get(
    "/v1/symbols/search",
    summary="Search symbols.",
    response_model=SymbolsAnswer,
    responses=refusals(
        ErrorCode.NOT_FOUND,
        ErrorCode.TRADING_NOT_SUPPORTED,
        ErrorCode.CONNECTION_BROKEN,
        ErrorCode.PROVIDER_DISABLED,
        ErrorCode.PROVIDER_UNAVAILABLE,
    ),
)
async def search_symbols(
    caller: Caller,
    parts: Parts,
    q: Annotated[
        str,
        Query(
            min_length=1,
            max_length=64,
            pattern=r"^[^\x00-\x1f\x7f]+$",
            description="A ticker, or a part of it.",
        ),
    ],
    account_id: Annotated[
        str | None, Query(max_length=64, description="Only what this account's broker knows.")
    ] = None,
) -> Response:
    """Instruments that match, best first: everything the provider knows, or what an account's broker does."""
    account = None if account_id is None else await _account(parts, caller.user_id, account_id)
    provider = TRADING_PROVIDERS[0] if account is None else account.provider
    found = await parts.market.symbols(caller.user_id, provider, q.strip(), account)
    return _shown(
        {
            "account_id": None if account is None else str(account.account_id),
            "provider": provider,
            "items": [show.symbol(one) for one in found],
        }
    )


@router.get(
    "/v1/quotes",
    summary="Get quotes.",
    response_model=QuotesAnswer,
    responses=refusals(
        ErrorCode.NOT_FOUND,
        ErrorCode.TRADING_NOT_SUPPORTED,
        ErrorCode.CONNECTION_BROKEN,
        ErrorCode.PROVIDER_DISABLED,
        ErrorCode.PROVIDER_UNAVAILABLE,
    ),
)
async def read_quotes(
    caller: Caller,
    parts: Parts,
    account_id: QueryAccount,
    symbols: Annotated[
        str,
        Query(min_length=1, max_length=700, description="Up to ten tickers, with commas between."),
    ],
) -> Response:
    """What the account's broker quotes, perhaps delayed. This is no market data: do not poll it for prices."""
    wanted = _symbols(symbols)
    account = await _account(parts, caller.user_id, account_id)
    found = await parts.market.quotes(caller.user_id, account, wanted)
    return _shown(
        {
            "account_id": str(account.account_id),
            "items": [show.quote(found[symbol]) for symbol in wanted if symbol in found],
            "missing": [symbol for symbol in wanted if symbol not in found],
        }
    )


async def _account(parts: Gateway, user_id: str, account_id: str) -> Account:
    """An account whose provider can be asked, over a connection that works."""
    identity = known_id(account_id, "account")
    async with parts.database.transaction(user_id) as conn:
        account = await facts.account(conn, user_id, identity)
    market_data.searches(account.provider, account.account_id)
    check(guards.unhealthy(account, parts.settings.enabled_providers))
    return account


def _symbols(text: str) -> list[str]:
    """The symbols of a list, each once.

    Raises:
        ApiError: 422, none, too many, or one that cannot be a ticker.
    """
    parts = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    known = [(part, ticker(part)) for part in parts]
    bad = [part for part, symbol in known if symbol is None]
    if bad or not parts or len(parts) > QUOTES_MOST:
        message = f"From one to {QUOTES_MOST} tickers."
        wrong = {"location": ["query", "symbols"], "type": "symbols", "message": message}
        raise refusal(ErrorCode.VALIDATION_FAILED, message, details={"errors": [wrong]})
    return list(dict.fromkeys(symbol for _, symbol in known if symbol is not None))


def _shown(body: Mapping[str, Any]) -> Response:
    return Response(json.dumps(body), media_type="application/json")
