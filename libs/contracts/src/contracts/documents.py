"""The contracts as documents: JSON Schemas, AsyncAPI, and the pages about messages and errors.

``python -m contracts.documents docs`` writes them, ``--check`` fails when they are not current.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from contracts.envelope import CONTENT_TYPE
from contracts.errors import MEANING
from contracts.messages import COMMANDS, EVENTS, TYPES
from contracts.struct import Record
from contracts.topics import COMMAND_EXCHANGE, EVENT_EXCHANGE

VERSION = "1.0.0"


def json_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a whole message: the envelope with this type's data."""
    (data,), definitions = msgspec.json.schema_components([TYPES[kind]], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:onefolio:schema:{kind}",
        "title": kind,
        "description": _doc(TYPES[kind]),
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string"},
            "source": {"type": "string"},
            "type": {"const": kind},
            "subject": {"type": "string"},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "dataschema": {"type": ["string", "null"]},
            "traceparent": {"type": ["string", "null"]},
            "data": data,
        },
        "$defs": definitions,
    }


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document of every event and command."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Onefolio messages",
            "version": VERSION,
            "description": "CloudEvents 1.0 over RabbitMQ topic exchanges; every body is structured JSON.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {_name(kind): _channel(kind) for kind in TYPES},
        "operations": {
            f"send_{_name(kind)}": {"action": "send", "channel": {"$ref": f"#/channels/{_name(kind)}"}}
            for kind in TYPES
        },
        "components": {"schemas": {_name(kind): _embedded(kind) for kind in TYPES}},
    }


def _channel(kind: str) -> dict[str, Any]:
    exchange = EVENT_EXCHANGE if kind in EVENTS else COMMAND_EXCHANGE
    channel: dict[str, Any] = {
        "address": _routing_key(kind),
        "description": _doc(TYPES[kind]),
        "messages": {_name(kind): {"payload": {"$ref": f"#/components/schemas/{_name(kind)}"}}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": exchange, "type": "topic", "durable": True},
                "bindingVersion": "0.3.0",
            }
        },
    }
    if kind in COMMANDS:
        channel["parameters"] = {"provider": {"description": "The provider's slug, such as snaptrade."}}
    return channel


def _routing_key(kind: str) -> str:
    return kind if kind in EVENTS else f"connector.{{provider}}.{kind.split('.')[2]}"


def _embedded(kind: str) -> dict[str, Any]:
    text = json.dumps({key: value for key, value in json_schema(kind).items() if not key.startswith("$sch")})
    return dict(json.loads(text.replace('"#/$defs/', f'"#/components/schemas/{_name(kind)}/$defs/')))


def _name(kind: str) -> str:
    return kind.removeprefix("onefolio.").replace(".", "_")


def _doc(cls: type[Record]) -> str:
    return " ".join((cls.__doc__ or "").split())


def messages_page() -> str:
    """The page that lists every message, its routing key and its members."""
    lines = [
        "# Messages",
        "",
        "Generated from `libs/contracts`; change it there. Every body is a CloudEvents 1.0 envelope in",
        "structured JSON; decimals are strings, times are UTC. Schemas: `docs/schemas/`, `docs/asyncapi.json`.",
    ]
    for title, exchange, kinds in (
        ("Events", EVENT_EXCHANGE, EVENTS),
        ("Commands", COMMAND_EXCHANGE, COMMANDS),
    ):
        lines += ["", f"## {title} (exchange `{exchange}`)"]
        for kind, cls in kinds.items():
            lines += ["", f"### `{kind}`", "", f"Routing key `{_routing_key(kind)}`. {_doc(cls)}", ""]
            lines += ["| member | type |", "|---|---|", *_members(cls)]
    return "\n".join(lines) + "\n"


def _members(cls: type[Record]) -> Iterator[str]:
    for field in msgspec.structs.fields(cls):
        kind = getattr(field.type, "__name__", None) if isinstance(field.type, type) else None
        shown = kind or str(field.type).replace("contracts.", "").replace("typing.", "")
        for module in (
            "accounts.",
            "holdings.",
            "instruments.",
            "money.",
            "clocks.",
            "messages.",
            "datetime.",
        ):
            shown = shown.replace(module, "")
        yield f"| `{field.encode_name}` | `{shown.replace('|', 'or')}` |"


def errors_page() -> str:
    """The page that lists every error code: its status, meaning, who must act and what to do."""
    lines = [
        "# Error codes",
        "",
        "Generated from `libs/contracts`; change it there. Every error body is",
        '`{"error": {"code", "message", "requestId", "details"?}}`; a provider\'s own request id and code',
        "stand in `details`.",
        "",
        "| code | status | meaning | who acts | what to do |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{code}` | {row.status} | {row.meaning} | {row.who} | {row.action} |"
        for code, row in MEANING.items()
    ]
    return "\n".join(lines) + "\n"


def documents() -> dict[str, str]:
    """Every generated file under ``docs/``: relative path to text."""
    pages = {
        "messages.md": messages_page(),
        "errors.md": errors_page(),
        "asyncapi.json": _json(asyncapi()),
    }
    return pages | {f"schemas/{kind}.json": _json(json_schema(kind)) for kind in TYPES}


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def stale(folder: Path) -> list[str]:
    """The generated files under ``folder`` that are missing or not current, and schemas of no message."""
    wanted = documents()
    old = [
        name
        for name, text in wanted.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]
    found = {f"schemas/{path.name}" for path in (folder / "schemas").glob("*.json")}
    return sorted(old + [name for name in found if name not in wanted])


def main() -> int:
    """Write or check the generated documents."""
    parser = argparse.ArgumentParser(prog="python -m contracts.documents", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--check", action="store_true", help="change nothing, fail when a file is not current"
    )
    options = parser.parse_args()
    if options.check:
        names = stale(options.folder)
        for name in names:
            sys.stderr.write(f"not current: {options.folder / name} (run 'make docs')\n")
        return 1 if names else 0
    for name in stale(options.folder):
        path = options.folder / name
        if name not in documents():
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(documents()[name], encoding="utf-8")
        sys.stdout.write(f"wrote {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
