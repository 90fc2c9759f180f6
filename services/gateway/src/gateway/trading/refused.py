"""What guards and rules refuse, as answers."""

from collections.abc import Sequence

from contracts.errors import ErrorCode
from gateway.refusals import refusal
from gateway.trading.orders import OrderFaultsError
from gateway.trading.rules import Fault
from gateway.trading.values import Finding
from service_kit.api_errors import ApiError


def refused(findings: Sequence[Finding]) -> ApiError | None:
    """The answer for the first finding that refuses, which also names the others; None where none does."""
    refusing = [finding for finding in findings if finding.refuses]
    if not refusing:
        return None
    first = refusing[0]
    details = dict(first.details) | {"guard": first.guard, "also": [one.code for one in refusing[1:]]}
    wait = first.details.get("retry_after")
    headers = None if wait is None else {"Retry-After": str(wait)}
    return refusal(ErrorCode(first.code), first.message, details=details, headers=headers)


def check(findings: Sequence[Finding]) -> None:
    """Go on only where nothing refuses.

    Raises:
        ApiError: the answer for the first finding that does.
    """
    answer = refused(findings)
    if answer is not None:
        raise answer


def faulty(error: OrderFaultsError) -> ApiError:
    """The answer for what is no order: 422, each fault with where it stands in the body."""
    return wrong(error.faults)


def wrong(faults: Sequence[Fault]) -> ApiError:
    """The 422 for faults of a body."""
    errors = [
        {"location": ["body", *fault.place], "type": fault.code, "message": fault.message} for fault in faults
    ]
    return refusal(ErrorCode.VALIDATION_FAILED, faults[0].message, details={"errors": errors})
