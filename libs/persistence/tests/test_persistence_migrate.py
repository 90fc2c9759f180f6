"""Migrations: roles, schemas, versions, two at once."""

import json
import stat
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from persistence import migrate, roles
from persistence.migrate_command import main
from persistence.urls import role_url, with_database

LEAKS = """
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(%s) AND pg_get_userbyid(c.relowner) <> 'onefolio_owner'
"""


def test_two_migrators_at_once_both_succeed(fresh_database, migration_owners):
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(migrate.upgrade, fresh_database, migration_owners) for _ in range(3)]
        states = [run.result() for run in runs]
    assert all(state.up_to_date and state.current == "0001" for run in states for state in run)
    with psycopg.connect(fresh_database) as admin:
        assert admin.execute("SELECT version_num FROM portfolio.alembic_version").fetchall() == [("0001",)]
        assert admin.execute("SELECT version_num FROM sync.alembic_version").fetchall() == [("0001",)]


def test_everything_belongs_to_the_owner_and_nothing_to_those_who_run(fresh_database, migration_owners):
    migrate.upgrade(fresh_database, migration_owners)
    with psycopg.connect(fresh_database) as admin:
        assert admin.execute(LEAKS, ([*roles.WRITER_OF, "app"],)).fetchall() == []


def test_status_changes_nothing_and_tells_what_is_behind(fresh_database, migration_owners):
    before = migrate.status(fresh_database, migration_owners)
    assert [(state.owner, state.current, state.up_to_date) for state in before] == [
        ("portfolio", None, False),
        ("sync", None, False),
    ]
    migrate.upgrade(fresh_database, migration_owners)
    assert all(state.up_to_date for state in migrate.status(fresh_database, migration_owners))


@pytest.fixture
def owner(tmp_path, monkeypatch):
    """Writes a package of migrations for one test."""

    def write(name: str, **revisions: str) -> str:
        versions = tmp_path / name / "versions"
        versions.mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "__init__.py").write_text("")
        for revision, text in revisions.items():
            (versions / f"{revision}.py").write_text(text)
        return name

    monkeypatch.syspath_prepend(str(tmp_path))
    return write


def revision(number: int, statement: str) -> str:
    down = f'"{number - 1:04}"' if number > 1 else "None"
    return (
        f'from alembic import op\nrevision, down_revision = "{number:04}", {down}\n'
        f"def upgrade() -> None:\n    op.execute({statement!r})\n"
    )


def test_a_migration_that_fails_leaves_nothing_behind(fresh_database, owner):
    package = owner(
        "persistence_broken", r1=revision(1, "CREATE TABLE gateway.a (x int)"), r2=revision(2, "SELECT 1/0")
    )
    with pytest.raises(Exception, match="division by zero"):
        migrate.upgrade(fresh_database, {"gateway": package})
    with psycopg.connect(fresh_database) as admin:
        row = admin.execute("SELECT to_regclass('gateway.a'), to_regnamespace('gateway')").fetchone()
    assert row == (None, None)


def test_a_later_version_is_applied_on_top_of_the_rows_there_are(fresh_database, owner):
    package = owner("persistence_growing", r1=revision(1, "CREATE TABLE gateway.a (x int)"))
    migrate.upgrade(fresh_database, {"gateway": package})
    with psycopg.connect(fresh_database) as admin:
        admin.execute("INSERT INTO gateway.a VALUES (1)")
    owner("persistence_growing", r2=revision(2, "ALTER TABLE gateway.a ADD y text DEFAULT '50%' NOT NULL"))
    assert migrate.upgrade(fresh_database, {"gateway": package})[0].current == "0002"
    with psycopg.connect(fresh_database) as admin:
        assert admin.execute("SELECT * FROM gateway.a").fetchall() == [(1, "50%")]


def test_an_owner_nobody_writes_for_is_refused(fresh_database):
    with pytest.raises(migrate.MigrationError, match="no role writes a schema 'strange'"):
        migrate.upgrade(fresh_database, {"strange": "json"})


def test_a_package_without_versions_is_refused(fresh_database):
    with pytest.raises(migrate.MigrationError, match="versions/"):
        migrate.upgrade(fresh_database, {"sync": "json"})


@pytest.fixture
def kept_passwords(database_url):
    """The server may be somebody's: its roles get their passwords back."""
    read = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = ANY(%s)"
    with psycopg.connect(database_url) as admin:
        if not admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()[0]:
            pytest.skip("keeping the roles' passwords takes a superuser")
        before = dict(admin.execute(read, (list(roles.LOGINS),)).fetchall())
    yield
    with psycopg.connect(database_url) as admin:
        for role in roles.LOGINS:
            hashed = psycopg.sql.Literal(before.get(role))
            admin.execute(
                psycopg.sql.SQL("ALTER ROLE {} PASSWORD {}").format(psycopg.sql.Identifier(role), hashed)
            )


