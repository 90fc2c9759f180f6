"""Explanations: they add up to the last digit, resolve to stored snapshots, and say every reason in words."""

import random
import uuid
from datetime import UTC, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Json

from consolidator.domain.sources import Source, choose
from consolidator.domain.values import SourcePolicy
from contracts.ids import snapshot_id
from gateway.openapi import documents
from gateway.reads import meanings

PROVIDERS = ("snaptrade", "plaid", "manual", "acme")


class Held:
    """Accounts of one user with positions made of what they hold, written as the consolidator writes them."""

    def __init__(self, seed, user="alice", accounts=4):
        self.seed, self.user = seed, user
        self.accounts = []
        for n in range(accounts):
            provider = PROVIDERS[n % len(PROVIDERS)]
            connection = seed.connection(user, provider, f"broker-{n % 3}")
            account = seed.account(
                connection, user, provider, institution=f"broker-{n % 3}", name=f"Account {n}"
            )
            seed.sighting(account, user)
            self.accounts.append((account, provider))

    def position(self, key, lines, currency="USD", **more):
        """A position of these lines: account number, quantity, value, cost basis."""
        instrument = self.seed.instrument(key, more.pop("kind", "stock"))
        parts = []
        for number, quantity, value, cost in lines:
            account, provider = self.accounts[number]
            self.seed.holding(
                account,
                instrument,
                quantity,
                self.user,
                currency=currency,
                market_value=value,
                cost_basis=cost,
            )
            parts.append({"account_id": account, "provider": provider, "quantity": quantity,
                          "market_value": value, "cost_basis": cost})  # fmt: skip
        totals = {
            "quantity": total([one["quantity"] for one in parts])[0],
            "market_value": total([one["market_value"] for one in parts])[0],
            "value_complete": total([one["market_value"] for one in parts])[1],
            "cost_basis": total([one["cost_basis"] for one in parts])[0],
            "cost_basis_complete": total([one["cost_basis"] for one in parts])[1],
        }
        named = [one | {"instrument_id": instrument} for one in parts]
        bare = [one | {"quantity": "0", "market_value": None} for one in named]
        return self.seed.position(
            key, instrument, bare, self.user, currency=currency, **self._parts(named), **(totals | more)
        )

    def _parts(self, parts):
        reals = self.seed.reals
        rows = [
            one | {"real_account_id": reals[one["account_id"]], "price": "10", "price_as_of": None}
            for one in parts
        ]
        return {"contributions": Json(rows)}


def total(values):
    known = [Decimal(value) for value in values if value is not None]
    return (format(sum(known), "f") if known else None, len(known) == len(values))


def numbers(rnd, places=10, top=10**8):
    return format(Decimal(rnd.randint(-top, top)) / 10 ** rnd.randint(0, places), "f")


@pytest.fixture
def held(seed):
    return Held(seed)


async def explained(api, position, user="alice"):
    answer = await api.get(f"/v1/positions/{position}/explain", user)
    assert answer.status_code == 200
    return answer.json()


async def test_random_positions_are_explained_exactly_and_their_snapshots_are_there(api, held):
    rnd = random.Random(20261121)
    positions = {}
    for n in range(60):
        lines = [
            (number, numbers(rnd, 18), rnd.choice([None, numbers(rnd)]), rnd.choice([None, numbers(rnd)]))
            for number in rnd.sample(range(4), rnd.randint(1, 4))
        ]
        positions[held.position(f"R{n:02d}", lines)] = lines
    listed = {row["id"]: row for row in (await api.get("/v1/positions?limit=500")).json()["items"]}
    contents = {}
    for position, lines in positions.items():
        body = await explained(api, position)
        row = listed[position]
        assert body["sums"] == {
            name: row[name]
            for name in ("quantity", "market_value", "value_complete", "cost_basis", "cost_basis_complete")
        } | {"exact": True}
        assert body["position"].items() <= row.items()
        parts = body["contributions"]
        assert sum(Decimal(part["quantity"]) for part in parts) == Decimal(row["quantity"])
        assert len(parts) == len(lines)
        for part in parts:
            snapshot = part["snapshot"]
            assert (snapshot["state"], snapshot["agrees"]) == ("current", True)
            if snapshot["id"] not in contents:
                stored = (await api.get(f"/v1/snapshots/{snapshot['id']}")).json()
                assert (stored["content_hash"], stored["account_id"]) == (
                    snapshot["content_hash"], part["account_id"],
                )  # fmt: skip
                contents[snapshot["id"]] = {line["instrument_key"]: line for line in stored["content"]}
            line = contents[snapshot["id"]][row["instrument"]["key"]]
            for name in ("quantity", "market_value", "cost_basis"):
                assert line[name] == part[name]
            assert part["instrument"]["key"] == row["instrument"]["key"]
            assert part["counted_because"]["meaning"] == meanings.REASONS["only_source"]


