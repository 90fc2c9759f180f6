"""What this process last read or wrote of holdings and positions, so that it need not read it again.

Never trusted by itself: an entry is used only where the row that was just read under the user's lock names the
same content (of holdings) or the same version (of a portfolio). Another replica's writes therefore show at once.
"""

from collections import OrderedDict

from consolidator.domain.consolidate import Slot
from consolidator.domain.values import Line

ACCOUNTS = 6_000
PORTFOLIOS = 3_000
Digests = dict[Slot, int]


class Remembered:
    """The holdings of the accounts and the digests of the portfolios that were used last."""

    def __init__(self, accounts: int = ACCOUNTS, portfolios: int = PORTFOLIOS) -> None:
        self._most = (accounts, portfolios)
        self._lines: OrderedDict[str, tuple[str, tuple[Line, ...]]] = OrderedDict()
        self._digests: OrderedDict[str, tuple[int, Digests]] = OrderedDict()

    def lines(self, account_id: str, content_hash: str) -> tuple[Line, ...] | None:
        """The lines of an account whose stored content has this hash."""
        known = self._lines.get(account_id)
        return known[1] if known is not None and known[0] == content_hash else None

    def keep_lines(self, account_id: str, content_hash: str, lines: tuple[Line, ...]) -> None:
        """Remember lines that are committed."""
        self._lines[account_id] = (content_hash, lines)
        self._lines.move_to_end(account_id)
        if len(self._lines) > self._most[0]:
            self._lines.popitem(last=False)

    def digests(self, portfolio: str, version: int) -> Digests | None:
        """The digests of a portfolio's positions, whose stored version is this."""
        known = self._digests.get(portfolio)
        return known[1] if known is not None and known[0] == version else None

    def keep_digests(self, portfolio: str, version: int, digests: Digests) -> None:
        """Remember digests that are committed."""
        self._digests[portfolio] = (version, digests)
        self._digests.move_to_end(portfolio)
        if len(self._digests) > self._most[1]:
            self._digests.popitem(last=False)
