"""The settings of the SnapTrade connector."""

from typing import Annotated, Literal

from pydantic import Field, HttpUrl, SecretStr

from connector_kit.settings import ConnectorSettings


class SnapTradeSettings(ConnectorSettings):
    """What the connector needs to know besides what every connector does."""

    client_id: Annotated[
        str,
        Field(validation_alias="SNAPTRADE_CLIENT_ID", min_length=1, description="Client id of the API key."),
    ]
    consumer_key: Annotated[
        SecretStr,
        Field(
            validation_alias="SNAPTRADE_CONSUMER_KEY",
            min_length=1,
            description="Consumer key: signs every request; blanks around it are dropped.",
        ),
    ]
    key_type: Annotated[
        Literal["commercial", "personal"],
        Field(
            validation_alias="SNAPTRADE_KEY_TYPE",
            description="commercial: many users, each registered; personal: the key itself is the one user.",
        ),
    ] = "commercial"
    base_url: Annotated[
        HttpUrl,
        Field(
            validation_alias="SNAPTRADE_BASE_URL",
            description="Where SnapTrade is; the root or the legacy /api/v1 base.",
        ),
    ] = HttpUrl("https://api.snaptrade.com")
    side_by_side: Annotated[
        int,
        Field(
            validation_alias="SNAPTRADE_CONCURRENCY",
            ge=1,
            le=64,
            description="Calls to SnapTrade side by side.",
        ),
    ] = 8
    rate_limit: Annotated[
        int,
        Field(
            validation_alias="SNAPTRADE_RATE_LIMIT",
            ge=1,
            description="Calls a minute SnapTrade allows this key, all replicas together.",
        ),
    ] = 250
    account_rate_limit: Annotated[
        int,
        Field(
            validation_alias="SNAPTRADE_ACCOUNT_RATE_LIMIT",
            ge=0,
            description="Calls a minute SnapTrade allows for one account with a personal key; 0 is no limit.",
        ),
    ] = 10
    page: Annotated[
        int,
        Field(
            validation_alias="SNAPTRADE_PAGE",
            ge=10,
            le=1000,
            description="Transactions asked for at once.",
        ),
    ] = 1000
    activities_every_seconds: Annotated[
        int,
        Field(
            validation_alias="SNAPTRADE_ACTIVITIES_SECONDS",
            ge=0,
            description="An account's transactions are read again at the earliest after this time.",
        ),
    ] = 86_400
