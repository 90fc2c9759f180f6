"""What a session becomes by what its connector says."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from contracts.linking import LinkProgress
from contracts.statuses import LINK_MOVES, LinkStatus, may_move
from gateway.linking.progress import judged
from gateway.linking.sessions import LinkSession
from gateway.routing.names import plausible_slug

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def session(status, age):
    return LinkSession(
        user_id="alice",
        id=uuid.UUID(int=1),
        institution="chase",
        institution_name="Chase",
        known_institution=True,
        need_trading=False,
        provider="plaid",
        reasons=[],
        policy_version="1",
        redirect_uri=None,
        reconnect_connection_id=None,
        trading_expected=False,
        status=status,
        reason=None,
        connection_ids=[],
        created_at=NOW,
        expires_at=NOW + timedelta(minutes=30),
        updated_at=NOW + age / 2,
    )


STATUSES = st.sampled_from(list(LinkStatus))
HEARD = st.none() | st.builds(
    LinkProgress, status=STATUSES, connection_ids=st.just([]), reason=st.none() | st.just("said")
)
AGES = st.timedeltas(timedelta(0), timedelta(hours=2))


@given(STATUSES, HEARD, AGES)
def test_a_session_moves_only_where_it_may(status, heard, age):
    after = judged(session(status, age), heard, NOW + age)
    assert may_move(LINK_MOVES, status, after.status)


@given(HEARD, AGES)
def test_completed_stays_completed(heard, age):
    assert judged(session(LinkStatus.COMPLETED, age), heard, NOW + age).status is LinkStatus.COMPLETED


@given(STATUSES, AGES)
def test_a_proof_of_success_outranks_everything(status, age):
    heard = LinkProgress(status=LinkStatus.COMPLETED, connection_ids=["c"])
    assert judged(session(status, age), heard, NOW + age).status is LinkStatus.COMPLETED


@given(HEARD, AGES)
def test_nothing_stays_pending_after_its_time(heard, age):
    after = judged(session(LinkStatus.PENDING, age), heard, NOW + timedelta(minutes=30) + age)
    assert after.status is not LinkStatus.PENDING


@given(st.none() | st.just(LinkProgress(status=LinkStatus.COMPLETING, connection_ids=[])), AGES)
def test_what_was_said_to_be_finished_and_brought_nothing_ends_an_hour_after_its_time(heard, age):
    after = judged(session(LinkStatus.COMPLETING, age), heard, NOW + timedelta(minutes=90) + age)
    assert after.status is LinkStatus.EXPIRED


@given(st.text(max_size=120))
def test_a_slug_is_plain_or_there_is_none(name):
    slug = plausible_slug(name)
    if slug is not None:
        assert 2 <= len(slug) <= 64
        assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert plausible_slug(slug) == slug
