"""The process: it refuses to start without a key, and wires without connecting."""

import base64

import pytest

from service_kit.settings import describe, load
from snaptrade_connector.main import service
from snaptrade_connector.settings import SnapTradeSettings

ENVIRONMENT = {
    "SERVICE_AUTH_SECRET": "x" * 32,
    "DATABASE_URL": "postgresql://nowhere/x",
    "AMQP_URL": "amqp://nowhere",
    "SECRETS_MASTER_KEYS": "k1:" + base64.b64encode(b"k" * 32).decode(),
    "SNAPTRADE_CLIENT_ID": "CLIENT",
    "SNAPTRADE_CONSUMER_KEY": "consumer-key",
}


@pytest.fixture
def environment(monkeypatch):
    for variable in describe(SnapTradeSettings):
        monkeypatch.delenv(variable.name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.parametrize("missing", ["SNAPTRADE_CLIENT_ID", "SNAPTRADE_CONSUMER_KEY"])
def test_without_a_key_it_does_not_start(environment, capsys, missing):
    environment.delenv(missing)
    with pytest.raises(SystemExit) as exit_:
        load(SnapTradeSettings)
    assert exit_.value.code == 78
    assert missing in capsys.readouterr().err


def test_a_key_type_nobody_knows_is_refused(environment, capsys):
    environment.setenv("SNAPTRADE_KEY_TYPE", "corporate")
    with pytest.raises(SystemExit):
        load(SnapTradeSettings)
    assert "SNAPTRADE_KEY_TYPE" in capsys.readouterr().err


def test_the_defaults_are_a_commercial_key_at_the_real_address(environment):
    settings = load(SnapTradeSettings)
    assert settings.key_type == "commercial"
    assert str(settings.base_url).rstrip("/") == "https://api.snaptrade.com"
    assert "consumer-key" not in repr(settings)


def test_wiring_connects_to_nothing(environment):
    assert service(load(SnapTradeSettings)).name == "snaptrade-connector"
