"""Answers that are still valid but not what a strict client expects: unknown fields added, optional ones left out. Pure."""

from dataclasses import dataclass
from typing import Any

_OPTIONAL_NAMES = """
institution_name auth_method products consented_products institution_price_as_of institution_price_datetime
vested_quantity vested_value tax_lots update_datetime transaction_datetime persistent_account_id holder_category
is_investments_fallback_item created_at consented_use_cases consented_data_scopes error_code_reason
documentation_url suggested_action
"""
OPTIONAL = frozenset(_OPTIONAL_NAMES.split())
UNKNOWN = {"kind": "new", "since": 2027}


@dataclass(frozen=True, slots=True)
class Surprises:
    """Which of the two is done to every answer."""

    unknown_fields: bool = False
    missing_optional: bool = False

    def applied(self, value: Any) -> Any:
        """The answer as it is sent."""
        if isinstance(value, list):
            return [self.applied(entry) for entry in value]
        if not isinstance(value, dict):
            return value
        left_out = OPTIONAL if self.missing_optional else frozenset[str]()
        kept = {name: self.applied(entry) for name, entry in value.items() if name not in left_out}
        return kept | {"sandbox_surprise": UNKNOWN} if self.unknown_fields else kept
