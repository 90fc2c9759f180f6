from datetime import timedelta
from typing import Annotated, Literal

import pytest
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from service_kit.settings import ServiceSettings, describe, load

SECRET = "k" * 40


class Sample(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SAMPLE_")

    api_key: Annotated[SecretStr, Field(description="Key of the sample provider.")]
    origins: Annotated[list[str], Field(description="Allowed origins.")] = []  # noqa: RUF012  pydantic copies it
    mode: Annotated[Literal["fast", "safe"], Field(description="How to go.")] = "safe"
    seconds: Annotated[float | None, Field(gt=0, description="How long.")] = None


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for variable in describe(Sample):
        monkeypatch.delenv(variable.name, raising=False)
        monkeypatch.delenv(f"{variable.name}_FILE", raising=False)


@pytest.fixture
def given(monkeypatch):
    def give(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    give(SERVICE_AUTH_SECRET=SECRET, SAMPLE_API_KEY="key-1")
    return give


def refusal(capsys, cls=Sample):
    with pytest.raises(SystemExit) as exit_:
        load(cls)
    assert exit_.value.code == 78
    return capsys.readouterr().err


def test_base_fields_read_fixed_names_and_own_fields_the_prefix(given):
    given(
        PORT="9001",
        BIND_HOST="0.0.0.0",
        LOG_LEVEL="DEBUG",
        SAMPLE_MODE="fast",
        ONEFOLIO_ENVIRONMENT="production",
    )
    settings = load(Sample)
    assert (settings.port, settings.host, settings.log_level, settings.mode) == (
        9001,
        "0.0.0.0",
        "DEBUG",
        "fast",
    )
    assert settings.production
    assert settings.api_key.get_secret_value() == "key-1"


def test_a_value_is_read_from_the_file_its_variable_names(given, tmp_path, monkeypatch):
    monkeypatch.delenv("SAMPLE_API_KEY")
    (tmp_path / "key").write_text("from-file\n")
    given(SAMPLE_API_KEY_FILE=str(tmp_path / "key"))
    assert load(Sample).api_key.get_secret_value() == "from-file"


def test_the_variable_wins_over_its_file(given, tmp_path):
    (tmp_path / "key").write_text("from-file")
    given(SAMPLE_API_KEY_FILE=str(tmp_path / "key"))
    assert load(Sample).api_key.get_secret_value() == "key-1"


def test_a_file_that_is_not_there_is_named(given, monkeypatch, capsys):
    monkeypatch.delenv("SAMPLE_API_KEY")
    given(SAMPLE_API_KEY_FILE="/nowhere/key")
    assert "/nowhere/key" in refusal(capsys)


def test_an_empty_file_counts_as_missing(given, monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("SAMPLE_API_KEY")
    (tmp_path / "key").write_text("\n")
    given(SAMPLE_API_KEY_FILE=str(tmp_path / "key"))
    assert "SAMPLE_API_KEY: is missing" in refusal(capsys)


def test_lists_are_written_with_commas_or_as_json(given):
    given(SAMPLE_ORIGINS="https://a.example, https://b.example")
    assert load(Sample).origins == ["https://a.example", "https://b.example"]
    given(SAMPLE_ORIGINS='["https://c.example"]')
    assert load(Sample).origins == ["https://c.example"]


def test_every_missing_variable_is_named_with_its_purpose(capsys):
    text = refusal(capsys)
    assert "SERVICE_AUTH_SECRET: is missing" in text
    assert "SAMPLE_API_KEY: is missing" in text
    assert "Key of the sample provider." in text


def test_an_empty_variable_counts_as_missing(given, capsys):
    given(SAMPLE_API_KEY="")
    assert "SAMPLE_API_KEY: is missing" in refusal(capsys)


def test_wrong_values_are_explained_and_never_shown(given, capsys):
    given(
        PORT="canary-port",
        SAMPLE_MODE="canary-mode",
        SAMPLE_ORIGINS="[canary-list",
        SERVICE_AUTH_SECRET="canary-short",
        SAMPLE_SECONDS="-3.14159",
    )
    text = refusal(capsys)
    for name in ("PORT", "SAMPLE_MODE", "SAMPLE_ORIGINS", "SERVICE_AUTH_SECRET", "SAMPLE_SECONDS"):
        assert f"{name}: " in text
    assert "canary" not in text
    assert "3.14159" not in text


def test_production_refuses_the_secrets_of_the_example_file(given, capsys):
    given(SAMPLE_API_KEY="change-me-please", ONEFOLIO_ENVIRONMENT="production")
    text = refusal(capsys)
    assert "SAMPLE_API_KEY" in text
    assert "change-me-please" not in text


def test_development_accepts_the_secrets_of_the_example_file(given):
    given(SAMPLE_API_KEY="change-me-please")
    assert load(Sample).api_key.get_secret_value() == "change-me-please"


def test_arguments_win_over_variables(given):
    given(PORT="9001", SAMPLE_MODE="fast")
    settings = Sample(port=9002, mode="safe")
    assert (settings.port, settings.mode) == (9002, "safe")


def test_settings_cannot_be_changed(given):
    settings = load(Sample)
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1


def test_secrets_do_not_show_in_repr(given):
    assert "key-1" not in repr(load(Sample))


def test_a_field_without_a_description_is_refused_at_class_creation():
    with pytest.raises(TypeError, match="silent"):

        class Undocumented(ServiceSettings):
            silent: int = 1


def test_describe_lists_every_variable_and_no_secret_default():
    by_name = {variable.name: variable for variable in describe(Sample)}
    assert list(by_name)[:5] == [
        "ONEFOLIO_ENVIRONMENT",
        "LOG_LEVEL",
        "BIND_HOST",
        "PORT",
        "SERVICE_AUTH_SECRET",
    ]
    key = by_name["SAMPLE_API_KEY"]
    assert (key.required, key.secret, key.default, key.type) == (True, True, None, "secret")
    mode = by_name["SAMPLE_MODE"]
    assert (mode.required, mode.default, mode.choices) == (False, "safe", ("fast", "safe"))
    assert by_name["SAMPLE_ORIGINS"].type == "list"
    assert by_name["SAMPLE_SECONDS"].default is None


def test_a_duration_is_shown_as_it_is_read() -> None:
    class Waiting(ServiceSettings):
        patience: Annotated[timedelta, Field(description="How long to wait.")] = timedelta(days=3)

    [told] = [one for one in describe(Waiting) if one.field == "patience"]
    assert told.default == "P3D"
    assert Waiting(patience=told.default, service_auth_secret=SECRET).patience == timedelta(days=3)
