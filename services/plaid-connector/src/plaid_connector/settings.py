"""The Plaid connector's settings: the kit's, and how to talk to Plaid."""

from typing import Annotated

from pydantic import Field, SecretStr

from connector_kit.settings import ConnectorSettings


class PlaidSettings(ConnectorSettings):
    """Variables of the Plaid connector; the base URL decides between production and sandbox."""

    base_url: Annotated[
        str,
        Field(
            validation_alias="PLAID_BASE_URL", description="Where Plaid answers, such as its production host."
        ),
    ] = "https://production.plaid.com"
    client_id: Annotated[
        str, Field(validation_alias="PLAID_CLIENT_ID", min_length=1, description="Plaid's client id.")
    ]
    secret: Annotated[
        SecretStr,
        Field(
            validation_alias="PLAID_SECRET", min_length=1, description="Plaid's secret for that environment."
        ),
    ]
    client_name: Annotated[
        str,
        Field(
            validation_alias="PLAID_CLIENT_NAME",
            min_length=1,
            max_length=30,
            description="The name users see at Plaid; longer than 30 characters Plaid shows another.",
        ),
    ] = "Onefolio"
    language: Annotated[
        str,
        Field(
            validation_alias="PLAID_LANGUAGE", description="Language of Plaid's pages, as in its dashboard."
        ),
    ] = "en"
    country_codes: Annotated[
        tuple[str, ...],
        Field(
            validation_alias="PLAID_COUNTRY_CODES",
            min_length=1,
            description="Countries whose institutions may be linked.",
        ),
    ] = ("US",)
    products: Annotated[
        tuple[str, ...],
        Field(
            validation_alias="PLAID_PRODUCTS",
            min_length=1,
            description="Products every new Item must have; each is billed per Item.",
        ),
    ] = ("investments",)
    link_lifetime_seconds: Annotated[
        int,
        Field(
            validation_alias="PLAID_LINK_LIFETIME_SECONDS",
            ge=60,
            le=1_814_400,
            description="How long a Hosted Link page lives; Plaid allows up to 21 days.",
        ),
    ] = 1800
    preselect_institution: Annotated[
        bool,
        Field(
            validation_alias="PLAID_PRESELECT_INSTITUTION",
            description="Send the chosen institution to Link; Plaid must have enabled this for the account.",
        ),
    ] = False
    page: Annotated[
        int,
        Field(
            validation_alias="PLAID_PAGE",
            ge=2,
            le=500,
            description="Transactions asked for at once; Plaid gives 500 at most.",
        ),
    ] = 500
    investments_transactions: Annotated[
        bool,
        Field(
            validation_alias="PLAID_INVESTMENTS_TRANSACTIONS",
            description="Read investment transactions. The first call adds a subscription of its own to each Item, "
            "billed every month until the Item is removed.",
        ),
    ] = False
