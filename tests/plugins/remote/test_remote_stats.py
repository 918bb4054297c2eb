from lmx_remote.stats import WINDOW, CallStats


def test_calls_that_say_nothing_about_the_node_do_not_change_its_rate() -> None:
    stats = CallStats()

    stats.succeeded(10.0)
    stats.failed()
    stats.ended_otherwise()

    assert stats.describe() == {
        "total_requests": 3,
        "successes": 1,
        "failures": 1,
        "success_rate_pct": 50.0,
        "avg_latency_ms": 10.0,
        "p95_latency_ms": 10.0,
    }


def test_latencies_are_those_of_the_last_calls() -> None:
    stats = CallStats()

    for latency_ms in [1000.0, *map(float, range(1, WINDOW + 1))]:
        stats.succeeded(latency_ms)

    assert stats.describe()["avg_latency_ms"] == 50.5
    assert stats.describe()["p95_latency_ms"] == 96.0
