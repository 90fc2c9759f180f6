"""Secrets: one suite for both stores, and what encryption must withstand."""

import asyncio
import base64

import psycopg
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from pydantic import SecretStr

from persistence import roles
from persistence.database import Database
from persistence.secrets import (
    BadMasterKeyError,
    BadSecretNameError,
    KeyRing,
    MasterKeyMissingError,
    PostgresSecrets,
    SecretName,
    SecretNotFoundError,
    SecretStore,
    SecretStoreUnavailableError,
    access_token,
    app_credentials,
    user_secret,
)
from persistence.secrets.aws import AwsSecrets, client
from service_kit.clock import FakeClock

CANARY = "canary-7f3a9b-do-not-leak"
TOKEN = access_token("plaid", "auth0|u1", "chase", "item-1")


def entry(identity: str, fill: int) -> str:
    return f"{identity}:{base64.b64encode(bytes([fill]) * 32).decode()}"


OLD, NEW = entry("k1", 1), entry("k2", 2)


class SecretStoreSuite:
    """What every store must do; a subclass brings the fixture `store`."""

    async def test_what_was_put_is_got(self, store: SecretStore):
        assert await store.put(TOKEN, SecretStr(CANARY)) == 1
        secret = await store.get(TOKEN)
        assert secret.value.get_secret_value() == CANARY
        assert secret.version == 1

    async def test_a_second_put_is_a_new_version_and_the_one_before_is_kept(self, store):
        for number in (1, 2, 3):
            assert await store.put(TOKEN, SecretStr(f"value {number}")) == number
        assert (await store.get(TOKEN)).value.get_secret_value() == "value 3"
        assert (await store.get(TOKEN)).version == 3
        previous = await store.get(TOKEN, previous=True)
        assert (previous.value.get_secret_value(), previous.version) == ("value 2", 2)

    async def test_what_is_not_there_is_not_found(self, store):
        with pytest.raises(SecretNotFoundError):
            await store.get(TOKEN)
        await store.put(TOKEN, SecretStr("x"))
        with pytest.raises(SecretNotFoundError):
            await store.get(TOKEN, previous=True)

    async def test_what_was_deleted_is_gone_and_its_name_can_be_used_again(self, store):
        await store.put(TOKEN, SecretStr("a"))
        await store.put(TOKEN, SecretStr("b"))
        assert await store.delete(TOKEN) is True
        assert await store.delete(TOKEN) is False
        with pytest.raises(SecretNotFoundError):
            await store.get(TOKEN)
        await store.put(TOKEN, SecretStr("c"))
        assert (await store.get(TOKEN)).value.get_secret_value() == "c"

    async def test_names_are_listed_by_whole_parts(self, store):
        names = [
            app_credentials("plaid"),
            access_token("plaid", "u1", "chase", "a"),
            access_token("plaid", "u1", "chase", "b"),
            access_token("plaid", "u10", "chase", "c"),
            user_secret("snaptrade", "u1"),
        ]
        for name in names:
            await store.put(name, SecretStr("x"))
        assert await store.names("plaid/access_token/u1") == names[1:3]
        assert await store.names("plaid/") == [*names[1:4], names[0]]
        assert await store.names("") == sorted(names, key=lambda name: name.path)
        assert await store.names("plaid/access_token/u%") == []

    async def test_a_secret_is_masked_wherever_it_is_printed(self, store):
        await store.put(TOKEN, SecretStr(CANARY))
        secret = await store.get(TOKEN)
        assert CANARY not in f"{secret} {secret!r} {secret.value}"

    async def test_text_of_any_kind_survives(self, store):
        for value in ("", "é漢🙂", '{"json": "inside"}', "x" * 10_000):
            await store.put(TOKEN, SecretStr(value))
            if value:
                assert (await store.get(TOKEN)).value.get_secret_value() == value


