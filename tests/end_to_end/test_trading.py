"""Trading through the whole stack: preview, place, fill, what is refused before anybody is asked, and lost answers."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from local_demo.client import Frontend
from local_demo.pages import Visit, sign_in
from local_stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


class Trader:
    """A user with a browser, who reads statuses and headers too."""

    def __init__(self, url: str, token: str, frontend: Frontend) -> None:
        self.frontend = frontend
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=40, trust_env=False)

    def account(self, institution: str) -> str:
        """The account at an institution, once its holdings are there."""
        rows = self.frontend.wait(
            lambda: [
                one for one in self.frontend.get("/v1/accounts")["items"] if one["institution"] == institution
            ],
            bool,
            "the account",
        )
        account = next(one for one in rows if one["type"] != "depository")["id"]
        self.frontend.wait(lambda: self.held(account), bool, "its holdings")
        return str(account)

    def held(self, account: str) -> dict[str, Decimal]:
        """What the account holds, by instrument."""
        items = self.frontend.get(f"/v1/accounts/{account}/positions")["items"]
        return {row["instrument"]["key"]: Decimal(row["quantity"]) for row in items}

    def preview(self, account: str, **order: Any) -> httpx.Response:
        usual = {"symbol": "AAPL", "side": "BUY", "order_type": "MARKET", "quantity": "2"}
        return self.http.post("/v1/trading/impact", json={"account_id": account, **usual, **order})

    def place(self, preview: httpx.Response, key: str | None = None, **flags: bool) -> httpx.Response:
        body = {"preview_id": preview.json()["preview_id"], **flags}
        return self.http.post(
            "/v1/trading/place", json=body, headers={"Idempotency-Key": key or str(uuid.uuid4())}
        )

    def ends(self, order_id: str, *states: str) -> dict[str, Any]:
        """The order, once it is in one of some states."""
        return dict(
            self.frontend.wait(
                lambda: self.frontend.get(f"/v1/orders/{order_id}"),
                lambda order: order["state"] in states,
                f"the order to be {' or '.join(states)}",
                seconds=60,
            )
        )


@pytest.fixture
def user() -> str:
    return f"trader-{uuid.uuid4().hex}"


@pytest.fixture
def trader(
    stack: Stack, user: str, token: Callable[[str], str], as_user: Callable[[str], Frontend]
) -> Iterator[Trader]:
    made = Trader(stack.state.url("gateway"), token(user), as_user(user))
    yield made
    made.http.close()


@pytest.fixture
def placements(control: httpx.Client, user: str) -> Callable[[], list[dict[str, Any]]]:
    """Everything of the user's that reached a broker."""
    return lambda: control.get("/_control/placements", params={"user": user}).json()["placements"]


@pytest.fixture
def chaos(control: httpx.Client) -> Iterator[Callable[..., None]]:
    """Makes the next placement go wrong."""
    yield lambda **rule: control.post("/_control/trading/chaos", json=rule).raise_for_status()
    control.delete("/_control/trading/chaos")


