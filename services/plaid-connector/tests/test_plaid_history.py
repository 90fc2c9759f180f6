"""However Plaid's history moves while it is read, nothing of it is lost and nothing stays that is gone."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from contracts.accounts import AccountType, ProviderAccount
from contracts.connectors import TransactionPage
from contracts.errors import ErrorCode, GoneError, RepairNeededError, TransientError
from contracts.linking import ConnectionAccess, ConnectionState
from contracts.statuses import ConnectionStatus
from plaid_connector.adapter import PlaidAdapter
from plaid_connector.client import PlaidClient
from plaid_connector.settings import PlaidSettings
from service_kit.clock import FakeClock

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ACCESS = ConnectionAccess(user_id="u", external_id="item", user=None, secret="access-sandbox-x")
ITEM = {"item_id": "item", "error": None}
STOCK = {"security_id": "s", "type": "equity", "ticker_symbol": "ACME", "iso_currency_code": "USD"}


def account(name: str, *, bank: bool = False) -> ProviderAccount:
    return ProviderAccount(
        account_id=f"our-{name}",
        external_id=name,
        name=name,
        type=AccountType.DEPOSIT if bank else AccountType.BROKERAGE,
        raw_type="r",
        currency="USD",
        holds_securities=not bank,
    )


def trade(name: str | None, *, on: str = "2026-11-10", owner: str = "a", **members: Any) -> dict[str, Any]:
    return {
        "investment_transaction_id": name,
        "account_id": owner,
        "security_id": "s",
        "date": on,
        "name": "BOUGHT",
        "quantity": 10,
        "amount": 100,
        "price": 10,
        "fees": None,
        "type": "buy",
        "subtype": "buy",
        "iso_currency_code": "USD",
    } | members


def payment(name: str, *, on: str = "2026-11-10", owner: str = "bank", **members: Any) -> dict[str, Any]:
    return {
        "transaction_id": name,
        "account_id": owner,
        "date": on,
        "amount": 12.5,
        "iso_currency_code": "USD",
        "name": "SHOP",
        "pending": False,
        "pending_transaction_id": None,
    } | members


@dataclass
class Plaid:
    """Answers from lists that tests change between calls; ``hook`` runs before each page with its number."""

    trades: list[dict[str, Any]] = field(default_factory=list)
    pages: dict[str | None, dict[str, Any]] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    hook: Any = None
    error: dict[str, str] | None = None
    error_of: str | None = None
    item_error: dict[str, str] | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        path = request.url.path
        self.bodies.append(body)
        self.paths.append(path)
        if self.hook:
            self.hook(len(self.paths))
        if self.error and self.error_of in {None, path}:
            return httpx.Response(400, json=self.error)
        if path == "/investments/transactions/get":
            return httpx.Response(200, json=self.investments(body))
        if path == "/transactions/sync":
            page = self.pages[body.get("cursor")]
            return httpx.Response(400 if "error_code" in page else 200, json=page)
        return httpx.Response(200, json={"item": ITEM | {"products": ["investments"]}, "status": None})

    def investments(self, body: dict[str, Any]) -> dict[str, Any]:
        options = body["options"]
        owners = options.get("account_ids")
        rows = [
            row
            for row in sorted(self.trades, key=lambda row: row["date"], reverse=True)
            if body["start_date"] <= row["date"] <= body["end_date"]
            and (owners is None or row["account_id"] in owners)
        ]
        page = rows[options["offset"] : options["offset"] + options["count"]]
        return {
            "investment_transactions": page,
            "total_investment_transactions": len(rows),
            "securities": [STOCK],
            "item": ITEM | {"error": self.item_error},
            "request_id": "r",
        }


@dataclass
class Book:
    """What a consumer makes of the pages, by the rules of the contract."""

    rows: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    sweeps: int = 0

    def apply(self, page: TransactionPage, version: int) -> None:
        for part in page.parts:
            for one in part.transactions:
                self.rows[part.account_id, one.external_id] = (version, one)
            for name in part.removed:
                self.rows.pop((part.account_id, name), None)
            if part.sweep:
                self.sweeps += 1
                sweep = part.sweep
                self.rows = {
                    key: (told, one)
                    for key, (told, one) in self.rows.items()
                    if key[0] != part.account_id
                    or not sweep.from_date <= one.booked_on <= sweep.through
                    or told >= sweep.since_version
                }

    @property
    def names(self) -> list[str]:
        return sorted(name for _, name in self.rows)


@dataclass
class Reader:
    """Runs the adapter as a sync run does: page by page, the cursor saved after each."""

    plaid: Plaid
    accounts: list[ProviderAccount] = field(default_factory=lambda: [account("a")])
    size: int = 3
    cursor: str | None = None
    version: int = 0
    fetched: str | None = "2026-11-21T03:00:00Z"
    bank_fetched: str | None = None
    allowed: bool = True
    book: Book = field(default_factory=Book)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))

    def __post_init__(self) -> None:
        settings = PlaidSettings.model_construct(page=self.size, investments_transactions=self.allowed)
        http = httpx.AsyncClient(transport=httpx.MockTransport(self.plaid), base_url="https://plaid.test")
        self.adapter = PlaidAdapter(PlaidClient(http), settings, self.clock)

    def state(self) -> ConnectionState:
        mark = {"investments": self.fetched, "transactions": self.bank_fetched}
        text = json.dumps({name: at for name, at in mark.items() if at})
        return ConnectionState(
            status=ConnectionStatus.ACTIVE,
            connection_type="read",
            realtime=False,
            data_as_of=datetime.fromisoformat(self.fetched) if self.fetched else None,
            data_ready=True,
            mark=text if self.fetched else None,
        )

    async def page(self, cursor: str | None) -> TransactionPage:
        return await self.adapter.transactions(ACCESS, self.state(), self.accounts, cursor, self.version)

    async def run(self, *, at_most: int = 200) -> int:
        """One run to its end; returns how many pages it took."""
        self.version += 1
        for number in range(1, at_most + 1):
            page = await self.page(self.cursor)
            self.book.apply(page, self.version)
            self.cursor = page.cursor
            if not page.has_more:
                return number
        raise AssertionError("the run does not end")


def many(count: int) -> list[dict[str, Any]]:
    day = datetime(2026, 11, 20, tzinfo=UTC)
    return [trade(f"t{n:03d}", on=f"{day - timedelta(days=n // 4):%Y-%m-%d}") for n in range(count)]


async def test_a_first_read_takes_the_whole_history_of_two_years_page_by_page():
    reader = Reader(
        Plaid(trades=[*many(10), trade("old", on="2024-11-21"), trade("too-old", on="2024-11-20")])
    )
    await reader.run()
    assert reader.book.names == ["old", *(f"t{n:03d}" for n in range(10))]
    assert {(body["start_date"], body["end_date"]) for body in reader.plaid.bodies} == {
        ("2024-11-21", "2026-11-21")
    }


async def test_the_last_page_says_what_is_covered_and_sweeps_accounts_without_a_row_too():
    reader = Reader(Plaid(trades=many(1)), accounts=[account("a"), account("b")])
    reader.version = 7
    page = await reader.page(None)
    assert not page.has_more
    assert [part.account_id for part in page.parts] == ["our-a", "our-b"]
    for part in page.parts:
        assert (str(part.covers_from), str(part.covers_through)) == ("2024-11-21", "2026-11-20")
        assert (str(part.sweep.from_date), str(part.sweep.through)) == ("2024-11-21", "2026-11-21")
        assert part.sweep.since_version == 7


async def test_nothing_is_asked_while_plaid_has_fetched_nothing():
    reader = Reader(Plaid(trades=many(5)))
    await reader.run()
    calls = len(reader.plaid.paths)
    assert await reader.run() == 1
    assert len(reader.plaid.paths) == calls
    reader.fetched = "2026-11-22T03:00:00Z"
    await reader.run()
    assert len(reader.plaid.paths) > calls
    assert reader.plaid.bodies[-1]["start_date"] == "2026-10-22"


async def test_where_plaid_does_not_say_when_it_fetched_a_run_asks_once():
    reader = Reader(Plaid(trades=many(1)), fetched=None)
    for _ in range(3):
        before = len(reader.plaid.paths)
        await reader.run()
        assert reader.plaid.paths[before:].count("/investments/transactions/get") == 1
    assert "/item/get" in reader.plaid.paths


async def test_an_absence_of_months_is_read_from_where_the_last_read_ended():
    reader = Reader(Plaid(trades=many(1)))
    await reader.run()
    reader.clock.jump(timedelta(days=100))
    reader.fetched = "2027-03-01T03:00:00Z"
    await reader.run()
    assert (reader.plaid.bodies[-1]["start_date"], reader.plaid.bodies[-1]["end_date"]) == (
        "2026-10-22",
        "2027-03-01",
    )


@pytest.mark.parametrize("crash_at", range(1, 9))
async def test_a_crash_between_any_two_pages_loses_and_doubles_nothing(crash_at: int):
    reader = Reader(Plaid(trades=many(16)))
    reader.version = 1
    for number in range(1, 40):
        page = await reader.page(reader.cursor)
        reader.book.apply(page, reader.version)
        if number == crash_at:
            # Told, and the cursor not saved: the next owner tells it again under its own version.
            reader.version += 1
            continue
        reader.cursor = page.cursor
        if not page.has_more:
            break
    assert reader.book.names == [f"t{n:03d}" for n in range(16)]


@pytest.mark.parametrize("change", ["front", "shrink", "same total", "all gone"])
async def test_a_history_that_moves_while_it_is_read_is_read_anew(change: str):
    plaid = Plaid(trades=many(12))

    def move(number: int) -> None:
        if number != 3:
            return
        if change == "front":
            plaid.trades.insert(0, trade("new", on="2026-11-21"))
        elif change == "shrink":
            del plaid.trades[1]
        elif change == "same total":
            del plaid.trades[0]
            plaid.trades.append(trade("late", on="2025-01-01"))
        else:
            plaid.trades.clear()

    plaid.hook = move
    reader = Reader(plaid)
    await reader.run()
    expected = sorted(row["investment_transaction_id"] for row in plaid.trades)
    assert set(expected) <= set(reader.book.names)
    # What was told by the attempt that was given up is found by the run that follows, without a call too many.
    await reader.run()
    assert reader.book.names == expected
    calls = len(plaid.paths)
    await reader.run()
    assert len(plaid.paths) == calls


async def test_the_same_page_twice_is_noticed():
    plaid = Plaid(trades=many(9))
    honest = plaid.investments
    stuck = {"left": 2}

    def repeat(body: dict[str, Any]) -> dict[str, Any]:
        if body["options"]["offset"] and stuck["left"]:
            stuck["left"] -= 1
            return honest(body | {"options": body["options"] | {"offset": 0}})
        return honest(body)

    plaid.investments = repeat
    reader = Reader(plaid)
    await reader.run()
    assert reader.book.names == [f"t{n:03d}" for n in range(9)]


async def test_a_history_that_never_stands_still_is_left_to_the_next_run():
    plaid = Plaid(trades=many(9))
    plaid.hook = lambda number: plaid.trades.insert(0, trade(f"n{number}", on="2026-11-21"))
    reader = Reader(plaid)
    with pytest.raises(TransientError) as caught:
        await reader.run()
    assert caught.value.code is ErrorCode.DATA_NOT_READY
    plaid.hook = None
    await reader.run()
    await reader.run()
    assert len(reader.book.names) == len(plaid.trades)


async def test_an_empty_page_that_claims_rows_erases_nothing():
    plaid = Plaid(trades=many(4))
    reader = Reader(plaid)
    await reader.run()
    honest = plaid.investments
    plaid.investments = lambda body: honest(body) | {"investment_transactions": []}
    reader.fetched = "2026-11-22T03:00:00Z"
    with pytest.raises(TransientError) as caught:
        await reader.run()
    assert caught.value.code is ErrorCode.PROVIDER_PROTOCOL
    assert len(reader.book.names) == 4


async def test_a_security_that_is_not_described_is_an_error_and_no_wrong_name():
    plaid = Plaid(trades=[trade("t", security_id="other")])
    with pytest.raises(TransientError) as caught:
        await Reader(plaid).run()
    assert caught.value.code is ErrorCode.PROVIDER_PROTOCOL


async def test_data_beside_an_error_of_the_item_is_refused():
    plaid = Plaid(
        trades=many(2), item_error={"error_type": "ITEM_ERROR", "error_code": "ITEM_LOGIN_REQUIRED"}
    )
    with pytest.raises(RepairNeededError):
        await Reader(plaid).run()


async def test_what_is_gone_from_the_last_month_is_retracted_and_older_rows_stay():
    plaid = Plaid(trades=[trade("recent", on="2026-11-10"), trade("old", on="2025-06-01")])
    reader = Reader(plaid)
    await reader.run()
    plaid.trades = [trade("new", on="2026-11-20")]
    reader.fetched = "2026-11-22T03:00:00Z"
    await reader.run()
    assert reader.book.names == ["new", "old"]


async def test_two_identical_trades_are_two_with_ids_and_without():
    named = [trade("one"), trade("two")]
    nameless = [trade(None), trade(None), trade(None), trade(None)]
    reader = Reader(Plaid(trades=[*named, *nameless]), size=2)
    await reader.run()
    assert len(reader.book.names) == 6
    before = reader.book.names
    reader.fetched = "2026-11-22T03:00:00Z"
    await reader.run()
    assert reader.book.names == before


async def test_a_cancellation_retracts_the_row_it_names_for_good():
    plaid = Plaid(trades=[trade("kept"), trade("wrong"), *many(6)])
    reader = Reader(plaid)
    await reader.run()
    assert "wrong" in reader.book.names
    cancel = trade("c", on="2026-11-20", type="cancel", subtype="cancel", cancel_transaction_id="wrong")
    plaid.trades.append(cancel)
    for day in (22, 23):
        # Plaid may go on listing the row that was cancelled.
        reader.fetched = f"2026-11-{day}T03:00:00Z"
        await reader.run()
        assert "wrong" not in reader.book.names
        assert {"kept", "c"} <= set(reader.book.names)


async def test_an_account_that_is_new_begins_with_its_whole_history():
    plaid = Plaid(trades=[trade("mine"), trade("theirs", owner="b", on="2025-01-05")])
    reader = Reader(plaid)
    await reader.run()
    assert reader.book.names == ["mine"]
    reader.accounts.append(account("b"))
    await reader.run()
    assert reader.book.names == ["mine", "theirs"]
    assert plaid.bodies[-1]["options"]["account_ids"] == ["b"]
    calls = len(plaid.paths)
    await reader.run()
    assert len(plaid.paths) == calls


async def test_a_new_account_does_not_hide_the_news_of_the_others():
    plaid = Plaid(trades=[trade("mine")])
    reader = Reader(plaid)
    await reader.run()
    reader.accounts.append(account("b"))
    plaid.trades += [trade("news"), trade("theirs", owner="b")]
    reader.fetched = "2026-11-22T03:00:00Z"
    await reader.run()
    assert reader.book.names == ["mine", "news", "theirs"]


async def test_an_account_that_vanishes_while_it_is_read_stops_nothing():
    plaid = Plaid(trades=[*many(5), *(trade(f"b{n}", owner="b") for n in range(5))])
    reader = Reader(plaid, accounts=[account("a"), account("b")])
    reader.version = 1
    reader.cursor = (await reader.page(None)).cursor
    del reader.accounts[1]
    plaid.trades = many(5)
    await reader.run()
    assert {name for owner, name in reader.book.rows if owner == "our-a"} == {f"t{n:03d}" for n in range(5)}


async def test_the_paid_history_is_only_read_where_the_setting_allows_it():
    reader = Reader(Plaid(trades=many(2)), allowed=False)
    assert await reader.run() == 1
    assert (reader.plaid.paths, reader.book.names) == ([], [])


@pytest.mark.parametrize(
    "code", ["PRODUCTS_NOT_SUPPORTED", "NO_INVESTMENT_ACCOUNTS", "ADDITIONAL_CONSENT_REQUIRED"]
)
async def test_an_item_without_investment_transactions_is_believed_for_a_week(code: str):
    plaid = Plaid(trades=many(1), error={"error_type": "ITEM_ERROR", "error_code": code})
    reader = Reader(plaid)
    await reader.run()
    reader.fetched = "2026-11-22T03:00:00Z"
    await reader.run()
    assert len(plaid.paths) == 1
    plaid.error = None
    reader.clock.jump(timedelta(days=7))
    await reader.run()
    assert reader.book.names == ["t000"]


@pytest.mark.parametrize(
    ("code", "kind", "error", "ours"),
    [
        ("PRODUCT_NOT_READY", "ITEM_ERROR", TransientError, ErrorCode.DATA_NOT_READY),
        ("ITEM_NOT_FOUND", "ITEM_ERROR", GoneError, ErrorCode.CONNECTION_GONE),
        ("INVESTMENT_TRANSACTIONS_LIMIT", "RATE_LIMIT_EXCEEDED", TransientError, ErrorCode.RATE_LIMITED),
    ],
)
async def test_other_refusals_are_errors_and_move_no_cursor(code, kind, error, ours):
    reader = Reader(Plaid(error={"error_type": kind, "error_code": code}))
    with pytest.raises(error) as caught:
        await reader.run()
    assert caught.value.code is ours
    assert reader.cursor is None


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"investments": 3}'])
async def test_a_cursor_that_cannot_be_read_is_the_beginning(text: str):
    reader = Reader(Plaid(trades=many(4)), cursor=text)
    await reader.run()
    assert len(reader.book.names) == 4


async def test_a_cursor_stays_small_however_long_the_history():
    reader = Reader(Plaid(trades=many(400)), size=10)
    await reader.run()
    assert len(reader.book.names) == 400
    assert len(reader.cursor) < 1000


def sync(**members: Any) -> dict[str, Any]:
    return {
        "added": [],
        "modified": [],
        "removed": [],
        "next_cursor": "c",
        "has_more": False,
        "transactions_update_status": "HISTORICAL_UPDATE_COMPLETE",
        "request_id": "r",
    } | members


def bank(plaid: Plaid, **members: Any) -> Reader:
    members = {"allowed": False, "bank_fetched": "2026-11-21T03:00:00Z"} | members
    return Reader(plaid, accounts=[account("bank", bank=True)], **members)


async def test_a_banks_history_is_told_when_its_round_is_whole():
    plaid = Plaid()
    plaid.pages = {
        None: sync(
            added=[payment("p1", on="2026-09-01"), payment("p2", amount=-50)], next_cursor="c1", has_more=True
        ),
        "c1": sync(added=[payment("p3")], next_cursor="c2"),
        "c2": sync(next_cursor="c2"),
    }
    reader = bank(plaid)
    reader.version = 1
    page = await reader.page(None)
    (part,) = page.parts
    assert (str(part.covers_from), str(part.covers_through), page.has_more) == (
        "2026-09-01",
        "2026-11-20",
        False,
    )
    assert {one.external_id: one.amount for one in part.transactions} == {"p1": -12.5, "p2": 50, "p3": -12.5}
    assert [one.type for one in part.transactions] == ["WITHDRAWAL", "CONTRIBUTION", "WITHDRAWAL"]
    reader.cursor = page.cursor
    await reader.run()
    assert len(plaid.paths) == 2
    reader.bank_fetched = "2026-11-22T03:00:00Z"
    await reader.run()
    assert plaid.bodies[-1]["cursor"] == "c2"


async def test_a_pending_payment_is_followed_by_the_posted_one_that_replaces_it():
    plaid = Plaid()
    plaid.pages = {
        None: sync(added=[payment("p", pending=True)], next_cursor="c1"),
        "c1": sync(
            added=[payment("q", pending_transaction_id="p")],
            removed=[{"transaction_id": "p", "account_id": "bank"}],
            next_cursor="c2",
        ),
        "c2": sync(modified=[payment("q", amount=13)], removed=[{"transaction_id": "x"}], next_cursor="c3"),
    }
    reader = bank(plaid)
    await reader.run()
    ((_, pending),) = reader.book.rows.values()
    assert (pending.pending, pending.settlement_date) == (True, None)
    reader.bank_fetched = "2026-11-22T03:00:00Z"
    await reader.run()
    ((_, posted),) = reader.book.rows.values()
    assert (posted.external_id, posted.replaces, posted.pending) == ("q", "p", False)
    reader.bank_fetched = "2026-11-23T03:00:00Z"
    await reader.run()
    ((_, changed),) = reader.book.rows.values()
    assert changed.amount == -13


async def test_a_round_under_which_data_moved_is_begun_anew_from_its_first_cursor():
    plaid = Plaid()
    moved = {"error_type": "TRANSACTIONS_ERROR", "error_code": "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION"}
    plaid.pages = {
        None: sync(added=[payment("gone"), payment("kept")], next_cursor="c1", has_more=True),
        "c1": moved,
    }

    def settle(number: int) -> None:
        if number == 3:
            plaid.pages = {
                None: sync(added=[payment("kept")], next_cursor="d1", has_more=True),
                "d1": sync(added=[payment("more")], next_cursor="d2"),
            }

    plaid.hook = settle
    reader = bank(plaid)
    await reader.run()
    assert reader.book.names == ["kept", "more"]
    assert [body.get("cursor") for body in plaid.bodies] == [None, "c1", None, "d1"]


async def test_a_bank_that_moves_for_ever_and_one_that_is_not_ready_are_asked_later():
    moved = {"error_type": "TRANSACTIONS_ERROR", "error_code": "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION"}
    for page in (moved, sync(next_cursor="", transactions_update_status="NOT_READY")):
        reader = bank(Plaid(pages={None: page}))
        with pytest.raises(TransientError) as caught:
            await reader.run()
        assert caught.value.code is ErrorCode.DATA_NOT_READY
        assert reader.cursor is None


async def test_a_bank_whose_history_is_on_its_way_is_asked_again_by_the_next_run():
    plaid = Plaid()
    plaid.pages = {
        None: sync(
            added=[payment("p")], next_cursor="c1", transactions_update_status="INITIAL_UPDATE_COMPLETE"
        ),
        "c1": sync(added=[payment("older", on="2026-01-01")], next_cursor="c2"),
    }
    reader = bank(plaid)
    assert await reader.run() == 1
    assert await reader.run() == 1
    assert reader.book.names == ["older", "p"]
    assert await reader.run() == 1
    assert len(plaid.paths) == 2


async def test_a_long_bank_history_is_told_in_parts():
    rows = [payment(f"p{n}") for n in range(1201)]
    reader = bank(Plaid(pages={None: sync(added=rows)}))
    reader.version = 1
    page = await reader.page(None)
    assert [len(part.transactions) for part in page.parts] == [500, 500, 201]
    assert [part.covers_through is None for part in page.parts] == [True, True, False]


async def test_investments_and_banks_are_read_in_one_run():
    plaid = Plaid(trades=many(5), pages={None: sync(added=[payment("p")])})
    reader = bank(plaid, allowed=True)
    reader.accounts.append(account("a"))
    await reader.run()
    assert reader.book.names == sorted(["p", *(f"t{n:03d}" for n in range(5))])


async def test_an_item_without_the_bank_product_is_never_asked_for_it():
    reader = bank(Plaid(trades=many(1)), bank_fetched=None)
    await reader.run()
    assert reader.plaid.paths == []
