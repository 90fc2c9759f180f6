"""Reading the transactions of an Item page by page: what is asked, and what an answer moves."""

from typing import NamedTuple

import msgspec

from contracts.accounts import ProviderAccount
from contracts.connectors import AccountTransactions, TransactionPage
from contracts.errors import ErrorCode, ProviderError, TransientError
from contracts.transactions import Sweep, Transaction
from plaid_connector import activity, instruments
from plaid_connector import cursor as cursors
from plaid_connector.banking import Changes
from plaid_connector.client import PlaidClient
from plaid_connector.cursor import Bank, Cursor, Investments, Now, Window
from plaid_connector.errors import NOT_OFFERED, PROVIDER, item_error, protocol_error
from plaid_connector.wire import InvestmentTransaction, InvestmentTransactionsAnswer

ROUNDS = 3
"""How often a round of bank transactions is begun anew when data moves under it."""
MUTATED = "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION"
NOT_READY = "NOT_READY"
INITIAL = "INITIAL_UPDATE_COMPLETE"
_INVESTMENTS = "/investments/transactions/get"
_BANK = "/transactions/sync"


class Asked(NamedTuple):
    """One Item whose transactions are asked for, with those of its accounts that each endpoint tells of."""

    token: str
    investments: list[ProviderAccount]
    banks: list[ProviderAccount]
    now: Now
    bank_mark: str | None


class History:
    """Reads the page behind a cursor; ``page_size`` is how many rows are asked for at once."""

    def __init__(self, client: PlaidClient, page_size: int) -> None:
        self._client = client
        self._page_size = page_size

    async def page(self, asked: Asked, text: str | None) -> TransactionPage:
        """The next page; where nothing is due no call is made."""
        cursor = cursors.read(text)
        window = cursors.next_window(cursor.investments, asked.investments, asked.now)
        if window is not None:
            parts, past = await self._investments(asked, cursor.investments, window)
            cursor = Cursor(investments=past, bank=cursor.bank)
        elif _bank_due(cursor, asked):
            parts, bank = await self._bank(asked, cursor.bank)
            cursor = Cursor(investments=cursor.investments, bank=bank)
        else:
            return TransactionPage(parts=[], cursor=text or cursors.write(cursor), has_more=False)
        more = cursors.next_window(cursor.investments, asked.investments, asked.now) is not None
        return TransactionPage(
            parts=parts, cursor=cursors.write(cursor), has_more=more or _bank_due(cursor, asked)
        )

    async def _investments(
        self, asked: Asked, past: Investments, window: Window
    ) -> tuple[list[AccountTransactions], Investments]:
        everyone = [one.external_id for one in asked.investments]
        if not set(window.accounts) <= set(everyone):
            # An account that is gone cannot be asked for any more, and what was counted with it does not fit.
            left = [name for name in window.accounts if name in everyone]
            window = window.begun_anew(asked.now.version, left or everyone)
        try:
            answer = await self._ask(asked, window, everyone)
        except ProviderError as error:
            if error.provider_code not in NOT_OFFERED:
                raise
            return [], msgspec.structs.replace(past, refused_on=asked.now.today, window=None)
        rows = _behind(window, answer)
        if rows is None:
            anew = window.begun_anew(asked.now.version, window.accounts)
            if anew.restarts > cursors.RESTARTS:
                raise _moving(_INVESTMENTS)
            return [], msgspec.structs.replace(past, window=anew)
        return _told(asked, past, window, rows, answer)

    async def _ask(self, asked: Asked, window: Window, everyone: list[str]) -> InvestmentTransactionsAnswer:
        """The next page, with the last row of the one before it: whether that comes again shows if rows moved."""
        some = window.accounts if set(window.accounts) != set(everyone) else None
        answer = await self._client.investments_transactions(
            asked.token,
            window.start.isoformat(),
            window.end.isoformat(),
            count=self._page_size,
            offset=max(0, window.offset - 1),
            account_ids=some,
        )
        if answer.item.error is not None:
            raise item_error(answer.item.error, answer.request_id)
        return answer

    async def _bank(self, asked: Asked, past: Bank) -> tuple[list[AccountTransactions], Bank]:
        """A whole round of changes: it is told when it is whole, and Plaid's cursor moves only then."""
        for _ in range(ROUNDS):
            try:
                changes, reached, status = await self._round(asked.token, past.cursor)
            except ProviderError as error:
                if error.provider_code != MUTATED:
                    raise
                continue
            if status == NOT_READY and not reached:
                raise _not_ready("the bank's transactions are not there yet")
            whole = status not in {NOT_READY, INITIAL}
            through = cursors.whole_through(asked.now.as_of, asked.now.today) if whole else None
            try:
                parts = changes.parts(asked.banks, first=past.cursor is None, through=through)
            except ValueError as error:
                raise protocol_error(_BANK, 200) from error
            mark = asked.bank_mark if whole else None
            return parts, Bank(cursor=reached or None, mark=mark, version=asked.now.version)
        raise _moving(_BANK)

    async def _round(self, token: str, start: str | None) -> tuple[Changes, str, str]:
        changes, reached, more, status = Changes(), start, True, ""
        while more:
            page = await self._client.transactions_sync(token, reached, self._page_size)
            if page.has_more and page.next_cursor == (reached or ""):
                raise protocol_error(_BANK, 200, page.request_id)
            changes.apply(page)
            reached, more, status = page.next_cursor, page.has_more, page.transactions_update_status
        return changes, reached or "", status


