"""Reads JSON that came in; pure."""

import json
from typing import Any


def parse(raw: bytes) -> Any:
    """Return the value of a JSON text; raises ValueError for no JSON and for text that is no Unicode (half a pair)."""
    value = json.loads(raw)
    json.dumps(value, ensure_ascii=False).encode()
    return value
