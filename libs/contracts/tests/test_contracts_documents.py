"""The generated documents are current, complete, and true of what is really sent."""

import json
from pathlib import Path

import jsonschema
import pytest

from contracts.connectors import POWERS, InvestmentsConnector, TradingConnector, powers
from contracts.documents import asyncapi, json_schema, stale
from contracts.envelope import encode
from contracts.errors import MEANING, ErrorCode
from contracts.examples import NOW, holding, snapshot
from contracts.messages import TYPES
from contracts.statuses import CONNECTION_MOVES, LINK_MOVES, ConnectionStatus, LinkStatus, may_move

DOCS = Path(__file__).parents[3] / "docs"


def test_the_generated_documents_are_current() -> None:
    assert stale(DOCS) == []


def test_a_stale_document_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "onefolio.gone.v1.json").write_text("{}")
    assert "schemas/onefolio.gone.v1.json" in stale(tmp_path)
    assert "messages.md" in stale(tmp_path)


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_every_schema_is_a_valid_schema(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema(kind))


def test_what_is_sent_answers_its_schema_and_what_is_broken_does_not() -> None:
    validator = jsonschema.Draft202012Validator(json_schema("onefolio.holdings.snapshot.v1"))
    frame = json.loads(encode(snapshot(holding()), source="test", time=NOW)[1])
    validator.validate(frame)
    frame["data"]["holdings"][0]["quantity"] = 1.5
    assert not validator.is_valid(frame)


def test_every_channel_of_the_asyncapi_document_resolves() -> None:
    document = asyncapi()
    for operation in document["operations"].values():
        channel = document["channels"][operation["channel"]["$ref"].rsplit("/", 1)[1]]
        for message in channel["messages"].values():
            assert message["payload"]["$ref"].rsplit("/", 1)[1] in document["components"]["schemas"]


def test_every_error_code_says_what_it_means_and_who_must_act() -> None:
    assert set(MEANING) == set(ErrorCode)
    assert all(row.meaning and row.who and row.action and 400 <= row.status < 600 for row in MEANING.values())


def test_every_state_has_its_moves_and_removed_is_final() -> None:
    assert set(CONNECTION_MOVES) == set(ConnectionStatus)
    assert set(LINK_MOVES) == set(LinkStatus)
    assert not may_move(CONNECTION_MOVES, ConnectionStatus.REMOVED, ConnectionStatus.ACTIVE)
    assert may_move(LINK_MOVES, LinkStatus.EXPIRED, LinkStatus.COMPLETED)


def test_powers_are_read_off_the_methods_an_adapter_has() -> None:
    class ReadsOnly:
        async def accounts(self) -> None: ...

    assert powers(ReadsOnly()) == {"accounts"}
    assert powers(object()) == frozenset()
    assert {InvestmentsConnector, TradingConnector}.isdisjoint({object})
    assert set(POWERS) >= {"accounts", "holdings", "trading"}
