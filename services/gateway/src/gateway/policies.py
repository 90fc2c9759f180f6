"""Who may call what: every route says so, or the gateway does not start."""

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from gateway.auth import caller

OPEN = frozenset({"/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"})
"""Operations and documentation: no user's data."""


class PolicyMissingError(Exception):
    """A route lets anybody in without saying that it means to."""


def require_policies(app: FastAPI) -> None:
    """Check that every route is open on purpose or takes a caller.

    Raises:
        PolicyMissingError: one does neither.
    """
    for route in iter_route_contexts(app.routes):
        if route.path not in OPEN and not is_guarded(route):
            raise PolicyMissingError(f"{route.path} has no policy: take a Caller, or list it as open")


def is_guarded(route: RouteContext) -> bool:
    """Whether a route proves who calls."""
    return isinstance(route.original_route, APIRoute) and _takes_caller(route.dependant)


def _takes_caller(dependant: Dependant) -> bool:
    return dependant.call is caller.prove or any(_takes_caller(one) for one in dependant.dependencies)
