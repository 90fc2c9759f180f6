"""What the consolidator must be told, and what it may be."""

from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from consolidator.domain.values import CheckPolicy, ErasePolicy, SourcePolicy
from consolidator.domain.weights import read_weights
from consolidator.rules import DEFAULT_WEIGHTS, PRIORITIES, Rules
from service_kit.settings import ServiceSettings

SESSION = MappingProxyType({"plan_cache_mode": "force_custom_plan", "jit": "off"})
"""Server settings: arrays of very different lengths share a statement, so a generic plan fits none of them."""


def _seconds(value: object) -> object:
    """Read plain digits as seconds, which pydantic does for numbers only."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _usable(value: str | None) -> str | None:
    """Refuse weights that cannot be used, with the place and the reason."""
    if value is not None:
        read_weights(value)
    return value


Duration = Annotated[timedelta, BeforeValidator(_seconds)]


class ConsolidatorSettings(ServiceSettings):
    """What the consolidator needs to know."""

    database_url: Annotated[
        SecretStr,
        Field(
            validation_alias="DATABASE_URL",
            description="PostgreSQL, as the role that writes schema `portfolio`.",
        ),
    ]
    database_pool: Annotated[
        int,
        Field(validation_alias="DATABASE_POOL", ge=2, le=100, description="Largest number of connections."),
    ] = 8
    amqp_url: Annotated[
        SecretStr,
        Field(validation_alias="AMQP_URL", description="RabbitMQ: amqp://user:password@host/vhost."),
    ]
    batch: Annotated[
        int,
        Field(
            validation_alias="CONSOLIDATOR_BATCH",
            ge=1,
            le=1000,
            description="Messages applied together at most; a lone message never waits for others.",
        ),
    ] = 200
    source_max_age: Annotated[
        Duration,
        Field(
            validation_alias="SOURCE_MAX_AGE",
            gt=timedelta(0),
            description="From this age of its data on, a source is not healthy: seconds, or as PT72H.",
        ),
    ] = timedelta(hours=72)
    source_priorities: Annotated[
        str,
        Field(
            validation_alias="SOURCE_PRIORITIES",
            pattern=r"^[a-z0-9-]+=\d{1,6}(,[a-z0-9-]+=\d{1,6})*$",
            description="Which provider's sight of one account is counted, highest first; others rank 0.",
        ),
    ] = ",".join(f"{provider}={rank}" for provider, rank in PRIORITIES.items())
    quarantine_confirm_after: Annotated[
        Duration,
        Field(
            validation_alias="QUARANTINE_CONFIRM_AFTER",
            ge=timedelta(0),
            description="How much later a second snapshot must confirm a suddenly empty account.",
        ),
    ] = timedelta(hours=1)
    source_hysteresis: Annotated[
        Duration,
        Field(
            validation_alias="SOURCE_HYSTERESIS",
            ge=timedelta(0),
            description="How long a better source must be healthy again before it takes over again.",
        ),
    ] = timedelta(minutes=30)
    snapshot_retention: Annotated[
        Duration,
        Field(
            validation_alias="SNAPSHOT_RETENTION",
            gt=timedelta(0),
            description="How long superseded snapshots are kept, to judge late ones and to explain.",
        ),
    ] = timedelta(hours=6)
    conservation_relative: Annotated[
        Decimal,
        Field(
            validation_alias="CONSERVATION_RELATIVE",
            ge=0,
            le=1,
            description="Share of the provider's total by which holdings may miss it.",
        ),
    ] = Decimal("0.005")
    conservation_absolute: Annotated[
        Decimal,
        Field(
            validation_alias="CONSERVATION_ABSOLUTE",
            ge=0,
            description="Amount of the account's currency by which holdings may miss the provider's total.",
        ),
    ] = Decimal(1)
    identity_weights: Annotated[
        str | None,
        AfterValidator(_usable),
        Field(
            validation_alias="IDENTITY_WEIGHTS",
            description="By what accounts are recognised, as TOML (usually a file); without it the reviewed weights.",
        ),
    ] = None

    @model_validator(mode="after")
    def _keep_what_is_judged_by(self) -> Self:
        needed = max(self.source_hysteresis, self.quarantine_confirm_after)
        if self.snapshot_retention <= needed:
            raise ValueError(
                "SNAPSHOT_RETENTION must be longer than SOURCE_HYSTERESIS and QUARANTINE_CONFIRM_AFTER"
            )
        return self

    @property
    def rules(self) -> Rules:
        """The policies these settings amount to."""
        pairs = [pair.split("=") for pair in self.source_priorities.split(",")]
        return Rules(
            sources=SourcePolicy(
                priorities={name: int(rank) for name, rank in pairs},
                max_age=self.source_max_age,
                hysteresis=self.source_hysteresis,
            ),
            erase=ErasePolicy(confirm_after=self.quarantine_confirm_after, max_age=self.source_max_age),
            weights=read_weights(self.identity_weights) if self.identity_weights else DEFAULT_WEIGHTS,
            check=CheckPolicy(relative=self.conservation_relative, absolute=self.conservation_absolute),
        )
