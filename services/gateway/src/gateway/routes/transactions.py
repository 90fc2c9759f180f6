"""Transactions: what accounts did, as a list and as a file, and what the user's journal has taken."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from contracts.errors import ErrorCode
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.journal import marks
from gateway.reads import transactions
from gateway.reads.pages import answer, known_id, known_tags, respond
from gateway.reads.sheet import COLUMNS, sheet
from gateway.routes.answers import NOT_MODIFIED, IfNoneMatch, refusals
from gateway.routes.filters import UserWants
from gateway.schemas.transactions import (
    JournalMark,
    JournalMarks,
    MarkedTransactions,
    Transaction,
    TransactionPage,
)
from gateway.schemas.values import PageCursor, PageLimit, PathId
from gateway.stream.flowing import Flowing, begun
from service_kit.web import request_id_of

router = APIRouter(tags=["transactions"])
CSV = "text/csv"
EXAMPLE = (
    ",".join(COLUMNS)
    + "\r\n5a7c8d9e-0f1a-4b2c-8d3e-4f5061728394,3d1f6a0e-8f7b-5a52-8d68-6cf0c6f0a102,snaptrade,charles-schwab,"
    "2026-11-20,2026-11-20T14:30:00Z,2026-11-23,BUY,BUY,AAPL,AAPL,Bought 10 AAPL,10,230.25,-2303.5,1,USD,,,false,"
    "T-20261120-17,true,trade-311,\r\n"
)
FOUND: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A file for spreadsheets (RFC 4180, UTF-8), in the order of the list. Texts that a "
        "spreadsheet would take for a formula begin with an apostrophe.",
        "content": {CSV: {"schema": {"type": "string"}, "example": EXAMPLE}},
    }
}


@router.get(
    "/v1/transactions",
    summary="List transactions.",
    response_model=TransactionPage,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def list_transactions(
    caller: Caller,
    parts: Parts,
    *,
    wanted: UserWants,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """What your accounts did, the newest day first. What arrives meanwhile moves no page."""
    found = await transactions.page(parts.database, caller.user_id, wanted, cursor=cursor, limit=limit)
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/transactions/export",
    summary="Export transactions.",
    response_class=Response,
    responses=FOUND | refusals(ErrorCode.NOT_FOUND),
)
async def export_transactions(caller: Caller, parts: Parts, wanted: UserWants) -> Response:
    """All transactions of the same filters as one file, sent as it is read; one cut short lacks its end mark."""
    name = f"transactions-{parts.clock.now():%Y-%m-%d}.csv"
    pieces = await begun(sheet(parts.database, caller.user_id, wanted))
    disposition = f'attachment; filename="{name}"'
    return Flowing(pieces, media_type=f"{CSV}; charset=utf-8", headers={"Content-Disposition": disposition})


@router.get(
    "/v1/transactions/{transaction_id}",
    summary="Read one transaction.",
    response_model=Transaction,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_transaction(
    caller: Caller, parts: Parts, transaction_id: PathId, if_none_match: IfNoneMatch = None
) -> Response:
    """One of your transactions, with its marks."""
    identity = known_id(transaction_id, transactions.TRANSACTION)
    async with parts.database.transaction(caller.user_id) as conn:
        found = answer(await transactions.one(conn, caller.user_id, identity))
    return respond(found, known_tags(if_none_match))


@router.patch(
    "/v1/transactions/{transaction_id}/journal",
    summary="Mark a transaction for the journal.",
    response_model=Transaction,
    responses=refusals(ErrorCode.NOT_FOUND),
)
async def mark_transaction(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    transaction_id: PathId,
    body: Annotated[JournalMark, Body()],
) -> Response:
    """Say what your journal made of it. Repeating it changes nothing."""
    identity = known_id(transaction_id, transactions.TRANSACTION)
    text = await marks.mark(parts, caller.user_id, identity, body.wish, request_id_of(request))
    return Response(text, media_type="application/json")


@router.post(
    "/v1/transactions/journal",
    summary="Mark many transactions for the journal.",
    response_model=MarkedTransactions,
    responses=refusals(),
)
async def mark_transactions(
    caller: Caller, parts: Parts, *, request: Request, body: Annotated[JournalMarks, Body()]
) -> Response:
    """Mark up to 500 in the same way, in one step. Ids that are not yours are named and change nothing."""
    done = await marks.mark_many(parts, caller.user_id, body.ids, body.wish, request_id_of(request))
    shown = MarkedTransactions(
        changed=list(done.changed), unchanged=done.unchanged, not_found=list(done.not_found)
    )
    return Response(shown.model_dump_json(), media_type="application/json")
