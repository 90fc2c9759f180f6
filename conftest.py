"""Servers for the whole test run: real PostgreSQL and RabbitMQ, started once, shared by all workers, always stopped.

Where they come from: TEST_DATABASE_URL / TEST_AMQP_URL (or DATABASE_URL / AMQP_URL) when given, else
testcontainers where a Docker engine answers, else private native instances on free ports. Tests that ask for
them are marked `servers`; `-m "not servers"` leaves them out. With ONEFOLIO_TEST_SERVERS=<directory> in the
environment the servers stay up between runs (`deploy/local/servers.py down --dir <directory>` stops them).
"""

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "deploy" / "local"))
from local_servers import NoAdminAccessError, Servers, down, start  # noqa: E402 - path set just above
from local_servers.containers import engine_answers  # noqa: E402
from local_servers.processes import spawn  # noqa: E402
from local_servers.records import Record, locked, read, write  # noqa: E402

from messaging.testing import VirtualHosts, with_prefix  # noqa: E402

DIRECTORY = "ONEFOLIO_TEST_SERVERS"
OWN = pytest.StashKey[Path]()
FOUND = pytest.StashKey["Servers | Exception"]()
LOOPBACK = ["127.0.0.1", "::1", "localhost"]


def given_urls() -> dict[str, str]:
    """The URLs named in the environment; the TEST_ ones win."""
    names = ("DATABASE_URL", "AMQP_URL")
    found = {name: os.environ.get(f"TEST_{name}") or os.environ.get(name) for name in names}
    return {name: url for name, url in found.items() if url}


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Close all sockets but loopback's; make the directory that all workers of this run share."""
    hosts = [host for url in given_urls().values() if (host := urlsplit(url).hostname)]
    config.option.allow_hosts = config.option.allow_hosts or ",".join([*LOOPBACK, *hosts])
    config.option.allow_unix_socket = True
    if DIRECTORY not in os.environ:
        config.stash[OWN] = Path(tempfile.mkdtemp(prefix="onefolio-tests-"))
        os.environ[DIRECTORY] = str(config.stash[OWN])
        os.environ["ONEFOLIO_TEST_OWNER"] = str(os.getpid())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what this run started; only the process that made the directory does so, after its workers."""
    own = config.stash.get(OWN, None)
    if own is not None:
        down(own, purge=True)
        shutil.rmtree(own, ignore_errors=True)
        del os.environ[DIRECTORY], os.environ["ONEFOLIO_TEST_OWNER"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses the servers, however indirectly."""
    for item in items:
        if "servers" in getattr(item, "fixturenames", ()):
            item.add_marker("servers")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start them before the first test, so that booting counts against no test's time limit."""
    wanted = any("servers" in getattr(item, "fixturenames", ()) for item in session.items)
    if not wanted or session.config.option.collectonly:
        return
    try:
        session.config.stash[FOUND] = obtain(Path(os.environ[DIRECTORY]).resolve())
    except Exception as error:  # noqa: BLE001 - reported by every test that needs servers, others still run
        session.config.stash[FOUND] = error


def obtain(directory: Path) -> Servers:
    """The servers of this run, from the first source there is; a second caller waits and gets the same."""
    given = given_urls()
    with locked(directory):
        known = read(directory)
        if not given and not known and engine_answers():
            write(directory, containers())
    servers = start(directory, fast=True, environ=given)
    owner = os.environ.get("ONEFOLIO_TEST_OWNER")
    if owner and not known:
        guard = [sys.executable, str(ROOT / "deploy/local/servers.py"), "guard", "--dir", str(directory)]
        spawn([*guard, "--owner", owner], directory / "guard.log", directory, dict(os.environ))
    return servers


def containers() -> dict[str, Record]:
    """Both servers as testcontainers; stopped by id at the end of the run, not when this worker ends."""
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415 - needs an engine to be of use
    from testcontainers.community.rabbitmq import RabbitMqContainer  # noqa: PLC0415

    postgres = PostgresContainer("postgres:16", username="onefolio", password=uuid.uuid4().hex, driver=None)
    postgres.start()
    rabbitmq = RabbitMqContainer("rabbitmq:3.13", username="onefolio", password=uuid.uuid4().hex)
    rabbitmq.start()
    address = f"{rabbitmq.get_container_host_ip()}:{rabbitmq.get_exposed_port(5672)}"
    urls = {
        "postgres": postgres.get_connection_url(),
        "rabbitmq": f"amqp://{rabbitmq.username}:{rabbitmq.password}@{address}/",
    }
    ids = {"postgres": postgres.get_wrapped_container().id, "rabbitmq": rabbitmq.get_wrapped_container().id}
    return {
        name: Record(
            "container", url, {"container": str(ids[name]), "fast": True, "port": urlsplit(url).port}
        )
        for name, url in urls.items()
    }


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Servers:
    """Both servers: `.database_url`, `.amqp_url`, `.rabbitmqctl(...)`."""
    found = pytestconfig.stash.get(FOUND, None)
    if isinstance(found, Exception):
        pytest.fail(f"no servers to test with: {found}", pytrace=False)
    return found if found is not None else obtain(Path(os.environ[DIRECTORY]).resolve())


@pytest.fixture(scope="session")
def amqp_url(servers: Servers) -> str:
    """URL of the broker's default virtual host; tests rather want `amqp_vhost_url`."""
    return servers.amqp_url


@pytest.fixture(scope="session")
def database_url(servers: Servers) -> str:
    """URL of a role that may create databases and roles; tests rather want `fresh_database`."""
    return servers.database_url


@pytest.fixture(scope="session")
def virtual_hosts(servers: Servers) -> Iterator[VirtualHosts | None]:
    """A stock of empty virtual hosts; None where only a URL was given."""
    try:
        servers.rabbitmqctl("eval", "ok.")
    except NoAdminAccessError:
        yield None
        return
    stock = VirtualHosts(servers.amqp_url, partial(servers.rabbitmqctl, "eval"))
    yield stock
    stock.close()


@pytest.fixture
def amqp_vhost_url(servers: Servers, virtual_hosts: VirtualHosts | None) -> Iterator[str]:
    """An AMQP URL under which this test is alone.

    Its own virtual host; where the broker was given by URL only, the same URL with a name prefix that the bus
    puts before every queue and exchange.
    """
    if virtual_hosts is None:
        yield with_prefix(servers.amqp_url, f"t{uuid.uuid4().hex[:10]}.")
        return
    url = virtual_hosts.take()
    yield url
    virtual_hosts.give_back(url)


@pytest.fixture
def fresh_database(database_url: str) -> Iterator[str]:
    """URL of an empty database of this test's own."""
    database = f"test_{uuid.uuid4().hex}"
    name = sql.Identifier(database)
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(name))
    try:
        yield urlunsplit(urlsplit(database_url)._replace(path=f"/{database}"))
    finally:
        with psycopg.connect(database_url, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
