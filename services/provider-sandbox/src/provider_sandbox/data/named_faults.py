"""What can go wrong with one connection, by name, and how each provider shows it. Data and nothing else."""

from typing import Literal

from provider_sandbox.faults import Fault

Condition = Literal["broken", "first_sync"]
"""What a face does itself: breaking as a changed password would, and an unfinished first sync."""

POSITIONS = "GET /accounts/{accountId}/positions/all"
BALANCES = "GET /accounts/{accountId}/balances"
HOLDINGS = "POST /investments/holdings/get"

RETIRED = {"detail": "This endpoint is no longer available for your account."}
LOOKS_EMPTY = {"results": [], "data_freshness": {"as_of": "2026-01-01T00:00:00Z"}}
LOOKS_EMPTY_TOO = {
    "accounts": [],
    "holdings": [],
    "securities": [],
    "item": {"item_id": "x"},
    "request_id": "x",
}


def _snaptrade(endpoint: str = POSITIONS, **values: object) -> Fault:
    return Fault(provider="snaptrade", endpoint=endpoint, **values)  # type: ignore[arg-type]  # names of its fields


def _plaid(**values: object) -> Fault:
    return Fault(provider="plaid", endpoint=HOLDINGS, **values)  # type: ignore[arg-type]  # names of its fields


def _plaid_error(code: str, error_type: str) -> Fault:
    body = {
        "error_type": error_type,
        "error_code": code,
        "error_message": "by order of control",
        "display_message": None,
    }
    return _plaid(kind="status", status=400, body=body)


SNAPTRADE: dict[str, tuple[str, Fault | Condition]] = {
    "gone": (
        "410 instead of the positions, as for a retired endpoint",
        _snaptrade(kind="status", status=410, body=RETIRED),
    ),
    "error_with_body": (
        "500 whose body reads like an account without positions",
        _snaptrade(kind="status", status=500, body=LOOKS_EMPTY),
    ),
    "missing_list": ("200 without `results`", _snaptrade(kind="missing_list")),
    "truncated_page": ("200 that ends in the middle of the JSON", _snaptrade(kind="truncate")),
    "half_page": ("200 with the first half of the positions, well-formed", _snaptrade(kind="partial")),
    "empty_list": ("200 with no position", _snaptrade(kind="empty_list")),
    "no_balances": ("200 with no balance", _snaptrade(BALANCES, kind="empty_list")),
    "dropped": ("the connection is reset without an answer", _snaptrade(kind="drop")),
    "gateway_page": ("502 with an HTML page", _snaptrade(kind="html", status=502)),
    "not_ready": (
        "425 `3012`: still being populated",
        _snaptrade(
            kind="status", status=425, body={"detail": "Still syncing", "status_code": 425, "code": "3012"}
        ),
    ),
    "login_required": (
        "402 `3003` at the positions while the connection does not say that it is disabled",
        _snaptrade(
            kind="status", status=402, body={"detail": "Disabled", "status_code": 402, "code": "3003"}
        ),
    ),
    "rate_limited": (
        "429 with `Retry-After: 1`",
        _snaptrade(
            kind="status",
            status=429,
            headers={"Retry-After": "1"},
            body={"detail": "Request was throttled."},
        ),
    ),
    "stale_cache": ("the connection is disabled and answers 200 from its cache", "broken"),
    "first_sync": ("the first sync is unfinished: 200, empty lists, no total", "first_sync"),
}
PLAID: dict[str, tuple[str, Fault | Condition]] = {
    "gone": ("410 instead of the holdings", _plaid(kind="status", status=410, body=RETIRED)),
    "error_with_body": (
        "500 whose body reads like an Item without holdings",
        _plaid(kind="status", status=500, body=LOOKS_EMPTY_TOO),
    ),
    "missing_list": ("200 without `holdings`", _plaid(kind="missing_list", member="holdings")),
    "truncated_page": ("200 that ends in the middle of the JSON", _plaid(kind="truncate")),
    "half_page": (
        "200 with the first half of `holdings`, well-formed",
        _plaid(kind="partial", member="holdings"),
    ),
    "half_lists": ("200 with the first half of every list", _plaid(kind="partial")),
    "empty_list": ("200 with no holding", _plaid(kind="empty_list", member="holdings")),
    "empty_lists": ("200 with every list empty", _plaid(kind="empty_list")),
    "dropped": ("the connection is reset without an answer", _plaid(kind="drop")),
    "gateway_page": ("502 with an HTML page", _plaid(kind="html", status=502)),
    "not_ready": ("`PRODUCT_NOT_READY`", _plaid_error("PRODUCT_NOT_READY", "ITEM_ERROR")),
    "first_sync": (
        "the same: how Plaid says that a first extraction runs",
        _plaid_error("PRODUCT_NOT_READY", "ITEM_ERROR"),
    ),
    "rate_limited": (
        "429 `INVESTMENT_HOLDINGS_GET_LIMIT`",
        _plaid(
            kind="status",
            status=429,
            body={
                "error_type": "RATE_LIMIT_EXCEEDED",
                "error_code": "INVESTMENT_HOLDINGS_GET_LIMIT",
                "error_message": "by order of control",
                "display_message": None,
            },
        ),
    ),
    "login_required": ("the Item is in `ITEM_LOGIN_REQUIRED`", "broken"),
}
NAMED = {"snaptrade": SNAPTRADE, "plaid": PLAID}
