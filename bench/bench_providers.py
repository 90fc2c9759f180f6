"""How long it takes to fetch and normalize an account of 500 holdings, against the official SDKs.

A static server in a process of its own gives everybody the same bytes. Each SDK fetches as its documentation
shows; Onefolio fetches through the connector's own client (signing, limits, deadlines and metrics included) and
maps to typed, exact values. Rounds are interleaved so that a noisy moment hits both sides; medians are compared.
"""

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import plaid
import uvloop
from plaid.api.plaid_api import PlaidApi
from plaid.model.investments_holdings_get_request import InvestmentsHoldingsGetRequest
from snaptrade_client import SnapTrade
from snaptrade_client.auth import SnapTradeAuth as SdkAuth

from connector_kit.limits import Gate
from contracts.linking import UserAccess
from plaid_connector import mapping
from plaid_connector.client import PlaidClient, headers
from service_kit import logs
from service_kit.http_client import outbound_client
from service_kit.metrics import Metrics
from snaptrade_connector.client import connect
from snaptrade_connector.instruments import instrument
from snaptrade_connector.positions import holdings
from snaptrade_connector.signing import SnapTradeAuth
from snaptrade_connector.units import number

Fetch = Callable[[], Any]
Ours = Callable[[], Awaitable[Any]]
ACCOUNT = "00000000-0000-4000-8000-000000000001"
WARM_UP = 3


@dataclass(slots=True)
class Race:
    """One SDK against one connector; milliseconds of each call."""

    name: str
    sdk_name: str
    sdk: Fetch
    ours: Ours
    forget: Callable[[], None]
    """Empties what ours remembers of earlier reads."""
    sdk_ms: list[float] = field(default_factory=list)
    ours_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return statistics.median(self.sdk_ms) / statistics.median(self.ours_ms)


def main() -> int:
    """Run the races, print the table and the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--holdings", type=int, default=500, help="holdings of the account [%(default)s]")
    parser.add_argument("--rounds", type=int, default=30, help="interleaved rounds [%(default)s]")
    parser.add_argument("--snaptrade-calls", type=int, default=20, help="calls a round [%(default)s]")
    parser.add_argument("--plaid-calls", type=int, default=3, help="calls a round [%(default)s]")
    options = parser.parse_args()
    logs.configure("bench", "WARNING")
    with _server(options.holdings) as base, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        races = runner.run(_measured(base, options))
    return _report(races, options.holdings)


async def _measured(base: str, options: argparse.Namespace) -> list[Race]:
    async with AsyncExitStack() as closing:
        races = [_snaptrade(base, closing), _plaid(base, closing)]
        calls = {"snaptrade": options.snaptrade_calls, "plaid": options.plaid_calls}
        for race in races:
            await _check(race, options.holdings)
            for _ in range(options.rounds):
                await _round(race, calls[race.name])
    return races


async def _check(race: Race, holdings: int) -> None:
    """Both sides must have got every holding before their speed means anything."""
    for _ in range(WARM_UP):
        theirs, ours = race.sdk(), await race.ours()
        if not len(theirs) == len(ours) == holdings:
            raise SystemExit(f"{race.name}: {len(theirs)} and {len(ours)} holdings instead of {holdings}")


async def _round(race: Race, calls: int) -> None:
    gc.collect()  # neither side pays for the other's garbage
    for _ in range(calls):
        began = time.perf_counter()
        race.sdk()
        race.sdk_ms.append((time.perf_counter() - began) * 1000)
    gc.collect()
    for _ in range(calls):
        began = time.perf_counter()
        await race.ours()
        race.ours_ms.append((time.perf_counter() - began) * 1000)
    race.forget()
    began = time.perf_counter()
    await race.ours()
    race.first_ms.append((time.perf_counter() - began) * 1000)


def _snaptrade(base: str, closing: AsyncExitStack) -> Race:
    """The official SDK's bare fetch (it leaves plain dictionaries) against ours, typed and exact."""
    key = "an-example-consumer-key"
    sdk = SnapTrade(auth=SdkAuth.commercial_api_key(client_id="EXAMPLE", consumer_key=key), host=base)
    client = connect(base, SnapTradeAuth("EXAMPLE", key), Metrics("bench"), Gate("snaptrade"))
    closing.push_async_callback(client.aclose)
    user = UserAccess(external_user_id="u-42", secret="an-example-secret")

    def theirs() -> Any:
        answer = sdk.account_information.get_all_account_positions(
            account_id=ACCOUNT, user_id="u-42", user_secret="an-example-secret"
        )
        return answer.body["results"]

    async def ours() -> Any:
        return holdings((await client.positions(user, ACCOUNT)).results, "USD").holdings

    def forget() -> None:
        for remembering in (instrument, number):
            remembering.cache_clear()

    return Race("snaptrade", "snaptrade-python-sdk", theirs, ours, forget)


def _plaid(base: str, closing: AsyncExitStack) -> Race:
    """The official SDK's fetch into its models against ours."""
    sdk_http = plaid.ApiClient(
        plaid.Configuration(host=base, api_key={"clientId": "example", "secret": "example"})
    )
    sdk = PlaidApi(sdk_http)
    closing.callback(sdk_http.close)
    http = outbound_client("plaid", base, Metrics("bench"), headers=headers("example", "example"))
    client = PlaidClient(http)
    closing.push_async_callback(client.aclose)

    def theirs() -> Any:
        return sdk.investments_holdings_get(InvestmentsHoldingsGetRequest(access_token="example")).holdings

    async def ours() -> Any:
        answer = await client.holdings("example")
        accounts = [mapping.account("u-42", raw, None) for raw in answer.accounts]
        return mapping.reads(accounts, answer.accounts, answer)[0].holdings

    return Race("plaid", "plaid-python", theirs, ours, lambda: None)


@contextmanager
def _server(holdings: int) -> Iterator[str]:
    command = [sys.executable, str(Path(__file__).with_name("provider_answers.py")), str(holdings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


def _report(races: list[Race], holdings: int) -> int:
    print(f"Fetch and normalize an account of {holdings} holdings, local server, milliseconds (median)\n")
    print(f"  {'':<24}{'SDK':>10}{'Onefolio':>12}{'faster':>10}{'first read':>14}")
    for race in races:
        sdk, ours, first = (statistics.median(times) for times in (race.sdk_ms, race.ours_ms, race.first_ms))
        print(f"  {race.sdk_name:<24}{sdk:>10.2f}{ours:>12.2f}{race.ratio:>9.1f}x{first:>14.2f}")
    print("\n  snaptrade-python-sdk leaves untyped dictionaries; both of ours are typed and exact.")
    print("  first read: Onefolio with nothing remembered of instruments and quantities seen before.\n")
    ratios = {race.sdk_name: round(race.ratio, 2) for race in races}
    print(
        json.dumps(
            {
                "vs_plaid_python": ratios["plaid-python"],
                "vs_snaptrade_sdk": ratios["snaptrade-python-sdk"],
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
