"""The stack on one machine: who gets which settings, what the runner does, and that nothing is left behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from local_servers import processes
from local_stack import Stack, StackError, life
from local_stack.guard import guarded
from local_stack.programs import Program, Servers, programs
from local_stack.state import DATABASE_ROLES, load
from local_stack.supervisor import Runner

from connector_kit.settings import ConnectorSettings
from consolidator.settings import ConsolidatorSettings
from gateway.settings import GatewaySettings
from plaid_connector.settings import PlaidSettings
from service_kit.settings import describe
from snaptrade_connector.settings import SnapTradeSettings
from webhooks.settings import WebhooksSettings

CHOSEN = {"PORT", "DATABASE_URL", "AMQP_URL", "CONNECTOR_URLS", "WEBHOOK_URL"}
"""Different for every program, so the stack itself fills them in."""
SETTINGS = {
    "gateway": GatewaySettings,
    "webhooks": WebhooksSettings,
    "consolidator": ConsolidatorSettings,
    "snaptrade-connector": SnapTradeSettings,
    "plaid-connector": PlaidSettings,
}


def wanted(folder, given):
    state = load(folder, keep_ports=True)
    servers = Servers(dict.fromkeys(DATABASE_ROLES, "postgresql://db"), "amqp://broker")
    return {one.name: one.environment for one in programs(state, servers, given, sandbox=None)}


@pytest.mark.parametrize("program", SETTINGS)
def test_every_documented_variable_reaches_the_program_that_reads_it(tmp_path, program):
    names = {one.name for one in describe(SETTINGS[program])} - CHOSEN
    given = dict.fromkeys(names | {"SNAPTRADE_CLIENT_ID", "PLAID_CLIENT_ID"}, "as given")
    environment = wanted(tmp_path, given)[program]
    assert {name for name in names if environment.get(name) != "as given"} == set()


def test_a_file_in_place_of_a_secret_is_not_joined_by_a_made_up_one(tmp_path):
    files = ("SERVICE_AUTH_SECRET", "JWT_SECRET", "SECRETS_MASTER_KEYS")
    given = {f"{name}_FILE": "/secret" for name in files} | {"PLAID_CLIENT_ID": "id"}
    environments = wanted(tmp_path, given)
    assert not [name for name in files if any(name in one for one in environments.values())]


def test_providers_settings_stay_with_those_who_talk_to_the_provider(tmp_path):
    keys = {"PLAID_CLIENT_ID": "id", "PLAID_SECRET": "plaid's", "SNAPTRADE_CLIENT_ID": "id"}
    found = wanted(tmp_path, keys | {"SNAPTRADE_CONSUMER_KEY": "snaptrade's"})
    assert {name for name, one in found.items() if "plaid's" in one.values()} == {
        "plaid-connector",
        "webhooks",
    }
    assert {name for name, one in found.items() if "snaptrade's" in one.values()} == {
        "snaptrade-connector",
        "webhooks",
    }
    assert {one.name for one in describe(ConnectorSettings)} - CHOSEN - set(found["gateway"])


def test_the_runner_copes_with_any_path_and_any_value(tmp_path):
    folder = tmp_path / "a folder, 100% odd; really"
    folder.mkdir()
    odd = "quote \" and ' and %d ; # and\nline"
    (folder / "odd.py").write_text(
        "import os, pathlib, time\npathlib.Path('seen').write_text(os.environ['ODD'])\ntime.sleep(60)\n"
    )
    runner = Runner(folder)
    program = Program("odd", "odd", {"ODD": odd}, "http://127.0.0.1:1/")
    try:
        runner.start([program])
        assert processes.wait_until((folder / "seen").exists, 20)
        assert runner.runs([program])
        assert not runner.runs([Program("odd", "odd", {"ODD": "other"}, "http://127.0.0.1:1/")])
        assert processes.wait_until(lambda: (folder / "seen").read_text() == odd, 5)
    finally:
        assert runner.stop()


def test_a_stranger_with_the_runners_old_pid_is_left_alone(tmp_path):
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (tmp_path / "supervisord.pid").write_text(str(stranger.pid))
    assert not Runner(tmp_path).running()
    assert not Runner(tmp_path).stop()
    assert stranger.poll() is None
    stranger.communicate()


OWNER = """
import signal, sys
from pathlib import Path
from local_stack.guard import guarded
from local_stack.programs import Program
from local_stack.supervisor import Runner
folder = Path(sys.argv[1])
with guarded(folder):
    Runner(folder).start([Program("idle", "idle", {}, "")])
    print(Runner(folder)._pid(), flush=True)
    signal.pause()
"""


@pytest.mark.timeout(90)
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_what_an_owner_started_ends_with_it(tmp_path, sign):
    (tmp_path / "idle.py").write_text("import time\ntime.sleep(60)\n")
    environ = os.environ | {"PYTHONPATH": str(Path(life.__file__).parents[1])}
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert owner.stdout is not None
    runner = processes.mark(int(owner.stdout.readline()))
    with pytest.raises(StackError, match="in use by another run"), guarded(tmp_path):
        pass
    owner.send_signal(sign)
    owner.communicate()
    with guarded(tmp_path):
        # The next owner gets the folder once the last one's guard is done.
        assert not processes.alive(runner)


def test_a_broker_that_does_not_answer_is_named_at_once(tmp_path):
    port = processes.free_port()
    given = {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/d", "AMQP_URL": f"amqp://u:p@127.0.0.1:{port}/"}
    with pytest.raises(StackError, match=f"RabbitMQ does not answer at 127.0.0.1:{port}"):
        Stack(tmp_path, given, sandbox=True, say=lambda _: None).up()


def test_a_database_that_does_not_answer_is_an_error_for_people(tmp_path, monkeypatch):
    monkeypatch.setattr(life, "_check_broker", lambda _: None)
    given = {"DATABASE_URL": "postgresql://u:hidden@127.0.0.1:1/d", "AMQP_URL": "amqp://u:p@127.0.0.1:1/"}
    with pytest.raises(StackError, match="the database cannot be prepared") as raised:
        Stack(tmp_path, given, sandbox=True, say=lambda _: None).up()
    assert "hidden" not in str(raised.value)


def test_state_is_private_and_kept(tmp_path):
    first = load(tmp_path, keep_ports=True)
    assert load(tmp_path, keep_ports=True) == first
    assert (tmp_path / "state.json").stat().st_mode & 0o077 == 0
    assert json.loads((tmp_path / "state.json").read_text())["secrets"] == first.secrets