async def test_a_position_that_is_not_the_sum_of_its_parts_is_not_called_exact(api, held, seed):
    position = held.position("AAPL", [(0, "1.5", "10", "3"), (1, "2", "20", None)])
    assert (await explained(api, position))["sums"]["exact"] is True
    wrong = [
        "quantity = 3.500000000000000001", "market_value = 30.0000000001", "market_value = NULL",
        "cost_basis = 4", "cost_basis_complete = true", "value_complete = false", "contributions = '[]'",
    ]  # fmt: skip
    for change in wrong:
        before = seed._conn.execute(
            "SELECT quantity, market_value, cost_basis, cost_basis_complete, value_complete, contributions "
            "FROM portfolio.positions WHERE position_id = %s", (position,),
        ).fetchone()  # fmt: skip
        seed._conn.execute(f"UPDATE portfolio.positions SET {change} WHERE position_id = %s", (position,))
        assert (await explained(api, position))["sums"]["exact"] is False, change
        seed._conn.execute(
            "UPDATE portfolio.positions SET quantity = %s, market_value = %s, cost_basis = %s, "
            "cost_basis_complete = %s, value_complete = %s, contributions = %s WHERE position_id = %s",
            (*before[:5], Json(before[5]), position),
        )


async def test_a_snapshot_that_says_something_else_or_is_gone_shows(api, held, seed):
    position = held.position("AAPL", [(0, "1.5", "10", "3")])
    account, _ = held.accounts[0]
    seed._conn.execute("UPDATE portfolio.holdings SET quantity = 1.6 WHERE account_id = %s", (account,))
    [part] = (await explained(api, position))["contributions"]
    assert (part["snapshot"]["agrees"], part["snapshot"]["state"]) == (False, "current")
    seed._conn.execute("DELETE FROM portfolio.sightings")
    [part] = (await explained(api, position))["contributions"]
    assert (part["snapshot"]["agrees"], part["snapshot"]["state"]) == (False, None)
    assert (await api.get(f"/v1/snapshots/{part['snapshot']['id']}")).status_code == 404


@pytest.fixture
def twice(seed, held, clock):
    """One real account through two sources, the second of which is excluded in a grey group."""
    (counted, _), (other, _) = held.accounts[:2]
    real = seed.reals[counted]
    instrument = seed.instrument("AAPL", "etf")
    duplicate = {"instrument_id": instrument, "real_account_id": real, "account_id": other, "provider": "plaid", "quantity": "9",
                 "market_value": "90", "cost_basis": None, "counted_account_id": counted,
                 "rule": "unhealthy:connection_broken:needs_decision"}  # fmt: skip
    position = held.position("AAPL", [(0, "10", "100", "50")], excluded=Json([duplicate]))
    seed.holding(other, instrument, "9", market_value="90")
    seed._conn.execute(
        "UPDATE portfolio.accounts SET real_account_id = %s WHERE account_id = %s", (real, other)
    )
    seed._conn.execute("DELETE FROM portfolio.real_accounts WHERE real_account_id = %s", (seed.reals[other],))
    seed._conn.execute(
        """UPDATE portfolio.real_accounts SET members = %s, reason = 'failover:too_old', needs_decision = true,
            excluded = %s, held_back_until = %s WHERE real_account_id = %s""",
        (Json(sorted([counted, other])), Json([[other, duplicate["rule"]]]), clock.now(), real),
    )
    low, high = sorted([counted, other])
    seed.insert(
        "identity_evidence", user_id="alice", account_id=low, other_account_id=high,
        verdict="needs_decision", rule="score", score="0.6", reasons=Json(["mask_equal:+0.350"]),
    )  # fmt: skip
    for n, verdict in enumerate(("same", "different")):
        seed.insert(
            "identity_decisions", user_id="alice", decision_id=str(uuid.uuid4()), account_id=low,
            other_account_id=high, verdict=verdict, decided_by="user:alice",
            decided_at=clock.now() + timedelta(minutes=n),
        )  # fmt: skip
    for n, reason in enumerate(("highest_priority", "failover:too_old")):
        seed.insert(
            "source_switches", user_id="alice", real_account_id=real, to_account_id=counted, reason=reason,
            from_account_id=other, at=clock.now() + timedelta(minutes=n),
        )  # fmt: skip
    return position, real, counted, other


