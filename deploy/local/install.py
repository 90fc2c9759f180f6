"""Install Onefolio into .venv: the pinned, hashed dependencies, then the members from the tree.

Needs only Python 3.11 or newer. Safe to run again: what is already right is left alone.
"""

from __future__ import annotations  # an older Python must get as far as being told so

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
FROM_SOURCE = "plaid-python"
"""Published without a wheel; needed by tests only."""


def say(text: str) -> None:
    """Tell the person what takes the time."""
    print(f"  {text}", flush=True)


def run(*command: str | Path) -> None:
    """Run a step; its output is shown only when it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(f"install: {' '.join(str(part) for part in command[:4])} … failed")


def main() -> None:
    """Make the environment and fill it."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is what an older Python meets first
        raise SystemExit("install: Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11")
    if not PYTHON.exists():
        say("making .venv")
        try:
            venv.create(VENV, with_pip=True)
        except (subprocess.CalledProcessError, OSError) as error:
            raise SystemExit(
                f"install: cannot make a virtual environment ({error}); on Debian: apt-get install python3-venv"
            ) from error
    say("installing the pinned dependencies (about a minute the first time)")
    run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
        "--only-binary", ":all:", "--no-binary", FROM_SOURCE, "-r", "requirements.lock")  # fmt: skip
    say("installing the members")
    members = [str(path.parent) for path in sorted(ROOT.glob("libs/*/pyproject.toml"))]
    members += [str(path.parent) for path in sorted(ROOT.glob("services/*/pyproject.toml"))]
    editable = [part for member in members for part in ("-e", member)]
    run(VENV / "bin" / "uv", "pip", "install", "--quiet", "--python", PYTHON, "--no-deps",
        "--no-build-isolation", "--offline", *editable)  # fmt: skip


if __name__ == "__main__":
    os.umask(0o022)
    main()
