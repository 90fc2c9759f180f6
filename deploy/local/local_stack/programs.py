"""Which programs make up a stack, and the environment each one gets: only what it needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from local_stack.state import State


class Servers(NamedTuple):
    """Where PostgreSQL (per login role) and RabbitMQ answer."""

    database: Mapping[str, str]
    amqp: str


@dataclass(frozen=True, slots=True)
class Program:
    """One process: its name, its Python module, its environment and where it says that it is ready."""

    name: str
    module: str
    environment: Mapping[str, str]
    ready_url: str


SHARED = ("LOG_LEVEL", "BIND_HOST", "ONEFOLIO_ENVIRONMENT", "DATABASE_POOL")
GATEWAY = (
    "ENABLE_",
    "SNAPTRADE_ADMIN_ONLY",
    "CORS_",
    "LINK_",
    "JWT_AUDIENCE",
    "CASH_PROXIES",
    "FX_RATES",
    "SNAPTRADE_REFRESH_",
    "SNAPTRADE_USER_MONTH_PRICE",
    "PLAID_REFRESH_",
    "PLAID_ITEM_MONTH_PRICE",
    "USER_DAILY_BUDGET",
    "GLOBAL_DAILY_BUDGET",
    "REFRESH_",
    "STREAM",
    "TRADING_",
    "SYNC_FREQUENCY_",
    "UPKEEP_",
)
WEBHOOKS = ("SNAPTRADE_PREVIOUS_CONSUMER_KEY", "SNAPTRADE_STRICT_AGE", "WEBHOOK_RETENTION_DAYS")
CONSOLIDATOR = (
    "CONSOLIDATOR_",
    "SOURCE_",
    "QUARANTINE_",
    "CONSERVATION_",
    "SNAPSHOT_RETENTION",
    "IDENTITY_WEIGHTS",
)
CONNECTOR = (
    "SYNC_",
    "SECRET_STORE",
    "AWS_",
    "INTERNAL_CALLERS",
    "SCHEDULER_",
    "WEBHOOK_SPACING",
    "COMMAND_",
    "FULL_READ_",
    "TRANSACTIONS_ENABLED",
    "HISTORY_ENABLED",
    "REFRESH_",
    "JOBS_",
)
PACE = {
    "snaptrade": ("SNAPTRADE_RATE_", "SNAPTRADE_PAGE"),
    "plaid": ("PLAID_PAGE", "PLAID_INVESTMENTS_TRANSACTIONS"),
}
"""Beginnings of the variables that are handed on as they were given."""
SANDBOX_SNAPTRADE_ID = "ONEFOLIO-SANDBOX"
SANDBOX_PLAID_ID = "onefolio-sandbox"


def programs(
    state: State, servers: Servers, given: Mapping[str, str], *, sandbox: str | None
) -> list[Program]:
    """The programs of a stack, in starting order; ``given`` is the environment of whoever starts it.

    With ``sandbox``, the file in which the provider sandbox remembers ("" for none), both connectors talk to the
    sandbox; otherwise to the providers that ``given`` has keys for.
    """
    environment = _connectors(state, servers, given, sandbox=sandbox is not None)
    shared = _shared(state, given)
    found = [
        _program(state, "webhooks", shared | _webhooks(servers, given, environment)),
        _program(
            state,
            "consolidator",
            shared | _servers(servers, "onefolio_consolidator") | _passed(given, *CONSOLIDATOR),
        ),
        *(_program(state, name, shared | settings) for name, settings in environment.items()),
        _program(state, "gateway", shared | _gateway(state, servers, given, environment)),
    ]
    return found if sandbox is None else [_sandbox(state, given, sandbox), *found]


def _program(state: State, name: str, environment: Mapping[str, str]) -> Program:
    port = str(state.ports[name])
    return Program(
        name=name,
        module=name.replace("-", "_"),
        environment={**environment, "PORT": port},
        ready_url=f"{state.url(name)}/readyz",
    )


def _shared(state: State, given: Mapping[str, str]) -> dict[str, str]:
    secret = _passed(given, "SERVICE_AUTH_SECRET") or {"SERVICE_AUTH_SECRET": state.secrets["service_auth"]}
    return secret | _passed(given, *SHARED)


def _servers(servers: Servers, role: str) -> dict[str, str]:
    return {"DATABASE_URL": servers.database[role], "AMQP_URL": servers.amqp}


def _gateway(
    state: State, servers: Servers, given: Mapping[str, str], connectors: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    urls = {name.removesuffix("-connector"): state.url(name) for name in connectors}
    made = {"JWT_SECRET": state.secrets["jwt"]}
    user_tokens = _passed(given, "OIDC_", "JWT_SECRET") or made
    return {
        **_servers(servers, "onefolio_gateway"),
        "CONNECTOR_URLS": ",".join(f"{provider}={url}" for provider, url in urls.items()),
        "LINK_REDIRECT_ALLOW_LIST": given.get("LINK_REDIRECT_ALLOW_LIST", "http://127.0.0.1/linked"),
        **user_tokens,
        **_passed(given, *GATEWAY),
    }


def _connectors(
    state: State, servers: Servers, given: Mapping[str, str], *, sandbox: bool
) -> dict[str, dict[str, str]]:
    kit = {
        **_servers(servers, "onefolio_connector"),
        **(_passed(given, "SECRETS_MASTER_KEYS") or {"SECRETS_MASTER_KEYS": state.secrets["master_keys"]}),
        **_passed(given, *CONNECTOR),
    }
    keys = _sandbox_keys(state, given) if sandbox else _given_keys(given)
    webhook = given.get("WEBHOOK_URL") or (state.url("webhooks") if sandbox else "")
    found: dict[str, dict[str, str]] = {}
    for provider, settings in keys.items():
        found[f"{provider}-connector"] = {**kit, **settings}
        if webhook:
            found[f"{provider}-connector"]["WEBHOOK_URL"] = f"{webhook.rstrip('/')}/webhooks/{provider}"
    return found


def _given_keys(given: Mapping[str, str]) -> dict[str, dict[str, str]]:
    keys = {}
    if given.get("SNAPTRADE_CLIENT_ID"):
        keys["snaptrade"] = _passed(given, "SNAPTRADE_")
    if given.get("PLAID_CLIENT_ID"):
        keys["plaid"] = _passed(given, "PLAID_")
    return keys


def _sandbox_keys(state: State, given: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {
        "snaptrade": {
            # The sandbox's limit is what the connector keeps to, unless it is told another.
            **_renamed(given, {"SANDBOX_SNAPTRADE_RATE_LIMIT": "SNAPTRADE_RATE_LIMIT"}),
            **_passed(given, *PACE["snaptrade"]),
            "SNAPTRADE_BASE_URL": state.url("sandbox-snaptrade"),
            "SNAPTRADE_CLIENT_ID": SANDBOX_SNAPTRADE_ID,
            "SNAPTRADE_CONSUMER_KEY": state.secrets["sandbox_snaptrade_key"],
        },
        "plaid": {
            # It adds a subscription, which the sandbox gives away.
            "PLAID_INVESTMENTS_TRANSACTIONS": "true",
            **_passed(given, *PACE["plaid"]),
            "PLAID_BASE_URL": state.url("sandbox-plaid"),
            "PLAID_CLIENT_ID": SANDBOX_PLAID_ID,
            "PLAID_SECRET": state.secrets["sandbox_plaid_secret"],
            "PLAID_PRESELECT_INSTITUTION": "true",
        },
    }


def _webhooks(
    servers: Servers, given: Mapping[str, str], connectors: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """The letter box verifies with the same keys the connectors sign with."""
    verifying = ("SNAPTRADE_CLIENT", "SNAPTRADE_CONSUMER", "PLAID_BASE", "PLAID_CLIENT_ID", "PLAID_SECRET")
    keys = {
        name: value
        for settings in connectors.values()
        for name, value in settings.items()
        if name.startswith(verifying)
    }
    return {**_servers(servers, "onefolio_webhooks"), **_passed(given, *WEBHOOKS), **keys}


def _sandbox(state: State, given: Mapping[str, str], memory: str) -> Program:
    return Program(
        name="provider-sandbox",
        module="provider_sandbox",
        environment={
            "SANDBOX_CONTROL_PORT": str(state.ports["sandbox-control"]),
            "SANDBOX_SNAPTRADE_PORT": str(state.ports["sandbox-snaptrade"]),
            "SANDBOX_PLAID_PORT": str(state.ports["sandbox-plaid"]),
            "SANDBOX_SNAPTRADE_CLIENT_ID": SANDBOX_SNAPTRADE_ID,
            "SANDBOX_SNAPTRADE_CONSUMER_KEY": state.secrets["sandbox_snaptrade_key"],
            "SANDBOX_PLAID_CLIENT_ID": SANDBOX_PLAID_ID,
            "SANDBOX_PLAID_SECRET": state.secrets["sandbox_plaid_secret"],
            "SANDBOX_SNAPTRADE_WEBHOOK_URL": f"{state.url('webhooks')}/webhooks/snaptrade",
            "SANDBOX_WEBHOOK_TIMESCALE": "0.01",
            "SANDBOX_STATE_FILE": memory,
            **_passed(given, "SANDBOX_"),
        },
        ready_url=f"{state.url('sandbox-control')}/healthz",
    )


def _passed(given: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    return {name: value for name, value in given.items() if value and name.startswith(prefixes)}


def _renamed(given: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    return {name: given[old] for old, name in names.items() if given.get(old)}
