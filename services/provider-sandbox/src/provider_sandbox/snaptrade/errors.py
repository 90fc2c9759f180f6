"""SnapTrade's errors in their live shape `{detail, status_code, code}`; `code` is a string."""

from typing import Any


class SnapTradeError(Exception):
    """An error answer. `headers` are added to the response."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """Return the JSON body; retired endpoints (410) carry `detail` alone, missing features (501) `error`."""
        if self.status == 501:
            return {"error": self.detail}
        if self.status == 410:
            return {"detail": self.detail}
        return {"detail": self.detail, "status_code": self.status, "code": self.code}


def missing_credentials() -> SnapTradeError:
    """Neither key nor user is named where one is needed."""
    return SnapTradeError(401, "0000", "Please provide clientId, userId and userSecret in query params")


def unknown_client() -> SnapTradeError:
    """The key id is not known."""
    return SnapTradeError(401, "0000", "Invalid clientId provided")


def bad_timestamp() -> SnapTradeError:
    """The timestamp is no number of seconds, or too far from the server's clock."""
    return SnapTradeError(401, "0000", "Invalid timestamp")


def bad_signature() -> SnapTradeError:
    """The signature cannot be verified."""
    return SnapTradeError(401, "1076", "Unable to verify signature sent")


def bad_user() -> SnapTradeError:
    """The user or its secret is wrong, rotated or deleted."""
    return SnapTradeError(401, "1083", "Invalid userID or userSecret provided")


def user_exists(user_id: str) -> SnapTradeError:
    """A registerUser with an id that is taken."""
    return SnapTradeError(400, "1010", f"User with the following userId already exists: {user_id}")


def not_found() -> SnapTradeError:
    """No such object, or another user's."""
    return SnapTradeError(404, "1011", "Object does not exist")


def invalid(detail: str) -> SnapTradeError:
    """Invalid input."""
    return SnapTradeError(400, "1012", detail)


def forbidden() -> SnapTradeError:
    """The key has no permission to the resource: a personal key at an endpoint for commercial ones."""
    return SnapTradeError(403, "1066", "You do not have permission to access this resource")


def not_enabled() -> SnapTradeError:
    """The feature is off for this customer or connection."""
    return SnapTradeError(403, "1141", "Feature is not enabled for this customer")


def not_implemented() -> SnapTradeError:
    """The institution has no such feature."""
    return SnapTradeError(501, "", "The brokerage does not support this feature")


def disabled() -> SnapTradeError:
    """The connection is disabled: the user must reconnect."""
    return SnapTradeError(402, "3003", "Brokerage authorization disabled")


def already_disabled() -> SnapTradeError:
    """The connection was disabled before."""
    return SnapTradeError(402, "3011", "Brokerage authorization already disabled")


def still_syncing() -> SnapTradeError:
    """The first sync is not finished."""
    return SnapTradeError(425, "3012", "Resource is still being populated. Please try again later")


def refreshed_too_recently(seconds: int) -> SnapTradeError:
    """A refresh too soon after the last one."""
    detail = f"Connection was refreshed too recently. Expected available in {seconds} seconds."
    return SnapTradeError(429, "throttled", detail, {"Retry-After": str(seconds)})


def throttled(seconds: int) -> SnapTradeError:
    """Too many requests."""
    detail = f"Request was throttled. Expected available in {seconds} seconds."
    return SnapTradeError(429, "0000", detail, {"Retry-After": str(seconds)})


def retired() -> SnapTradeError:
    """An endpoint that newer customers do not have."""
    return SnapTradeError(410, "", "This endpoint is no longer available for your account.")
