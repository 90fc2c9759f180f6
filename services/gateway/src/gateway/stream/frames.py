"""Server-sent events as bytes. Pure."""

import re

_LAST = re.compile(r"[0-9]{1,18}")


def opening(retry_milliseconds: int, position: int) -> bytes:
    """The first bytes: how long to wait before coming back, and where from if nothing happens meanwhile."""
    return f"retry: {retry_milliseconds}\nid: {position}\n\n".encode()


def frame(number: int, name: str, data: str) -> bytes:
    """One event; ``data`` is JSON text, in which a line break cannot stand bare."""
    lines = "\n".join(f"data: {line}" for line in data.splitlines() or [""])
    return f"id: {number}\nevent: {name}\n{lines}\n\n".encode()


def heartbeat() -> bytes:
    """A comment, to which readers are deaf and proxies are not."""
    return b": still here\n\n"


def last_seen(text: str | None) -> int | None:
    """The number of the last event a reader saw; None for one that begins, -1 for what no stream of ours gave."""
    if text is None or not text.strip():
        return None
    text = text.strip()
    return int(text) if _LAST.fullmatch(text) else -1
