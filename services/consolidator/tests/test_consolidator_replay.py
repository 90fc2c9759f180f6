"""What other weights would regroup: told from what is stored, without changing any of it."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consolidator import cli
from consolidator.apply import Applier
from consolidator.domain.evidence import Evidence
from consolidator.domain.identity import identify
from consolidator.domain.regroup import regroup
from consolidator.domain.weights import read_weights
from consolidator.replay import USERS, stored_evidence
from consolidator.rules import DEFAULT_WEIGHTS
from consolidator.testing import NOW, Link, dump, received, stock
from contracts.accounts import AccountType
from contracts.decisions import IdentityDecided, IdentityVerdict
from contracts.messages import Message
from persistence import roles
from persistence.database import Database

TEXT = files("consolidator").joinpath("identity.toml").read_text(encoding="utf-8")
SUSPICIOUS = TEXT.replace("different = 0.24", "different = 0.98").replace("same = 0.75", "same = 0.99")
Run = Callable[..., Any]


def both(user: str, mask: str = "1234") -> list[Message]:
    """One Fidelity account of a user through two providers, and a Schwab account through one."""
    seen: list[Message] = []
    for provider in ("snaptrade", "plaid"):
        link = Link(provider, "fidelity", user=user)
        account = link.account(mask=mask, type=AccountType.BROKERAGE, total=1000)
        seen += [link.lists(account, version=2), link.holds(stock("AAPL", 100), version=2)]
    alone = Link("snaptrade", "charles-schwab", user=user)
    return [*seen, alone.lists(alone.account(), version=2), alone.holds(stock("AAPL", 50), version=2)]


async def apply(applier: Applier, *messages: Message) -> None:
    await applier([received(message) for message in messages])


@pytest.fixture
def weights(tmp_path: Path) -> Callable[[str], Path]:
    def written(text: str) -> Path:
        path = tmp_path / "weights.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


@pytest.fixture
def run(migrated_database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in a thread of its own; gives status, output and errors."""
    monkeypatch.setenv("DATABASE_URL", migrated_database.url(roles.CONSOLIDATOR))
    monkeypatch.setenv("AMQP_URL", "amqp://nobody:nothing@127.0.0.1:1/")
    monkeypatch.setenv("SERVICE_AUTH_SECRET", "x" * 32)

    async def ran(*arguments: str | Path) -> tuple[int, str, str]:
        status = await asyncio.to_thread(cli.main, ["replay-identity", *map(str, arguments)])
        out, err = capsys.readouterr()
        return status, out, err

    return ran


async def test_the_same_weights_regroup_nobody(applier, run, weights) -> None:
    await apply(applier, *both("user-1"))
    status, out, err = await run("--weights", weights(TEXT))
    assert (status, err) == (0, "")
    assert out == (
        "0 of 1 users, 0 of 1 pairs would change; real accounts:"
        " 0 merged, 0 split, 0 regrouped, 0 flagged, 0 unflagged.\n"
    )


async def test_other_weights_tell_what_they_would_part(applier, database, run, weights) -> None:
    await apply(applier, *both("user-1"), *both("user-2"))
    before = await dump(database)
    status, out, _ = await run("--weights", weights(SUSPICIOUS), "--json")
    first, second, last = map(msgspec.json.decode, out.splitlines())
    assert status == 0
    assert [first["user_id"], second["user_id"]] == ["user-1", "user-2"]
    [pair] = first["pairs"]
    accounts = {Link(provider, "fidelity").account_id("a") for provider in ("snaptrade", "plaid")}
    assert set(pair["accounts"]) == accounts
    assert sorted(pair["providers"]) == ["plaid/fidelity", "snaptrade/fidelity"]
    assert (pair["before"]["verdict"], pair["after"]["verdict"]) == ("same", "different")
    assert Decimal(pair["before"]["score"]) == Decimal(pair["after"]["score"]) > Decimal("0.75")
    [change] = first["real_accounts"]
    assert change["change"] == "split"
    assert [set(group["members"]) for group in change["before"]] == [accounts]
    assert [len(group["members"]) for group in change["after"]] == [1, 1]
    assert last["totals"] == {
        "users": 2,
        "users_changed": 2,
        "pairs": 2,
        "pairs_changed": 2,
        "groups": {"merged": 0, "split": 2, "regrouped": 0, "flagged": 0, "unflagged": 0},
    }
    assert await dump(database) == before


