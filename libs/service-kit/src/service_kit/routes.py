"""Names of requests with few values: the method and the route's template, never the path itself."""

from starlette.types import Scope

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"


def method_of(scope: Scope) -> str:
    """Return the request's method, ``OTHER`` where a caller made one up."""
    method = str(scope["method"])
    return method if method in METHODS else "OTHER"


def route_of(scope: Scope) -> str:
    """Return the template of the route that matched (``/v1/accounts/{id}``), or ``unmatched``."""
    route = scope.get("route")
    return str(getattr(route, "path_format", None) or getattr(route, "path", UNMATCHED))
