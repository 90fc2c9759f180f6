"""Install the missing servers with apt-get, without letting Debian start its own instances of them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_servers.records import LABELS, ServerError, say

PACKAGES = {"postgres": "postgresql", "rabbitmq": "rabbitmq-server"}
UNITS = {"postgres": "postgresql", "rabbitmq": "rabbitmq-server"}
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = (
    "#!/bin/sh\n# Written for the length of one installation: no service is started by it.\nexit 101\n"
)


def possible() -> bool:
    """Whether we may install packages here: root, with apt-get."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(names: list[str]) -> None:
    """Install what is missing; servers that were installed or running before are not touched."""
    packages = [PACKAGES[name] for name in names]
    labels = " and ".join(LABELS[name] for name in names)
    say("servers", f"installing {labels} with apt-get (a minute or two)")
    # The lists may be fresh enough although a source that has nothing to do with us is broken.
    stale = _failure("update", "-q")
    with _no_service_starts():
        broken = _failure("install", "-y", "-q", "--no-install-recommends", *packages)
    if broken:
        raise ServerError("\n".join(text for text in (stale, broken) if text))
    if Path("/run/systemd/system").exists() and shutil.which("systemctl"):
        # A systemd host would start them at its next boot; we only want the programs.
        subprocess.run(
            ["systemctl", "disable", *(UNITS[name] for name in names)], capture_output=True, check=False
        )


@contextmanager
def _no_service_starts() -> Iterator[None]:
    if POLICY.exists():
        # The machine has a policy of its own (container images forbid starts); it is not ours to change.
        yield
        return
    POLICY.write_text(POLICY_TEXT)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def _failure(*arguments: str) -> str:
    """Run apt-get; what went wrong, or nothing. A new machine's own update may hold the lock for a while."""
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", "-o", "DPkg::Lock::Timeout=300", *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.returncode:
        return ""
    return f"apt-get {arguments[0]} failed:\n{(done.stderr or done.stdout).strip()[-2000:]}"
