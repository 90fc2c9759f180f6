"""Where credentials are kept: one port, encrypted PostgreSQL by default, AWS Secrets Manager by choice.

`AwsSecrets` is imported from `persistence.secrets.aws`, so that only those who use it load the AWS library.
"""

from persistence.secrets.keys import BadMasterKeyError, KeyRing, MasterKeyMissingError
from persistence.secrets.names import (
    BadSecretNameError,
    SecretName,
    access_token,
    app_credentials,
    user_secret,
)
from persistence.secrets.port import Secret, SecretNotFoundError, SecretStore, SecretStoreUnavailableError
from persistence.secrets.postgres import PostgresSecrets
from persistence.secrets.tables import tables_sql

__all__ = [
    "BadMasterKeyError",
    "BadSecretNameError",
    "KeyRing",
    "MasterKeyMissingError",
    "PostgresSecrets",
    "Secret",
    "SecretName",
    "SecretNotFoundError",
    "SecretStore",
    "SecretStoreUnavailableError",
    "access_token",
    "app_credentials",
    "tables_sql",
    "user_secret",
]
