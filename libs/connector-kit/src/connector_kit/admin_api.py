"""Internal routes for operators, behind the gateway's own: orphans, breakers, jobs."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from connector_kit import breaker, job_table, orphan_table, orphans
from connector_kit.answers import answer, body
from connector_kit.breaker import Breaker
from connector_kit.engine import Engine
from connector_kit.job_table import JobStatus
from connector_kit.jobs import jobs_of
from connector_kit.orphan_table import Orphan
from contracts.errors import ErrorCode
from contracts.struct import Record
from service_kit.api_errors import ApiError


class Orphans(Record, frozen=True, kw_only=True):
    """What exists on one side only, as far as the last search saw."""

    provider: str
    orphans: list[Orphan]


class Breakers(Record, frozen=True, kw_only=True):
    """Breakers that are open or have counted failures."""

    provider: str
    breakers: list[Breaker]


class JobList(Record, frozen=True, kw_only=True):
    """How the jobs stand."""

    provider: str
    jobs: list[JobStatus]


class Confirmation(Record, frozen=True, kw_only=True):
    """That a person means it."""

    confirm: bool = msgspec.field(default=False)


def routes(router: APIRouter, engine: Engine) -> None:
    """Add the routes."""
    database, provider = engine.database, engine.provider

    @router.get("/orphans", summary="What exists at the provider only, or with us only.")
    async def list_orphans(resolved: Annotated[bool, Query()] = False) -> Response:
        found = await orphan_table.listed(database, provider, resolved=resolved)
        return answer(Orphans(provider=provider, orphans=found))

    @router.post("/orphans/{orphan_id}/remove", summary="Remove an orphan, with a person's confirmation.")
    async def remove_orphan(orphan_id: str, request: Request) -> Response:
        if not (await body(request, Confirmation)).confirm:
            raise ApiError(ErrorCode.VALIDATION_FAILED, 422, "Removing an orphan must be confirmed.")
        return answer(await orphans.remove(engine, orphan_id))

    @router.get("/breakers", summary="Institutions (or * for the provider) that are left alone for a while.")
    async def list_breakers() -> Response:
        return answer(Breakers(provider=provider, breakers=await breaker.listed(database, provider)))

    @router.get("/jobs", summary="How the daily jobs stand.")
    async def list_jobs() -> Response:
        return answer(JobList(provider=provider, jobs=await job_table.listed(database, provider)))

    @router.post("/jobs/{name}/run", summary="Make a daily job due now.", status_code=202)
    async def run_job(name: str) -> Response:
        if name not in jobs_of(engine):
            raise ApiError(ErrorCode.NOT_FOUND, 404, "There is no such job.")
        await job_table.want(database, provider, name)
        found = await job_table.listed(database, provider)
        return answer(JobList(provider=provider, jobs=[one for one in found if one.name == name]), status=202)
