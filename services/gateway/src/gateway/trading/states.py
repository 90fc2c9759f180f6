"""Where an order of ours can stand, and what moves it: a table, and one pure function over it."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where an order stands, as far as we know."""

    CONFIRMED = "CONFIRMED"
    SUBMITTING = "SUBMITTING"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
    NEEDS_USER = "NEEDS_USER"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REPLACED = "REPLACED"
    EXPIRED = "EXPIRED"


class Event(StrEnum):
    """What can happen to an order."""

    SUBMIT = "submit"
    """Its broker is about to be asked; committed before anything is sent."""
    ABANDON = "abandon"
    """It will not be submitted: nothing was sent, and nothing will be."""
    REFUSE = "refuse"
    """The broker said no, or not a byte was sent, by the word of who sent it."""
    ACCEPT = "accept"
    """The broker's own answer: it has the order."""
    LOSE = "lose"
    """Nobody knows whether the broker has it."""
    FIND = "find"
    """Exactly one new order at the broker is this one."""
    GIVE_UP = "give_up"
    """The looks are used up: a person must say."""
    CONFIRM_PLACED = "confirm_placed"
    """A person says that the broker has it."""
    CONFIRM_ABSENT = "confirm_absent"
    """A person says that the broker does not have it."""
    FILL_PARTLY = "fill_partly"
    FILL = "fill"
    CANCEL = "cancel"
    EXPIRE = "expire"
    REPLACE = "replace"
    TURN_DOWN = "turn_down"
    """The broker's record says that it turned the order down after all."""


_S, _E = State, Event
MOVES: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (_S.CONFIRMED, _E.SUBMIT): _S.SUBMITTING,
        (_S.CONFIRMED, _E.ABANDON): _S.REJECTED,
        (_S.SUBMITTING, _E.ACCEPT): _S.ACCEPTED,
        (_S.SUBMITTING, _E.REFUSE): _S.REJECTED,
        (_S.SUBMITTING, _E.LOSE): _S.UNKNOWN,
        (_S.UNKNOWN, _E.FIND): _S.ACCEPTED,
        (_S.UNKNOWN, _E.GIVE_UP): _S.NEEDS_USER,
        # An answer that came after it was given up on is the best evidence there is.
        (_S.UNKNOWN, _E.ACCEPT): _S.ACCEPTED,
        (_S.NEEDS_USER, _E.ACCEPT): _S.ACCEPTED,
        (_S.UNKNOWN, _E.CONFIRM_PLACED): _S.ACCEPTED,
        (_S.UNKNOWN, _E.CONFIRM_ABSENT): _S.REJECTED,
        (_S.NEEDS_USER, _E.CONFIRM_PLACED): _S.ACCEPTED,
        (_S.NEEDS_USER, _E.CONFIRM_ABSENT): _S.REJECTED,
        (_S.ACCEPTED, _E.TURN_DOWN): _S.REJECTED,
        **{
            (state, event): to
            for state in (_S.ACCEPTED, _S.PARTIALLY_FILLED)
            for event, to in (
                (_E.FILL_PARTLY, _S.PARTIALLY_FILLED),
                (_E.FILL, _S.FILLED),
                (_E.CANCEL, _S.CANCELLED),
                (_E.EXPIRE, _S.EXPIRED),
                (_E.REPLACE, _S.REPLACED),
            )
        },
    }
)
"""Everything that can happen. What is not here cannot: no event leaves a final state, and nothing but a person's word
makes a rejection of an order whose fate is unknown."""

UNDER_WAY = frozenset({State.CONFIRMED, State.SUBMITTING})
"""A process is at it, or died at it; there is no answer yet."""
UNVERIFIED = frozenset({State.UNKNOWN, State.NEEDS_USER})
"""The broker may have it, or not."""
OPEN = frozenset({State.ACCEPTED, State.PARTIALLY_FILLED})
"""The broker has it, and more can happen."""
FINAL = frozenset({State.REJECTED, State.FILLED, State.CANCELLED, State.REPLACED, State.EXPIRED})
"""Nothing happens any more."""


def after(state: State, event: Event) -> State | None:
    """The state after an event; None where it cannot happen."""
    return MOVES.get((state, event))
