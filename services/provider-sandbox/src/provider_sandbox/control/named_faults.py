"""Control routes that switch on, by name, what can go wrong with one connection, and everything off again."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from starlette.requests import Request

from provider_sandbox.control.reading import BadRequestError, Body, UnknownError, count
from provider_sandbox.data.named_faults import NAMED, Condition
from provider_sandbox.faults import Fault
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.state import Face, State


class NamedFaults:
    """The handlers; each returns a JSON value."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def names(self, _: Request) -> Any:
        """List the names by provider, and what each means."""
        return {
            provider: {name: text for name, (text, _) in faults.items()} for provider, faults in NAMED.items()
        }

    async def switch_on(self, request: Request) -> Any:
        """Put a named fault in force for one connection; `times` limits how often, null is until switched off."""
        connection, name = request.path_params["connection_id"], request.path_params["name"]
        face, _ = self._found(connection)
        if name not in NAMED[face.provider]:
            raise BadRequestError(
                f"{face.provider} has no fault {name}; it has {', '.join(NAMED[face.provider])}"
            )
        meaning, what = NAMED[face.provider][name]
        times = count(await Body.of(request), "times")
        if isinstance(what, Fault):
            self._state.faults.add(replace(what, connection=connection, times=times))
        else:
            await self._put(face, connection, what)
        return {"connection": connection, "fault": name, "meaning": meaning, "times": times}

    async def switch_off(self, request: Request) -> Any:
        """End every fault of one connection: it answers rightly again, and is repaired if it was broken."""
        connection = request.path_params["connection_id"]
        face, shown = self._found(connection)
        removed = self._state.faults.remove(connection)
        if isinstance(face, SnapTradeFace):
            await face.hold_first_sync(connection, held=False)
        if shown["status"] != "active":
            await face.repair_connection(connection)
        return {"connection": connection, "removed": removed, "repaired": shown["status"] != "active"}

    async def announce(self, request: Request) -> Any:
        """Tell by webhook that a connection has news, so that whoever listens reads it again."""
        connection = request.path_params["connection_id"]
        face, _ = self._found(connection)
        await face.announce(connection)
        return {"connection": connection}

    async def _put(self, face: Face, connection: str, what: Condition) -> None:
        if what == "broken":
            await face.break_connection(connection)
        elif isinstance(face, SnapTradeFace):
            await face.hold_first_sync(connection, held=True)

    def _found(self, connection: str) -> tuple[Face, dict[str, Any]]:
        for face in self._state.faces.values():
            for shown in face.connections():
                if shown["id"] == connection:
                    return face, shown
        raise UnknownError("No such connection")


def named_fault_routes(state: State) -> list[tuple[str, str, Callable[[Request], Awaitable[Any]]]]:
    """Return method, path and handler of each route."""
    named = NamedFaults(state)
    return [
        ("GET", "/_control/fault-names", named.names),
        ("PUT", "/_control/connections/{connection_id}/faults/{name}", named.switch_on),
        ("DELETE", "/_control/connections/{connection_id}/faults", named.switch_off),
        ("POST", "/_control/connections/{connection_id}/announce", named.announce),
    ]
