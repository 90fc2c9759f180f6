"""What becomes of a reservation. Pure."""

from enum import StrEnum

from contracts.messages import RefreshOutcome


class ChargeState(StrEnum):
    """How a charge stands. Reserved and unknown ones count against budgets as if they were charged."""

    RESERVED = "reserved"
    UNKNOWN = "unknown"
    CHARGED = "charged"
    RELEASED = "released"


FINAL = frozenset({ChargeState.CHARGED, ChargeState.RELEASED})
_BECOMES = {
    RefreshOutcome.ACCEPTED: ChargeState.CHARGED,
    RefreshOutcome.REFUSED: ChargeState.RELEASED,
    RefreshOutcome.UNKNOWN: ChargeState.UNKNOWN,
}


def settled(state: ChargeState, outcome: RefreshOutcome) -> ChargeState | None:
    """The state after a word about a charge; None where it changes nothing.

    The first final word stands, and ``unknown`` never takes one back: so the order in which words come, and how
    often, makes no difference.
    """
    becomes = _BECOMES[outcome]
    return None if state in FINAL or becomes is state else becomes
