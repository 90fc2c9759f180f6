"""Ways to spoil a right answer; pure."""

import json
from typing import Any

from provider_sandbox.faults import Fault

GATEWAY_PAGE = (
    b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
)


def spoil(fault: Fault, body: bytes) -> bytes:
    """Return the body as the fault leaves it; a body that is not JSON stays as it is, except when truncated."""
    if fault.kind == "truncate":
        return body[: len(body) // 2]
    try:
        value = json.loads(body)
    except ValueError:
        return body
    return json.dumps(_changed(fault, value)).encode()


def _changed(fault: Fault, value: Any) -> Any:
    if isinstance(value, list):
        return _changed_list(fault, value)
    if not isinstance(value, dict):
        return value
    meant = (
        [fault.member] if fault.member else [name for name, item in value.items() if isinstance(item, list)]
    )
    changed = dict(value)
    for name in meant:
        if fault.kind == "missing_list":
            changed.pop(name, None)
        elif name in changed:
            changed[name] = _changed_list(fault, changed[name])
    return changed


def _changed_list(fault: Fault, items: list[Any]) -> Any:
    if fault.kind == "missing_list":
        return {}
    if fault.kind == "empty_list":
        return []
    return items[: len(items) // 2]
