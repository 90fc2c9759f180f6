"""No order is placed twice: nothing between a user and a broker repeats a call, and no message carries an order."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from placement_paths import LAST_STEPS, WIRE, Ways

from contracts import messages
from contracts.struct import Record
from contracts.trading import AccountRef, OrderLeg, OrderRequest
from contracts.trading_calls import CancelCall, PlaceCall, ReplaceCall

ROOT = Path(__file__).parents[2]
ROUTES = "gateway.routes.orders_placing"
INTERNAL = "connector_kit.internal_trading"
MUST_BE_SEEN = {
    f"{ROUTES}:place_order",
    "gateway.trading.place:_sent",
    "gateway.clients.placing:HttpPlacing._send",
    f"{INTERNAL}:_changing.<locals>.place",
    "snaptrade_connector.trading:Trading.place",
    "snaptrade_connector.trading_client:TradingClient._once",
}
ORDERS = (OrderRequest, OrderLeg, PlaceCall, ReplaceCall, CancelCall, AccountRef)


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    found = {}
    for pattern in ("libs/*/src", "services/*/src"):
        for root in ROOT.glob(pattern):
            for path in root.rglob("*.py"):
                name = ".".join(path.relative_to(root).with_suffix("").parts)
                found[name.removesuffix(".__init__")] = path.read_text()
    return found


def test_nothing_on_the_way_to_a_broker_repeats_a_placement(sources: dict[str, str]) -> None:
    ways = Ways(sources)
    seen = {str(one) for one in ways.path}
    assert seen >= MUST_BE_SEEN, "the way from the user to the broker is not the one that is checked"
    assert {*WIRE, *LAST_STEPS} <= {str(one) for one in ways.functions}
    assert ways.check() == []


def test_the_only_doors_to_a_broker_are_requests_of_people(sources: dict[str, str]) -> None:
    assert Ways(sources).doors == {ROUTES, INTERNAL}


MUTANTS = {
    "a retried submission": (
        "gateway.trading.place",
        "outcome = await _sent(desk, ready)",
        "outcome = await _persistently(lambda: _sent(desk, ready))",
    ),
    "a submission in a retried transaction": (
        "gateway.trading.place",
        "outcome = await _sent(desk, ready)",
        "outcome = await desk.gateway.database.retrying(lambda: _sent(desk, ready))",
    ),
    "one more try after a failure": (
        "gateway.trading.place",
        'log.exception("order.lost", order_id=str(intent.intent_id))',
        "return await desk.placing.place(intent.provider, _place_call(intent))",
    ),
    "a second call beside the first": (
        "gateway.trading.place",
        "outcome = await _sent(desk, ready)",
        "outcome = await _sent(desk, ready) or await _sent(desk, ready)",
    ),
    "a client that tries twice": (
        "gateway.clients.placing",
        'return await self._send(provider, "place", call)',
        'return [await self._send(provider, "place", call) for _ in range(2)][-1]',
    ),
    "a connector that repeats what it is handed": (
        "connector_kit.trading",
        "outcome = Made(await call(), None)",
        "outcome = [Made(await call(), None) for _ in range(2)][-1]",
    ),
    "an adapter that tries again": (
        "snaptrade_connector.trading",
        "told = await self._trading.place(user, body)",
        "told = await _retried(self._trading.place, user, body)",
    ),
    "a decorator that retries": (
        "snaptrade_connector.trading_client",
        "    async def _once(",
        "    @stamina.retry(on=ValueError)\n    async def _once(",
    ),
    "a last step in a loop": (
        "snaptrade_connector.client",
        "answer = await self._transport.handle_async_request(request)\n            results.append",
        "for _ in range(2):\n                    answer = await self._transport.handle_async_request(request)\n            results.append",
    ),
    "a retry library on the way": (
        "gateway.trading.place",
        "import asyncio\n",
        "import asyncio\nimport tenacity\n",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_repetition_is_found(name: str, sources: dict[str, str]) -> None:
    module, old, new = MUTANTS[name]
    assert sources[module].count(old) == 1, "the mutant has nowhere to be planted"
    assert Ways(sources | {module: sources[module].replace(old, new)}).check() != []


def test_a_planted_door_in_the_background_is_found(sources: dict[str, str]) -> None:
    module = "gateway.trading.watch"
    planted = (
        sources[module]
        + "\n\nasync def resend(desk, intent, who):\n    return await submit(desk, intent, who)\n"
    )
    planted = planted.replace(
        "import asyncio\n", "import asyncio\nfrom gateway.trading.place import submit\n", 1
    )
    assert Ways(sources | {module: planted}).doors == {ROUTES, INTERNAL, module}


def held(kind: Any, seen: set[Any]) -> Iterator[Any]:
    """Every type that a value of a type can hold."""
    if kind in seen:
        return
    seen.add(kind)
    yield kind
    for inner in get_args(kind):
        yield from held(inner, seen)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for hint in get_type_hints(kind).values():
            yield from held(hint, seen)


def orders_in(command: type) -> list[Any]:
    seen: set[Any] = set()
    return [kind for kind in held(command, seen) if kind in ORDERS]


def commands() -> tuple[type, ...]:
    return get_args(messages.Command)


def test_no_command_on_the_bus_carries_an_order() -> None:
    assert len(commands()) >= 3
    assert {one.__name__: orders_in(one) for one in commands() if orders_in(one)} == {}


def test_a_command_that_carried_an_order_would_be_found() -> None:
    class PlaceOrder(Record, frozen=True, kw_only=True):
        orders: list[OrderRequest] | None = None

    assert orders_in(PlaceOrder) == [OrderRequest, OrderLeg]


def test_no_handler_of_messages_knows_how_to_place(sources: dict[str, str]) -> None:
    handling = [name for name, text in sources.items() if "Subscription(" in text or "HANDLERS" in text]
    assert handling, "no module that handles messages was found"
    placing = re.compile(r"clients\.placing|trading_calls|trading\.place|internal_trading|\.trading_client")
    assert [name for name in handling if placing.search(sources[name]) and "build" not in name] == []


def test_no_client_of_ours_is_told_to_retry(sources: dict[str, str]) -> None:
    told = re.compile(
        r"\b(retries|max_retries|retry_on|Retry)\s*=?\(?\s*[1-9A-Z]|HTTPTransport\([^)]*retries"
    )
    clients = [
        name for name in sources if re.search(r"http_client|transport|clients\.|\.client$|_client$", name)
    ]
    assert "service_kit.http_client" in clients
    assert [name for name in clients if told.search(sources[name])] == []
