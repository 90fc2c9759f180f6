"""How values become rows of text."""

import re
from decimal import Decimal
from typing import Any

import msgspec

from consolidator.domain.checks import Check
from consolidator.domain.identity import Link
from consolidator.domain.values import (
    Account,
    BalanceSheet,
    Connection,
    Decision,
    Held,
    InstrumentRef,
    Judgement,
    Line,
    Portfolio,
    RealAccount,
    Sight,
)
from consolidator.store.arrays import Cell, Row, integer, number, time, truth
from contracts.accounts import Balance, ProviderAccount
from contracts.ids import snapshot_id
from contracts.instruments import Instrument

_EXPONENT = re.compile(r'"(-?\d(?:\.\d+)?E-\d+)"')
_ENCODER = msgspec.json.Encoder(decimal_format="string")


def json_text(value: Any) -> str:
    """A value as JSON text, numbers as strings without an exponent; equal values give equal text."""
    text = _ENCODER.encode(value).decode()
    return _EXPONENT.sub(_written_out, text) if "E-" in text else text


def _written_out(found: re.Match[str]) -> str:
    return f'"{Decimal(found[1]):f}"'


def connection_row(user_id: str, one: Connection) -> Row:
    """A row of ``connections``."""
    mark = one.status
    status: tuple[Cell, ...] = (None,) * 7
    if mark is not None:
        status = (
            mark.status.value,
            str(mark.version),
            str(mark.rank),
            time(mark.at),
            mark.reason,
            mark.provider_code,
            time(mark.repair_by),
        )
    return (
        user_id,
        one.connection_id,
        one.provider,
        one.institution,
        one.institution_name,
        one.external_id,
        one.connection_type,
        *status,
        time(one.linked_at),
        str(one.linked_version),
        str(one.accounts_version),
    )


def account_row(user_id: str, one: Account) -> Row:
    """A row of ``accounts``; an account without a real account is gone."""
    return (
        user_id,
        one.account_id,
        one.connection_id,
        one.provider,
        one.institution,
        one.real_account_id,
        *_listed(one.listed),
        str(one.listed_version),
        time(one.listed_at),
        truth(one.real_account_id is None),
        str(one.spoken_version),
    )


def _listed(listed: ProviderAccount | None) -> Row:
    if listed is None:
        return (None,) * 16
    return (
        listed.external_id,
        listed.name,
        listed.official_name,
        listed.type.value,
        listed.raw_type,
        listed.currency,
        listed.mask,
        listed.status.value,
        truth(listed.is_paper),
        listed.stable_id,
        *((str(listed.total.amount), listed.total.currency) if listed.total else (None, None)),
        truth(listed.capabilities.trading),
        truth(listed.capabilities.realtime),
        time(listed.holdings_as_of),
        truth(listed.holds_securities),
    )


def snapshot_rows(user_id: str, account_id: str, held: Held) -> dict[str, Row]:
    """The rows of ``snapshots`` of one account, by state."""
    rows: dict[str, Row] = {}
    if held.current is not None:
        current = _sight(account_id, held.current, None, time(held.trusted_since))
        rows["current"] = (user_id, account_id, "current", *current, None)
    if held.quarantine is not None:
        sight = held.quarantine.sight
        payload = json_text(sight.lines or ())
        aside = _sight(account_id, sight, time(held.quarantine.first_synced_at), None)
        rows["quarantined"] = (user_id, account_id, "quarantined", *aside, payload)
    if held.gap is not None:
        key: Row = (user_id, account_id, "incomplete", str(held.gap.version))
        rows["incomplete"] = (*key, *(None,) * 6, "f", held.gap.reason, *(None,) * 5)
    return rows


def _sight(account_id: str, one: Sight, first_synced_at: Cell, trusted_since: Cell) -> Row:
    return (
        str(one.version),
        snapshot_id(account_id, one.version, one.content_hash),
        one.content_hash,
        time(one.as_of),
        time(one.synced_at),
        first_synced_at,
        trusted_since,
        "t",
        None,
        *_worth(one),
    )


def _worth(one: Sight) -> Row:
    return (str(one.holdings), str(one.worth.value), one.worth.currency, str(one.worth.unpriced))


