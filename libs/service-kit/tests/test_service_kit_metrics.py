import pytest

from service_kit.metrics import Metrics


def test_build_info_says_what_runs():
    text = Metrics("sample", "1.2.3").render().decode()
    assert 'onefolio_build_info{service="sample",version="1.2.3"} 1.0' in text


def test_asking_twice_gives_the_same_metric():
    metrics = Metrics("sample")
    first = metrics.counter("onefolio_things_total", "Things.", ("kind",))
    second = metrics.counter("onefolio_things_total", "Things.", ("kind",))
    first.labels("a").inc()
    second.labels("a").inc()
    assert metrics.value("onefolio_things_total", kind="a") == 2


def test_one_name_cannot_be_two_metrics():
    metrics = Metrics("sample")
    metrics.counter("onefolio_things_total", "Things.", ("kind",))
    with pytest.raises(ValueError, match="onefolio_things_total"):
        metrics.counter("onefolio_things_total", "Things.", ("other",))
    with pytest.raises(ValueError, match="onefolio_things_total"):
        metrics.gauge("onefolio_things_total", "Things.", ("kind",))


def test_two_processes_do_not_share_a_registry():
    one, two = Metrics("one"), Metrics("two")
    one.gauge("onefolio_depth", "Depth.").set(5)
    two.gauge("onefolio_depth", "Depth.").set(7)
    assert (one.value("onefolio_depth"), two.value("onefolio_depth")) == (5, 7)


def test_a_histogram_is_rendered_without_created_series():
    metrics = Metrics("sample")
    metrics.histogram("onefolio_wait_seconds", "Wait.", ("queue",)).labels("q").observe(0.2)
    text = metrics.render().decode()
    assert 'onefolio_wait_seconds_bucket{le="0.25",queue="q"} 1.0' in text
    assert "_created" not in text


def test_a_metric_never_touched_reads_zero():
    assert Metrics("sample").value("onefolio_nothing_total", kind="x") == 0