async def test_the_text_says_the_same(applier, run, weights) -> None:
    await apply(applier, *both("user-1"))
    status, out, _ = await run("--weights", weights(SUSPICIOUS))
    assert status == 0
    assert "user user-1\n" in out
    assert "    same 0." in out
    assert "    -> different 0." in out
    assert "real account split" in out
    assert out.splitlines()[-1].startswith("1 of 1 users, 1 of 1 pairs would change;")


async def test_one_user_may_be_asked_about(applier, run, weights) -> None:
    await apply(applier, *both("user-1"), *both("user-2"), *both("user-3"))
    asked = ("--user", "user-2", "--user", "user-3")
    _, out, _ = await run("--weights", weights(SUSPICIOUS), "--json", *asked)
    assert [line.get("user_id") for line in map(msgspec.json.decode, out.splitlines())] == [
        "user-2",
        "user-3",
        None,
    ]


async def test_a_user_without_accounts_is_named(run, weights) -> None:
    status, _, err = await run("--weights", weights(TEXT), "--user", "nobody")
    assert (status, err) == (1, "onefolio-consolidator: no accounts are stored of nobody\n")


async def test_the_weights_in_use_are_those_of_the_service(applier, run, weights, monkeypatch) -> None:
    await apply(applier, *both("user-1"))
    monkeypatch.setenv("IDENTITY_WEIGHTS_FILE", str(weights(SUSPICIOUS)))
    status, out, _ = await run("--weights", weights(SUSPICIOUS))
    assert (status, out.splitlines()[-1][:9]) == (0, "0 of 1 us")


async def test_decisions_hold_under_any_weights(applier, run, weights) -> None:
    await apply(applier, *both("user-1"))
    ids = sorted(Link(provider, "fidelity").account_id("a") for provider in ("snaptrade", "plaid"))
    said = IdentityDecided(
        user_id="user-1",
        decision_id="7d1e4f0a-0000-4000-8000-000000000001",
        account_ids=ids,
        verdict=IdentityVerdict.SAME,
        decided_by="user-1",
        decided_at=NOW,
    )
    await apply(applier, said)
    _, out, _ = await run("--weights", weights(SUSPICIOUS))
    assert out.startswith("0 of 1 users")


async def test_more_users_than_one_transaction_takes_are_all_looked_at(applier, database) -> None:
    names = [f"user-{number:03}" for number in range(USERS + 3)]
    for name in names:
        await apply(applier, *both(name))
    assert [stored.user_id async for stored in stored_evidence(database)] == names
    assert [stored.user_id async for stored in stored_evidence(database, names[1:3])] == names[1:3]


async def test_stored_evidence_amounts_to_what_was_concluded(applier, database) -> None:
    await apply(applier, *both("user-1"), *both("user-2", mask="77"))
    found = {stored.user_id: stored async for stored in stored_evidence(database)}
    async with database.transaction() as conn:
        rows = await (await conn.execute("SELECT user_id, members FROM portfolio.real_accounts")).fetchall()
    for user, stored in found.items():
        groups = identify(stored.accounts, stored.decisions, DEFAULT_WEIGHTS).groups
        assert sorted(list(group.members) for group in groups) == sorted(m for u, m in rows if u == user)


async def test_a_writer_is_not_kept_waiting_by_a_replay_half_way(applier, database) -> None:
    await apply(applier, *both("user-1"))
    async for _ in stored_evidence(database):
        await asyncio.wait_for(apply(applier, *both("user-1", mask="9")), 10)


