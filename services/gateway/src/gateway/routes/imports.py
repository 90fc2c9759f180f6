"""Importing a CSV file into an account entered by hand: preview, then all of it or nothing."""

import json
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from contracts.errors import ErrorCode
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.manual import imports, show
from gateway.manual.changes import ACCOUNT, Target
from gateway.manual.difference import Mode
from gateway.manual.imports import Upload
from gateway.manual.sheet.layout import Choices
from gateway.reads.pages import known_id
from gateway.refusals import refusal
from gateway.routes.answers import refusals
from gateway.routes.deciding import decided, pending
from gateway.schemas.examples_manual import CSV
from gateway.schemas.imports import (
    Dates,
    Decimal,
    Delimiter,
    ImportBody,
    ImportOptions,
    ImportPreview,
    ImportPreviewBody,
    ImportResult,
)
from gateway.schemas.values import PathId
from service_kit.web import request_id_of

T = TypeVar("T", bound=ImportOptions)
router = APIRouter(tags=["manual accounts"])
JSON, TEXT = "application/json", frozenset({"text/csv", "text/plain", "text/tab-separated-values", ""})
FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file's own bytes with the options in the query, or its text in JSON with the options "
        "beside it. At most 10 MiB.",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": CSV},
            JSON: {"schema": ImportPreviewBody.model_json_schema(), "example": {"csv": CSV, "mode": "merge"}},
        },
    }
}
MappingText = Annotated[
    str | None,
    Query(
        max_length=4000,
        description='With `text/csv`: field → column as JSON, such as `{"symbol": "Ticker", "price": null}`.',
    ),
]


@router.post(
    "/v1/accounts/{account_id}/import/preview",
    summary="See what importing a file would do.",
    response_model=ImportPreview,
    responses=refusals(
        ErrorCode.NOT_FOUND,
        ErrorCode.NOT_A_MANUAL_ACCOUNT,
        ErrorCode.FILE_UNREADABLE,
        ErrorCode.BODY_TOO_LARGE,
        ErrorCode.UNSUPPORTED_MEDIA_TYPE,
    ),
    openapi_extra=FILE,
)
async def preview_import(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    account_id: PathId,
    mode: Annotated[Mode, Query(description="`replace` all, or `merge`.")] = Mode.REPLACE,
    delimiter: Annotated[Delimiter | None, Query()] = None,
    decimal: Annotated[Decimal | None, Query()] = None,
    dates: Annotated[Dates | None, Query()] = None,
    mapping: MappingText = None,
) -> Response:
    """Read a CSV file of a broker or of your own, row by row; nothing changes.

    Encoding, delimiter, header row and columns are detected, titles, totals and footnotes are passed over. Where
    the file leaves open which decimal mark or which order of day and month it uses, that is an error that says
    what to choose. Formulas are never worked out. The preview can be imported for 30 minutes.
    """
    given = {"mode": mode, "delimiter": delimiter, "decimal": decimal, "dates": dates}
    upload = await _upload(request, given, mapping)
    found = await imports.preview(parts, caller.user_id, known_id(account_id, ACCOUNT), upload)
    return Response(show.preview(found).model_dump_json(), media_type=JSON)


@router.post(
    "/v1/accounts/{account_id}/import",
    summary="Import a previewed file.",
    response_model=ImportResult,
    responses=pending(ImportResult)
    | refusals(
        ErrorCode.NOT_FOUND,
        ErrorCode.NOT_A_MANUAL_ACCOUNT,
        ErrorCode.PREVIEW_EXPIRED,
        ErrorCode.IMPORT_HAS_ERRORS,
    ),
)
async def commit_import(
    caller: Caller, parts: Parts, request: Request, account_id: PathId, body: ImportBody
) -> Response:
    """Import all that the preview showed, or nothing. Sending it again answers the same and changes nothing.

    How the columns were read is remembered for your next file with the same header.
    """
    target = Target(caller.user_id, known_id(account_id, ACCOUNT), request_id_of(request))
    done = await imports.commit(parts, target, body.preview_id, skip_bad_rows=body.skip_bad_rows)
    shown = show.imported(done, body.preview_id).model_dump_json()
    headers = {"ETag": f'"{done.account.etag}"'}
    return decided(shown, status=200, applied=done.applied, replayed=done.replayed, headers=headers)


async def _upload(request: Request, given: dict[str, Any], mapping: str | None) -> Upload:
    """The file and its options, from either kind of body.

    Raises:
        RequestValidationError: the options or the JSON do not have their form.
        ApiError: 415, the body is neither CSV nor JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        body = _validated(ImportPreviewBody, await request.body(), "body")
        return Upload(body.csv, _choices(body), body.mode)
    if kind not in TEXT:
        message = "Send the file as text/csv, or its text in application/json."
        raise refusal(ErrorCode.UNSUPPORTED_MEDIA_TYPE, message)
    options = given | {"mapping": _mapping(mapping)}
    chosen = _validated(ImportOptions, json.dumps(options).encode(), "query")
    return Upload(await request.body(), _choices(chosen), chosen.mode)


def _mapping(text: str | None) -> Any:
    if text is None:
        return {}
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        wrong = {"loc": ("query", "mapping"), "type": "mapping", "msg": "must be JSON: field → column"}
        raise RequestValidationError([wrong]) from error


def _validated(model: type[T], raw: bytes, where: str) -> T:
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError([one | {"loc": (where, *one["loc"])} for one in errors]) from error


def _choices(options: ImportOptions) -> Choices:
    return Choices(options.mapping, options.delimiter, options.decimal, options.dates)
