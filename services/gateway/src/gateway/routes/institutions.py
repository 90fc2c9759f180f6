"""Institutions: what can be linked, through whom, and why."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.linking import outcomes
from gateway.linking.ask import Ask, decide
from gateway.reads.pages import answer, known_tags, offset_cursor, read_offset, respond
from gateway.routes.answers import NOT_MODIFIED, IfNoneMatch, refusals
from gateway.schemas.institutions import Institution, InstitutionPage, LinkCapabilities
from gateway.schemas.values import PLAIN_TEXT, PageCursor, PageLimit

router = APIRouter(tags=["institutions"])


@router.get(
    "/v1/institutions",
    summary="Search institutions.",
    response_model=InstitutionPage,
    responses=NOT_MODIFIED | refusals(),
)
async def list_institutions(
    caller: Caller,
    parts: Parts,
    *,
    query: Annotated[
        str | None, Query(max_length=100, pattern=PLAIN_TEXT, description="Part of a name.")
    ] = None,
    popular: Annotated[bool | None, Query(description="Only popular ones, or only the others.")] = None,
    explain: Annotated[bool, Query(description="Say why each provider was chosen.")] = False,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Institutions of the coverage file, names that begin with the query first.

    Any other institution can be linked too: send its name to `POST /v1/link`.
    """
    start = read_offset(cursor)
    found = parts.coverage.search(query, popular=popular)
    async with parts.database.transaction(caller.user_id) as conn:
        health = await outcomes.recent(conn, parts.clock.now())
    items = []
    for one in found[start : start + limit]:
        choice = decide(Ask(one.slug), parts.coverage, parts.policy, health, admin=caller.is_admin)
        items.append(
            Institution(
                slug=one.slug,
                name=one.name,
                type=one.type,
                popular=one.popular,
                provider=choice.decision.provider,
                capabilities=LinkCapabilities(trading=choice.trading_expected),
                reasons=list(choice.decision.reasons) if explain else None,
            )
        )
    more = start + limit < len(found)
    page = InstitutionPage(items=items, next_cursor=offset_cursor(start + limit) if more else None)
    return respond(answer(page.model_dump_json()), known_tags(if_none_match))
