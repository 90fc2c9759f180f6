"""The gateway's settings."""

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, Field, SecretStr, field_validator, model_validator

from gateway.pricing import PricingSettings
from gateway.rates.port import RateSource
from gateway.rates.table import PIVOT, RateTable
from gateway.reads.view import ProxyError, proxies
from gateway.redirects import RedirectRefusedError, parse
from gateway.trading.terms import TradingSettings

_SLUG = re.compile(r"[a-z][a-z0-9-]{0,31}")
_INTERNAL_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?/?")
_ISSUER = re.compile(r"https://[^/@\s?#]+(/[^\s?#]*)?|http://(localhost|127\.0\.0\.1)(:\d{1,5})?(/[^\s?#]*)?")
_RATED = re.compile(r"[A-Z][A-Z0-9]{1,9}")
SESSION = MappingProxyType({"jit": "off"})
"""Server settings: compiling a statement takes longer than any of ours runs."""
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?")


class GatewaySettings(PricingSettings, TradingSettings):
    """Variables of the gateway. Either ``JWT_SECRET`` (development) or ``OIDC_ISSUER`` decides who may come in."""

    port: Annotated[
        int, Field(validation_alias="PORT", ge=0, le=65535, description="Port the HTTP server listens on.")
    ] = 8080
    database_url: Annotated[
        SecretStr,
        Field(validation_alias="DATABASE_URL", description="PostgreSQL, as the role onefolio_gateway."),
    ]
    database_pool: Annotated[
        int,
        Field(validation_alias="DATABASE_POOL", ge=2, le=100, description="Largest number of connections."),
    ] = 10
    amqp_url: Annotated[
        SecretStr, Field(validation_alias="AMQP_URL", description="RabbitMQ, 3.10 or newer, with its vhost.")
    ]
    connectors: Annotated[
        dict[str, str],
        Field(
            validation_alias="CONNECTOR_URLS",
            min_length=1,
            description="Internal URL of each provider's connector, as provider=url,provider=url.",
        ),
    ]
    jwt_secret: Annotated[
        SecretStr | None,
        Field(
            validation_alias="JWT_SECRET",
            min_length=32,
            description="Development only: shared secret that signs user tokens (HS256).",
        ),
    ] = None
    jwt_audience: Annotated[
        str, Field(validation_alias="JWT_AUDIENCE", description="Audience every user token must name.")
    ] = "onefolio"
    oidc_issuer: Annotated[
        str | None,
        Field(
            validation_alias="OIDC_ISSUER", description="Issuer of user tokens, exactly as its tokens say."
        ),
    ] = None
    oidc_jwks_url: Annotated[
        str | None,
        Field(
            validation_alias="OIDC_JWKS_URL",
            description="The issuer's keys; by default <issuer>/.well-known/jwks.json.",
        ),
    ] = None
    enable_snaptrade: Annotated[
        bool, Field(validation_alias="ENABLE_SNAPTRADE", description="Offer SnapTrade for new links.")
    ] = True
    snaptrade_admin_only: Annotated[
        bool,
        Field(validation_alias="SNAPTRADE_ADMIN_ONLY", description="Offer SnapTrade to admins alone."),
    ] = False
    enable_plaid: Annotated[
        bool, Field(validation_alias="ENABLE_PLAID", description="Offer Plaid for new links.")
    ] = True
    redirect_allow_list: Annotated[
        tuple[str, ...],
        Field(
            validation_alias="LINK_REDIRECT_ALLOW_LIST",
            description="Addresses a user may be sent back to after linking; exact match, query excepted.",
        ),
    ] = ()
    link_ttl_seconds: Annotated[
        int,
        Field(
            validation_alias="LINK_TTL_SECONDS",
            ge=60,
            le=86400,
            description="How long a link session may be completed after it began.",
        ),
    ] = 1800
    cors_origins: Annotated[
        tuple[str, ...],
        Field(
            validation_alias="CORS_ORIGINS", description="Exact origins of browsers that may call the API."
        ),
    ] = ()

    cash_proxies: Annotated[
        str,
        Field(
            validation_alias="CASH_PROXIES",
            description="Tickers to show cash under unless a request says otherwise, as USD:SGOV,CAD:CASH.TO.",
        ),
    ] = ""
    fx_rates: Annotated[
        dict[str, Decimal] | None,
        Field(
            validation_alias="FX_RATES",
            description="Exchange rates for sums in a base currency: units per US dollar, as EUR=0.92,GBP=0.79.",
        ),
    ] = None
    fx_rates_as_of: Annotated[
        AwareDatetime | None,
        Field(validation_alias="FX_RATES_AS_OF", description="When FX_RATES were true: a date, or a time."),
    ] = None

    sync_frequency_floor_seconds: Annotated[
        int,
        Field(
            validation_alias="SYNC_FREQUENCY_FLOOR_SECONDS",
            ge=60,
            le=86_400,
            description="The most often a user may have a connection read by itself.",
        ),
    ] = 900
    sync_frequency_ceiling_seconds: Annotated[
        int,
        Field(
            validation_alias="SYNC_FREQUENCY_CEILING_SECONDS",
            ge=86_400,
            le=7 * 86_400,
            description="The most seldom a user may have a connection read by itself.",
        ),
    ] = 7 * 86_400
    link_poll_seconds: Annotated[
        int,
        Field(
            validation_alias="LINK_POLL_SECONDS",
            ge=10,
            le=3600,
            description="How often an open link session is looked at while neither an app nor a webhook tells of it.",
        ),
    ] = 60
    link_retention_days: Annotated[
        int,
        Field(
            validation_alias="LINK_RETENTION_DAYS",
            ge=7,
            le=3650,
            description="How long link sessions that ended are kept.",
        ),
    ] = 90
    stream_retention_hours: Annotated[
        int,
        Field(
            validation_alias="STREAM_RETENTION_HOURS",
            ge=1,
            le=720,
            description="How far back a stream can be resumed.",
        ),
    ] = 24
    streams_per_user: Annotated[
        int,
        Field(validation_alias="STREAMS_PER_USER", ge=1, le=100, description="Streams a user may have open."),
    ] = 5
    upkeep_enabled: Annotated[
        bool,
        Field(
            validation_alias="UPKEEP_ENABLED",
            description="Look after sessions, charges and retention in this process; at least one replica must.",
        ),
    ] = True

    @field_validator("connectors", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        # The environment hands over the parts between the commas.
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list):
            return parts
        pairs = [str(part).partition("=") for part in parts if str(part).strip()]
        return {provider.strip(): url.strip() for provider, _, url in pairs}

    @field_validator("connectors")
    @classmethod
    def _each_connector(cls, value: dict[str, str]) -> dict[str, str]:
        for provider, url in value.items():
            if not _SLUG.fullmatch(provider) or not _INTERNAL_URL.fullmatch(url):
                raise ValueError("must be provider=url pairs such as plaid=http://plaid-connector:8000")
        return value

    @field_validator("redirect_allow_list")
    @classmethod
    def _each_redirect(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            try:
                parse(address)
            except RedirectRefusedError as error:
                raise ValueError(f"holds an address that can never match: {error}") from error
        return value

    @field_validator("cors_origins")
    @classmethod
    def _each_origin(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_ORIGIN.fullmatch(origin) for origin in value):
            raise ValueError("must be exact origins such as https://app.example.com, without a path")
        return value

    @field_validator("cash_proxies")
    @classmethod
    def _each_proxy(cls, value: str) -> str:
        try:
            return value and ",".join(f"{code}:{ticker}" for code, ticker in proxies(value).items())
        except ProxyError as error:
            raise ValueError(str(error)) from error

    @field_validator("fx_rates")
    @classmethod
    def _each_rate(cls, value: dict[str, Decimal] | None) -> dict[str, Decimal] | None:
        for currency, rate in (value or {}).items():
            if not _RATED.fullmatch(currency) or not rate.is_finite() or rate <= 0:
                raise ValueError("must be pairs of a currency and a positive number, such as EUR=0.92")
        if (value or {}).get(PIVOT, Decimal(1)) != 1:
            raise ValueError("must be per US dollar, so USD can only be 1")
        return value

    @field_validator("fx_rates_as_of", mode="before")
    @classmethod
    def _midnight(cls, value: Any) -> Any:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            return datetime.combine(date.fromisoformat(value), time(), UTC)
        return value

    @field_validator("oidc_issuer", "oidc_jwks_url")
    @classmethod
    def _issuer_is_https(cls, value: str | None) -> str | None:
        if value is not None and not _ISSUER.fullmatch(value):
            raise ValueError("must be an https address (http on loopback alone)")
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.jwt_secret is None) == (self.oidc_issuer is None):
            raise ValueError("exactly one of JWT_SECRET and OIDC_ISSUER must be set")
        if self.production and self.jwt_secret is not None:
            raise ValueError("JWT_SECRET is for development; production needs OIDC_ISSUER")
        return self

    @model_validator(mode="after")
    def _rates_have_a_clock(self) -> Self:
        if self.fx_rates and self.fx_rates_as_of is None:
            raise ValueError("FX_RATES needs FX_RATES_AS_OF: a rate without its time is no rate")
        return self

    @property
    def rates(self) -> RateSource:
        """The rates that are written down in the settings, or none."""
        return RateTable(self.fx_rates or {}, self.fx_rates_as_of or datetime.min.replace(tzinfo=UTC))

    @property
    def link_ttl(self) -> timedelta:
        """How long a link session may be completed after it began."""
        return timedelta(seconds=self.link_ttl_seconds)

    @property
    def jwks_url(self) -> str:
        """Where the issuer publishes its keys."""
        return self.oidc_jwks_url or f"{(self.oidc_issuer or '').rstrip('/')}/.well-known/jwks.json"

    @property
    def enabled_providers(self) -> frozenset[str]:
        """Providers that have a connector and are not switched off."""
        off = {
            name
            for name, on in (("snaptrade", self.enable_snaptrade), ("plaid", self.enable_plaid))
            if not on
        }
        return frozenset(self.connectors) - off

    @property
    def admin_only_providers(self) -> frozenset[str]:
        """Providers that serve admins alone."""
        return frozenset({"snaptrade"}) if self.snaptrade_admin_only else frozenset()
