"""Nothing is left behind: a second process that stops a stack when its owner ends, in whatever way it ends."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from local_servers import processes

from local_stack.life import Stack, StackError

PROGRAM = Path(__file__).resolve().parents[1] / "stack.py"
PATIENCE = 60.0
"""An owner that was killed leaves its guard at work for some seconds; the next owner waits for it."""


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """Own the stack of a folder: it is stopped at the end of the block, or of this process.

    Raises:
        StackError: somebody else owns it, or it could not be stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "owner").open("a+") as owner:
        _own(owner, folder)
        with (folder / "guard.log").open("w") as log:
            # In a session of its own it survives Ctrl-C, a closed terminal and the death of its parent; it holds
            # the lock too, until all is stopped.
            guard = subprocess.Popen(
                [sys.executable, str(PROGRAM), "guard", "--dir", str(folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[owner.fileno()],
            )
        try:
            yield
        finally:
            # The end of its input is the sign, which comes from the kernel where we are killed.
            guard.communicate()
    if guard.returncode:
        raise StackError(f"not everything was stopped; see {folder / 'guard.log'}")


def stand_guard(stack: Stack) -> None:
    """The guard's side: wait for the end of the input, then stop the stack."""
    sys.stdin.read()
    stack.down()


def _own(file: TextIO, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _owner_lives(file) or time.monotonic() > deadline:
                raise StackError(
                    f"{folder} is in use by another run; end it, or choose another --dir"
                ) from None
            time.sleep(0.1)
        else:
            break
    file.truncate(0)
    file.write(json.dumps(processes.mark(os.getpid())))
    file.flush()


def _owner_lives(file: TextIO) -> bool:
    file.seek(0)
    text = file.read()
    return bool(text) and processes.alive(json.loads(text))
