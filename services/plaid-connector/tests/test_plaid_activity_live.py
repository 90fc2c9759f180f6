"""Transactions, refreshes and repeated logins against the sandbox: what it counts and charges is what we believe."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connector_kit import calls
from connector_kit.limits import Gate
from contracts.errors import ErrorCode, RefusedError, TransientError
from contracts.linking import ConnectionAccess, ConnectionState, FinishLink, KnownAccount
from contracts.statuses import LinkStatus
from contracts.transactions import Transaction
from plaid_connector.adapter import PlaidAdapter
from plaid_connector.client import PlaidClient, headers
from plaid_connector.settings import PlaidSettings
from provider_sandbox.running import RunningSandbox

from .test_plaid_live import begin, finish, sandbox, visit

__all__ = ["sandbox"]


@dataclass
class Bench:
    """An adapter, the control API, and the transactions told so far."""

    adapter: PlaidAdapter
    control: httpx.AsyncClient
    cursor: str | None = None
    version: int = 0
    told: dict[str, tuple[int, Transaction]] = field(default_factory=dict)
    pages: int = 0

    async def order(self, method: str, path: str, **body: Any) -> Any:
        answer = await self.control.request(method, f"/_control{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def bulk(self, **members: Any) -> tuple[ConnectionAccess, list[dict[str, Any]]]:
        (item,) = (await self.order("PUT", "/plaid/bulk", users=[f"u{id(self)}"], **members))["items"]
        access = ConnectionAccess(
            user_id="u", external_id=item["item_id"], user=None, secret=item["access_token"]
        )
        return access, item["accounts"]

    async def run(self, access: ConnectionAccess) -> ConnectionState:
        self.version += 1
        state = await self.adapter.state(access)
        accounts = await self.adapter.accounts(access, state)
        more = True
        while more:
            page = await self.adapter.transactions(access, state, accounts, self.cursor, self.version)
            self.pages += 1
            for part in page.parts:
                self.told |= {one.external_id: (self.version, one) for one in part.transactions}
                for name in part.removed:
                    self.told.pop(name, None)
                if sweep := part.sweep:
                    self.told = {
                        name: (version, one)
                        for name, (version, one) in self.told.items()
                        if one.account_id != part.account_id
                        or not sweep.from_date <= one.booked_on <= sweep.through
                        or version >= sweep.since_version
                    }
            self.cursor, more = page.cursor, page.has_more
        return state

    @property
    def descriptions(self) -> list[str]:
        return sorted(one.description or "" for _, one in self.told.values())


@pytest.fixture
async def bench(sandbox: RunningSandbox) -> AsyncIterator[Bench]:
    settings = PlaidSettings.model_construct(
        page=500, investments_transactions=True, preselect_institution=True
    )
    http = httpx.AsyncClient(
        base_url=sandbox.urls.plaid, headers=headers("id", "secret"), transport=Gate("plaid").transport()
    )
    async with httpx.AsyncClient(base_url=sandbox.urls.control, trust_env=False) as control:
        made = Bench(PlaidAdapter(PlaidClient(http, {}), settings), control)
        yield made
        await made.order("POST", "/reset")
    await made.adapter.aclose()


async def test_thousands_of_transactions_come_once_each(bench: Bench):
    access, _ = await bench.bulk(activities=2600, holdings=5)
    await bench.run(access)
    assert (len(bench.told), bench.pages) == (2600, 6)
    oldest = min(one.booked_on for _, one in bench.told.values())
    assert oldest > datetime.now(UTC).date() - timedelta(days=731)


async def test_an_unchanged_item_costs_two_free_calls_and_a_changed_one_is_noticed(bench: Bench):
    access, accounts = await bench.bulk(activities=3)
    before = await bench.run(access)
    with calls.counting() as counter:
        again = await bench.run(access)
    assert (again.mark, counter.made) == (before.mark, 2)
    await bench.order(
        "PUT", f"/accounts/{accounts[0]['key']}/cash", currency="USD", amount="77", announce=False
    )
    assert (await bench.run(access)).mark != before.mark
    await bench.order("POST", "/plaid/pull")
    pulled = await bench.adapter.state(access)
    assert pulled.data_as_of > before.data_as_of


async def test_identical_trades_cancellations_and_vanished_rows_are_followed(bench: Bench):
    access, accounts = await bench.bulk()
    path = f"/plaid/accounts/{accounts[0]['key']}/transactions"
    same = {"security": "AAPL", "quantity": "10", "price": "100", "text": "SAME", "days_ago": 3}
    await bench.order("POST", path, transactions=[same, same, {**same, "name": "wrong", "text": "WRONG"}])
    await bench.run(access)
    assert bench.descriptions == ["SAME", "SAME", "WRONG"]
    cancel = {"type": "cancel", "text": "CANCEL", "cancels": "wrong", "days_ago": 1}
    await bench.order("POST", path, transactions=[cancel])
    await bench.run(access)
    assert bench.descriptions == ["CANCEL", "SAME", "SAME"]
    await bench.order("POST", path, transactions=[{**same, "name": "gone", "text": "GONE"}])
    await bench.run(access)
    await bench.order("DELETE", f"{path}/gone")
    await bench.run(access)
    assert bench.descriptions == ["CANCEL", "SAME", "SAME"]


async def test_a_bank_payment_is_pending_posted_changed_and_taken_back(bench: Bench):
    access, accounts = await bench.bulk(
        institution="chase", accounts=0, deposits=1, products=["transactions"], activities=4
    )
    await bench.run(access)
    assert len(bench.told) == 4
    path = f"/plaid/accounts/{accounts[0]['key']}/payments"
    await bench.order("POST", path, transactions=[{"name": "p", "amount": "10", "pending": True}])
    await bench.run(access)
    (pending,) = [one for _, one in bench.told.values() if one.pending]
    await bench.order("POST", path, transactions=[{"name": "q", "amount": "11", "posts": "p"}])
    await bench.run(access)
    (posted,) = [one for _, one in bench.told.values() if one.replaces]
    assert (posted.replaces, posted.amount, len(bench.told)) == (pending.external_id, -11, 5)
    await bench.order("POST", path, transactions=[{"name": "q", "amount": "12"}])
    await bench.run(access)
    assert -12 in {one.amount for _, one in bench.told.values()}
    await bench.order("DELETE", f"{path}/q")
    await bench.run(access)
    assert len(bench.told) == 4


async def test_a_refresh_is_on_the_invoice_once_and_moves_the_mark(bench: Bench):
    access, _ = await bench.bulk()
    before = await bench.adapter.state(access)
    await bench.adapter.refresh(access)
    with pytest.raises(TransientError) as caught:
        await bench.adapter.refresh(access)
    assert caught.value.code is ErrorCode.RATE_LIMITED
    assert (await bench.order("GET", "/calls/counts"))["billed"] == {"plaid:investments_refresh": 1}
    assert (await bench.adapter.state(access)).mark != before.mark
    assert (await bench.order("GET", "/plaid/limits"))["violations"] == 1


async def test_a_bank_without_investments_refuses_a_refresh_for_good(bench: Bench):
    await bench.order("POST", "/plaid/errors", endpoint="/investments/refresh", code="PRODUCTS_NOT_SUPPORTED")
    access, _ = await bench.bulk()
    with pytest.raises(RefusedError) as caught:
        await bench.adapter.refresh(access)
    assert caught.value.code is ErrorCode.NOT_SUPPORTED


@pytest.mark.parametrize(("days", "told"), [(7, True), (31, False)])
async def test_consent_that_ends_soon_is_told(bench: Bench, days: int, told: bool):
    access, _ = await bench.bulk()
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    await bench.order("PUT", f"/plaid/items/{access.external_id}/consent", ends_at=ends.isoformat())
    assert (await bench.adapter.state(access)).repair_by == (ends if told else None)


async def test_a_repeated_login_is_never_exchanged_and_another_one_is(bench: Bench):
    async def session(username: str, known: list[KnownAccount]) -> list[Any]:
        begun = await bench.adapter.begin_link(begin("chase"))
        await visit(begun.start.url, username=username)
        question = FinishLink(session_token=begun.session_token, user=None, known=frozenset(), accounts=known)
        return [answer async for answer in bench.adapter.finish_link(question)]

    first, _ = await session("demo", [])
    access = ConnectionAccess(user_id="u", external_id=first.external_id, user=None, secret=first.secret)
    accounts = await bench.adapter.accounts(access, await bench.adapter.state(access))
    known = [
        KnownAccount(
            external_connection_id=first.external_id,
            institution_ref="ins_56",
            name=one.name,
            mask=one.mask,
            raw_type=one.raw_type,
        )
        for one in accounts
    ]
    (outcome,) = await session("demo", known)
    assert (outcome.status, outcome.reason, outcome.duplicate_of) == (
        LinkStatus.FAILED,
        ErrorCode.ALREADY_LINKED,
        first.external_id,
    )
    items = await bench.order("GET", "/plaid/items")
    assert [item["exchanged"] for item in items] == [True, False]
    another, outcome = await session("bench-3", known)
    assert outcome.status is LinkStatus.COMPLETED
    assert another.external_id != first.external_id
    # A repair of the first one is not a second login.
    begun = await bench.adapter.begin_link(begin("chase", access))
    await visit(begun.start.url)
    question = finish(begun.session_token, reconnect=access.external_id)
    (repaired,) = [answer async for answer in bench.adapter.finish_link(question)]
    assert repaired.status is LinkStatus.COMPLETED
