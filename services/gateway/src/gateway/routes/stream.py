"""The stream of what happens to a user's data."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from contracts.errors import ErrorCode
from gateway.auth.caller import Caller
from gateway.routes.answers import refusals
from gateway.stream.frames import last_seen
from gateway.stream.shown import KINDS
from gateway.stream.streams import MEDIA_TYPE, OpenStreams

router = APIRouter(tags=["stream"])
EXAMPLE = (
    "retry: 3000\nid: 4711\n\n"
    'id: 4712\nevent: sync.finished\ndata: {"connection_id":"0f8b5f0e-5b1d-5d6e-9a53-0c6f0c1f7a01", …}\n\n'
    ": still here\n\n"
)
LAST = "The `id` of the last event you saw."
DESCRIPTION = "\n".join(
    [
        "Server-sent events about your own data, as they happen; each says what changed, so that you read it again.",
        "",
        *(f"- `{kind.name}`: {kind.meaning} Data: {', '.join(kind.members)}." for kind in KINDS.values()),
        "- `reset`: the last id you sent is not known (any more). Read everything again and go on from here.",
        "",
        "Send the last `id` you saw as `Last-Event-ID` (or `last_event_id`) and the stream goes on behind it: nothing",
        "is lost, nothing comes twice. Events are kept for 24 hours. A comment comes every 15 seconds when nothing",
        "else does. A stream ends after an hour, or when the service restarts: open it again. The first lines carry an",
        "`id` without an event: go on from it if nothing came after.",
    ]
)
FOUND: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events, for as long as both sides like.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": EXAMPLE}},
    }
}


@router.get(
    "/v1/stream",
    summary="Watch what happens.",
    description=DESCRIPTION,
    response_class=Response,
    responses=FOUND | refusals(ErrorCode.RATE_LIMITED),
)
async def watch(
    caller: Caller,
    streams: OpenStreams,
    *,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", max_length=200, description=LAST)
    ] = None,
    last_in_query: Annotated[
        str | None,
        Query(
            alias="last_event_id",
            max_length=200,
            description=f"{LAST} For clients that cannot set headers; the header wins.",
        ),
    ] = None,
) -> Response:
    """Follow the caller's events."""
    last = last_event_id if last_event_id is not None else last_in_query
    return await streams.open(caller.user_id, last_seen(last))
