"""Secrets in AWS Secrets Manager, off the event loop, with a short cache.

AWS bills each secret by the month; one per user adds up, which is why the encrypted store is the default.
"""

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from persistence.secrets.names import SecretName
from persistence.secrets.port import Secret, SecretNotFoundError, SecretStoreUnavailableError
from service_kit.clock import Clock, SystemClock

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

T = TypeVar("T")

NOT_FOUND = "ResourceNotFoundException"
CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
CACHE_SECONDS = 60.0
CACHE_SIZE = 10_000


class AwsSecrets:
    """A store of secrets in AWS; each value is JSON with its version number beside it.

    Args:
        client: of boto3; `client()` makes one.
        prefix: stands before every name, to keep installations apart.
        cache_seconds: how long a value read may be given out again (another process may have written since).
        clock: for the cache.
    """

    def __init__(
        self,
        client: "SecretsManagerClient",
        *,
        prefix: str = "onefolio/",
        cache_seconds: float = CACHE_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._cache_seconds = cache_seconds
        self._clock = clock or SystemClock()
        self._cache: dict[str, tuple[float, Secret]] = {}
        self._writing = asyncio.Lock()

    async def get(self, name: SecretName, *, previous: bool = False) -> Secret:
        """Read the newest version, or the one before it.

        Raises:
            SecretNotFoundError: there is none.
            SecretStoreUnavailableError: AWS cannot be reached or refuses.
        """
        if not previous and (cached := self._cached(name)):
            return cached
        secret = await self._run(lambda: self._read(name, PREVIOUS if previous else CURRENT))
        if secret is None:
            raise SecretNotFoundError("no such secret")
        if not previous:
            self._remember(name, secret)
        return secret

    async def put(self, name: SecretName, value: SecretStr) -> int:
        """Write a new version and return its number; AWS keeps the version before it.

        Two processes that write one name at the same moment may give two versions the same number; the later
        one is current.
        """
        async with self._writing:
            secret = await self._run(lambda: self._write(name, value))
        self._remember(name, secret)
        return secret.version

    async def delete(self, name: SecretName) -> bool:
        """Remove all versions at once, without a recovery window; False where there were none."""
        self._cache.pop(name.path, None)
        return await self._run(lambda: self._remove(name))

    async def names(self, prefix: str) -> list[SecretName]:
        """The names whose path begins with these whole parts, sorted; AWS shows new ones some seconds late."""
        start = prefix.rstrip("/")
        paths = await self._run(lambda: self._paths(start))
        found = [path for path in paths if not start or path == start or path.startswith(f"{start}/")]
        return [SecretName.parse(path) for path in sorted(found)]

    def _read(self, name: SecretName, stage: str) -> Secret | None:
        try:
            answer = self._client.get_secret_value(SecretId=self._id(name), VersionStage=stage)
        except ClientError as error:
            if _code(error) == NOT_FOUND:
                return None
            raise
        content: dict[str, Any] = json.loads(answer["SecretString"])
        return Secret(SecretStr(content["value"]), int(content["version"]))

    def _write(self, name: SecretName, value: SecretStr) -> Secret:
        known = self._read(name, CURRENT)
        secret = Secret(value, known.version + 1 if known else 1)
        text = json.dumps({"version": secret.version, "value": value.get_secret_value()})
        if known is None:
            self._client.create_secret(Name=self._id(name), SecretString=text)
        else:
            self._client.put_secret_value(SecretId=self._id(name), SecretString=text)
        return secret

    def _remove(self, name: SecretName) -> bool:
        if self._read(name, CURRENT) is None:
            return False
        self._client.delete_secret(SecretId=self._id(name), ForceDeleteWithoutRecovery=True)
        return True

    def _paths(self, start: str) -> list[str]:
        pages = self._client.get_paginator("list_secrets").paginate(
            Filters=[{"Key": "name", "Values": [f"{self._prefix}{start}"]}]
        )
        names = [entry["Name"] for page in pages for entry in page["SecretList"]]
        return [name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix)]

    def _id(self, name: SecretName) -> str:
        return f"{self._prefix}{name.path}"

    def _cached(self, name: SecretName) -> Secret | None:
        until, secret = self._cache.get(name.path, (0.0, None))
        return secret if secret and self._clock.monotonic() < until else None

    def _remember(self, name: SecretName, secret: Secret) -> None:
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[name.path] = (self._clock.monotonic() + self._cache_seconds, secret)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except ClientError as error:
            # botocore's own text can repeat the request.
            raise SecretStoreUnavailableError(f"AWS refused: {_code(error)}") from None
        except BotoCoreError as error:
            raise SecretStoreUnavailableError(f"AWS cannot be reached: {type(error).__name__}") from None


def client(region: str, endpoint: str | None = None) -> "SecretsManagerClient":
    """Make a client; credentials come from where AWS libraries look for them."""
    bounds = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "max_attempts": 3})
    return boto3.client("secretsmanager", region_name=region, endpoint_url=endpoint, config=bounds)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))
