"""Settings: what is wrong is refused at start, and no value is repeated."""

import pytest
from pydantic import SecretStr, ValidationError

from gateway.settings import GatewaySettings
from service_kit.settings import EX_CONFIG, load

GOOD = {
    "SERVICE_AUTH_SECRET": "s" * 40,
    "DATABASE_URL": "postgresql://gateway@db/onefolio",
    "AMQP_URL": "amqp://gateway@mq/",
    "CONNECTOR_URLS": "plaid=http://plaid-connector:8000,snaptrade=http://snaptrade-connector:8000",
    "JWT_SECRET": "j" * 40,
}


@pytest.fixture
def environ(monkeypatch):
    for name in ("OIDC_ISSUER", "ONEFOLIO_ENVIRONMENT", "LINK_REDIRECT_ALLOW_LIST", "CORS_ORIGINS", "PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_environment_is_read_in_its_own_forms(environ):
    environ.setenv("LINK_REDIRECT_ALLOW_LIST", "https://a.example/x,http://localhost:3000/cb")
    settings = load(GatewaySettings)
    assert settings.connectors == {
        "plaid": "http://plaid-connector:8000",
        "snaptrade": "http://snaptrade-connector:8000",
    }
    assert settings.redirect_allow_list == ("https://a.example/x", "http://localhost:3000/cb")
    assert settings.enabled_providers == {"plaid", "snaptrade"}


def test_connectors_may_also_be_written_as_json(environ):
    environ.setenv("CONNECTOR_URLS", '{"plaid": "http://127.0.0.1:1"}')
    assert load(GatewaySettings).connectors == {"plaid": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVICE_AUTH_SECRET", "canary-short"),
        ("DATABASE_URL", ""),
        ("AMQP_URL", ""),
        ("CONNECTOR_URLS", ""),
        ("CONNECTOR_URLS", "canary"),
        ("CONNECTOR_URLS", "PLAID=http://x"),
        ("CONNECTOR_URLS", "plaid=ftp://canary"),
        ("CONNECTOR_URLS", "plaid=http://user:canary@x"),
        ("JWT_SECRET", "canary-short"),
        ("PORT", "canary"),
        ("LINK_TTL_SECONDS", "1"),
        ("LINK_REDIRECT_ALLOW_LIST", "https://canary.example/*,javascript:x"),
        ("LINK_REDIRECT_ALLOW_LIST", "https://user@canary.example/"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "https://canary.example/"),
        ("CORS_ORIGINS", "https://*.canary.example"),
    ],
)
def test_a_wrong_variable_ends_the_start_and_is_named(environ, capsys, name, value):
    environ.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load(GatewaySettings)
    assert ended.value.code == EX_CONFIG
    told = capsys.readouterr().err
    assert name in told
    assert "canary" not in told


@pytest.mark.parametrize(
    "changes",
    [
        {"jwt_secret": None},
        {"oidc_issuer": "https://issuer.example"},
        {"environment": "production"},
        {"jwt_secret": None, "oidc_issuer": "http://issuer.example"},
        {
            "jwt_secret": None,
            "oidc_issuer": "https://issuer.example",
            "oidc_jwks_url": "http://x.example/keys",
        },
        {"jwt_secret": None, "oidc_issuer": "https://user@issuer.example"},
    ],
)
def test_there_is_exactly_one_way_in_and_it_is_safe(make_settings, changes):
    with pytest.raises(ValidationError):
        make_settings(**changes)


def test_the_keys_are_where_the_issuer_says_unless_told_otherwise(make_settings):
    issuer = {"jwt_secret": None, "oidc_issuer": "https://issuer.example/realm/"}
    assert make_settings(**issuer).jwks_url == "https://issuer.example/realm/.well-known/jwks.json"
    other = make_settings(**issuer, oidc_jwks_url="https://keys.example/jwks")
    assert other.jwks_url == "https://keys.example/jwks"


def test_providers_can_be_switched_off_or_kept_for_admins(make_settings):
    off = make_settings(enable_snaptrade=False, enable_plaid=True)
    assert off.enabled_providers == {"plaid"}
    assert make_settings(snaptrade_admin_only=True).admin_only_providers == {"snaptrade"}
    third = make_settings(connectors={"acme": "http://acme:8000"})
    assert third.enabled_providers == {"acme"}


def test_secrets_do_not_show(make_settings):
    settings = make_settings(jwt_secret=SecretStr("canary" * 8))
    assert "canary" not in repr(settings) + str(settings)
