from lmx.metrics import MAX_LABEL_SETS, PrometheusMetrics
from lmx_hookspecs import Sample


def test_the_page_is_prometheus_text_without_created_series() -> None:
    metrics = PrometheusMetrics()

    metrics.counter("lmx_requests", "Requests.").inc()
    metrics.histogram("lmx_x_seconds", "X.", ["model"], [0.1, 1]).observe(0.5, model="m")
    page = metrics.render().decode()

    assert "lmx_requests_total 1.0" in page
    assert 'lmx_x_seconds_bucket{le="0.1",model="m"} 0.0' in page
    assert 'lmx_x_seconds_bucket{le="+Inf",model="m"} 1.0' in page
    assert "_created" not in page


def test_asking_twice_for_a_name_gives_the_same_instrument() -> None:
    metrics = PrometheusMetrics()

    assert metrics.gauge("lmx_g", "G.") is metrics.gauge("lmx_g", "G.")


def test_label_values_are_escaped() -> None:
    metrics = PrometheusMetrics()

    metrics.counter("lmx_c", "C.", ["client"]).inc(client='a"b\\c\nd')

    assert r'client="a\"b\\c\nd"' in metrics.render().decode()


def test_beyond_a_bound_label_values_are_counted_as_other() -> None:
    metrics = PrometheusMetrics()
    counter = metrics.counter("lmx_c", "C.", ["client"])

    for number in range(MAX_LABEL_SETS + 50):
        counter.inc(client=str(number))

    assert metrics.registry.get_sample_value("lmx_c_total", {"client": "other"}) == 50


def test_samples_are_read_by_name_and_gauges_at_that_moment() -> None:
    metrics = PrometheusMetrics()
    metrics.counter("lmx_c", "C.", ["model"]).inc(2, model="m")
    metrics.counter("lmx_other", "Other.").inc()
    metrics.readings = lambda: {"lmx_uptime_seconds": 5.0}

    some = metrics.samples("lmx_c_total", "lmx_uptime_seconds", "lmx_unknown_total")
    everything = metrics.samples()

    assert sorted(some, key=lambda sample: sample.name) == [
        Sample("lmx_c_total", {"model": "m"}, 2.0),
        Sample("lmx_uptime_seconds", {}, 5.0),
    ]
    assert {sample.name for sample in everything} == {"lmx_c_total", "lmx_other_total", "lmx_uptime_seconds"}
    assert "lmx_uptime_seconds 5.0" in metrics.render().decode()