def test_an_order_is_previewed_placed_filled_and_moves_the_position(
    trader: Trader, placements: Callable[[], list[dict[str, Any]]]
) -> None:
    trader.frontend.link("charles-schwab", sign_in)
    account = trader.account("charles-schwab")
    before = trader.held(account)["AAPL"]
    preview = trader.preview(account)
    assert preview.status_code in {200, 201}, preview.text
    assert placements() == []
    key = str(uuid.uuid4())
    placed = trader.place(preview, key)
    assert (placed.status_code, placed.json()["state"]) == (201, "ACCEPTED")
    again = trader.place(preview, key)
    assert (again.status_code, again.json()) == (201, placed.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    order = trader.ends(placed.json()["order_id"], "FILLED")
    assert [step["to"] for step in order["history"]] == ["CONFIRMED", "SUBMITTING", "ACCEPTED", "FILLED"]
    trader.frontend.wait(
        lambda: trader.held(account)["AAPL"],
        lambda now: now == before + 2,
        "the position to move",
        seconds=60,
    )
    assert [(row["accepted"], row["client_order_id"]) for row in placements()] == [
        (True, order["client_order_id"])
    ]


def test_what_cannot_trade_is_refused_with_its_own_reason_before_any_broker_is_asked(
    trader: Trader, placements: Callable[[], list[dict[str, Any]]]
) -> None:
    trader.frontend.link("chase", sign_in)
    trader.frontend.link("fidelity", sign_in, provider="snaptrade")
    trader.frontend.link(
        "A broker nobody listed",
        lambda url: Visit(url, choices={"broker": "charles-schwab"}).finish(),
        provider="snaptrade",
    )
    reasons = {}
    for institution in ("chase", "fidelity", "charles-schwab"):
        answer = trader.preview(trader.account(institution))
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (409, "TRADING_NOT_SUPPORTED")
        reasons[institution] = error["details"]["reason"]
    assert reasons == {
        "chase": "provider",
        "fidelity": "coverage",
        "charles-schwab": "read_only_connection",
    }
    assert placements() == []


def test_a_read_only_connection_trades_as_soon_as_it_was_reconnected_for_trading(trader: Trader) -> None:
    trader.frontend.link(
        "A broker nobody listed",
        lambda url: Visit(url, choices={"broker": "charles-schwab"}).finish(),
        provider="snaptrade",
    )
    account = trader.account("charles-schwab")
    connection = trader.frontend.get("/v1/connections")["items"][0]["id"]
    session = trader.frontend.post("/v1/link", {"reconnect_connection_id": connection, "need_trading": True})
    sign_in(session["url"])
    trader.frontend.post(f"/v1/link/{session['id']}/complete", {})
    trader.frontend.wait(
        lambda: trader.preview(account), lambda answer: answer.is_success, "the account to trade"
    )


def test_an_order_whose_answer_was_lost_is_found_and_never_sent_again(
    trader: Trader, placements: Callable[[], list[dict[str, Any]]], chaos: Callable[..., None]
) -> None:
    trader.frontend.link("charles-schwab", sign_in)
    account = trader.account("charles-schwab")
    preview, other = trader.preview(account), trader.preview(account, quantity="1")
    chaos(kind="accept_then_drop")
    key = str(uuid.uuid4())
    placed = trader.place(preview, key)
    assert (placed.status_code, placed.json()["state"]) == (202, "UNKNOWN")
    assert trader.place(preview, key).status_code == 202
    blocked = trader.place(other)
    while blocked.json()["error"]["code"] == "ORDER_RATE_LIMITED":
        blocked = trader.place(other)
    assert blocked.json()["error"]["code"] == "ORDER_BEING_VERIFIED"
    order = trader.ends(placed.json()["order_id"], "ACCEPTED", "FILLED")
    [only] = placements()
    assert (only["accepted"], only["broker_order_id"]) == (True, order["broker_order_ids"][0])


def test_an_order_that_stands_can_be_cancelled(trader: Trader) -> None:
    trader.frontend.link("charles-schwab", sign_in)
    account = trader.account("charles-schwab")
    quote = trader.frontend.get("/v1/quotes", account_id=account, symbols="AAPL")["items"][0]
    below = (Decimal(quote["last"] or quote["bid"]) * Decimal("0.95")).quantize(Decimal("0.01"))
    placed = trader.place(trader.preview(account, order_type="LIMIT", limit_price=str(below)))
    order_id = placed.json()["order_id"]
    assert trader.http.post(f"/v1/orders/{order_id}/cancel").status_code == 202
    assert trader.ends(order_id, "CANCELLED")["filled_quantity"] in {None, "0"}


def test_anothers_order_just_like_it_is_not_taken_for_one_that_is_not_shown_yet(
    trader: Trader, placements: Callable[[], list[dict[str, Any]]], chaos: Callable[..., None]
) -> None:
    trader.frontend.link("charles-schwab", sign_in)
    account = trader.account("charles-schwab")
    preview = trader.preview(account)
    chaos(kind="accept_then_drop", invisible_seconds=9, foreign=True)
    order_id = trader.place(preview).json()["order_id"]
    looked = trader.frontend.wait(
        lambda: trader.frontend.get(f"/v1/orders/{order_id}"),
        lambda order: order["state"] != "UNKNOWN" or age(order) > 20,
        "two looks",
    )
    [only] = placements()
    assert looked["broker_order_ids"] in ([], [only["broker_order_id"]])


def age(order: dict[str, Any]) -> float:
    """Seconds since an order was sent."""
    return (datetime.now(UTC) - datetime.fromisoformat(order["submitted_at"])).total_seconds()
