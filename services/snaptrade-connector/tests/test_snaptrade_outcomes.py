"""What becomes of a placement, for everything that can happen on the way: not done, done, or nobody knows."""

import asyncio
import json
from contextlib import asynccontextmanager
from decimal import Decimal

import httpx
import msgspec
import pytest

from connector_kit import internal_trading
from connector_kit.limits import Gate, LimitKey
from contracts.errors import ErrorCode, OutcomeUnknownError, RefusedError, TransientError
from contracts.linking import ConnectionAccess, UserAccess
from contracts.trading import AccountRef, OrderRequest, OrderType, Side, TimeInForce
from service_kit.http_client import Limits, ResponseTooLarge
from service_kit.metrics import Metrics
from snaptrade_connector import client as client_module
from snaptrade_connector import outcomes, trading
from snaptrade_connector.adapter import SnapTradeConnector
from snaptrade_connector.client import Calls, Rates, SnapTradeClient
from snaptrade_connector.signing import SnapTradeAuth

from .test_snaptrade_transport import Server, sending, serving

USER = UserAccess(external_user_id="user-42", secret="s3cret")
ACCESS = ConnectionAccess(user_id="u", external_id="c", user=USER, secret=None)
ACCOUNT = AccountRef(account_id="ours", external_id="acc")
BUY = OrderRequest(
    symbol="AAPL",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.DAY,
    quantity=Decimal("1.5"),
    limit_price=Decimal("190.25"),
)
RECORD = {"brokerage_order_id": "b-1", "status": "ACCEPTED", "action": "BUY", "total_quantity": "1.5"}


def reply(
    status: int, body: object = None, *, kind: str = "application/json", length: int | None = None
) -> bytes:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nX-Request-ID: req-1\r\n"
        f"Content-Length: {len(content) if length is None else length}\r\n\r\n"
    )
    return head.encode() + content


def told(status: int, code: str, detail: str) -> bytes:
    return reply(status, {"detail": detail, "status_code": status, "code": code})


@asynccontextmanager
async def connector(base: str, gate: Gate | None = None, rates: Rates | None = None):
    async with sending() as transport:
        auth = SnapTradeAuth("C", "key")
        through = gate.transport(transport) if gate else transport
        client = SnapTradeClient(through, base, auth, Calls(Metrics("t")), rates or Rates(customer=0))
        yield SnapTradeConnector(client)


async def place(at: SnapTradeConnector) -> object:
    return await at.place(ACCESS, ACCOUNT, BUY, "0b8cbb0a-2c6c-5f0f-8a2e-0d2f7f6b6a11")


REFUSED, UNKNOWN, UNSENT = RefusedError, OutcomeUnknownError, TransientError
OUTCOMES = {
    "not enough cash": (told(400, "1068", "You do not have enough cash to make this trade."), REFUSED),
    "invalid input": (told(400, "1012", "price is required for Limit orders."), REFUSED),
    "words without a code": (reply(400, {"detail": "Insufficient buying power"}), REFUSED),
    "signature": (told(401, "1076", "Unable to verify signature sent"), REFUSED),
    "no such user": (told(401, "1083", "Invalid userID or userSecret provided"), REFUSED),
    "disabled connection": (told(402, "3003", "Brokerage authorization disabled"), REFUSED),
    "read-only": (told(403, "1066", "This connection is read-only: trading is not permitted."), REFUSED),
    "no such account": (told(404, "1011", "Object does not exist"), REFUSED),
    "throttled": (told(429, "0000", "Request was throttled. Expected available in 7 seconds."), UNSENT),
    "timed out at the broker": (told(400, "1000", "Request to the brokerage timed out"), UNKNOWN),
    "timed out under a known code": (told(400, "1068", "The brokerage did not respond: timeout"), UNKNOWN),
    "sent before": (told(400, "1012", "Duplicate order: already submitted"), UNKNOWN),
    "words nobody knows": (told(400, "4711", "Something happened"), UNKNOWN),
    "a page of a gateway as 400": (reply(400, b"<html>", kind="text/html"), UNKNOWN),
    "conflict": (told(409, "", "Busy"), UNKNOWN),
    "request timeout": (told(408, "", ""), UNKNOWN),
    "still populating": (told(425, "3012", "Try again later"), UNKNOWN),
    "redirect": (reply(302), UNKNOWN),
    "server error": (told(500, "1000", "Unexpected"), UNKNOWN),
    "refusal as a server error": (told(500, "1068", "You do not have enough cash"), UNKNOWN),
    "bad gateway": (reply(502, b"<html>", kind="text/html"), UNKNOWN),
    "brokerage away": (told(503, "3002", "Brokerage unavailable"), UNKNOWN),
    "gateway timeout": (reply(504, b"", kind="text/html"), UNKNOWN),
    "html as success": (reply(200, b"<html>", kind="text/html"), UNKNOWN),
    "nothing as success": (reply(200, b""), UNKNOWN),
    "half an answer": (reply(200, b'{"brokerage_order_id": "b'), UNKNOWN),
    "a list": (reply(200, [RECORD]), UNKNOWN),
    "no id": (reply(200, {"status": "ACCEPTED"}), UNKNOWN),
    "an empty id": (reply(200, RECORD | {"brokerage_order_id": " "}), UNKNOWN),
    "cut in the middle": (reply(200, b'{"broker', length=500), UNKNOWN),
    "no http": (b"SSH-2.0\r\n\r\n", UNKNOWN),
    "an encoded answer": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        UNKNOWN,
    ),
    "reset": (ConnectionResetError(), UNKNOWN),
    "closed without a word": (None, UNKNOWN),
}
CODES = {
    REFUSED: {ErrorCode.ORDER_REJECTED},
    UNKNOWN: {ErrorCode.ORDER_OUTCOME_UNKNOWN},
    UNSENT: {ErrorCode.RATE_LIMITED},
}


