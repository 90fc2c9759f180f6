"""Examples and refusals in the OpenAPI document: what FastAPI does not write by itself."""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from contracts.errors import MEANING, ErrorCode
from gateway.schemas.examples import EXAMPLES

METHODS = frozenset({"get", "post", "put", "patch", "delete"})
UNPROCESSABLE = 422


def illustrated(app: FastAPI) -> dict[str, Any]:
    """The app's OpenAPI document, with an example in every body and the house's own 422."""
    if app.openapi_schema is None:
        document = type(app).openapi(app)
        refused = _refused(app)
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if method in METHODS:
                    _illustrate(operation, refused.get((method, path), ""))
    return type(app).openapi(app)


def _refused(app: FastAPI) -> dict[tuple[str, str], str]:
    """Method and path → what a route says of its 422; the framework's own text took that place."""
    return {
        (method.lower(), str(route.path)): route.responses[UNPROCESSABLE]["description"]
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
        if UNPROCESSABLE in getattr(route, "responses", {})
    }


def _illustrate(operation: dict[str, Any], refused: str) -> None:
    """Put an example beside every schema an operation names."""
    if refused:
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
        operation["responses"][str(UNPROCESSABLE)] = {"description": refused, "content": content}
    body = operation.get("requestBody")
    if body:
        _example(body)
    for status, answer in operation["responses"].items():
        _example(answer)
        if status.isdecimal() and int(status) >= 400:
            _error_example(int(status), answer)


def _example(described: dict[str, Any]) -> None:
    for media in described.get("content", {}).values():
        name = _component(media["schema"])
        if name in EXAMPLES:
            media["example"] = EXAMPLES[name]


def _error_example(status: int, answer: dict[str, Any]) -> None:
    """The example of an error names the first code of its status that the description lists."""
    code = next(
        (
            code
            for code in ErrorCode
            if MEANING[code].status == status and f"`{code}`" in answer["description"]
        ),
        None,
    )
    if code is None:
        return
    error = EXAMPLES["ErrorBody"]["error"] | {"code": code.value, "message": MEANING[code].meaning}
    for media in answer.get("content", {}).values():
        media["example"] = {"error": error}


def _component(schema: dict[str, Any]) -> str:
    """The component a schema names, directly or as ``X | null``."""
    references = [schema, *schema.get("anyOf", [])]
    return next((one["$ref"].rpartition("/")[2] for one in references if "$ref" in one), "")
