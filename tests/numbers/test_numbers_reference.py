"""The reference itself, on cases whose answers a person can work out."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from checks import counted_twice, not_owned
from generate import NOW as END
from generate import portfolio, requested
from reference import Answer, erases, number, reference
from stored import Rows, differences

from consolidator.testing import NOW, Link, cash, stock
from contracts.decisions import IdentityDecided, IdentityVerdict, SnapshotJudged, SnapshotVerdict
from contracts.ids import portfolio_id
from contracts.messages import Message
from contracts.statuses import ConnectionStatus

PLAID_FIDELITY = Link("plaid", "fidelity")
SNAP_FIDELITY = Link("snaptrade", "fidelity")
SCHWAB = Link("snaptrade", "charles-schwab")
CHASE = Link("plaid", "chase")
TYPED = Link("manual", "manual")
HOUR = timedelta(hours=1)


def answered(*messages: Message, after: timedelta = HOUR) -> Answer:
    return reference(messages, NOW + after)


def rows(answer: Answer) -> dict[str, dict[str, Any]]:
    return {row["instrument_key"]: row for row in map(json.loads, answer.positions)}


def quantities(answer: Answer) -> dict[str, Decimal]:
    return {key: Decimal(row["quantity"]) for key, row in rows(answer).items()}


def decided(verdict: IdentityVerdict, *accounts: str, number: int = 1) -> IdentityDecided:
    return IdentityDecided(
        user_id="user-1",
        decision_id=f"{number:08d}-0000-4000-8000-000000000000",
        account_ids=sorted(accounts),
        verdict=verdict,
        decided_by="user-1",
        decided_at=NOW + number * timedelta(minutes=1),
    )


class TestWorkedCases:
    def test_cash_of_three_providers_is_one_sum(self) -> None:
        answer = answered(CHASE.holds(cash(5000)), SCHWAB.holds(cash(3000)), TYPED.holds(cash(1000)))
        assert quantities(answer) == {"CUR:USD": 9000}

    def test_two_brokers_are_added_and_described_by_the_better_provider(self) -> None:
        answer = answered(PLAID_FIDELITY.holds(stock("AAPL", 100, 190)), SCHWAB.holds(stock("AAPL", 50, 191)))
        row = rows(answer)["AAPL"]
        assert (row["quantity"], row["provider"], row["price"]) == ("150", "snaptrade", "191")
        assert [part["quantity"] for part in row["contributions"]] == ["50", "100"]

    def test_a_manual_account_said_to_be_the_same_is_not_added(self) -> None:
        said = decided(IdentityVerdict.SAME, TYPED.account_id("a"), SCHWAB.account_id("a"))
        typed, shown = TYPED.holds(stock("TSLA", 10)), SCHWAB.holds(stock("TSLA", 12))
        assert quantities(answered(typed, shown, said)) == {"TSLA": 12}
        assert quantities(answered(typed, shown)) == {"TSLA": 22}
        undone = decided(IdentityVerdict.UNDONE, *said.account_ids, number=2)
        assert quantities(answered(typed, shown, said, undone)) == {"TSLA": 22}

    def test_one_account_through_two_providers_is_counted_once(self) -> None:
        answer = answered(*self._both(("1234", "1234"), 100, 100))
        row = rows(answer)["S0"]
        assert (row["quantity"], row["excluded"][0]["rule"]) == ("100", "lower_priority")

    def test_two_accounts_with_the_same_last_digits_are_both_counted(self) -> None:
        answer = answered(
            *(
                message
                for link, names in ((PLAID_FIDELITY, "AB"), (SNAP_FIDELITY, "CD"))
                for message in (
                    link.lists(link.account(mask="1234")),
                    link.holds(*(stock(f"{name}{n}", 100 + n) for name in names for n in range(3))),
                )
            )
        )
        assert sum(quantities(answer).values()) == 4 * (100 + 101 + 102)

    def _both(self, masks: tuple[str, str], *counts: int) -> list[Message]:
        links = zip((PLAID_FIDELITY, SNAP_FIDELITY), masks, counts, strict=True)
        return [
            message
            for link, mask, count in links
            for message in (
                link.lists(link.account(mask=mask)),
                link.holds(*(stock(f"S{n}", count + n) for n in range(5))),
            )
        ]


class TestSources:
    def _twice(self) -> list[Message]:
        return [
            message
            for link in (PLAID_FIDELITY, SNAP_FIDELITY)
            for message in (link.lists(link.account(stable_id="one")), link.holds(stock("A", 1)))
        ]

    @pytest.mark.parametrize(
        ("minutes", "provider", "reason"),
        [(29, "plaid", "held_back"), (30, "snaptrade", "highest_priority")],
    )
    def test_a_better_source_is_back_after_half_an_hour(
        self, minutes: int, provider: str, reason: str
    ) -> None:
        healed = [
            SNAP_FIDELITY.is_now(ConnectionStatus.BROKEN, 2),
            SNAP_FIDELITY.is_now(ConnectionStatus.ACTIVE, 3, NOW),
        ]
        answer = answered(*self._twice(), *healed, after=timedelta(minutes=minutes))
        [real] = map(json.loads, answer.real_accounts)
        assert (rows(answer)["A"]["provider"], real["reason"].split(":")[0]) == (provider, reason)

    def test_a_broken_source_hands_over_at_once(self) -> None:
        answer = answered(*self._twice(), SNAP_FIDELITY.is_now(ConnectionStatus.BROKEN, 2))
        assert rows(answer)["A"]["provider"] == "plaid"
        assert rows(answer)["A"]["excluded"][0]["rule"] == "unhealthy:connection_broken"

    def test_what_is_old_is_shown_as_old_but_not_dropped(self) -> None:
        answer = answered(*self._twice(), after=timedelta(hours=73))
        assert rows(answer)["A"]["stale"] is True
        assert quantities(answer) == {"A": 1}

    def test_an_account_that_nobody_described_waits_beside_another_of_its_institution(self) -> None:
        told = [PLAID_FIDELITY.holds(stock("A", 1)), *self._twice()[2:]]
        assert quantities(answered(told[0])) == {"A": 1}
        assert rows(answered(*told))["A"]["provider"] == "snaptrade"
        assert quantities(answered(*told)) == {"A": 1}


class TestNothingIsErased:
    MANY = tuple(stock(f"S{number}", 10, 5) for number in range(20))

    def _later(self, *held: Any, hours: float, version: int) -> Message:
        return SCHWAB.holds(*held, version=version, synced_at=NOW + hours * HOUR)

    def test_an_empty_list_is_believed_after_an_hour(self) -> None:
        first, empty = SCHWAB.holds(*self.MANY), self._later(hours=2, version=2)
        assert len(quantities(answered(first, empty))) == 20
        assert len(quantities(answered(first, empty, self._later(hours=2.9, version=3)))) == 20
        assert quantities(answered(self._later(hours=3, version=3), first, empty)) == {}

    def test_a_sale_is_believed_at_once(self) -> None:
        sold = self._later(cash(990), hours=2, version=2)
        assert quantities(answered(SCHWAB.holds(*self.MANY), sold)) == {"CUR:USD": 990}
        stolen = self._later(cash(970), hours=2, version=2)
        assert len(quantities(answered(SCHWAB.holds(*self.MANY), stolen))) == 20

    def test_a_person_may_say_what_is_believed(self) -> None:
        first, empty = SCHWAB.holds(*self.MANY), self._later(hours=2, version=2)
        accepted = SnapshotJudged(
            user_id="user-1",
            judgement_id="1",
            account_id=SCHWAB.account_id("a"),
            version=2,
            verdict=SnapshotVerdict.ACCEPT,
            judged_by="user-1",
            judged_at=NOW,
        )
        assert quantities(answered(first, empty, accepted)) == {}

    def test_what_a_person_typed_is_believed(self) -> None:
        assert quantities(answered(TYPED.holds(*self.MANY), TYPED.holds(version=2))) == {}

    def test_an_incomplete_list_replaces_nothing(self) -> None:
        cut = SCHWAB.holds(self.MANY[0], version=2, complete=False)
        answer = answered(SCHWAB.holds(*self.MANY), cut)
        assert len(quantities(answer)) == 20
        assert json.loads(answer.accounts[0])["suspect_reason"] == "page 2 failed"

    @pytest.mark.parametrize(("left", "erased"), [(0, True), (1, True), (2, False)])
    def test_a_tenth_is_enough(self, left: int, erased: bool) -> None:
        assert erases(SCHWAB.holds(*self.MANY), SCHWAB.holds(*self.MANY[:left], version=2)) is erased


class TestTheChecksThemselves:
    TOLD = (PLAID_FIDELITY.holds(stock("A", 1)), SCHWAB.holds(stock("A", 2)))

    def test_two_sights_of_one_account_in_one_sum_are_found(self) -> None:
        answer = answered(*self.TOLD)
        both = {PLAID_FIDELITY.account_id("a"), SCHWAB.account_id("a")}
        assert len(counted_twice(answer.positions, [both])) == 1
        assert counted_twice(answer.positions, [{SCHWAB.account_id("a"), "another"}]) == []

    def test_rows_that_differ_are_named_with_both_values(self) -> None:
        answer = answered(*self.TOLD)
        rows = Rows(answer.positions, answer.real_accounts, answer.accounts)
        assert differences(answer, rows) == []
        wrong = rows._replace(
            positions=[text.replace('"quantity": "3"', '"quantity": "4"') for text in rows.positions]
        )
        [line] = differences(answer, wrong)
        assert "quantity: expected '3', stored '4'" in line
        assert "is missing" in differences(answer, rows._replace(positions=[]))[0]
        assert "rows instead of" in differences(answer, rows._replace(positions=rows.positions * 2))[0]

    def test_what_is_not_owned_is_found(self) -> None:
        one = next(one for one in map(portfolio, range(200)) if one.settled and one.accounts[0].owned)
        answer = reference(one.messages, END)
        assert not_owned(one, answer) == []
        for account in one.accounts:
            account.owned = {security: 2 * quantity + 1 for security, quantity in account.owned.items()}
        assert not_owned(one, answer)


def test_repetition_and_order_mean_nothing() -> None:
    told = [SCHWAB.linked(), SCHWAB.holds(stock("A", 1)), SCHWAB.holds(stock("B", 1), version=2)]
    told.append(requested("user-1", portfolio_id("user-1"), NOW))
    assert answered(*told) == answered(*reversed(told), *told)


@pytest.mark.parametrize(
    ("value", "text"), [("1E+2", "100"), ("-0.0", "0"), ("0.0000007", "0.0000007"), ("10.50", "10.5")]
)
def test_equal_numbers_are_equal_text(value: str, text: str) -> None:
    assert number(Decimal(value)) == text
