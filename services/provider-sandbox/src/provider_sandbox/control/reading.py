"""Reads the JSON bodies of the control API and says plainly what is wrong with them."""

from decimal import Decimal, InvalidOperation
from typing import Any, get_args

from starlette.requests import Request

from provider_sandbox import json_body
from provider_sandbox.faults import Fault, FaultKind


class BadRequestError(ValueError):
    """A body the control API cannot use."""


class UnknownError(LookupError):
    """Nothing of that name."""


def found(what: str, there: bool) -> dict[str, Any]:
    """Return an empty object to build on; raises UnknownError, which becomes a 404, when it is not there."""
    if not there:
        raise UnknownError(f"No such {what}")
    return {}


class Body:
    """A JSON object with typed access."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    @classmethod
    async def of(cls, request: Request) -> "Body":
        """Read a request's body; raises BadRequestError when it is no JSON object."""
        try:
            raw = await request.body()
            values = json_body.parse(raw) if raw else {}
        except ValueError as error:
            raise BadRequestError(f"The body is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise BadRequestError("The body must be a JSON object")
        return cls(values)

    def text(self, name: str, default: str | None = None) -> str:
        """A string; required without a default."""
        value = self.values.get(name, default)
        if not isinstance(value, str):
            raise BadRequestError(f"{name} must be a string")
        return value

    def decimal(self, name: str) -> Decimal | None:
        """A decimal given as string or number; None for null or absent."""
        value = self.values.get(name)
        if value is None:
            return None
        try:
            number = Decimal(str(value))
        except InvalidOperation as error:
            raise BadRequestError(f"{name} must be a decimal number") from error
        if not number.is_finite():
            raise BadRequestError(f"{name} must be a finite number")
        return number

    def number(self, name: str, default: float) -> float:
        """A number."""
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadRequestError(f"{name} must be a number")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """A JSON object, empty when absent."""
        value = self.values.get(name) or {}
        if not isinstance(value, dict):
            raise BadRequestError(f"{name} must be an object")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """A boolean."""
        value = self.values.get(name, default)
        if not isinstance(value, bool):
            raise BadRequestError(f"{name} must be true or false")
        return value


def count(body: Body, name: str) -> int | None:
    """How often something shall happen; None (null or absent) is for ever."""
    times = body.values.get(name)
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise BadRequestError(f"{name} must be a positive integer, or null for ever")
    return times


def read_fault(body: Body) -> Fault:
    """Read a fault; raises BadRequestError for an unknown kind."""
    kind = body.text("kind")
    if kind not in get_args(FaultKind):
        raise BadRequestError(f"kind must be one of {', '.join(get_args(FaultKind))}")
    times = count(body, "times")
    return Fault(
        provider=body.text("provider"),
        endpoint=body.text("endpoint", "*"),
        kind=kind,  # type: ignore[arg-type]  # checked against the literal's own values above
        times=times,
        status=int(body.number("status", 502 if kind == "html" else 500)),
        body=body.values.get("body"),
        headers={str(k): str(v) for k, v in body.mapping("headers").items()},
        seconds=body.number("seconds", 5.0),
        member=body.values.get("member"),
        after=body.flag("after", default=False),
        connection=body.values.get("connection"),
    )
