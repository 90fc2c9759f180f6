"""What the consolidator may be told."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from consolidator.settings import ConsolidatorSettings

GIVEN = {
    "database_url": "postgresql://x@127.0.0.1/x",
    "amqp_url": "amqp://x@127.0.0.1",
    "service_auth_secret": "s" * 32,
}


def test_durations_are_seconds_or_as_the_standard_writes_them(monkeypatch) -> None:
    monkeypatch.setenv("SOURCE_HYSTERESIS", "90")
    monkeypatch.setenv("SNAPSHOT_RETENTION", "P2D")
    told = ConsolidatorSettings(**GIVEN)
    assert told.rules.sources.hysteresis == timedelta(seconds=90)
    assert told.snapshot_retention == timedelta(days=2)


@pytest.mark.parametrize("judged_by", ["SOURCE_HYSTERESIS", "QUARANTINE_CONFIRM_AFTER"])
def test_snapshots_are_kept_for_longer_than_they_are_judged_by(monkeypatch, judged_by) -> None:
    monkeypatch.setenv(judged_by, "PT6H")
    with pytest.raises(ValidationError, match="SNAPSHOT_RETENTION must be longer"):
        ConsolidatorSettings(**GIVEN)
