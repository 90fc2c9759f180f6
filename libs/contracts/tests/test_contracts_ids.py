"""Ids are deterministic, and no two things share one."""

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from contracts import ids


@given(st.text(), st.text(), st.text())
def test_an_id_is_the_name_based_uuid_of_its_parts(provider: str, user: str, external: str) -> None:
    name = "".join(f"{len(part)}:{part}" for part in ("account", provider, user, external))
    made = ids.account_id(provider, user, external)
    assert made == str(uuid5(ids._ONEFOLIO, name))
    assert UUID(made).version == 5


@given(st.text(max_size=4), st.text(max_size=4), st.text(max_size=4), st.text(max_size=4))
def test_parts_cannot_run_into_each_other(one: str, two: str, three: str, four: str) -> None:
    same = (one, two) == (three, four)
    assert (ids.connection_id("p", one, two) == ids.connection_id("p", three, four)) == same


def test_different_kinds_of_things_have_different_ids() -> None:
    assert ids.connection_id("p", "u", "1") != ids.account_id("p", "u", "1")
    assert ids.portfolio_id("u") != ids.portfolio_id("u", "other")