def sighting_row(user_id: str, account_id: str, one: Sight, *, whole: bool) -> Row:
    """A row of ``sightings``; ``whole`` says that nothing else stores what it held."""
    return (
        user_id,
        account_id,
        str(one.version),
        snapshot_id(account_id, one.version, one.content_hash),
        one.content_hash,
        time(one.as_of),
        time(one.synced_at),
        *_worth(one),
        json_text(one.lines or ()) if whole else None,
    )


def holding_row(user_id: str, account_id: str, line: Line) -> Row:
    """A row of ``holdings``."""
    return (
        user_id,
        account_id,
        line.ref.instrument_id,
        line.currency,
        str(line.quantity),
        None if line.price is None else str(line.price),
        None if line.market_value is None else str(line.market_value),
        None if line.cost_basis is None else str(line.cost_basis),
        time(line.price_as_of),
        "t" if line.cash_equivalent else "f",
    )


def instrument_row(ref: InstrumentRef, one: Instrument) -> Row:
    """A row of ``instruments``."""
    return (
        ref.instrument_id,
        one.key,
        one.kind.value,
        one.symbol,
        one.name,
        one.currency,
        one.mic,
        one.figi,
        one.figi_share_class,
        one.isin,
        one.cusip,
        one.provider_security_id,
        number(one.multiplier),
        json_text(one.option) if one.option else None,
        one.maturity.isoformat() if one.maturity else None,
        ref.figi,
    )


def balance_row(user_id: str, account_id: str, one: Balance) -> Row:
    """A row of ``balances``."""
    amounts = (
        one.cash,
        one.available,
        one.buying_power,
        one.equity,
        one.maintenance_excess,
        one.margin_loan,
    )
    return (user_id, account_id, one.currency, *map(number, amounts))


def balance_snapshot_row(user_id: str, account_id: str, one: BalanceSheet) -> Row:
    """A row of ``balance_snapshots``."""
    return (user_id, account_id, str(one.version), one.content_hash, time(one.as_of), time(one.synced_at))


def real_account_row(user_id: str, one: RealAccount) -> Row:
    """A row of ``real_accounts``."""
    return (
        user_id,
        one.real_account_id,
        one.institution,
        json_text(one.members),
        one.counted_account_id,
        one.reason,
        truth(one.stale),
        truth(one.needs_decision),
        json_text(one.excluded),
        time(one.held_back_until),
        time(one.due_at),
    )


def switch_row(user_id: str, was: RealAccount, now: RealAccount) -> Row:
    """A row of ``source_switches``."""
    return (user_id, now.real_account_id, was.counted_account_id, now.counted_account_id, now.reason)


def decision_row(user_id: str, one: Decision) -> Row:
    """A row of ``identity_decisions``."""
    return (user_id, one.decision_id, *one.accounts, one.verdict, one.decided_by, time(one.decided_at))


def judgement_row(user_id: str, one: Judgement) -> Row:
    """A row of ``snapshot_judgements``."""
    said = (str(one.version), one.verdict, one.judged_by, time(one.judged_at))
    return (user_id, one.judgement_id, one.account_id, *said)


def portfolio_row(user_id: str, one: Portfolio) -> Row:
    """A row of ``portfolios``."""
    return (
        user_id,
        one.portfolio_id,
        one.name,
        json_text(one.account_ids),
        truth(one.deleted),
        str(one.version),
        time(one.defined_at),
    )


def link_row(user_id: str, one: Link) -> Row:
    """A row of ``identity_evidence``."""
    return (user_id, *one.accounts, one.verdict.value, one.rule, str(one.score), json_text(one.reasons))


def check_row(user_id: str, real_account_id: str, one: Check) -> Row:
    """A row of ``account_checks``."""
    return (
        user_id,
        real_account_id,
        one.account_id,
        one.outcome,
        one.reason,
        number(one.counted),
        number(one.expected),
        number(one.difference),
        one.currency,
    )


def version_row(user_id: str, portfolio_id: str, version: int, positions: int) -> Row:
    """A row of ``portfolio_versions``."""
    return (user_id, portfolio_id, integer(version), integer(positions))