async def test_a_duplicate_is_named_with_its_rule_in_words_and_the_evidence_for_it(api, twice):
    position, real, counted, other = twice
    body = await explained(api, position)
    [duplicate] = body["excluded"]
    assert (duplicate["account_id"], duplicate["counted_account_id"]) == (other, counted)
    assert duplicate["meaning"] == (
        "It is not usable: the institution no longer accepts its connection. " + meanings.UNDECIDED_MEANING
    )
    assert (duplicate["quantity"], duplicate["price"], duplicate["instrument"]["kind"]) == ("9", "10", "etf")
    assert duplicate["snapshot"] == {
        "id": snapshot_id(other, 3, "h"), "content_hash": "h", "version": 3, "state": "current", "agrees": True,
    }  # fmt: skip
    [part] = body["contributions"]
    assert part["real_account"]["needs_decision"] is True
    because = part["counted_because"]
    assert because["meaning"] == (
        "A better source is not usable: its data is too old. This is the best one that is."
    )
    assert because["until"] is not None
    assert (part["last_switch"]["reason"], part["last_switch"]["from_account_id"]) == (
        "failover:too_old",
        other,
    )
    [identity] = body["identity"]
    assert (identity["real_account_id"], identity["needs_decision"]) == (real, True)
    [pair] = identity["pairs"]
    assert (pair["verdict"], pair["score"], pair["reasons"]) == (
        "needs_decision",
        "0.6",
        ["mask_equal:+0.350"],
    )
    assert pair["decision"]["verdict"] == "different"
    assert [check["real_account_id"] for check in body["checks"]] == [real]
    assert body["checks"][0]["meaning"] == meanings.CHECKS["within_tolerance"]
    assert body["sums"]["exact"] is True


async def test_a_decision_that_was_undone_is_no_decision(api, twice, seed, clock):
    position, _, counted, other = twice
    low, high = sorted([counted, other])
    seed.insert(
        "identity_decisions", user_id="alice", decision_id=str(uuid.uuid4()), account_id=low,
        other_account_id=high, verdict="undone", decided_by="user:alice",
        decided_at=clock.now() + timedelta(hours=1),
    )  # fmt: skip
    [identity] = (await explained(api, position))["identity"]
    assert identity["pairs"][0]["decision"] is None


async def test_accounts_show_their_part_of_it(api, twice, seed):
    _, real, counted, other = twice
    seed._conn.execute(
        """UPDATE portfolio.account_checks SET outcome = 'break', reason = 'does_not_add_up',
            difference = -12.0000000001 WHERE real_account_id = %s""",
        (real,),
    )
    rows = {row["id"]: row for row in (await api.get("/v1/accounts")).json()["items"]}
    assert (rows[counted]["excluded_rule"], rows[counted]["counted"]) == (None, True)
    assert rows[other]["excluded_rule"] == "unhealthy:connection_broken:needs_decision"
    for account in (counted, other):
        row = rows[account]
        assert (row["check"]["account_id"], row["check"]["difference"]) == (counted, "-12.0000000001")
        assert row["snapshot"] == {"id": snapshot_id(account, 3, "h"), "content_hash": "h", "version": 3}
        assert row["waiting"] is False
    found = (await api.get("/v1/checks", params={"outcome": "break"})).json()["items"]
    assert [(one["real_account_id"], one["difference"]) for one in found] == [(real, "-12.0000000001")]
    assert found[0]["meaning"] == meanings.CHECKS["does_not_add_up"]
    assert (await api.get("/v1/checks", params={"outcome": "odd"})).status_code == 422
    attention = (await api.get("/v1/portfolio/summary")).json()["attention"]
    assert attention == {"quarantined": [], "waiting": [], "needs_decision": sorted([counted, other])}


