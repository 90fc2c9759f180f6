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