@pytest.mark.parametrize("name", OUTCOMES)
async def test_each_answer_to_a_placement_is_taken_for_what_it_is(name):
    answer, kind = OUTCOMES[name]
    # None and an error end the connection; so does the end of an answer that is too short.
    async with serving(Server(answer, close_after=True)) as server, connector(server.url) as at:
        with pytest.raises(kind) as raised:
            await place(at)
        assert raised.value.code in CODES[kind]
        assert "s3cret" not in f"{raised.value} {raised.value.message}"
        assert len(server.requests) == 1


async def test_a_placement_that_worked_is_told_with_its_ids():
    async with serving(Server(reply(200, RECORD))) as server, connector(server.url) as at:
        placed = await place(at)
    assert (placed.broker_order_ids, placed.provider_request_id) == (["b-1"], "req-1")
    assert placed.orders[0].quantity == Decimal("1.5")
    (request,) = server.requests
    assert request.startswith(b"POST /trade/place?userId=user-42&userSecret=s3cret&clientId=C&timestamp=")
    assert json.loads(request.partition(b"\r\n\r\n")[2]) == {
        "account_id": "acc",
        "action": "BUY",
        "order_type": "Limit",
        "time_in_force": "Day",
        "symbol": "AAPL",
        "universal_symbol_id": None,
        "units": 1.5,
        "price": 190.25,
        "client_order_id": "0b8cbb0a-2c6c-5f0f-8a2e-0d2f7f6b6a11",
    }


async def test_a_refused_connection_sent_nothing():
    async with serving(Server()) as server:
        url = server.url
    async with connector(url) as at:
        with pytest.raises(TransientError) as raised:
            await place(at)
    assert raised.value.code is ErrorCode.PROVIDER_UNAVAILABLE


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("x"), TransientError),
        (httpx.ConnectTimeout("x"), TransientError),
        (httpx.PoolTimeout("x"), TransientError),
        (httpx.ReadTimeout("x"), OutcomeUnknownError),
        (httpx.WriteTimeout("x"), OutcomeUnknownError),
        (httpx.ReadError("x"), OutcomeUnknownError),
        (httpx.WriteError("x"), OutcomeUnknownError),
        (httpx.CloseError("x"), OutcomeUnknownError),
        (httpx.RemoteProtocolError("x"), OutcomeUnknownError),
        (httpx.LocalProtocolError("x"), OutcomeUnknownError),
        (httpx.DecodingError("x"), OutcomeUnknownError),
        (httpx.ProxyError("x"), OutcomeUnknownError),
        (httpx.TooManyRedirects("x"), OutcomeUnknownError),
        (ResponseTooLarge("x"), OutcomeUnknownError),
    ],
)
def test_only_what_failed_before_the_first_byte_was_not_sent(error, kind):
    found = outcomes.unanswered(error)
    assert type(found) is kind
    assert found.code in {
        ErrorCode.ORDER_OUTCOME_UNKNOWN if kind is OutcomeUnknownError else ErrorCode.PROVIDER_UNAVAILABLE,
        ErrorCode.TIMEOUT if kind is TransientError else ErrorCode.ORDER_OUTCOME_UNKNOWN,
    }


async def test_an_answer_that_never_comes_is_unknown(monkeypatch):
    monkeypatch.setattr(client_module, "TRADE_LIMITS", Limits(total=0.2))
    async with serving(Server(5.0, reply(200, RECORD))) as server, connector(server.url) as at:
        with pytest.raises(OutcomeUnknownError):
            await place(at)
        assert len(server.requests) == 1