def _bank_due(cursor: Cursor, asked: Asked) -> bool:
    past = cursor.bank
    return bool(asked.banks) and cursors.moved(asked.bank_mark, past.mark, past.version, asked.now.version)


def _behind(window: Window, answer: InvestmentTransactionsAnswer) -> list[InvestmentTransaction] | None:
    """The rows of a page that were not read yet; ``None`` when rows moved since the page before.

    Raises:
        TransientError: the answer contradicts itself.
    """
    rows, total = answer.investment_transactions, answer.total_investment_transactions
    if window.offset == 0:
        if not rows and total:
            raise protocol_error(_INVESTMENTS, 200, answer.request_id)
        return rows
    if total != window.total or not rows or activity.key(rows[0]) != window.last:
        return None
    return rows[1:] if len(rows) > 1 else None


def _told(
    asked: Asked,
    past: Investments,
    window: Window,
    rows: list[InvestmentTransaction],
    answer: InvestmentTransactionsAnswer,
) -> tuple[list[AccountTransactions], Investments]:
    total = answer.total_investment_transactions
    offset = window.offset + len(rows)
    names, tally = activity.identities(rows, window.tally)
    taken_back = [name for row in rows if (name := activity.cancels(row))]
    gone = [*dict.fromkeys([*taken_back, *past.cancelled])][: cursors.CANCELLED_KEPT]
    done = offset >= total
    try:
        found = _transactions(asked.investments, rows, names, frozenset(gone), answer)
    except ValueError as error:
        raise protocol_error(_INVESTMENTS, 200, answer.request_id) from error
    owners = {name: row.account_id for row in rows if (name := activity.cancels(row))}
    parts = _parts(asked.investments, window, found, owners, done=done)
    past = msgspec.structs.replace(past, cancelled=gone)
    if done:
        everyone = [one.external_id for one in asked.investments]
        return parts, past.finished(window, asked.now.version, everyone)
    reached = msgspec.structs.replace(
        window, offset=offset, total=total, last=activity.key(rows[-1]), tally=tally, told=asked.now.version
    )
    return parts, msgspec.structs.replace(past, window=reached)


def _transactions(
    accounts: list[ProviderAccount],
    rows: list[InvestmentTransaction],
    names: list[str],
    gone: frozenset[str],
    answer: InvestmentTransactionsAnswer,
) -> dict[str, list[Transaction]]:
    """The rows of each account (by Plaid's id), each once, without those that were taken back.

    Raises:
        ValueError: a row cannot be read, or names a security that the answer does not describe.
    """
    by_id = {one.external_id: one for one in accounts}
    securities = {
        one.security_id: one for one in (instruments.known(bytes(raw)) for raw in answer.securities)
    }
    found: dict[str, dict[str, Transaction]] = {}
    for row, name in zip(rows, names, strict=True):
        account = by_id.get(row.account_id)
        if account is None or name in gone:
            continue
        if row.security_id and row.security_id not in securities:
            raise ValueError("a transaction names a security that is missing from the answer")
        security = securities[row.security_id] if row.security_id else None
        found.setdefault(row.account_id, {})[name] = activity.transaction(row, account, name, security)
    return {owner: list(told.values()) for owner, told in found.items()}


def _parts(
    accounts: list[ProviderAccount],
    window: Window,
    found: dict[str, list[Transaction]],
    taken_back: dict[str, str],
    *,
    done: bool,
) -> list[AccountTransactions]:
    """What is told of each account of the range: of all of them with its last page, else of those with rows."""
    parts = []
    sweep = Sweep(from_date=window.start, through=window.end, since_version=window.since) if done else None
    for account in accounts:
        if account.external_id not in window.accounts:
            continue
        told = found.get(account.external_id, [])
        removed = [name for name, owner in taken_back.items() if owner == account.external_id]
        if told or removed or done:
            parts.append(
                AccountTransactions(
                    account_id=account.account_id,
                    transactions=told,
                    removed=removed,
                    covers_from=window.start if done and window.whole else None,
                    covers_through=window.whole if done else None,
                    sweep=sweep,
                )
            )
    return parts


def _moving(what: str) -> TransientError:
    return _not_ready(f"Plaid's answers to {what} move while they are read")


def _not_ready(text: str) -> TransientError:
    return TransientError(text, code=ErrorCode.DATA_NOT_READY, provider=PROVIDER)
