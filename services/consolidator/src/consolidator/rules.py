"""All policy the consolidator works by, in one frozen value made from the settings."""

from datetime import timedelta
from types import MappingProxyType

from consolidator.domain.evidence import Weights
from consolidator.domain.values import CheckPolicy, ErasePolicy, SourcePolicy
from contracts.struct import Record

PRIORITIES = MappingProxyType({"snaptrade": 3, "plaid": 2, "manual": 1})
"""Which provider's sight of an account is preferred; a provider not named ranks 0."""


class Rules(Record, frozen=True, kw_only=True):
    """The policies of the domain."""

    sources: SourcePolicy = SourcePolicy(priorities=dict(PRIORITIES), max_age=timedelta(hours=72))
    erase: ErasePolicy = ErasePolicy(confirm_after=timedelta(hours=1))
    check: CheckPolicy = CheckPolicy()
    weights: Weights = Weights()


DEFAULT_RULES = Rules()
