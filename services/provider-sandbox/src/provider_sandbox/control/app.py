"""Routes of the control API. Every path starts with `/_control/`, except `/healthz`."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from provider_sandbox.control.logins import login_routes
from provider_sandbox.control.named_faults import named_fault_routes
from provider_sandbox.control.reading import BadRequestError, Body, UnknownError, found, read_fault
from provider_sandbox.control.snaptrade import snaptrade_routes
from provider_sandbox.control.trading import prices_moved, trading_routes
from provider_sandbox.plaid import control_router
from provider_sandbox.state import State
from provider_sandbox.world import Holding

Handler = Callable[[Request], Awaitable[Any]]


class Control:
    """The handlers; each returns a JSON value."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def health(self, _: Request) -> Any:
        """Report that the process is up."""
        return {"status": "ok", "faces": sorted(self._state.faces)}

    async def reset(self, _: Request) -> Any:
        """Start over: fresh world, no users, no faults, no calls; rate limits back to the settings."""
        self._state.reset()
        return {"status": "reset"}

    async def latency(self, request: Request) -> Any:
        """Set the waiting time of an endpoint or a whole provider; 0 removes it."""
        body = await Body.of(request)
        seconds = body.number("seconds", 0.0)
        self._state.faults.set_latency(body.text("provider", "*"), body.text("endpoint", "*"), seconds)
        return {"seconds": seconds}

    async def add_fault(self, request: Request) -> Any:
        """Put a fault in force."""
        self._state.faults.add(read_fault(await Body.of(request)))
        return await self.faults(request)

    async def faults(self, _: Request) -> Any:
        """List the faults in force."""
        return {"faults": [asdict(fault) for fault in self._state.faults.listed()]}

    async def clear_faults(self, request: Request) -> Any:
        """Remove every fault and latency."""
        self._state.faults.reset()
        return await self.faults(request)

    async def rate_limit(self, request: Request) -> Any:
        """Set a rate limit by name (`snaptrade`, `snaptrade-account`); null restores it."""
        body = await Body.of(request)
        name, limit = body.text("name"), body.values.get("limit")
        if limit is None:
            self._state.rate_limits.pop(name, None)
        else:
            self._state.rate_limits[name] = int(body.number("limit", 0))
        return {"rate_limits": self._state.rate_limits}

    async def connections(self, _: Request) -> Any:
        """List every connection of every provider."""
        return {"connections": [item for face in self._state.faces.values() for item in face.connections()]}

    async def break_connection(self, request: Request) -> Any:
        """Break a connection as a changed password would."""
        connection_id = request.path_params["connection_id"]
        done = [await face.break_connection(connection_id) for face in self._state.faces.values()]
        return found("connection", any(done)) | {"status": "broken"}

    async def repair_connection(self, request: Request) -> Any:
        """Repair a connection as the user signing in again would."""
        connection_id = request.path_params["connection_id"]
        done = [await face.repair_connection(connection_id) for face in self._state.faces.values()]
        return found("connection", any(done)) | {"status": "repaired"}

    async def calls(self, request: Request) -> Any:
        """List provider calls, filtered by query items `provider`, `endpoint`, `user`."""
        query = request.query_params
        calls = self._state.ledger.calls(query.get("provider"), query.get("endpoint"), query.get("user"))
        return {"calls": [call.as_json() for call in calls]}

    async def counts(self, _: Request) -> Any:
        """Count calls per provider and endpoint, and what would be billed."""
        return {"counts": self._state.ledger.counts(), "billed": self._state.ledger.billed()}

    async def webhooks(self, _: Request) -> Any:
        """List webhooks sent, oldest first."""
        return {"webhooks": self._state.webhooks.deliveries()}

    async def set_holding(self, request: Request) -> Any:
        """Add or change a holding of an account."""
        key, body = self._account(request), await Body.of(request)
        quantity = body.decimal("quantity")
        if quantity is None:
            raise BadRequestError("quantity is required")
        security = self._security(body.text("security"))
        sweep = body.flag("cash_equivalent", default=False)
        self._state.world.set_holding(key, Holding(security, quantity, body.decimal("average_cost"), sweep))
        return await self._changed(key, announce=body.flag("announce", default=True))

    async def remove_holding(self, request: Request) -> Any:
        """Remove a holding of an account; query item `announce=false` keeps it silent."""
        key = self._account(request)
        self._state.world.remove_holding(key, self._security(request.path_params["security"]))
        return await self._changed(key, announce=request.query_params.get("announce") != "false")

    async def set_cash(self, request: Request) -> Any:
        """Set the cash of an account in one currency."""
        key, body = self._account(request), await Body.of(request)
        amount = body.decimal("amount")
        currency = body.text("currency", "USD")
        if amount is None or currency not in self._state.world.fx:
            raise BadRequestError(f"amount is required, currency one of {', '.join(self._state.world.fx)}")
        self._state.world.set_cash(key, currency, amount)
        return await self._changed(key, announce=body.flag("announce", default=True))

    async def set_price(self, request: Request) -> Any:
        """Set the price of a security for everyone; null makes it unpriced. Nothing is announced."""
        security = self._security(request.path_params["security"])
        self._state.world.set_price(security, (await Body.of(request)).decimal("price"))
        prices_moved(self._state)
        return {"security": security}

    async def synthetic(self, request: Request) -> Any:
        """Make a login with n accounts of m holdings, for benchmarks."""
        body = await Body.of(request)
        institution = body.text("institution", "fidelity")
        if institution not in self._state.world.institutions:
            raise BadRequestError(f"Unknown institution {institution}")
        accounts, holdings = int(body.number("accounts", 1)), int(body.number("holdings", 500))
        username = body.text("username", f"bench-{accounts}x{holdings}")
        login = self._state.world.add_synthetic(username, institution, accounts, holdings)
        return {
            "username": login.username,
            "institution": login.institution,
            "accounts": list(login.accounts),
        }

    async def world(self, _: Request) -> Any:
        """List institutions, logins and accounts with their totals."""
        world = self._state.world
        return {
            "institutions": [asdict(item) for item in world.institutions.values()],
            "logins": [asdict(item) for item in world.logins.values()],
            "accounts": {
                key: {"total": str(world.total(a)), "mask": a.mask} for key, a in world.accounts.items()
            },
        }

    def _account(self, request: Request) -> str:
        key = request.path_params["account"]
        found("account", key in self._state.world.accounts)
        return str(key)

    def _security(self, key: str) -> str:
        found("security", key in self._state.world.securities)
        return key

    async def _changed(self, key: str, *, announce: bool) -> dict[str, Any]:
        faces = self._state.faces.values() if announce else ()
        shown = sum([await face.account_changed(key) for face in faces])
        return {
            "account": key,
            "total": str(self._state.world.total(self._state.world.accounts[key])),
            "announced": shown,
        }


