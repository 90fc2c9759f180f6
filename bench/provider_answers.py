"""A static HTTP server for benchmarks: one account of many holdings, the same bytes to everyone.

``python provider_answers.py <holdings>`` prints the port it listens on and serves until it is ended.
"""

import asyncio
import json
import random
import re
import socket
import sys
from typing import Any, cast

import uvloop

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


def snaptrade_positions(count: int) -> bytes:
    """The answer of ``/accounts/{id}/positions/all``."""
    chance = random.Random(500)
    rows = [
        {
            "instrument": {
                "kind": "stock",
                "id": f"00000000-0000-4000-8000-{number:012d}",
                "symbol": f"T{number}",
                "raw_symbol": f"T{number}",
                "description": f"Example Corporation {number}",
                "currency": "USD",
                "exchange": "XNAS",
                "figi_instrument": {
                    "figi_code": f"BBG{number:09d}",
                    "figi_share_class": f"BBG1{number:08d}",
                },
            },
            "units": f"{chance.randint(1, 50_000) / 10}",
            "price": f"{chance.randint(100, 50_000) / 100:.2f}",
            "cost_basis": f"{chance.randint(1_000, 500_000) / 1000}",
            "currency": "USD",
        }
        for number in range(count)
    ]
    return json.dumps({"results": rows, "data_freshness": {"as_of": "2026-11-20T21:05:00Z"}}).encode()


def plaid_holdings(count: int) -> bytes:
    """The answer of ``/investments/holdings/get``."""
    chance = random.Random(501)
    shares = [chance.randint(1, 50_000) / 10 for _ in range(count)]
    prices = [chance.randint(100, 50_000) / 100 for _ in range(count)]
    values = [round(share * price, 2) for share, price in zip(shares, prices, strict=True)]
    answer = {
        "accounts": [_plaid_account(round(sum(values), 2))],
        "holdings": [_plaid_holding(n, shares[n], prices[n], values[n]) for n in range(count)],
        "securities": [_plaid_security(n, prices[n]) for n in range(count)],
        "item": _PLAID_ITEM,
        "request_id": "bench500",
        "is_investments_fallback_item": False,
    }
    return json.dumps(answer).encode()


def _plaid_account(total: float) -> dict[str, Any]:
    return {
        "account_id": "account-1",
        "balances": {
            "available": None,
            "current": total,
            "iso_currency_code": "USD",
            "limit": None,
            "unofficial_currency_code": None,
            "margin_loan_amount": None,
        },
        "mask": "7731",
        "name": "Brokerage",
        "official_name": "Example Brokerage Account",
        "type": "investment",
        "subtype": "brokerage",
    }


def _plaid_holding(number: int, shares: float, price: float, value: float) -> dict[str, Any]:
    return {
        "account_id": "account-1",
        "security_id": f"security-{number}",
        "quantity": shares,
        "institution_price": price,
        "institution_price_as_of": "2026-11-20",
        "institution_price_datetime": None,
        "institution_value": value,
        "cost_basis": round(value * 0.8, 2),
        "iso_currency_code": "USD",
        "unofficial_currency_code": None,
        "vested_quantity": None,
        "vested_value": None,
    }


def _plaid_security(number: int, price: float) -> dict[str, Any]:
    unset = ("sedol", "institution_security_id", "institution_id", "proxy_security_id", "update_datetime")
    unset += ("unofficial_currency_code", "cfi_code", "option_contract", "fixed_income")
    return dict.fromkeys(unset) | {
        "security_id": f"security-{number}",
        "isin": f"US{number:09d}0",
        "cusip": f"{number:09d}",
        "figi": f"BBG{number:09d}",
        "name": f"Example Corporation {number}",
        "ticker_symbol": f"T{number}",
        "is_cash_equivalent": False,
        "type": "equity",
        "subtype": "common stock",
        "close_price": price,
        "close_price_as_of": "2026-11-20",
        "iso_currency_code": "USD",
        "market_identifier_code": "XNAS",
        "sector": "Technology",
        "industry": "Software",
    }


_PLAID_ITEM = {
    "item_id": "item-1",
    "institution_id": "ins_1",
    "institution_name": "Example Brokerage",
    "webhook": None,
    "auth_method": None,
    "error": None,
    "available_products": [],
    "billed_products": ["investments"],
    "products": ["investments"],
    "consented_products": ["investments"],
    "consent_expiration_time": None,
    "update_type": "background",
}


class Answering(asyncio.Protocol):
    """Answers each request with the bytes for its path; keeps the connection."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(_HEAD_END)) >= 0:
            head = self._received[:end]
            length = _LENGTH.search(head)
            whole = end + len(_HEAD_END) + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            self._received = self._received[whole:]
            path = head.split(b" ", 2)[1]
            answer = next(body for part, body in self._answers.items() if part in path)
            self._transport.write(answer)


def _http(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _serve(count: int) -> None:
    answers = {
        b"/positions/all": _http(snaptrade_positions(count)),
        b"/investments/holdings/get": _http(plaid_holdings(count)),
    }
    listener = socket.create_server(("127.0.0.1", 0))
    server = await asyncio.get_running_loop().create_server(lambda: Answering(answers), sock=listener)
    print(listener.getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