class TestPostgresSecrets(SecretStoreSuite):
    """Encrypted PostgreSQL."""

    @pytest.fixture
    def store(self, connector: Database) -> PostgresSecrets:
        return PostgresSecrets(connector, KeyRing.parse(OLD))

    async def test_writers_at_once_get_different_versions(self, store):
        versions = await asyncio.gather(*(store.put(TOKEN, SecretStr(str(n))) for n in range(6)))
        assert sorted(versions) == [1, 2, 3, 4, 5, 6]
        assert (await store.get(TOKEN)).version == 6

    async def test_the_tables_hold_no_trace_of_the_plaintext(self, store, migrated_database):
        await store.put(TOKEN, SecretStr(CANARY))
        with psycopg.connect(migrated_database.admin_url) as admin:
            text = str(admin.execute("SELECT s::text FROM sync.secrets s").fetchall())
            text += str(admin.execute("SELECT d::text FROM sync.deks d").fetchall())
            raw = b"".join(
                bytes(r[0]) for r in admin.execute("SELECT ciphertext FROM sync.secrets").fetchall()
            )
        assert len(text) > 100
        for form in (CANARY, CANARY.encode().hex(), base64.b64encode(CANARY.encode()).decode()):
            assert form not in text
        assert CANARY.encode() not in raw

    @pytest.mark.parametrize("columns", ["nonce, ciphertext", "nonce, ciphertext, dek_id, user_id"])
    async def test_a_ciphertext_moved_to_another_row_does_not_open(self, store, migrated_database, columns):
        other = access_token("plaid", "u2", "chase", "item-2")
        await store.put(TOKEN, SecretStr("mine"))
        await store.put(other, SecretStr("theirs"))
        with psycopg.connect(migrated_database.admin_url) as admin:
            statement = f"UPDATE sync.secrets a SET ({columns}) = (SELECT {columns} FROM sync.secrets b WHERE b.name = %s) WHERE a.name = %s"
            admin.execute(statement, (TOKEN.path, other.path))
        with pytest.raises(InvalidTag):
            await store.get(other)

    @pytest.mark.parametrize(
        "change",
        [
            "name = 'plaid/access_token/u2/chase/item-1'",
            "version = 7",
            "id = gen_random_uuid()",
            "ciphertext = set_byte(ciphertext, 0, get_byte(ciphertext, 0) # 1)",
        ],
    )
    async def test_any_change_of_a_row_is_noticed(self, store, migrated_database, change):
        await store.put(TOKEN, SecretStr("mine"))
        with psycopg.connect(migrated_database.admin_url) as admin:
            admin.execute(f"UPDATE sync.secrets SET {change}")
            path = admin.execute("SELECT name FROM sync.secrets").fetchone()[0]
        with pytest.raises(InvalidTag):
            await store.get(SecretName.parse(path))

    async def test_swapped_data_keys_are_noticed(self, store, migrated_database):
        await store.put(user_secret("snaptrade", "u1"), SecretStr("one"))
        await store.put(user_secret("snaptrade", "u2"), SecretStr("two"))
        with psycopg.connect(migrated_database.admin_url) as admin:
            admin.execute(
                "UPDATE sync.deks a SET wrapped = (SELECT wrapped FROM sync.deks b WHERE b.user_id <> a.user_id)"
            )
        with pytest.raises(InvalidTag):
            await store.get(user_secret("snaptrade", "u1"))

    async def test_master_keys_rotate_while_secrets_are_read(self, store, connector):
        names = [user_secret("snaptrade", f"u{n}") for n in range(25)]
        for name in names:
            await store.put(name, SecretStr(name.path))
        both = PostgresSecrets(connector, KeyRing.parse(f"{NEW},{OLD}"))

        async def read_all() -> None:
            for name in names:
                assert (await both.get(name)).value.get_secret_value() == name.path

        rewrapped, again, _, _ = await asyncio.gather(
            both.rewrap(batch=4), both.rewrap(batch=4), read_all(), read_all()
        )
        assert rewrapped + again == len(names)
        assert await both.rewrap() == 0
        only_new = PostgresSecrets(connector, KeyRing.parse(NEW))
        await only_new.check()
        assert (await only_new.get(names[0])).value.get_secret_value() == names[0].path

    async def test_without_the_master_key_nothing_opens_and_a_start_is_refused(self, store, connector):
        await store.put(TOKEN, SecretStr("mine"))
        keyless = PostgresSecrets(connector, KeyRing.parse(NEW))
        for attempt in (
            keyless.check(),
            keyless.get(TOKEN),
            keyless.put(TOKEN, SecretStr("x")),
            keyless.rewrap(),
        ):
            with pytest.raises(MasterKeyMissingError, match="k1"):
                await attempt

    async def test_a_shredded_user_is_gone_and_others_stay(self, store, migrated_database):
        theirs = user_secret("snaptrade", "u2")
        await store.put(TOKEN, SecretStr("mine"))
        await store.put(theirs, SecretStr("theirs"))
        assert await store.shred("auth0|u1") is True
        assert await store.shred("auth0|u1") is False
        with pytest.raises(SecretNotFoundError):
            await store.get(TOKEN)
        assert (await store.get(theirs)).value.get_secret_value() == "theirs"
        with psycopg.connect(migrated_database.admin_url) as admin:
            for table in ("deks", "secrets"):
                assert admin.execute(f"SELECT user_id FROM sync.{table}").fetchall() == [("u2",)]

    @pytest.mark.parametrize("role", [roles.GATEWAY, roles.CONSOLIDATOR, roles.WEBHOOKS])
    async def test_only_connectors_may_look(self, migrated_database, role):
        refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
        with psycopg.connect(migrated_database.url(role)) as conn, refused:
            conn.execute("SELECT * FROM sync.secrets")


