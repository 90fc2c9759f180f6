"""The rules of the house that a machine can check."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(
    path.parent for pattern in ("libs/*", "services/*") for path in ROOT.glob(f"{pattern}/pyproject.toml")
)
SOURCES = sorted(path for member in MEMBERS for path in (member / "src").rglob("*.py"))
FORBIDDEN_NAMES = {"common", "core", "utils", "helpers", "base", "manager", "service"}
LONGEST_MODULE = 400


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_there_is_something_to_check() -> None:
    assert len(MEMBERS) >= 11
    assert len(SOURCES) > 50


@pytest.mark.parametrize("member", MEMBERS, ids=_id)
def test_a_member_declares_what_it_imports_and_nothing_else(member: Path) -> None:
    project = tomllib.loads((member / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[\[<>=!~ ]", name)[0].lower() for name in project["dependencies"]}
    own = {path.name for path in (member / "src").iterdir() if path.is_dir()}
    known = packages_distributions() | {
        path.name: [f"onefolio-{other.name}"]
        for other in MEMBERS
        for path in (other / "src").iterdir()
        if path.is_dir()
    }
    used: set[str] = set()
    for path in (member / "src").rglob("*.py"):
        for name in _imports(path):
            if name not in own and name not in sys.stdlib_module_names:
                used |= {dist.lower().replace("_", "-") for dist in known.get(name, [f"unknown-{name}"])[:1]}
    by_way_of = {"psycopg-pool": "psycopg", "botocore": "boto3"}
    for_typing_and_tests = {"pytest", "mypy-boto3-secretsmanager"}
    needed = {by_way_of.get(name, name) for name in used} - for_typing_and_tests
    assert needed - declared == set(), "imported but not declared"
    # uvicorn finds the first two by itself; without the third httpcore searches for it at every request.
    run_time_only = {"httptools", "uvloop", "sniffio"}
    assert declared - needed - run_time_only == set(), "declared but not imported"


def test_modules_are_named_for_what_is_inside_and_stay_small() -> None:
    assert [_id(path) for path in SOURCES if path.stem in FORBIDDEN_NAMES] == []
    assert [_id(path) for path in SOURCES if len(path.read_text().splitlines()) > LONGEST_MODULE] == []


def test_importing_a_module_does_no_work() -> None:
    scripts = {"__main__.py", "env.py"}
    busy = [
        _id(path)
        for path in SOURCES
        if path.name not in scripts
        and any(isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) for node in _tree(path).body)
    ]
    assert busy == []


def test_nothing_unfinished_is_left_in_the_sources() -> None:
    words = re.compile(r"\b(TODO|FIXME|NotImplementedError)\b")
    assert [_id(path) for path in SOURCES if words.search(path.read_text())] == []


def test_the_lock_records_no_place_to_download_from_and_hashes_everything() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    pins = [line for line in lock.splitlines() if re.match(r"^[a-z0-9]", line)]
    assert len(pins) > 50
    assert all("==" in line and line.rstrip().endswith("\\") for line in pins)


def test_only_the_consume_loop_acknowledges() -> None:
    pattern = re.compile(r"\.(ack|nack|reject)\(")
    found = {path.parent.name for path in SOURCES if pattern.search(path.read_text())}
    assert found <= {"messaging"}


def test_nobody_asks_httpx_to_put_a_url_into_an_exception() -> None:
    assert [_id(path) for path in SOURCES if "raise_for_status()" in path.read_text()] == []


def test_no_session_level_advisory_lock_can_leak_through_a_pool() -> None:
    pattern = re.compile(r"pg_advisory_lock\(|set_config\([^)]*,\s*false\)")
    assert [_id(path) for path in SOURCES if pattern.search(path.read_text())] == []


def test_the_import_contracts_hold() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
