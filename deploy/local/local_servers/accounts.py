"""Which user the servers run as, and where that user can keep its files.

PostgreSQL refuses to run as root. As root, both servers run as an unprivileged account; otherwise as the
current user.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_servers.records import ServerError

CANDIDATES = ("postgres", "rabbitmq", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A user id and group id to run as; `drop` is whether that differs from who we are."""

    uid: int
    gid: int
    drop: bool

    def popen(self) -> dict[str, Any]:
        """Keyword arguments for `subprocess` that make the child this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.drop else {}

    def own(self, *paths: Path) -> None:
        """Hand files over to this user."""
        for path in paths:
            if self.drop:
                os.chown(path, self.uid, self.gid)


def account() -> Account:
    """The account the servers run as."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), drop=False)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, drop=True)
    raise ServerError(f"running as root, and none of the accounts {', '.join(CANDIDATES)} exists to drop to")


def data_of(directory: Path, user: Account) -> Path:
    """Where `user` keeps its files: below `directory`, or in /var/tmp where `user` cannot reach that."""
    if not user.drop or _reachable(directory, user):
        return directory / "data"
    name = hashlib.sha256(str(directory).encode()).hexdigest()[:12]
    return Path("/var/tmp") / f"onefolio-servers-{name}"


def home_for(directory: Path, user: Account) -> Path:
    """That place, made and owned by `user`."""
    data = data_of(directory, user)
    data.mkdir(mode=0o700, exist_ok=True)
    if data.is_symlink() or data.stat().st_uid not in {0, user.uid}:
        raise ServerError(f"{data} belongs to somebody else; remove it or choose another --dir")
    user.own(data)
    return data


def remove(data: Path) -> None:
    """Delete a data directory and all that is in it."""
    shutil.rmtree(data, ignore_errors=True)


def _reachable(directory: Path, user: Account) -> bool:
    tried = subprocess.run(
        ["test", "-x", str(directory)], **user.popen(), cwd="/", check=False, stdin=subprocess.DEVNULL
    )
    return tried.returncode == 0
