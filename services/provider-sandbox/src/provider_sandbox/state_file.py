"""The file behind `SANDBOX_STATE_FILE`: replaced as a whole, readable by its owner alone, refused when damaged.

One line of header, `provider-sandbox-state <format> <SHA-256 of the rest>`, then the rest: JSON.
"""

import hashlib
import os
from pathlib import Path

FORMAT = 1
_NAME = "provider-sandbox-state"
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
_OWNER_ONLY = 0o600


class StateFileError(Exception):
    """The state file cannot be used; the message names the file and what to do, never what is in it."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"SANDBOX_STATE_FILE {path} {problem}")


def unusable(path: Path, problem: str) -> StateFileError:
    """The error for a file with a content that is not to be trusted."""
    advice = "It was left as it is: put a good copy there, or move it away to start with nothing remembered."
    return StateFileError(path, f"{problem}. {advice}")


def read(path: Path) -> bytes | None:
    """Return what was written last, None where there is no file; raises StateFileError for anything else."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateFileError(path, f"cannot be read: {error.strerror}.") from error
    header, _, body = raw.partition(b"\n")
    words = header.split(b" ")
    if len(words) != 3 or words[0] != _NAME.encode():
        raise unusable(path, "is not a state file of the provider sandbox")
    if words[1] != str(FORMAT).encode():
        raise unusable(path, "was written by another version of the provider sandbox")
    if words[2] != _digest(body):
        raise unusable(path, "is damaged: its checksum does not match")
    return body


def write(path: Path, body: bytes) -> None:
    """Replace the file; whoever reads it, even after a crash in the middle, finds the old one or the new one."""
    temporary = path.with_name(path.name + ".new")
    header = f"{_NAME} {FORMAT} ".encode() + _digest(body) + b"\n"
    with os.fdopen(os.open(temporary, _FLAGS, _OWNER_ONLY), "wb") as file:
        os.fchmod(file.fileno(), _OWNER_ONLY)
        file.write(header + body)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