async def test_an_account_that_waits_to_be_described_and_one_in_quarantine_are_listed(api, held, seed):
    (waiting, _), (quarantined, _) = held.accounts[:2]
    seed._conn.execute(
        """UPDATE portfolio.real_accounts SET reason = 'not_described', counted_account_id = NULL
            WHERE real_account_id = %s""",
        (seed.reals[waiting],),
    )
    seed.insert(
        "snapshots", user_id="alice", account_id=quarantined, state="quarantined", version=9, complete=True,
        content_hash="q",
    )  # fmt: skip
    attention = (await api.get("/v1/portfolio/summary")).json()["attention"]
    assert attention == {"quarantined": [quarantined], "waiting": [waiting], "needs_decision": []}
    assert (await api.get(f"/v1/accounts/{waiting}")).json()["waiting"] is True


async def test_snapshots_are_listed_newest_first_and_read_with_what_they_held(api, held, seed, clock):
    account, _ = held.accounts[0]
    held.position("AAPL", [(0, "5", "50", None)])
    line = {"ref": {"instrument_id": str(uuid.uuid4()), "key": "ODD"}, "currency": "EUR", "quantity": "7.5",
            "price": None, "market_value": None, "cost_basis": "3.1", "price_as_of": None}  # fmt: skip
    old = seed.sighting(account, version=2, content_hash="old", payload=Json([line]), value="0", unpriced=1)
    rejected = seed.sighting(account, version=10**15, content_hash="q", payload=Json([]))
    seed.insert(
        "snapshot_judgements", user_id="alice", judgement_id=str(uuid.uuid4()), account_id=account,
        version=10**15, verdict="reject", judged_by="user:alice", judged_at=clock.now(),
    )  # fmt: skip
    current = snapshot_id(account, 3, "h")
    seen, cursor = [], None
    while True:
        query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = (await api.get(f"/v1/accounts/{account}/snapshots", params=query)).json()
        seen += [(one["id"], one["state"]) for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [(rejected, "rejected"), (current, "current"), (old, "superseded")]
    [stored] = (await api.get(f"/v1/snapshots/{old}")).json()["content"]
    assert (stored["instrument_key"], stored["quantity"], stored["price"]) == ("ODD", "7.5", None)
    assert (await api.get(f"/v1/snapshots/{rejected}")).json()["content"] == []
    assert (await api.get(f"/v1/snapshots/{current}")).json()["content"][0]["quantity"] == "5"


POLICY = SourcePolicy(priorities={"snaptrade": 3, "plaid": 2, "manual": 1}, max_age=timedelta(hours=72))


@given(st.data())
def test_every_reason_and_rule_that_is_ever_given_has_words(data):
    at = st.datetimes(timezones=st.just(UTC))
    sources = [
        Source(
            account_id=str(uuid.UUID(int=n)),
            provider=data.draw(st.sampled_from(PROVIDERS)),
            as_of=data.draw(at),
            problem=data.draw(st.sampled_from([None, *meanings.PROBLEMS])),
            recovers_at=data.draw(st.none() | at),
        )
        for n in range(data.draw(st.integers(0, 4)))
    ]
    choice = choose(sources, POLICY)
    kind, _, detail = choice.reason.partition(":")
    assert kind in meanings.REASONS
    if "{detail}" in meanings.REASONS[kind]:
        assert detail in meanings.PROBLEMS
    for _, rule in choice.excluded:
        kind, _, detail = rule.partition(":")
        assert kind in meanings.RULES
        assert not detail or detail in meanings.PROBLEMS


def test_the_page_of_explanations_names_every_code():
    page = documents()["explain.md"]
    for group in (meanings.REASONS, meanings.RULES, meanings.PROBLEMS, meanings.CHECKS, meanings.EVIDENCE):
        assert all(f"| `{code}` |" in page for code in group)
