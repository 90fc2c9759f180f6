"""What cannot be done to an account entered by hand, said so that a person can mend it."""

from collections.abc import Mapping, Sequence
from typing import Any

from contracts.errors import ErrorCode
from gateway.manual.accounts import ManualAccount
from gateway.manual.entries import EntryError
from gateway.manual.instruments import PROVIDER
from gateway.refusals import refusal
from service_kit.api_errors import ApiError

SHOWN = 50
"""Errors that one answer names."""
Located = tuple[Sequence[str | int], EntryError]


def bad_entries(errors: Sequence[Located]) -> ApiError:
    """Entries that cannot be holdings, each with where it stands in the request."""
    listed = [
        {"location": [*place, error.field], "type": error.code, "message": error.message}
        for place, error in errors[:SHOWN]
    ]
    details = {"errors": listed, "count": len(errors)}
    return refusal(ErrorCode.VALIDATION_FAILED, errors[0][1].message, details=details)


def because(reason: str, message: str, code: ErrorCode, more: Mapping[str, Any] | None = None) -> ApiError:
    """A refusal with a stable reason in its details."""
    return refusal(code, message, details={"reason": reason} | dict(more or {}))


def too_many(what: str, most: int) -> ApiError:
    """More than one user or account may have."""
    return because("too_many", f"At most {most} {what}.", ErrorCode.VALIDATION_FAILED, {"limit": most})


def check_match(account: ManualAccount, if_match: str | None) -> None:
    """Refuse a change that was made from an older state of the account; without a tag any state will do.

    Raises:
        ApiError: 412, the account has changed since.
    """
    if if_match is None:
        return
    # A weak tag never matches: half the point is that every byte is known.
    tags = {part.strip() for part in if_match.split(",")}
    if not tags & {"*", f'"{account.etag}"'}:
        raise refusal(ErrorCode.PRECONDITION_FAILED, headers={"ETag": f'"{account.etag}"'})


def only_by_hand(provider: str) -> None:
    """Refuse to do to an account entered by hand what only a provider's connection can have done to it.

    Raises:
        ApiError: 409, it is entered by hand.
    """
    if provider == PROVIDER:
        message = (
            "This account is entered by hand: there is nothing to refresh, reconnect or disconnect. "
            "Change its holdings, or delete the account, under /v1/accounts."
        )
        raise because("entered_by_hand", message, ErrorCode.CONFLICT)
