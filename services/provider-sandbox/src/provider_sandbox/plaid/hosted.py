"""Hosted Link: the pages behind `hosted_link_url`.

A script drives them with one form POST: `institution_id` (unless preselected), `username` (default `demo`) and
`outcome` (`success`, `cancel` or an error code; default `success`).
"""

from urllib.parse import parse_qs

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from provider_sandbox.plaid import institutions, pages
from provider_sandbox.plaid.errors import PlaidError
from provider_sandbox.plaid.face import PlaidFace
from provider_sandbox.plaid.linking import FAILURES, Choice, conclude
from provider_sandbox.plaid.links import LinkSession, LinkToken
from provider_sandbox.traffic import note
from provider_sandbox.world import Institution

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_DEFAULT_USER = "demo"


def add_pages(api: FastAPI, face: PlaidFace) -> None:
    """Add the two routes of the pages."""

    async def show(request: Request) -> Response:
        link = _usable(face, request)
        if link is None:
            return _html(pages.gone(), 410)
        link.open_session(face.now())
        institution = _institution(face, link, request.query_params.get("institution_id"))
        if institution is None:
            query = request.query_params.get("q", "")
            return _html(pages.pick(link.client_name, _offered(face, link, query), query))
        repair = link.item_id is not None
        return _html(pages.sign_in(link.client_name, institution, _username(face, link), repair=repair))

    async def submit(request: Request) -> Response:
        link = _usable(face, request)
        if link is None:
            return _html(pages.gone(), 410)
        form = await _form(request)
        choice = Choice(
            _institution(face, link, form.get("institution_id")),
            form.get("username", _username(face, link)).strip(),
            form.get("outcome", "success"),
        )
        if refusal := _refusal(choice):
            return _html(pages.problem("Something is missing", refusal), 400)
        session = await conclude(face, link, choice)
        if link.completion_redirect_uri:
            return RedirectResponse(link.completion_redirect_uri, 303, headers=_HEADERS)
        return _html(pages.done(succeeded=session.succeeded, reason=_reason(session)))

    api.add_route("/hosted/{handle}", show, methods=["GET"])
    api.add_route("/hosted/{handle}", submit, methods=["POST"])


def _usable(face: PlaidFace, request: Request) -> LinkToken | None:
    link = face.links.by_handle(request.path_params["handle"])
    if link is None or not link.hosted or link.finished or face.now() >= link.expires_at:
        return None
    note(request, user=link.client_user_id)
    return link


def _institution(face: PlaidFace, link: LinkToken, picked: str | None) -> Institution | None:
    item = face.items.by_id(link.item_id) if link.item_id else None
    wanted = item.institution_id if item else link.institution_id or picked
    return face.state.world.by_plaid_id(wanted) if wanted else None


def _username(face: PlaidFace, link: LinkToken) -> str:
    item = face.items.by_id(link.item_id) if link.item_id else None
    return item.username if item else _DEFAULT_USER


def _offered(face: PlaidFace, link: LinkToken, query: str) -> list[Institution]:
    words = query.casefold().split()
    return [
        item
        for item in institutions.known(face.state.world)
        if institutions.supports(item, link.products, link.country_codes)
        and all(word in item.name.casefold() for word in words)
    ]


def _refusal(choice: Choice) -> str | None:
    if choice.outcome not in {"success", "cancel", *FAILURES}:
        return f"There is no outcome {choice.outcome}."
    if choice.institution is None and choice.outcome != "cancel":
        return "No institution was picked."
    return None


def _reason(session: LinkSession) -> str | None:
    if session.error is None:
        return None
    meaning = PlaidError(session.error).meaning
    return meaning.display or meaning.message


async def _form(request: Request) -> dict[str, str]:
    text = (await request.body()).decode("utf-8", "replace")
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}


def _html(page: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(page, status, headers=_HEADERS)
