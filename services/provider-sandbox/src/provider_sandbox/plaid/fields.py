"""Reads fields of a request body and answers Plaid's error for a missing or wrong one."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from provider_sandbox.plaid.errors import PlaidError

Body = Mapping[str, Any]


def require(body: Body, names: Iterable[str]) -> None:
    """Raise MISSING_FIELDS naming every absent field."""
    missing = [name for name in names if body.get(name) is None]
    if missing:
        raise PlaidError("MISSING_FIELDS", f"the following required fields are missing: {', '.join(missing)}")


def invalid(name: str, why: str) -> PlaidError:
    """The error for a field with an unusable value."""
    return PlaidError("INVALID_FIELD", f"{name} {why}")


def text(body: Body, name: str) -> str:
    """A required, non-empty string."""
    require(body, [name])
    value = optional_text(body, name)
    if not value:
        raise invalid(name, "must be a non-empty string")
    return value


def optional_text(body: Body, name: str) -> str | None:
    """A string or null."""
    value = body.get(name)
    if value is None or isinstance(value, str):
        return value
    raise invalid(name, "must be a string")


def optional_integer(body: Body, name: str, default: int, *, low: int, high: int) -> int:
    """An integer within [low, high], or the default."""
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(name, "must be an integer")
    if not low <= value <= high:
        raise invalid(name, f"must be between {low} and {high}")
    return value


def flag(body: Body, name: str) -> bool:
    """A boolean, false when absent."""
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise invalid(name, "must be a boolean")


def texts(body: Body, name: str) -> tuple[str, ...]:
    """A list of strings; absent or null is empty."""
    value = body.get(name)
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return tuple(value)
    raise invalid(name, "must be an array of strings")


def required_texts(body: Body, name: str) -> tuple[str, ...]:
    """A required list with at least one string."""
    require(body, [name])
    values = texts(body, name)
    if not values:
        raise invalid(name, "must not be empty")
    return values


def options(body: Body, name: str = "options") -> Body:
    """A nested object; absent is empty, null or anything else is refused as Plaid does."""
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise invalid(name, "must be an object")
    return value


def day(body: Body, name: str) -> date:
    """A required date in the form YYYY-MM-DD."""
    try:
        return date.fromisoformat(text(body, name))
    except ValueError as problem:
        raise invalid(name, "must be a date in the form YYYY-MM-DD") from problem


def web_address(name: str, value: str) -> str:
    """The value when it is an http or https URL with a host."""
    try:
        parts = urlsplit(value)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        fits = False
    if not fits:
        raise invalid(name, "must be an http or https URL")
    return value
