"""The file itself: whole or not at all, for its owner alone, refused when it cannot be trusted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from provider_sandbox import state_file
from provider_sandbox.state_file import StateFileError

SOURCES = str(Path(__file__).resolve().parents[1] / "src")
ENDLESS_WRITER = """
import sys
from pathlib import Path
from provider_sandbox import state_file
path, number = Path(sys.argv[1]), 0
while True:
    number += 1
    state_file.write(path, str(number % 10).encode() * 200_000)
    if number == 20:
        print("writing", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_what_was_written_last_is_read(path):
    for body in (b"first", b"", b"second\nline"):
        state_file.write(path, body)
        assert state_file.read(path) == body


def test_a_missing_file_is_nothing_and_no_error(path):
    assert state_file.read(path) is None


def test_only_the_owner_may_read_it_even_over_looser_leftovers(path):
    for leftover in (path, path.with_name("state.new")):
        leftover.write_bytes(b"x")
        leftover.chmod(0o644)
    state_file.write(path, b"secret")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["state"]


def test_a_symbolic_link_in_place_of_the_temporary_file_is_not_followed(path, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.with_name("state.new").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        state_file.write(path, b"body")
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("step", ["fsync", "fchmod"])
def test_a_write_that_fails_leaves_the_old_file(path, monkeypatch, step):
    state_file.write(path, b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space"):
        state_file.write(path, b"new")
    assert state_file.read(path) == b"old"


def _written(path: Path, body: bytes) -> bytes:
    state_file.write(path, body)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("damage", "meaning"),
    [
        (lambda raw: b"", "not a state file"),
        (lambda raw: b"{}\n", "not a state file"),
        (lambda raw: raw[:-1], "damaged"),
        (lambda raw: raw + b" ", "damaged"),
        (lambda raw: raw.replace(b"body", b"bodY"), "damaged"),
        (lambda raw: raw[: len(raw) // 2], "damaged|not a state file"),
        (lambda raw: raw.replace(b"-state 1 ", b"-state 2 "), "another version"),
    ],
)
def test_a_damaged_file_is_refused_by_name(path, damage, meaning):
    raw = _written(path, b"the body")
    path.write_bytes(damage(raw))
    with pytest.raises(StateFileError, match=f"SANDBOX_STATE_FILE .*state.*({meaning}).*move it away"):
        state_file.read(path)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(StateFileError, match="cannot be read"):
        state_file.read(tmp_path)


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_a_whole_file(path):
    for _ in range(5):
        command = [sys.executable, "-c", ENDLESS_WRITER, str(path)]
        with subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": SOURCES}, stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
        body = state_file.read(path)
        assert body is not None
        assert body == body[:1] * 200_000