async def test_a_placement_that_gets_no_turn_in_time_is_never_sent(monkeypatch):
    monkeypatch.setattr(client_module, "TURN_SECONDS", 0.05)
    gate = Gate("snaptrade", side_by_side=1)
    async with serving(Server(reply(200, RECORD))) as server, connector(server.url, gate) as at:
        async with gate.passing():
            with pytest.raises(TransientError):
                await place(at)
        await asyncio.sleep(0.1)
        assert server.requests == []
        await place(at)
        assert len(server.requests) == 1


async def test_a_limit_that_asks_us_to_wait_sends_nothing():
    gate = Gate("snaptrade")
    await gate.block([LimitKey("customer", 250)], 3600)
    async with serving(Server(reply(200, RECORD))) as server, connector(server.url, gate, Rates()) as at:
        with pytest.raises(TransientError) as raised:
            await place(at)
        assert raised.value.code is ErrorCode.RATE_LIMITED
        assert server.requests == []


async def test_each_placement_has_a_connection_of_its_own_and_reading_keeps_its():
    async with serving(Server(reply(200, RECORD))) as server, connector(server.url) as at:
        for _ in range(3):
            await place(at)
        assert server.connections == 3
    async with serving(Server(reply(200, []))) as server, connector(server.url) as at:
        for _ in range(3):
            await at.search_symbols(None, None, "AAPL")
        assert server.connections == 1


async def test_a_dead_connection_kept_alive_is_not_used_for_a_placement():
    """A server that closes after each answer leaves connections behind that look alive for a moment."""
    server = Server(reply(200, RECORD | {"id": "s", "symbol": "AAPL"}), close_after=True)
    async with serving(server), connector(server.url) as at:
        for number in range(1, 6):
            await place(at)
            assert len(server.requests) == number


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("No  cash\n\x00for user-42", "No cash for"),
        ("See https://broker.test/x?userSecret=s3cret now", "See now"),
        ("Denied: userSecret=abc", "Denied: userSecret=[redacted]"),
        ("x" * 900, "x" * 300),
        ("", ""),
    ],
)
def test_the_brokers_words_name_no_secret(detail, shown):
    assert outcomes.words(detail, ("user-42", "s3cret", "")) == shown


@pytest.mark.parametrize(
    ("detail", "code"),
    [
        ("Order cannot be cancelled: its status is EXECUTED.", ErrorCode.ORDER_NOT_OPEN),
        ("The order is already filled", ErrorCode.ORDER_NOT_OPEN),
        ("brokerage_order_id: Order could not be found.", ErrorCode.ORDER_REJECTED),
    ],
)
async def test_a_cancel_that_comes_too_late_says_so(detail, code):
    async with serving(Server(told(400, "1012", detail))) as server, connector(server.url) as at:
        with pytest.raises(RefusedError) as raised:
            await at.cancel(ACCESS, ACCOUNT, "b-1")
        assert raised.value.code is code
        with pytest.raises(RefusedError) as raised:
            await at.replace(ACCESS, ACCOUNT, "b-1", BUY)
        assert raised.value.code is code


@pytest.mark.parametrize("call", ["cancel", "replace"])
async def test_a_lost_answer_to_a_change_is_unknown(call):
    async with serving(Server(None)) as server, connector(server.url) as at:
        more = (BUY,) if call == "replace" else ()
        with pytest.raises(OutcomeUnknownError):
            await getattr(at, call)(ACCESS, ACCOUNT, "b-1", *more)
        assert len(server.requests) == 1


def test_an_outcome_is_known_before_the_request_for_it_is_given_up():
    assert client_module.TRADE_LIMITS.total < internal_trading.ANSWERED_WITHIN


async def test_an_id_that_nobody_explains_in_time_sends_nothing(monkeypatch):
    monkeypatch.setattr(trading, "LOOKED_UP_WITHIN", 0.05)
    async with serving(Server(2.0, reply(200, RECORD))) as server, connector(server.url) as at:
        with pytest.raises(TransientError):
            await at.place(ACCESS, ACCOUNT, msgspec.structs.replace(BUY, provider_symbol_id="id"), "c")
        assert [one.partition(b"?")[0] for one in server.requests] == [b"GET /symbols/id"]


async def test_what_an_id_stands_for_is_asked_once():
    answer = reply(200, RECORD | {"id": "id", "symbol": "AAPL"})
    async with serving(Server(answer)) as server, connector(server.url) as at:
        for _ in range(2):
            await at.place(ACCESS, ACCOUNT, msgspec.structs.replace(BUY, provider_symbol_id="id"), "c")
        assert [one.partition(b" ")[0] for one in server.requests] == [b"GET", b"POST", b"POST"]
