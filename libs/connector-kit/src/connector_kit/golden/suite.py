"""The part of the conformance suite about numbers: every encoding of a golden case becomes the one truth.

A connector's test subclasses ``NumbersConformance``, names its provider and says how the parts of an encoding are read:
served as the provider's answers to the real adapter. Needs pytest (the extra ``conformance``).
"""
# ruff: noqa: S101  a suite of tests states what must hold by assert

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from connector_kit.golden import Case, accounts, exact, facts, positions
from connector_kit.snapshots import merged
from contracts.connectors import AccountRead

Reader = Callable[[dict[str, Any]], Awaitable[AccountRead]]
ZERO = Decimal(0)


class NumbersConformance:
    """Units and conservation, against the golden cases."""

    provider: ClassVar[str]

    @pytest.fixture
    def read(self) -> Reader:
        """Read the one account that the parts of an encoding describe; each connector says how."""
        raise LookupError("a connector's conformance test must say how an encoding is read")

    @pytest.mark.parametrize("case", positions(), ids=str)
    async def test_every_encoding_of_a_position_becomes_the_one_truth(self, case: Case, read: Reader) -> None:
        """Skipped where a provider cannot write such a position at all."""
        encodings = case.of(self.provider)
        if not encodings:
            pytest.skip(f"{self.provider} cannot write this")
        for encoding in encodings:
            found = await read(encoding.parts)
            held = [facts(row) for row in merged(found.holdings) if not row.instrument.key.startswith("CUR:")]
            assert len(held) == 1, encoding.name
            truth = {"option": None} | case.truth["position"]
            expected = {name: exact(name, value) for name, value in truth.items()}
            assert {name: held[0][name] for name in expected} == expected, encoding.name
            assert held[0]["key"] in {expected.get("key"), *case.truth.get("join", [])}, encoding.name

    @pytest.mark.parametrize("case", accounts(), ids=str)
    async def test_holdings_and_cash_are_the_account_and_the_difference_to_its_total_is_exact(
        self, case: Case, read: Reader
    ) -> None:
        """Never skipped: every provider can write every account."""
        truth = case.truth
        encodings = case.of(self.provider)
        assert encodings, f"{self.provider} has no encoding of {case.name}"
        for encoding in encodings:
            found = await read(encoding.parts)
            assert found.complete, (encoding.name, found.gap)
            worth = {row.instrument.key: row.market_value for row in merged(found.holdings)}
            expected = {key: None if one is None else Decimal(one) for key, one in truth["worth"].items()}
            assert worth == expected, encoding.name
            assert found.account.total is not None
            assert found.account.total.amount == Decimal(truth["total"]), encoding.name
            assert _sum(found, truth) - found.account.total.amount == Decimal(truth["difference"]), (
                encoding.name
            )

    @pytest.mark.parametrize("case", accounts(), ids=str)
    async def test_the_balances_say_the_same_cash_as_the_holdings(self, case: Case, read: Reader) -> None:
        """Never skipped."""
        for encoding in case.of(self.provider):
            found = await read(encoding.parts)
            held = {
                row.currency: row.quantity
                for row in found.holdings
                if row.instrument.key == f"CUR:{row.currency}"
            }
            told = {one.currency: one.cash for one in found.balances if one.cash is not None}
            assert told == held, encoding.name


def _sum(found: AccountRead, truth: dict[str, Any]) -> Decimal:
    """What the holdings are worth together, in the currency of the total."""
    rates = {name: Decimal(rate) for name, rate in truth.get("rates", {}).items()}
    parts = [(row.market_value or ZERO) * rates.get(row.currency, Decimal(1)) for row in found.holdings]
    return sum(parts, ZERO)
