"""The client that places: it sends once, over a connection of its own, and says plainly what is not certain."""

import asyncio
from decimal import Decimal

import httpx
import msgspec
import pytest

from contracts.errors import ErrorCode
from contracts.trading import OrderRequest, OrderType, Placed, Side, TimeInForce
from contracts.trading_calls import CancelCall, OrdersCall, OrdersFound, PlaceCall, ReplaceCall
from gateway.clients import placing
from gateway.clients.placing import Accepted, Lost, Unsent, http_placing
from service_kit.api_errors import ApiError
from service_kit.http_client import DeadlineExceeded, TargetRefused
from service_kit.metrics import Metrics

ORDER = OrderRequest(
    symbol="AAPL",
    side=Side.BUY,
    order_type=OrderType.MARKET,
    time_in_force=TimeInForce.DAY,
    quantity=Decimal(1),
)
WHO = {"user_id": "alice", "connection_id": "c", "account_id": "a", "external_id": "x"}
CALL = PlaceCall(**WHO, order=ORDER, client_order_id="i")
PLACED = msgspec.json.encode(Placed(broker_order_ids=["b"], orders=[], provider_request_id="r"))


class Wire(httpx.AsyncBaseTransport):
    """A connector behind a transport: everything that arrived, and what to do then."""

    def __init__(self, answer=None):
        self.answer = answer or httpx.Response(200, content=PLACED)
        self.arrived = []

    async def handle_async_request(self, request):
        self.arrived.append(request)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
async def client_of(settings, clock):
    made = []

    def make(wire):
        made.append(http_placing(settings, settings.connectors, Metrics("gateway"), clock, wire))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


async def test_an_order_is_sent_once_signed_and_the_connection_is_closed_after(client_of):
    wire = Wire()
    assert await client_of(wire).place("snaptrade", CALL) == Accepted(("b",), "r")
    (request,) = wire.arrived
    assert (request.method, request.url.path) == ("POST", "/internal/v1/trading/place")
    assert request.headers["Connection"] == "close"
    assert request.headers["Authorization"].startswith("Bearer ")
    assert msgspec.json.decode(request.content, type=PlaceCall) == CALL


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.PoolTimeout("full"),
        TargetRefused("elsewhere"),
        httpx.UnsupportedProtocol("gopher"),
    ],
)
async def test_before_any_byte_it_is_surely_not_sent(client_of, failure):
    wire = Wire(failure)
    outcome = await client_of(wire).place("snaptrade", CALL)
    assert isinstance(outcome, Unsent)
    assert outcome.code is ErrorCode.PROVIDER_UNAVAILABLE
    assert len(wire.arrived) == 1


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ReadTimeout("slow"),
        httpx.WriteTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.WriteError("reset"),
        httpx.CloseError("odd"),
        httpx.RemoteProtocolError("server disconnected"),
        httpx.LocalProtocolError("odd"),
        httpx.ProxyError("odd"),
        httpx.DecodingError("garbled"),
        DeadlineExceeded("no answer"),
    ],
)
async def test_after_that_nobody_knows_and_nothing_is_sent_again(client_of, failure):
    wire = Wire(failure)
    assert isinstance(await client_of(wire).place("snaptrade", CALL), Lost)
    assert len(wire.arrived) == 1


@pytest.mark.parametrize("status", [301, 307, 400, 408, 425, 429, 500, 502, 503, 504])
async def test_no_status_makes_it_send_again(client_of, status):
    headers = {"Location": "/elsewhere", "Retry-After": "0"}
    wire = Wire(httpx.Response(status, headers=headers, content=b"{}"))
    assert isinstance(await client_of(wire).place("snaptrade", CALL), Lost)
    assert len(wire.arrived) == 1


async def test_cancels_and_replacements_are_sent_once_too(client_of):
    wire = Wire(httpx.ReadTimeout("slow"))
    client = client_of(wire)
    assert isinstance(await client.cancel("snaptrade", CancelCall(**WHO, broker_order_id="b")), Lost)
    call = ReplaceCall(**WHO, broker_order_id="b", order=ORDER)
    assert isinstance(await client.replace("snaptrade", call), Lost)
    assert [request.url.path.rpartition("/")[2] for request in wire.arrived] == ["cancel", "replace"]


async def test_a_provider_without_a_connector_gets_nothing(client_of):
    wire = Wire()
    assert isinstance(await client_of(wire).place("acme", CALL), Unsent)
    assert not wire.arrived


async def test_the_list_of_orders_is_read_or_an_error(client_of):
    call = OrdersCall(**WHO)
    wire = Wire(httpx.Response(200, content=msgspec.json.encode(OrdersFound(orders=[]))))
    assert await client_of(wire).orders("snaptrade", call) == []
    for answer in (httpx.ReadTimeout("slow"), httpx.Response(200, content=b"{"), httpx.Response(500)):
        with pytest.raises(ApiError) as raised:
            await client_of(Wire(answer)).orders("snaptrade", call)
        assert raised.value.code == ErrorCode.PROVIDER_UNAVAILABLE


async def test_over_real_sockets_every_call_has_a_connection_of_its_own_and_none_is_repeated(
    make_settings, clock
):
    connections, requests = [], []

    async def serve(reader, writer):
        connections.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(
            next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")).split()[
                1
            ]
        )
        requests.append(await reader.readexactly(length))
        if len(requests) < 3:
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PLACED)
            writer.write(answer + PLACED)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = make_settings(connectors={"snaptrade": f"http://127.0.0.1:{port}"})
    client = http_placing(settings, settings.connectors, Metrics("gateway"), clock)
    assert isinstance(await client.place("snaptrade", CALL), Accepted)
    assert isinstance(await client.place("snaptrade", CALL), Accepted)
    # The third is taken and the connection dropped without a word.
    assert isinstance(await client.place("snaptrade", CALL), Lost)
    assert (len(connections), len(requests)) == (3, 3)
    server.close()
    await server.wait_closed()
    assert isinstance(await client.place("snaptrade", CALL), Unsent)
    assert len(requests) == 3
    await client.aclose()


def test_the_pools_are_apart_and_nothing_is_kept_alive():
    assert placing.ONCE.keepalive == 0
    assert placing.ONCE.total + placing.LISTING.total < 30
