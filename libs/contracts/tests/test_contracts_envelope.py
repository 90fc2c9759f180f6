"""Messages survive the wire exactly, and what is not a message is refused with a reason."""

import inspect
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import BadMessageError, UnknownTypeError, decode, encode
from contracts.examples import NOW, holding, snapshot
from contracts.holdings import HoldingsSnapshot, content_hash
from contracts.instruments import InstrumentKind
from contracts.messages import COMMANDS, TYPES, SyncConnection
from contracts.struct import Record
from contracts.topics import command_key, event_key

SHARES = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9)


def wire(message: HoldingsSnapshot) -> bytes:
    return encode(message, source="test", time=NOW)[1]


def tampered(**data: object) -> bytes:
    frame = json.loads(wire(snapshot(holding())))
    frame["data"]["holdings"][0] |= data
    return json.dumps(frame).encode()


@given(st.lists(SHARES, max_size=5))
def test_a_snapshot_comes_back_exactly_as_it_was_sent(quantities: list[Decimal]) -> None:
    sent = snapshot(*(holding(f"T{n}", quantity) for n, quantity in enumerate(quantities)))
    assert decode(wire(sent)).message == sent


def test_decimals_travel_as_strings_with_every_digit() -> None:
    sent = snapshot(holding(quantity=Decimal("123456789.123456789123456789")))
    frame = json.loads(wire(sent))
    assert frame["data"]["holdings"][0]["quantity"] == "123456789.123456789123456789"


def test_the_same_fact_said_again_has_the_same_id_and_another_fact_another() -> None:
    first, _ = encode(snapshot(holding()), source="one", time=NOW)
    again, _ = encode(snapshot(holding()), source="two", time=datetime.now(UTC))
    other, _ = encode(snapshot(holding(), version=2), source="one", time=NOW)
    assert first == again != other


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'"text"', b"\xff\xfe", b"[" * 100_000, b"{}", b'{"specversion":"1.0"}', b"9" * 5000],
)
def test_what_is_not_an_envelope_is_refused(body: bytes) -> None:
    with pytest.raises(BadMessageError):
        decode(body)


def test_an_unknown_type_is_told_apart_from_a_broken_message() -> None:
    frame = json.loads(wire(snapshot()))
    frame["type"] = "onefolio.holdings.snapshot.v2"
    with pytest.raises(UnknownTypeError, match=r"snapshot\.v2"):
        decode(json.dumps(frame).encode())


@pytest.mark.parametrize(
    "quantity", ["NaN", "Infinity", "-Infinity", "1e1000000", "1e-19", "9" * 30, "ten", "", None]
)
def test_a_quantity_that_cannot_be_stored_exactly_is_refused(quantity: str | None) -> None:
    with pytest.raises(BadMessageError):
        decode(tampered(quantity=quantity))


def test_an_amount_with_too_many_decimals_is_refused() -> None:
    with pytest.raises(BadMessageError, match="decimals"):
        decode(tampered(market_value="1.00000000001"))


def test_members_a_reader_does_not_know_are_ignored() -> None:
    assert decode(tampered(added_next_year=[1])).message == snapshot(holding())


def test_a_kind_a_reader_does_not_know_reads_as_other() -> None:
    body = tampered(instrument={"key": "X", "kind": "carbon_credit"})
    message = decode(body).message
    assert isinstance(message, HoldingsSnapshot)
    assert message.holdings[0].instrument.kind is InstrumentKind.OTHER


def test_the_hash_of_holdings_does_not_depend_on_their_order() -> None:
    one, two = holding("A"), holding("B")
    assert content_hash([one, two]) == content_hash([two, one]) != content_hash([one])


def test_records_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        holding().quantity = Decimal(2)


def test_routing_keys_name_the_type_and_the_provider() -> None:
    command = SyncConnection(user_id="u", connection_id="c", kinds=[], trigger="manual", idempotency_id="i")
    assert event_key(snapshot()) == "onefolio.holdings.snapshot.v1"
    assert command_key("acme", command) == "connector.acme.sync"


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_every_type_can_be_decoded_by_its_name(kind: str) -> None:
    assert msgspec.json.Decoder(TYPES[kind])
    assert (kind in COMMANDS) == kind.startswith("onefolio.connector.")


def test_every_record_is_frozen_and_made_by_keyword() -> None:
    found = list(_below(Record))
    assert len(found) > 40
    assert [cls.__name__ for cls in found if not cls.__struct_config__.frozen] == []
    by_position = [
        cls.__name__
        for cls in found
        if any(one.kind is not one.KEYWORD_ONLY for one in inspect.signature(cls).parameters.values())
    ]
    assert by_position == []


def _below(cls: type[Record]) -> Iterator[type[Record]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _below(sub)