@pytest.mark.parametrize(
    ("text", "said"), [("institution = ", "not TOML"), ("institution = 1", "verdict"), ("\xff", "UTF-8")]
)
async def test_weights_that_cannot_be_used_are_refused(run, tmp_path, text: str, said: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(text.encode("latin-1"))
    status, out, err = await run("--weights", path)
    assert (status, out) == (1, "")
    assert "bad.toml: " in err
    assert said in err


async def test_a_missing_file_of_weights_is_named(run, tmp_path) -> None:
    status, _, err = await run("--weights", tmp_path / "none.toml")
    assert status == 1
    assert err.endswith("none.toml: No such file or directory\n")


async def test_a_database_that_is_away_is_said_without_its_password(run, weights, monkeypatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://someone:hush-hush@127.0.0.1:1/onefolio")
    monkeypatch.setattr(cli, "CONNECT_TIMEOUT", 0.2)
    status, out, err = await run("--weights", weights(TEXT))
    assert (status, out) == (1, "")
    assert "the database is away" in err
    assert "hush" not in err


async def test_a_database_without_the_tables_is_said(run, weights, migrated_database, monkeypatch) -> None:
    database = Database(migrated_database.admin_url)
    await database.open()
    async with database.transaction() as conn:
        await conn.execute("ALTER SCHEMA portfolio RENAME TO elsewhere")
    await database.close()
    status, _, err = await run("--weights", weights(TEXT))
    assert status == 1
    assert "the database refuses" in err


def test_help_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["replay-identity", "--help"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 0
    assert "--weights FILE" in capsys.readouterr().out


def test_without_a_command_the_service_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[bool] = []
    monkeypatch.setattr(cli.service, "main", lambda: ran.append(True))
    assert cli.main([]) == 0
    assert ran == [True]


def test_a_wrong_call_is_status_two() -> None:
    for arguments in (["replay-identity"], ["replay"], ["replay-identity", "--weights", "x", "--apply"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2


def alike(*names: str, masks: tuple[str | None, ...]) -> list[Evidence]:
    return [
        Evidence(account_id=name, connection_id=name, institution="x", mask=mask, raw_type="Roth IRA")
        for name, mask in zip(names, masks, strict=True)
    ]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("same = 0.60", "same = 0.75", "flagged"),
        ("same = 0.75", "same = 0.60", "unflagged"),
        ("different = 0.24", "different = 0.74", "split"),
        ("different = 0.74", "different = 0.24", "merged"),
    ],
)
def test_every_kind_of_change_is_told_apart(before: str, after: str, kind: str) -> None:
    def weighed(change: str):
        name = change.partition(" ")[0]
        plain = {"same": "same = 0.75", "different": "different = 0.24"}[name]
        return read_weights(TEXT.replace(plain, change))

    accounts = alike("a", "b", masks=("1234", "1234"))
    found = regroup(*(identify(accounts, (), weighed(one)) for one in (before, after)))
    assert [change.kind for change in found.groups] == [kind]
    assert len(found.pairs) == 1


def test_accounts_that_change_partners_are_regrouped() -> None:
    """One account goes from the one with its number to the one with its name; those two are of one connection."""
    middle = Evidence(
        account_id="b", connection_id="2", institution="x", mask="1234", raw_type="Roth IRA", name="Roth"
    )
    numbered = Evidence(account_id="a", connection_id="1", institution="x", mask="1234")
    named = msgspec.structs.replace(middle, account_id="c", connection_id="1", mask=None)
    numbers_say_little = TEXT.replace("[3, 0.31], [4, 0.36]]", "[3, 0.25], [4, 0.05]]")
    accounts = (numbered, middle, named)
    found = regroup(*(identify(accounts, (), read_weights(one)) for one in (TEXT, numbers_say_little)))
    [change] = found.groups
    assert change.kind == "regrouped"
    assert [group.members for group in change.before] == [("a", "b"), ("c",)]
    assert [group.members for group in change.after] == [("a",), ("b", "c")]


def test_nothing_changes_under_the_same_weights() -> None:
    found = identify(alike("a", "b", masks=("1234", "1234")), (), DEFAULT_WEIGHTS)
    assert not regroup(found, found)
