"""A login that is linked already is recognised before its token is exchanged; another login is not mistaken for it."""

import httpx
import msgspec
import pytest

from contracts.linking import FinishLink, KnownAccount, LinkedConnection
from contracts.statuses import LinkStatus
from plaid_connector import links
from plaid_connector.adapter import PlaidAdapter
from plaid_connector.client import PlaidClient
from plaid_connector.duplicates import duplicate_of
from plaid_connector.wire import ItemAdded, LinkTokenStatus

Look = tuple[str, str | None]


def added(*accounts: Look, institution: str | None = "ins_1", subtype: str = "brokerage") -> ItemAdded:
    chosen = [
        {"name": name, "mask": mask, "type": "investment", "subtype": subtype} for name, mask in accounts
    ]
    body = {"public_token": "p", "institution": {"institution_id": institution}, "accounts": chosen}
    return msgspec.convert(body, ItemAdded)


def linked(*accounts: Look, connection: str = "item-1", institution: str = "ins_1") -> list[KnownAccount]:
    return [
        KnownAccount(
            external_connection_id=connection,
            institution_ref=institution,
            name=name,
            mask=mask,
            raw_type="investment/brokerage",
        )
        for name, mask in accounts
    ]


ONE, TWO, JOINT = ("Brokerage", "1111"), ("IRA", "2222"), ("Joint", "3333")


@pytest.mark.parametrize(
    ("chosen", "known"),
    [
        ([ONE], [ONE]),
        ([ONE, TWO], [TWO, ONE]),
        ([ONE], [ONE, TWO]),
        ([ONE, TWO], [ONE]),
        ([("Brokerage", None)], [("Brokerage", None)]),
        ([ONE, ("Plan", None)], [ONE, ("Plan", None)]),
        ([("Brokerage", "00001111")], [ONE]),
    ],
)
def test_the_same_login_is_recognised(chosen, known):
    assert duplicate_of(added(*chosen), linked(*known)) == "item-1"


@pytest.mark.parametrize(
    ("chosen", "known"),
    [
        ([ONE], []),
        ([ONE], [TWO]),
        ([ONE], [("Brokerage", "9999")]),
        ([ONE], [("Brokerage", None)]),
        ([("Brokerage", None)], [ONE]),
        ([JOINT, ONE], [JOINT, TWO]),
        ([("Brokerage", None)], [("Brokerage", None), ("IRA", None)]),
        ([], [ONE]),
    ],
)
def test_another_login_is_not_mistaken_for_it(chosen, known):
    assert duplicate_of(added(*chosen), linked(*known)) is None


def test_the_institution_and_the_type_belong_to_it():
    assert duplicate_of(added(ONE, institution="ins_2"), linked(ONE)) is None
    assert duplicate_of(added(ONE, institution=None), linked(ONE)) is None
    assert duplicate_of(added(ONE, subtype="ira"), linked(ONE)) is None


def test_the_connection_it_repeats_is_named():
    known = [*linked(TWO, connection="item-2"), *linked(ONE, connection="item-3")]
    assert duplicate_of(added(ONE), known) == "item-3"


@pytest.mark.parametrize(("others", "status"), [(False, LinkStatus.FAILED), (True, LinkStatus.COMPLETED)])
def test_a_session_of_nothing_but_a_repeated_login_failed(others, status):
    session = {"link_session_id": "1", "finished_at": "2026-11-21T10:00:00Z"}
    session["results"] = {"item_add_results": [{"public_token": "p"}]}
    given = msgspec.convert({"link_token": "l", "link_sessions": [session]}, LinkTokenStatus)
    outcome = links.outcome(given, repairing=False, duplicate_of="item-1", linked=others)
    assert (outcome.status, outcome.reason, outcome.duplicate_of) == (status, "ALREADY_LINKED", "item-1")


async def test_a_login_chosen_twice_in_one_session_is_exchanged_once_and_known_by_its_accounts():
    exchanges = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/item/public_token/exchange":
            exchanges.append(request)
            number = len(exchanges)
            return httpx.Response(200, json={"access_token": f"a{number}", "item_id": f"item-{number}"})
        items = [msgspec.to_builtins(added(ONE, TWO)) | {"public_token": name} for name in ("p1", "p2")]
        session = {"link_session_id": "1", "results": {"item_add_results": items}}
        return httpx.Response(200, json={"link_token": "l", "link_sessions": [session]})

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="https://plaid.test")
    plaid = PlaidAdapter(PlaidClient(http), settings=None)
    question = FinishLink(session_token="l", user=None, known=frozenset())
    first, outcome = [one async for one in plaid.finish_link(question)]
    assert isinstance(first, LinkedConnection)
    assert (len(exchanges), outcome.status, outcome.duplicate_of) == (1, LinkStatus.COMPLETED, "item-1")
    assert first.accounts == linked(ONE, TWO)
