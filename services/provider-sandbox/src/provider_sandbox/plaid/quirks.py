"""How each institution's data looks through Plaid: the differences real institutions show. Data and nothing else."""

from dataclasses import dataclass
from typing import Literal

CashRow = Literal["prefixed", "bare", "none"]
Available = Literal["cash", "cash_and_sweep", "null"]


@dataclass(frozen=True, slots=True)
class Quirk:
    """One institution's habits.

    `cash_row`: cash as a holding `CUR:USD`, `USD`, or not at all. `available`: what `balances.available` counts.
    `lots`: whether `tax_lots` is present (as an empty list). `hidden_tickers`: securities whose ticker is null
    and whose symbol is only in `institution_security_id`. `per_share_cost`: cost_basis against the documentation.
    `persistent_ids`: deposit accounts carry `persistent_account_id`. `steals_logins`: a second Item with the same
    login breaks the first.
    """

    cash_row: CashRow = "prefixed"
    available: Available = "cash_and_sweep"
    lots: bool = False
    hidden_tickers: tuple[str, ...] = ()
    per_share_cost: bool = False
    persistent_ids: bool = False
    steals_logins: bool = False


QUIRKS: dict[str, Quirk] = {
    "charles-schwab": Quirk(lots=True),
    "fidelity": Quirk(lots=True),
    "interactive-brokers": Quirk(available="cash"),
    "etrade": Quirk(cash_row="bare"),
    "vanguard": Quirk(cash_row="none", available="cash", hidden_tickers=("VBTLX",)),
    "chase": Quirk(persistent_ids=True),
    "bank-of-america": Quirk(cash_row="bare"),
    "evergreen-retirement": Quirk(cash_row="none", available="null"),
}
