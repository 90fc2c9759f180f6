"""All policy the consolidator works by, in one frozen value made from the settings."""

from datetime import timedelta
from importlib.resources import files
from types import MappingProxyType

from consolidator.domain.values import CheckPolicy, ErasePolicy, SourcePolicy
from consolidator.domain.weights import Weights, read_weights
from contracts.struct import Record

PRIORITIES = MappingProxyType({"snaptrade": 3, "plaid": 2, "manual": 1})
"""Which provider's sight of an account is preferred; a provider not named ranks 0."""

DEFAULT_WEIGHTS = read_weights(files("consolidator").joinpath("identity.toml").read_text(encoding="utf-8"))
"""By what accounts are recognised, unless an operator says otherwise."""


class Rules(Record, frozen=True, kw_only=True):
    """The policies of the domain."""

    sources: SourcePolicy = SourcePolicy(priorities=dict(PRIORITIES), max_age=timedelta(hours=72))
    erase: ErasePolicy = ErasePolicy(confirm_after=timedelta(hours=1))
    check: CheckPolicy = CheckPolicy()
    weights: Weights = DEFAULT_WEIGHTS


DEFAULT_RULES = Rules()
