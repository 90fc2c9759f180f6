"""Become one program of a stack: what the process runner calls, with nothing but the standard library.

The environment is read from a private file, so that a value may hold whatever its owner likes: the runner's own
configuration language has no way to write a quote.
"""

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Replace this process by the program that the file and the name on the command line say."""
    file, name = sys.argv[1:]
    program = json.loads(Path(file).read_text())[name]
    environment = dict(os.environ) | program["environment"]
    os.execve(sys.executable, [sys.executable, "-m", program["module"]], environment)


if __name__ == "__main__":
    main()