class TestAwsSecrets(SecretStoreSuite):
    """AWS Secrets Manager, imitated."""

    @pytest.fixture
    def aws(self, monkeypatch):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        with mock_aws():
            yield client("eu-central-1")

    @pytest.fixture
    def store(self, aws) -> AwsSecrets:
        return AwsSecrets(aws, clock=FakeClock())

    async def test_a_value_is_read_once_per_cache_time(self, aws):
        clock = FakeClock()
        mine, other = AwsSecrets(aws, clock=clock), AwsSecrets(aws)
        await mine.put(TOKEN, SecretStr("a"))
        await other.put(TOKEN, SecretStr("b"))
        assert (await mine.get(TOKEN)).value.get_secret_value() == "a"
        clock.advance(61)
        assert (await mine.get(TOKEN)).value.get_secret_value() == "b"

    async def test_installations_with_different_prefixes_do_not_meet(self, aws):
        await AwsSecrets(aws, prefix="one/").put(TOKEN, SecretStr("a"))
        assert await AwsSecrets(aws, prefix="two/").names("") == []

    async def test_a_refusal_names_the_code_and_nothing_else(self, aws, monkeypatch):
        def refuse(**_: object) -> None:
            raise ClientError(
                {"Error": {"Code": "AccessDeniedException", "Message": CANARY}}, "GetSecretValue"
            )

        monkeypatch.setattr(aws, "get_secret_value", refuse)
        with pytest.raises(SecretStoreUnavailableError, match="AccessDeniedException") as caught:
            await AwsSecrets(aws).get(TOKEN)
        assert CANARY not in str(caught.value)

        def unreachable(**_: object) -> None:
            raise EndpointConnectionError(endpoint_url="https://x")

        monkeypatch.setattr(aws, "get_secret_value", unreachable)
        with pytest.raises(SecretStoreUnavailableError):
            await AwsSecrets(aws).get(TOKEN)


class TestNames:
    """A name never leaves its place."""

    @given(st.lists(st.text(min_size=1, max_size=40), min_size=2, max_size=5))
    def test_a_name_survives_its_path_or_is_refused(self, parts):
        try:
            name = SecretName(tuple(parts))
        except (BadSecretNameError, UnicodeEncodeError):
            return
        assert SecretName.parse(name.path) == name
        assert name.path.count("/") == len(parts) - 1
        assert name.path.isascii()

    @given(st.text(max_size=60))
    def test_any_text_parses_to_one_name_or_is_refused(self, text):
        try:
            name = SecretName.parse(text)
        except BadSecretNameError:
            return
        assert name.path == text

    @pytest.mark.parametrize("user", ["", ".", "..", "a\x00b", "a\nb", "x" * 201])
    def test_parts_that_are_no_names_are_refused(self, user):
        with pytest.raises(BadSecretNameError):
            user_secret("snaptrade", user)

    def test_a_user_cannot_reach_into_another_path(self):
        assert user_secret("snaptrade", "../plaid/x").path == "snaptrade/user_secret/..=2Fplaid=2Fx"
        assert user_secret("snaptrade", "a/b").user_id == "a/b"
        assert app_credentials("plaid").user_id is None


class TestKeyRing:
    """Master keys come from outside, and are never repeated."""

    @pytest.mark.parametrize("text", ["", " , ", "\n"])
    def test_no_key_is_an_error(self, text):
        with pytest.raises(MasterKeyMissingError):
            KeyRing.parse(text)

    def test_nothing_in_the_environment_is_an_error(self):
        with pytest.raises(MasterKeyMissingError, match="SECRETS_MASTER_KEYS is not set"):
            KeyRing.from_environment({})

    @pytest.mark.parametrize(
        "text",
        [
            "k1",
            "k1:",
            ":AAAA",
            "k1:not base64!",
            "k1:" + base64.b64encode(b"short").decode(),
            f"{OLD},{OLD}",
            "a b:" + OLD[3:],
        ],
    )
    def test_malformed_keys_are_refused_without_repeating_them(self, text):
        with pytest.raises(BadMasterKeyError) as caught:
            KeyRing.parse(text)
        assert OLD[3:] not in str(caught.value)

    def test_keys_come_from_a_file_too(self, tmp_path):
        file = tmp_path / "keys"
        file.write_text(f"{NEW}\n{OLD}\n")
        ring = KeyRing.from_environment({"SECRETS_MASTER_KEYS_FILE": str(file)})
        assert (ring.current, sorted(ring.keys)) == ("k2", ["k1", "k2"])

    def test_a_key_ring_prints_no_key(self):
        assert "AQEB" not in repr(KeyRing.parse(OLD))
        assert "\\x01" not in repr(KeyRing.parse(OLD))
