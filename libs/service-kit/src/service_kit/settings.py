"""Settings: one frozen class per process, read from the environment, refused loudly when wrong."""

import sys
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from .variables import Variable, VariablesSource, variable_of

EX_CONFIG = 78
"""The exit status of a process that was configured wrongly (sysexits.h)."""

PLACEHOLDER = "change-me"
"""Marks the secrets of example files; production refuses any secret that contains it."""

S = TypeVar("S", bound="ServiceSettings")


class ServiceSettings(BaseSettings):
    """What every process needs to know; each service subclasses it and adds its own fields.

    The base fields read fixed names; a subclass declares its own ``env_prefix`` (or aliases). A field without
    a description is refused at class creation. Any variable ``X`` may be given as ``X_FILE``, the path of a
    file that holds the value. Lists are written as ``a,b,c`` or as JSON.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )

    environment: Annotated[
        Literal["development", "production"],
        Field(
            validation_alias="ONEFOLIO_ENVIRONMENT",
            description="Profile; production switches documentation pages off and refuses example secrets.",
        ),
    ] = "development"
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        Field(validation_alias="LOG_LEVEL", description="Lowest level that is logged."),
    ] = "INFO"
    host: Annotated[
        str, Field(validation_alias="BIND_HOST", description="Address the HTTP server listens on.")
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Field(
            validation_alias="PORT",
            ge=0,
            le=65535,
            description="Port the HTTP server listens on; 0 takes a free one.",
        ),
    ] = 8000
    service_auth_secret: Annotated[
        SecretStr,
        Field(
            validation_alias="SERVICE_AUTH_SECRET",
            min_length=32,
            description="Shared secret that signs tokens between services; at least 32 characters.",
        ),
    ]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a settings class with an undocumented field.

        Raises:
            TypeError: a field has no description.
        """
        super().__pydantic_init_subclass__(**kwargs)
        bare = [name for name, field in cls.model_fields.items() if not field.description]
        if bare:
            raise TypeError(f"settings without a description in {cls.__name__}: {', '.join(bare)}")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the signature is pydantic-settings'
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the same
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read from arguments, then from variables and the files they name; from nothing else."""
        return init_settings, VariablesSource(settings_cls)

    @model_validator(mode="after")
    def _refuse_example_secrets(self) -> Self:
        if self.environment != "production":
            return self
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr) and PLACEHOLDER in value.get_secret_value():
                variable = variable_of(type(self), name).name
                raise ValueError(f"{variable} still holds its example value, which production refuses")
        return self

    @property
    def production(self) -> bool:
        """Say whether the production profile is on."""
        return self.environment == "production"


def load(cls: type[S]) -> S:
    """Read the settings of a process, or end it with a message that says what to repair.

    Raises:
        SystemExit: status 78 after naming on stderr each variable that is missing or wrong, what is wrong and
            what the variable is for. Values are never printed.
    """
    try:
        return cls()
    except ValidationError as error:
        problems = [_problem(cls, item) for item in error.errors(include_input=False, include_url=False)]
    except OSError as error:
        problems = [f"  {error.strerror or type(error).__name__}: {error.filename}"]
    sys.stderr.write("\n".join([f"{cls.__name__}: the configuration is not usable.", *problems, ""]))
    raise SystemExit(EX_CONFIG)


def describe(cls: type[ServiceSettings]) -> list[Variable]:
    """List the variables a process reads, base ones first, for ``.env.example`` and the documentation."""
    return [variable_of(cls, name) for name in cls.model_fields]


def _problem(cls: type[ServiceSettings], item: Any) -> str:
    location = str(item["loc"][0]) if item["loc"] else ""
    known = {key: v for v in describe(cls) for key in (v.field, v.name)}
    wrong = "is missing" if item["type"] == "missing" else str(item["msg"])
    if location not in known:
        return f"  {wrong}"
    variable = known[location]
    return (
        f"  {variable.name}: {wrong}\n      {variable.description} (or name a file in {variable.name}_FILE)"
    )
