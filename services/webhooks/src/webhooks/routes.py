"""The one route: providers post here."""

from typing import assert_never

from fastapi import APIRouter, Request

from service_kit.web import ApiError
from webhooks.delivery import RawDelivery
from webhooks.receive import Outcome, Receiver

JSON = "application/json"
RETRY = {"Retry-After": "30"}


def routes(receiver: Receiver) -> APIRouter:
    """The routes of the letter box."""
    router = APIRouter()

    @router.post(
        "/webhooks/{provider}",
        summary="Take a provider's webhook in",
        description="The provider's signature is the only credential. 200 means it is stored; copies are too.",
    )
    async def webhook(provider: str, request: Request) -> dict[str, str]:
        if provider in receiver.verifiers and not _is_json(request.headers.get("content-type", "")):
            raise ApiError("UNSUPPORTED_MEDIA_TYPE", 415, "A webhook is JSON.")
        raw = RawDelivery(provider, dict(request.headers), await request.body())
        outcome = await receiver.receive(raw)
        if refusal := refused(outcome):
            raise refusal
        return {"status": "accepted"}

    return router


def refused(outcome: Outcome) -> ApiError | None:
    """How a delivery that was not taken in is answered; a forged one is not told why."""
    match outcome:
        case Outcome.STORED | Outcome.LATE | Outcome.DUPLICATE:
            return None
        case Outcome.FORGED:
            return ApiError("UNAUTHENTICATED", 401, "This webhook cannot be accepted.")
        case Outcome.TOO_OLD:
            return ApiError("BAD_REQUEST", 400, "This webhook is too old.")
        case Outcome.UNKNOWN_PROVIDER:
            return ApiError("NOT_FOUND", 404, "Not Found")
        case Outcome.UNVERIFIABLE | Outcome.UNAVAILABLE:
            return ApiError("UNAVAILABLE", 503, "Please send it again later.", headers=RETRY)
        case _:
            assert_never(outcome)


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == JSON