@pytest.mark.xdist_group("role passwords")
def test_the_command_makes_roles_that_can_log_in_and_prints_no_secret(
    fresh_database, kept_passwords, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    monkeypatch.setattr(migrate, "installed_owners", dict)
    file = tmp_path / "deep" / "roles.json"
    assert main(["up", "--roles-file", str(file)]) == 0
    assert main(["up", "--roles-file", str(file)]) == 0
    output = capsys.readouterr()
    passwords = json.loads(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert set(passwords) == set(roles.LOGINS)
    assert not any(password in output.out + output.err for password in passwords.values())
    assert "postgresql://" not in output.out + output.err
    for role, password in passwords.items():
        with psycopg.connect(role_url(fresh_database, role, password)) as conn:
            assert conn.execute("SELECT current_user, app.uid()").fetchone() == (role, None)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute("SET ROLE onefolio_owner")


@pytest.fixture
def plain_admin(database_url):
    """URL of a database whose owner may create roles and databases but is no superuser."""
    name = f"onefolio_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(database_url, autocommit=True) as admin:
        if not admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()[0]:
            pytest.skip("making such an administrator takes a superuser")
        admin.execute(f"CREATE ROLE {name} LOGIN CREATEROLE CREATEDB PASSWORD 'plain'")
        admin.execute(f"CREATE DATABASE {name} OWNER {name}")
        if admin.info.server_version >= 160_000:
            # From 16 on, who may create roles may not therefore use those that others made.
            roles.ensure_roles(admin)
            admin.execute(f"GRANT onefolio_owner TO {name} WITH ADMIN OPTION")
    yield with_database(role_url(database_url, name, "plain"), name)
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        admin.execute(f"DROP OWNED BY {name}")
        admin.execute(f"DROP ROLE {name}")


def test_an_administrator_who_is_no_superuser_can_migrate(plain_admin, migration_owners):
    for _ in range(2):
        assert all(state.up_to_date for state in migrate.upgrade(plain_admin, migration_owners))


def test_a_role_that_may_too_much_is_refused(fresh_database, monkeypatch):
    with psycopg.connect(fresh_database) as admin:
        monkeypatch.setattr(roles, "LOGINS", (admin.info.user,))
        with pytest.raises(roles.RoleError, match="exists but is not"):
            roles.ensure_roles(admin)


class TestTheCommand:
    """Without a server."""

    def test_it_explains_itself(self):
        done = subprocess.run(
            [sys.executable, "-m", "persistence.migrate", "--help"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "--roles-file" in done.stdout
        assert "DATABASE_URL" in done.stdout

    def test_it_needs_a_database(self, monkeypatch, capsys):
        monkeypatch.delenv("DATABASE_URL", raising=False)
        assert main(["status"]) == 78
        assert "DATABASE_URL is not set" in capsys.readouterr().err

    def test_a_database_that_does_not_answer_is_reported_without_its_password(self, monkeypatch, capsys):
        monkeypatch.setenv("DATABASE_URL", "postgresql://someone:hunter2@127.0.0.1:1/x")
        assert main(["status"]) == 1
        assert "hunter2" not in capsys.readouterr().err

    @pytest.mark.parametrize("content", ["[]", "no json", '{"onefolio_gateway": 1}', '{"postgres": "x"}'])
    def test_a_roles_file_of_another_form_is_refused(self, tmp_path: Path, monkeypatch, content, capsys):
        monkeypatch.setenv("DATABASE_URL", "postgresql://someone:hunter2@127.0.0.1:1/x")
        file = tmp_path / "roles.json"
        file.write_text(content)
        file.chmod(0o600)
        assert main(["up", "--roles-file", str(file)]) == 1
        assert str(file) in capsys.readouterr().err

    def test_a_roles_file_others_can_read_is_refused(self, tmp_path: Path, monkeypatch, capsys):
        monkeypatch.setenv("DATABASE_URL", "postgresql://someone:hunter2@127.0.0.1:1/x")
        file = tmp_path / "roles.json"
        file.write_text("{}")
        file.chmod(0o644)
        assert main(["up", "--roles-file", str(file)]) == 1
        assert "chmod 600" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("admin", "expected"),
    [
        ("postgresql://a:b@h:5/d", "postgresql://r:p%2F%40@h:5/d"),
        (
            "postgresql://h/d?sslmode=require&user=a&options=-c%20x%3D1",
            "postgresql://r:p%2F%40@h/d?sslmode=require",
        ),
        ("postgresql://a@[::1]:5/d", "postgresql://r:p%2F%40@[::1]:5/d"),
        ("postgresql:///d?host=/run/pg", "postgresql://r:p%2F%40@/d?host=%2Frun%2Fpg"),
    ],
)
def test_a_roles_url_keeps_the_place_and_changes_the_person(admin, expected):
    url = role_url(admin, "r", "p/@")
    assert psycopg.conninfo.conninfo_to_dict(url) == psycopg.conninfo.conninfo_to_dict(expected)
