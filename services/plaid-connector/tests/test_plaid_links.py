"""Link sessions are read truthfully: each token exchanged once, one success outranks every other attempt."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from contracts.linking import BeginLink, ConnectionAccess, LinkRequest
from contracts.statuses import LinkStatus
from plaid_connector import links
from plaid_connector.mapping import moment
from plaid_connector.settings import PlaidSettings
from plaid_connector.wire import LinkTokenStatus

ADDED = {"public_token": "public-1", "institution": {"institution_id": "ins_1", "name": "Bank"}}
EXIT = {"error": None, "metadata": {"status": "requires_oauth"}}
FAILED = {"error": {"error_type": "ITEM_ERROR", "error_code": "NO_INVESTMENT_ACCOUNTS"}, "metadata": None}
ENDED = "2026-11-21T10:00:00Z"


def status(*sessions: dict[str, Any]) -> LinkTokenStatus:
    body = [{"link_session_id": str(n)} | session for n, session in enumerate(sessions)]
    return msgspec.convert({"link_token": "link-1", "link_sessions": body}, LinkTokenStatus)


def success() -> dict[str, Any]:
    return {"finished_at": ENDED, "results": {"item_add_results": [ADDED]}}


def request(**members: Any) -> LinkRequest:
    return LinkRequest(
        **{
            "link_session_id": "s",
            "user_id": "person@example.test",
            "institution": "chase",
            "institution_ref": "ins_56",
            "need_trading": False,
            "allow_trading": False,
            "redirect_uri": "https://app.example.test/done",
        }
        | members
    )


@pytest.mark.parametrize(
    ("sessions", "expected", "reason"),
    [
        ([], LinkStatus.PENDING, None),
        ([{"results": None}], LinkStatus.PENDING, None),
        ([success()], LinkStatus.COMPLETED, None),
        ([{"finished_at": ENDED, "exit": EXIT}], LinkStatus.ABANDONED, "requires_oauth"),
        ([{"finished_at": ENDED, "exit": FAILED}], LinkStatus.FAILED, "NO_INVESTMENT_ACCOUNTS"),
        ([success(), {"finished_at": ENDED, "exit": EXIT}], LinkStatus.COMPLETED, None),
    ],
)
def test_the_sessions_of_a_link_say_how_it_ended(
    sessions: list[dict[str, Any]], expected: LinkStatus, reason: str | None
) -> None:
    ended = links.outcome(status(*sessions), repairing=False)
    assert (ended.status, ended.reason) == (expected, reason)


def test_a_finished_repair_has_nothing_to_exchange_and_is_complete() -> None:
    finished = status({"finished_at": ENDED})
    assert links.outcome(finished, repairing=True).status is LinkStatus.COMPLETED
    assert links.outcome(finished, repairing=False).status is LinkStatus.PENDING


def test_a_public_token_that_was_exchanged_is_not_exchanged_again() -> None:
    twice = status(success(), success())
    assert [item.public_token for item in links.items_added(twice, frozenset())] == ["public-1"]
    assert links.items_added(twice, frozenset({links.digest("public-1")})) == []


def begin(
    settings: PlaidSettings, reconnect: ConnectionAccess | None = None, **members: Any
) -> dict[str, Any]:
    return links.link_token_body(
        BeginLink(
            request=request(**members),
            user=None,
            reconnect=reconnect,
            webhook_url="https://hooks.example.test",
        ),
        settings,
    )


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> PlaidSettings:
    return PlaidSettings.model_construct(
        client_id="id",
        secret=SecretStr("x"),
        client_name="Onefolio",
        language="en",
        country_codes=("US",),
        products=("investments",),
        link_lifetime_seconds=1800,
        preselect_institution=False,
    )


def test_a_new_link_asks_for_the_products_and_names_no_person(settings: PlaidSettings) -> None:
    body = begin(settings)
    assert body["products"] == ["investments"]
    assert body["webhook"] == "https://hooks.example.test"
    assert body["hosted_link"]["completion_redirect_uri"] == "https://app.example.test/done"
    assert "person@example.test" not in str(body)
    assert "institution_data" not in body


def test_the_institution_is_preselected_where_plaid_allows_it(settings: PlaidSettings) -> None:
    allowed = settings.model_copy(update={"preselect_institution": True})
    assert begin(allowed)["institution_data"] == {"institution_id": "ins_56"}


def test_a_repair_carries_the_access_token_and_no_products(settings: PlaidSettings) -> None:
    broken = ConnectionAccess(user_id="u", external_id="item", user=None, secret="access-1")
    body = begin(settings, broken)
    assert body["access_token"] == "access-1"
    assert "products" not in body
    assert "webhook" not in body


def test_times_with_nanoseconds_are_read() -> None:
    assert moment("2026-11-14T10:00:00.326860787Z") == datetime(2026, 11, 14, 10, 0, 0, 326860, UTC)
    assert moment("2026-11-14") == datetime(2026, 11, 14, tzinfo=UTC)
