"""Settings of the sandbox, from environment variables with the prefix `SANDBOX_`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

PREFIX = "SANDBOX_"


class SettingsError(ValueError):
    """A variable is missing or cannot be read."""


def _documented(default: Any, text: str) -> Any:
    return field(default=default, metadata={"doc": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the process reads from its environment. Secrets have no default."""

    host: str = _documented("127.0.0.1", "Address all three servers listen on")
    control_port: int = _documented(8900, "Port of the control API")
    snaptrade_port: int = _documented(8901, "Port of the SnapTrade face")
    plaid_port: int = _documented(8902, "Port of the Plaid face")
    public_snaptrade_url: str = _documented("", "Base of connection portal links; default http://HOST:PORT")
    public_plaid_url: str = _documented("", "Base of Hosted Link links; default http://HOST:PORT")
    snaptrade_client_id: str = _documented("", "Client id of the commercial SnapTrade key")
    snaptrade_consumer_key: str = _documented("", "Consumer key of the commercial SnapTrade key")
    snaptrade_personal_client_id: str = _documented("", "Client id of the personal SnapTrade key")
    snaptrade_personal_consumer_key: str = _documented("", "Consumer key of the personal SnapTrade key")
    snaptrade_webhook_url: str = _documented(
        "", "Listener SnapTrade webhooks go to; none are sent when empty"
    )
    snaptrade_plan: str = _documented("daily", "daily (cached, refresh costs) or realtime (live, no refresh)")
    snaptrade_rate_limit: int = _documented(250, "Requests per minute and SnapTrade client id")
    snaptrade_account_rate_limit: int = _documented(
        0, "Requests per minute, account and personal key; 0 is off"
    )
    snaptrade_refresh_seconds: float = _documented(
        60.0, "A connection refreshed more recently answers throttled"
    )
    snaptrade_initial_sync_seconds: float = _documented(0.0, "Time between connecting and having data")
    snaptrade_clock_skew_seconds: float = _documented(300.0, "How far a request's timestamp may be off")
    snaptrade_legacy_holdings: bool = _documented(
        False, "Serve /holdings as to customers from before May 2026"
    )
    snaptrade_balance_history: bool = _documented(True, "Serve balance history, an add-on of SnapTrade's")
    snaptrade_return_rates: bool = _documented(False, "Serve rates of return, which SnapTrade has deprecated")
    snaptrade_refresh_price: str = _documented("0.05", "What one accepted refresh costs, in USD")
    plaid_client_id: str = _documented("", "client_id of the Plaid face")
    plaid_secret: str = _documented("", "secret of the Plaid face")
    webhook_timescale: float = _documented(1.0, "Factor on the waits between webhook retries")
    webhook_loopback_only: bool = _documented(True, "Contact loopback addresses only")
    webhook_allowed_hosts: str = _documented("", "More hosts webhooks may go to, comma separated")
    state_file: str = _documented("", "File that outlives the process; everything is forgotten when empty")

    @property
    def snaptrade_url(self) -> str:
        """Base URL under which a browser reaches the connection portal."""
        return self.public_snaptrade_url or f"http://{self.host}:{self.snaptrade_port}"

    @property
    def plaid_url(self) -> str:
        """Base URL under which a browser reaches Hosted Link."""
        return self.public_plaid_url or f"http://{self.host}:{self.plaid_port}"

    def checked(self) -> "Settings":
        """Return the settings with public URLs filled in, or raise SettingsError naming every variable that is missing or wrong."""
        problems = [
            f"{PREFIX}{a.upper()} and {PREFIX}{b.upper()} must be set together"
            for a, b in _PAIRS
            if bool(getattr(self, a)) != bool(getattr(self, b))
        ]
        if not (self.snaptrade_client_id or self.snaptrade_personal_client_id):
            problems.append("SANDBOX_SNAPTRADE_CLIENT_ID or SANDBOX_SNAPTRADE_PERSONAL_CLIENT_ID is missing")
        if not self.plaid_client_id:
            problems.append("SANDBOX_PLAID_CLIENT_ID is missing")
        if self.snaptrade_plan not in {"daily", "realtime"}:
            problems.append("SANDBOX_SNAPTRADE_PLAN must be daily or realtime")
        if problems:
            raise SettingsError("; ".join(problems))
        return replace(self, public_snaptrade_url=self.snaptrade_url, public_plaid_url=self.plaid_url)


_PAIRS = (
    ("snaptrade_client_id", "snaptrade_consumer_key"),
    ("snaptrade_personal_client_id", "snaptrade_personal_consumer_key"),
    ("plaid_client_id", "plaid_secret"),
)
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off", ""})


def _read_bool(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError(text)


_READ: dict[str, Callable[[str], Any]] = {"bool": _read_bool, "int": int, "float": float, "str": str}


def load(environ: Mapping[str, str]) -> Settings:
    """Read the settings from an environment; raises SettingsError with the name of a variable it cannot read."""
    values: dict[str, Any] = {}
    for item in fields(Settings):
        name = PREFIX + item.name.upper()
        if name in environ:
            kind = type(item.default).__name__
            try:
                values[item.name] = _READ[kind](environ[name].strip())
            except ValueError as error:
                raise SettingsError(f"{name} must be a {kind}") from error
    return Settings(**values)


def documented() -> list[str]:
    """One line per variable: name, default, meaning."""
    return [
        f"{PREFIX + item.name.upper():<44} {item.metadata['doc']}"
        + (f" (default {item.default})" if item.default else "")
        for item in fields(Settings)
    ]