def _answering(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return JSONResponse(await handler(request))
        except BadRequestError as error:
            return JSONResponse({"error": str(error)}, 400)
        except UnknownError as error:
            return JSONResponse({"error": str(error)}, 404)

    return answer


def build_control_app(state: State) -> FastAPI:
    """Return the control API as an ASGI app, with the routes special to each face."""
    app = FastAPI(title="Provider sandbox control", openapi_url=None, docs_url=None, redoc_url=None)
    special = (
        *named_fault_routes(state),
        *login_routes(state),
        *snaptrade_routes(state),
        *trading_routes(state),
    )
    for method, path, handler in [*_table(Control(state)), *special]:
        app.add_route(path, _answering(handler), methods=[method])
    app.include_router(control_router(state))
    return app


def _table(control: Control) -> list[tuple[str, str, Handler]]:
    return [
        ("GET", "/healthz", control.health),
        ("POST", "/_control/reset", control.reset),
        ("PUT", "/_control/latency", control.latency),
        ("GET", "/_control/faults", control.faults),
        ("POST", "/_control/faults", control.add_fault),
        ("DELETE", "/_control/faults", control.clear_faults),
        ("PUT", "/_control/rate-limit", control.rate_limit),
        ("GET", "/_control/connections", control.connections),
        ("POST", "/_control/connections/{connection_id}/break", control.break_connection),
        ("POST", "/_control/connections/{connection_id}/repair", control.repair_connection),
        ("GET", "/_control/calls", control.calls),
        ("GET", "/_control/calls/counts", control.counts),
        ("GET", "/_control/webhooks", control.webhooks),
        ("PUT", "/_control/accounts/{account:path}/holdings", control.set_holding),
        ("DELETE", "/_control/accounts/{account:path}/holdings/{security}", control.remove_holding),
        ("PUT", "/_control/accounts/{account:path}/cash", control.set_cash),
        ("PUT", "/_control/securities/{security}/price", control.set_price),
        ("POST", "/_control/synthetic", control.synthetic),
        ("GET", "/_control/world", control.world),
    ]
