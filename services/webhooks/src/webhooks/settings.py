"""The letter box's settings. A provider is served when its keys are there."""

from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from service_kit.settings import ServiceSettings


class WebhooksSettings(ServiceSettings):
    """What the letter box needs to know."""

    database_url: Annotated[
        SecretStr,
        Field(
            validation_alias="DATABASE_URL",
            description="PostgreSQL, as the role that writes schema `webhooks`.",
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
    snaptrade_consumer_key: Annotated[
        SecretStr | None,
        Field(
            validation_alias="SNAPTRADE_CONSUMER_KEY",
            description="Consumer key that signs SnapTrade's webhooks; without it they are not taken.",
        ),
    ] = None
    snaptrade_previous_consumer_key: Annotated[
        SecretStr | None,
        Field(
            validation_alias="SNAPTRADE_PREVIOUS_CONSUMER_KEY",
            description="The consumer key before, while keys are being changed.",
        ),
    ] = None
    snaptrade_strict_age: Annotated[
        bool,
        Field(
            validation_alias="SNAPTRADE_STRICT_AGE",
            description="Refuse SnapTrade webhooks older than five minutes; this refuses every retry too.",
        ),
    ] = False
    plaid_base_url: Annotated[
        str,
        Field(
            validation_alias="PLAID_BASE_URL",
            description="Where Plaid answers; its webhooks are verified with keys from there.",
        ),
    ] = "https://production.plaid.com"
    plaid_client_id: Annotated[
        str | None, Field(validation_alias="PLAID_CLIENT_ID", description="Plaid's client id.")
    ] = None
    plaid_secret: Annotated[
        SecretStr | None,
        Field(validation_alias="PLAID_SECRET", description="Plaid's secret for that environment."),
    ] = None
    webhook_retention_days: Annotated[
        int,
        Field(
            validation_alias="WEBHOOK_RETENTION_DAYS",
            ge=30,
            le=3650,
            description="How long deliveries are kept, and with them the memory of which were here.",
        ),
    ] = 30

    @model_validator(mode="after")
    def _serve_somebody(self) -> Self:
        plaid = (self.plaid_client_id, self.plaid_secret)
        if any(plaid) and not all(plaid):
            raise ValueError("PLAID_CLIENT_ID and PLAID_SECRET are given together or not at all")
        if not any((self.snaptrade_consumer_key, *plaid)):
            raise ValueError("no provider is configured: SNAPTRADE_CONSUMER_KEY or Plaid's keys are needed")
        return self
