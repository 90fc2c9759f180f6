"""The endpoints that place, replace and cancel, and what may happen to their answers on the way back."""

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from provider_sandbox.snaptrade import trading_intake as intake
from provider_sandbox.snaptrade.endpoint import error_response, json_response
from provider_sandbox.snaptrade.errors import SnapTradeError
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.snaptrade.gate import SignedCall, parse_body
from provider_sandbox.snaptrade.trading_chaos import BEFORE, Chaos
from provider_sandbox.snaptrade.trading_checks import refused
from provider_sandbox.snaptrade.trading_intake import Intent
from provider_sandbox.snaptrade.trading_ledger import Kind, Placement
from provider_sandbox.spoil import GATEWAY_PAGE
from provider_sandbox.traffic import DropConnectionError, note

Prepare = Callable[[SnapTradeFace, SignedCall, Placement], Intent]
_TABLE: tuple[tuple[str, Kind, Prepare], ...] = (
    ("/trade/place", "place", intake.place),
    ("/trade/{tradeId}", "trade", intake.trade),
    ("/accounts/{accountId}/trading/options", "options", intake.options),
    ("/accounts/{accountId}/trading/simple", "simple", intake.simple),
    ("/accounts/{accountId}/trading/replace", "replace", intake.replacing),
    ("/accounts/{accountId}/trading/cancel", "cancel", intake.cancelling),
)


def placing_routes(face: SnapTradeFace) -> list[Route]:
    """Return the routes; they come after `POST /trade/impact`, which `/trade/{tradeId}` would hide."""
    return [Route(path, _serving(face, kind, prepare), methods=["POST"]) for path, kind, prepare in _TABLE]


def _serving(face: SnapTradeFace, kind: Kind, prepare: Prepare) -> Callable[[Request], Any]:
    async def serve(request: Request) -> Response:
        raw_body = await request.body()
        call = SignedCall(request, None)
        row = face.trading.placements.open(kind, request.scope.get("sandbox.request_id"), face.now())
        row.client_request_id = request.headers.get("x-request-id")
        try:
            face.gate.admit(call, raw_body, "user", face.now())
            call.body = parse_body(raw_body)
            intake.claimed(row, call)
            note(request, user=row.user)
            intent = prepare(face, call, row)
            chaos = face.trading.chaos.draw(kind, intent.account_key)
            row.chaos = chaos.name
            return await _suffer(face, call, row, intent, chaos)
        except SnapTradeError as error:
            row.answered, row.error = error.status, f"{error.code} {error.detail}"
            return error_response(error, call.headers)

    return serve


async def _suffer(
    face: SnapTradeFace, call: SignedCall, row: Placement, intent: Intent, chaos: Chaos
) -> Response:
    """Do what was asked, when and if the chaos lets it; raises the SnapTradeError to answer with."""
    if chaos.foreign and row.kind != "cancel":
        face.trading.submit(intent.account_key, intent.ticket, connection=None)
    if chaos.kind in BEFORE:
        return await _before(call, row, chaos)
    if chaos.kind == "drop_then_accept":
        face.state.spawn(_afterwards(face, row, intent, chaos))
        return await _cut(call, row)
    if chaos.kind == "accept_late":
        await asyncio.sleep(chaos.seconds)
    answer = _accept(face, row, intent, chaos)
    if chaos.kind == "accept_then_wait":
        await asyncio.sleep(chaos.seconds)
    return await _spoiled(call, row, chaos, answer)


async def _before(call: SignedCall, row: Placement, chaos: Chaos) -> Response:
    if chaos.kind == "drop_before":
        return await _cut(call, row)
    if chaos.kind == "reject":
        raise refused("Order was rejected by the brokerage.")
    return _gateway(call, row, chaos.status)


def _accept(face: SnapTradeFace, row: Placement, intent: Intent, chaos: Chaos) -> Any:
    order = intent.act(chaos)
    row.accepted, row.accepted_at, row.broker_order_id = True, face.now(), order.id
    if row.kind != "cancel":
        face.trading.last_accepted[intent.account_key] = row.accepted_at
    return intent.answer(order)


async def _afterwards(face: SnapTradeFace, row: Placement, intent: Intent, chaos: Chaos) -> None:
    await asyncio.sleep(chaos.seconds)
    try:
        _accept(face, row, intent, chaos)
    except SnapTradeError as error:
        row.error = f"{error.code} {error.detail}"


async def _spoiled(call: SignedCall, row: Placement, chaos: Chaos, answer: Any) -> Response:
    if chaos.kind == "accept_then_drop":
        return await _cut(call, row)
    if chaos.kind == "accept_then_error":
        return _gateway(call, row, chaos.status)
    if chaos.kind == "accept_then_timed_out":
        raise SnapTradeError(400, chaos.code, chaos.detail)
    row.answered = 200
    response = json_response(answer, headers=call.headers)
    return _malformed(call, chaos, answer, response) if chaos.kind == "accept_then_malformed" else response


def _malformed(call: SignedCall, chaos: Chaos, answer: Any, whole: Response) -> Response:
    if chaos.shape == "no_id":
        return json_response(
            {n: v for n, v in answer.items() if n != "brokerage_order_id"}, headers=call.headers
        )
    if chaos.shape == "html":
        return Response(GATEWAY_PAGE, 200, call.headers, media_type="text/html")
    body = b"" if chaos.shape == "empty" else bytes(whole.body)[: len(whole.body) // 2]
    return json_response(body, headers=call.headers)


def _gateway(call: SignedCall, row: Placement, status: int) -> Response:
    row.answered = status
    return Response(GATEWAY_PAGE, status, call.headers, media_type="text/html")


async def _cut(call: SignedCall, row: Placement) -> Response:
    """Cut the connection; what is returned reaches nobody."""
    row.answered = None
    abort = call.request.scope.get("sandbox.abort")
    if abort is None:
        raise DropConnectionError("connection dropped")
    abort()
    await asyncio.sleep(0.01)
    return Response(status_code=500)
