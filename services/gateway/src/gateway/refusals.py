"""Errors as answers: codes with their documented status, and provider errors as people should see them."""

from collections.abc import Mapping
from typing import Any

from contracts.errors import MEANING, ErrorCode
from service_kit.api_errors import ApiError


def refusal(
    code: ErrorCode,
    message: str | None = None,
    *,
    details: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> ApiError:
    """The answer for a code, with the status and the words the documentation gives it."""
    row = MEANING[code]
    return ApiError(code.value, row.status, message or row.meaning, details, headers)


def not_found(what: str) -> ApiError:
    """The one answer for what does not exist and for what is not yours."""
    return refusal(ErrorCode.NOT_FOUND, f"No such {what}.")
