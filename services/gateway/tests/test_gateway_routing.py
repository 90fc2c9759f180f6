"""Routing is deterministic and says why."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.choose import Decision, Health, Policy, Refusal, Wish, choose_provider
from gateway.routing.coverage import Coverage, CoverageError, read

FILE = Path(__file__).parents[1] / "src/gateway/routing/coverage.toml"
COVERAGE = read(FILE.read_text())
POLICY = Policy(enabled=frozenset({"snaptrade", "plaid"}))


def choose(name: str, *, wish: Wish | None = None, policy: Policy = POLICY, **health: Health) -> Decision:
    return choose_provider(COVERAGE.find(name), wish or Wish(), policy, health)


@pytest.mark.parametrize(
    ("name", "trading", "provider"),
    [
        ("charles-schwab", False, "snaptrade"),
        ("charles-schwab", True, "snaptrade"),
        ("Fidelity", False, "snaptrade"),
        ("CHASE", False, "plaid"),
        ("a credit union nobody knows", False, "plaid"),
        ("a broker nobody knows", True, "snaptrade"),
    ],
)
def test_the_fixed_cases_go_where_they_must(name: str, trading: bool, provider: str) -> None:
    decision = choose(name, wish=Wish(need_trading=trading))
    assert decision.provider == provider
    assert decision.reasons


@pytest.mark.parametrize(
    ("name", "wish", "refusal"),
    [
        ("fidelity", Wish(need_trading=True), Refusal.NO_TRADING),
        ("chase", Wish(need_trading=True), Refusal.NO_TRADING),
        ("chase", Wish(provider="snaptrade"), Refusal.NOT_SUPPORTED),
        ("charles-schwab", Wish(provider="plaid", need_trading=True), Refusal.NO_TRADING),
        ("unknown", Wish(provider="acme"), Refusal.DISABLED),
    ],
)
def test_what_cannot_be_is_refused_with_its_code(name: str, wish: Wish, refusal: Refusal) -> None:
    decision = choose(name, wish=wish)
    assert (decision.provider, decision.refusal) == (None, refusal)
    assert decision.reasons


def test_an_explicit_choice_that_coverage_lists_is_honoured() -> None:
    assert choose("fidelity", wish=Wish(provider="plaid")).provider == "plaid"


def test_a_provider_that_is_switched_off_gives_way_to_the_fallback_or_is_refused() -> None:
    only_plaid = Policy(enabled=frozenset({"plaid"}))
    assert choose("charles-schwab", policy=only_plaid).provider == "plaid"
    assert choose("snaptrade-sandbox", policy=only_plaid).refusal is Refusal.DISABLED
    trading = choose("charles-schwab", wish=Wish(need_trading=True), policy=only_plaid)
    assert trading.refusal is Refusal.DISABLED


def test_a_provider_open_to_admins_only_serves_admins_only() -> None:
    closed = Policy(enabled=POLICY.enabled, admin_only=frozenset({"snaptrade"}))
    assert choose("charles-schwab", policy=closed).provider == "plaid"
    assert choose("charles-schwab", wish=Wish(admin=True), policy=closed).provider == "snaptrade"


def test_an_unhealthy_provider_gives_way_but_never_against_a_capability() -> None:
    sick = Health(success_rate=0.1)
    assert choose("charles-schwab", snaptrade=sick).provider == "plaid"
    assert choose("charles-schwab", snaptrade=sick, plaid=Health(maintenance=True)).provider == "snaptrade"
    trading = choose("charles-schwab", wish=Wish(need_trading=True), snaptrade=sick)
    assert trading.provider == "snaptrade"
    assert any("unhealthy" in reason for reason in trading.reasons)


@given(
    st.sampled_from([None, "fidelity", "charles-schwab", "chase", "first-platypus"]),
    st.builds(Wish, need_trading=st.booleans(), provider=st.sampled_from([None, "plaid", "snaptrade", "x"])),
    st.frozensets(st.sampled_from(["plaid", "snaptrade"])),
    st.dictionaries(
        st.sampled_from(["plaid", "snaptrade"]), st.builds(Health, success_rate=st.none() | st.floats(0, 1))
    ),
)
def test_every_answer_is_either_a_usable_provider_or_a_refusal(
    name: str | None, wish: Wish, enabled: frozenset[str], health: dict[str, Health]
) -> None:
    institution = COVERAGE.find(name) if name else None
    first = choose_provider(institution, wish, Policy(enabled=enabled), health)
    assert first == choose_provider(institution, wish, Policy(enabled=enabled), health)
    assert (first.provider is None) == (first.refusal is not None)
    assert first.provider is None or first.provider in enabled
    if first.provider and wish.need_trading:
        assert first.provider == "snaptrade"
        assert institution is None or institution.allow_trading


def test_institutions_are_found_however_people_spell_them() -> None:
    for name in ("E*TRADE", "etrade", "E-Trade", "e trade"):
        found = COVERAGE.find(name)
        assert found is not None
        assert found.slug == "etrade"
    assert COVERAGE.find("") is None


def test_a_search_shows_names_that_begin_with_the_query_first() -> None:
    assert [one.slug for one in COVERAGE.search("fid")] == ["fidelity"]
    assert all(one.popular for one in COVERAGE.search(popular=True))
    assert COVERAGE.search("no such bank") == []


@pytest.mark.parametrize(
    "text",
    [
        "not toml =",
        "[a]\nname = 'A'",
        "[a]\nname='A'\ntype='bank'\npreferred='plaid'\nsurprise=1",
        "['Not A Slug']\nname='A'\ntype='bank'\npreferred='plaid'",
        "[a]\nname='Same'\ntype='bank'\npreferred='plaid'\n[b]\nname='same'\ntype='bank'\npreferred='plaid'",
        "a = 1",
    ],
)
def test_a_coverage_file_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(CoverageError):
        read(text)


def test_an_empty_coverage_file_knows_nothing() -> None:
    assert Coverage([]).search() == []
