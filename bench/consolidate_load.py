"""Encoded messages as connectors would publish them for many users: the load of ``bench_consolidate``."""

import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from contracts import ids
from contracts.accounts import AccountsSnapshot, AccountType, Capabilities, ProviderAccount
from contracts.clocks import Clocks
from contracts.envelope import encode
from contracts.holdings import Holding, HoldingsSnapshot, content_hash
from contracts.instruments import Instrument, InstrumentKind, cash_key
from contracts.messages import ConnectionLinked, Message
from contracts.money import Money, product

NOW = datetime.now(UTC)
SOURCES = (("snaptrade", "charles-schwab", 2), ("plaid", "chase", 1))


@dataclass(frozen=True)
class Load:
    """Encoded messages: what makes the accounts known, then two rounds of holdings."""

    setup: list[bytes]
    rounds: list[list[bytes]]
    holdings: int
    """Per round."""


def make_load(users: int, holdings: int, seed: int) -> Load:
    """Users with two accounts at a broker through SnapTrade and one at a bank through Plaid.

    The first round is what a first sync brings. In the second every price has moved, as on any trading day, and
    one quantity in twenty.
    """
    rng = random.Random(seed)
    universe = [_instrument(number) for number in range(400)]
    setup: list[bytes] = []
    rounds: list[list[bytes]] = [[], []]
    for number in range(users):
        user = str(uuid.UUID(int=rng.getrandbits(128)))
        for provider, institution, accounts in SOURCES:
            link = ids.connection_id(provider, user, f"c{number}")
            names = [ids.account_id(provider, user, f"a{number}-{place}") for place in range(accounts)]
            setup += _setup(user, provider, institution, link, names)
            for name in names:
                held = _held(rng, universe, holdings)
                for place, round_ in enumerate(rounds):
                    clocks = Clocks(as_of=NOW, synced_at=NOW, version=place + 2)
                    round_.append(_snapshot(user, provider, institution, link, name, clocks, held))
                    held = [_moved(rng, one) for one in held]
    return Load(setup, rounds, users * sum(accounts for *_, accounts in SOURCES) * holdings)


def _instrument(number: int) -> Instrument:
    symbol = "".join(chr(65 + number // 26**place % 26) for place in (2, 1, 0)) + "X"
    return Instrument(
        key=symbol,
        kind=InstrumentKind.STOCK,
        symbol=symbol,
        name=f"{symbol} Incorporated",
        currency="USD",
        figi=f"BBG{number:09d}",
    )


def _held(rng: random.Random, universe: list[Instrument], count: int) -> list[Holding]:
    cash = Instrument(key=cash_key("USD"), kind=InstrumentKind.CASH, symbol="USD", currency="USD")
    amount = Decimal(rng.randint(100, 10_000_000)).scaleb(-2)
    held = [Holding(instrument=cash, quantity=amount, currency="USD", price=Decimal(1), market_value=amount)]
    for instrument in rng.sample(universe, count - 1):
        quantity = Decimal(rng.randint(1, 500_000)).scaleb(-rng.choice((0, 0, 3, 4)))
        price = Decimal(rng.randint(100, 90_000)).scaleb(-2)
        held.append(
            Holding(
                instrument=instrument,
                quantity=quantity,
                currency="USD",
                price=price,
                market_value=product(price, quantity),
                cost_basis=product(price, quantity, Decimal("0.81")),
                price_as_of=NOW,
            )
        )
    return held


def _moved(rng: random.Random, one: Holding) -> Holding:
    quantity = one.quantity + 1 if rng.random() < 0.05 else one.quantity
    if one.price is None or one.instrument.kind is InstrumentKind.CASH:
        return one
    price = one.price + Decimal(rng.randint(1, 90)).scaleb(-2)
    return Holding(
        instrument=one.instrument,
        quantity=quantity,
        currency=one.currency,
        price=price,
        market_value=product(price, quantity),
        cost_basis=one.cost_basis,
        price_as_of=NOW + timedelta(hours=6),
    )


def _setup(user: str, provider: str, institution: str, link: str, names: list[str]) -> list[bytes]:
    linked = ConnectionLinked(
        user_id=user,
        provider=provider,
        connection_id=link,
        external_id=link,
        institution=institution,
        institution_name=institution,
        connection_type="read",
        link_session_id=None,
        linked_at=NOW,
        version=1,
    )
    listed = [
        ProviderAccount(
            account_id=name,
            external_id=name,
            name="Brokerage",
            type=AccountType.BROKERAGE,
            raw_type="brokerage",
            currency="USD",
            mask=name[:4],
            total=Money(amount=Decimal(100_000), currency="USD"),
            capabilities=Capabilities(trading=True, realtime=True),
        )
        for name in names
    ]
    accounts = AccountsSnapshot(
        user_id=user,
        provider=provider,
        connection_id=link,
        institution=institution,
        clocks=Clocks(as_of=NOW, synced_at=NOW, version=1),
        complete=True,
        gap=None,
        accounts=listed,
    )
    return [_encoded(linked), _encoded(accounts)]


def _snapshot(
    user: str, provider: str, institution: str, link: str, name: str, clocks: Clocks, held: list[Holding]
) -> bytes:
    return _encoded(
        HoldingsSnapshot(
            user_id=user,
            provider=provider,
            connection_id=link,
            institution=institution,
            clocks=clocks,
            complete=True,
            gap=None,
            account_id=name,
            holdings=held,
            content_hash=content_hash(held),
        )
    )


def _encoded(message: Message) -> bytes:
    return encode(message, source="bench", time=NOW)[1]
