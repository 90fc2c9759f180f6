"""The settings every connector has; a connector's own class adds its provider's."""

from typing import Annotated, Literal, Self

from pydantic import Field, HttpUrl, SecretStr, model_validator

from persistence.secrets import KeyRing, MasterKeyMissingError
from service_kit.settings import ServiceSettings


class ConnectorSettings(ServiceSettings):
    """What the engine needs to drive an adapter."""

    database_url: Annotated[
        SecretStr,
        Field(
            validation_alias="DATABASE_URL", description="PostgreSQL, as the role that writes schema `sync`."
        ),
    ]
    database_pool: Annotated[
        int,
        Field(validation_alias="DATABASE_POOL", ge=2, le=100, description="Largest number of connections."),
    ] = 10
    amqp_url: Annotated[
        SecretStr,
        Field(validation_alias="AMQP_URL", description="RabbitMQ: amqp://user:password@host/vhost."),
    ]
    secret_store: Annotated[
        Literal["postgres", "aws"],
        Field(
            validation_alias="SECRET_STORE",
            description="Where provider tokens are kept: encrypted in PostgreSQL, or in AWS Secrets Manager.",
        ),
    ] = "postgres"  # noqa: S105  a kind of store, not a secret
    secrets_master_keys: Annotated[
        SecretStr | None,
        Field(
            validation_alias="SECRETS_MASTER_KEYS",
            description="Master keys of the encrypted store as id:base64, newest first, comma separated.",
        ),
    ] = None
    aws_region: Annotated[
        str,
        Field(validation_alias="AWS_REGION", description="Where AWS Secrets Manager is, if it is the store."),
    ] = "us-east-1"
    aws_endpoint_url: Annotated[
        str | None,
        Field(
            validation_alias="AWS_ENDPOINT_URL", description="Another address of AWS, for imitations of it."
        ),
    ] = None
    webhook_url: Annotated[
        HttpUrl | None,
        Field(
            validation_alias="WEBHOOK_URL",
            description="Public address of the webhook ingress, given to providers that want one per link.",
        ),
    ] = None
    internal_callers: Annotated[
        frozenset[str],
        Field(
            validation_alias="INTERNAL_CALLERS",
            min_length=1,
            description="Services that may use the internal API.",
        ),
    ] = frozenset({"gateway"})
    sync_frequency_seconds: Annotated[
        int,
        Field(
            validation_alias="SYNC_FREQUENCY_SECONDS",
            ge=300,
            le=7 * 86_400,
            description="How often a new connection is read by itself.",
        ),
    ] = 21_600
    sync_frequency_floor_seconds: Annotated[
        int,
        Field(
            validation_alias="SYNC_FREQUENCY_FLOOR_SECONDS",
            ge=60,
            le=86_400,
            description="No connection is read by itself more often than this, whatever its user wishes.",
        ),
    ] = 900
    sync_round_size: Annotated[
        int,
        Field(
            validation_alias="SYNC_ROUND_SIZE",
            ge=1,
            le=200,
            description="Most connections of one user that are read in one round; then it is others' turn.",
        ),
    ] = 20
    sync_deadline_seconds: Annotated[
        int,
        Field(
            validation_alias="SYNC_DEADLINE_SECONDS",
            ge=10,
            le=900,
            description="A sync run that takes longer is given up.",
        ),
    ] = 600
    scheduler_enabled: Annotated[
        bool,
        Field(
            validation_alias="SCHEDULER_ENABLED",
            description="Read due connections in this process; at least one replica must.",
        ),
    ] = True
    scheduler_poll_seconds: Annotated[
        float,
        Field(
            validation_alias="SCHEDULER_POLL_SECONDS",
            gt=0,
            le=60,
            description="How often due connections are looked for.",
        ),
    ] = 1.0
    webhook_spacing_seconds: Annotated[
        float,
        Field(
            validation_alias="WEBHOOK_SPACING_SECONDS",
            ge=0,
            le=3600,
            description="Webhooks about one connection within this time lead to one more sync, at its end.",
        ),
    ] = 2.0
    command_concurrency: Annotated[
        int,
        Field(
            validation_alias="COMMAND_CONCURRENCY",
            ge=1,
            le=64,
            description="Commands worked on side by side.",
        ),
    ] = 8
    sync_concurrency: Annotated[
        int,
        Field(
            validation_alias="SYNC_CONCURRENCY",
            ge=1,
            le=64,
            description="Users whose due connections are read side by side, up to three of each at once.",
        ),
    ] = 4
    jobs_enabled: Annotated[
        bool,
        Field(
            validation_alias="JOBS_ENABLED",
            description="Do the daily jobs (catalogue, orphans, housekeeping) in this process, if no other does.",
        ),
    ] = True
    jobs_every_seconds: Annotated[
        int,
        Field(
            validation_alias="JOBS_EVERY_SECONDS",
            ge=60,
            le=7 * 86_400,
            description="How often each job is done.",
        ),
    ] = 86_400
    refresh_evidence_seconds: Annotated[
        int,
        Field(
            validation_alias="REFRESH_EVIDENCE_SECONDS",
            ge=15,
            le=86_400,
            description="How long a provider that took a refresh without an answer may need to show it.",
        ),
    ] = 900
    full_read_seconds: Annotated[
        int,
        Field(
            validation_alias="FULL_READ_SECONDS",
            ge=300,
            le=7 * 86_400,
            description="What was read longer ago is fetched again, whatever the provider says of it.",
        ),
    ] = 86_400
    transactions_enabled: Annotated[
        bool,
        Field(
            validation_alias="TRANSACTIONS_ENABLED", description="Read transactions where the provider can."
        ),
    ] = True
    history_enabled: Annotated[
        bool,
        Field(
            validation_alias="HISTORY_ENABLED",
            description="Read daily totals of accounts where the provider can.",
        ),
    ] = True

    @model_validator(mode="after")
    def _store_has_keys(self) -> Self:
        if self.secret_store != "postgres":  # noqa: S105  a kind of store, not a secret
            return self
        keys = self.secrets_master_keys
        try:
            KeyRing.parse(keys.get_secret_value() if keys else "")
        except MasterKeyMissingError as error:
            raise ValueError("SECRETS_MASTER_KEYS is needed while SECRET_STORE is postgres") from error
        return self
