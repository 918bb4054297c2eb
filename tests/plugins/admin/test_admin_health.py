import pytest
from attrs import evolve

from admin_models_support import GB, LOADED, ON_DISK, REPORT
from admin_support import StandIns
from http_support import Served
from lmx_hookspecs import Health, ModelState


async def test_memory_tells_the_machine_the_budget_and_who_holds_what(server: Served, services: StandIns) -> None:
    services.models.statuses["coming"] = evolve(
        ON_DISK, state=ModelState.LOADING, info=evolve(ON_DISK.info, id="coming")
    )

    answer = (await server.ask("GET", "/admin/memory")).json()

    assert answer == {
        "total_unified_memory_gb": 16.0,
        "used_gb": 10.0,
        "available_gb": 6.0,
        "threshold_percent": 80,
        "models": {
            "org/big": {"memory_gb": 2.5, "loaded": True},
            "coming": {"memory_gb": 0.0, "loaded": False},
        },
        "budget_gb": 14.0,
        "held_gb": 3.0,
        "holdings": [
            {
                "name": "org/big",
                "kind": "model",
                "reserved_gb": 3.0,
                "measured_gb": 2.5,
                "pinned": True,
                "idle_sec": 1.3,
            },
            {
                "name": "coming",
                "kind": "model",
                "reserved_gb": 0.5,
                "measured_gb": None,
                "pinned": False,
                "idle_sec": None,
            },
        ],
    }


async def test_the_status_counts_models_requests_and_memory(server: Served) -> None:
    answer = (await server.ask("GET", "/admin/status")).json()

    assert answer["version"]
    assert (answer["uptime_seconds"], answer["loaded_models"], answer["models"]) == (12.5, 1, ["org/big"])
    assert (answer["in_flight_requests"], answer["max_concurrent_requests"]) == (2, 4)
    assert answer["memory"] == {
        "total_gb": 16.0,
        "used_gb": 10.0,
        "available_gb": 6.0,
        "usage_percent": 62.5,
        "threshold_percent": 80,
    }


async def test_health_is_ok_while_every_check_holds(server: Served, services: StandIns) -> None:
    services.health.answers["disk"] = Health(ok=True, detail="5 GB free", took_s=0.0123, age_s=0.5)

    answer = (await server.ask("GET", "/admin/health")).json()

    assert (answer["status"], answer["reason"], answer["memory_usage_percent"]) == ("ok", None, 62.5)
    assert answer["checks"] == {
        "disk": {"ok": True, "detail": "5 GB free", "duration_ms": 12.3, "age_ms": 500.0},
    }
    assert (answer["models_loaded"], answer["in_flight_requests"], answer["metal"]) == (1, 2, None)
    assert (answer["helpers"], answer["safe_mode"]) == ({}, False)


async def test_health_is_degraded_with_the_reason_when_a_check_fails(server: Served, services: StandIns) -> None:
    services.health.answers["disk"] = Health(ok=False, detail="full; make room")

    answer = await server.ask("GET", "/admin/health")

    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["reason"]) == ("degraded", "disk: full; make room")


@pytest.mark.parametrize(
    ("available_bytes", "status", "reason"),
    [(8 * GB // 10, "ok", None), (7 * GB // 10, "degraded", "memory is 95.6% used; unload a model")],
)
async def test_memory_that_is_nearly_full_is_a_reason(
    server: Served, services: StandIns, available_bytes: int, status: str, reason: str | None
) -> None:
    services.models.report = evolve(REPORT, available_bytes=available_bytes)

    answer = (await server.ask("GET", "/admin/health")).json()

    assert (answer["status"], answer["reason"]) == (status, reason)


async def test_an_ill_helper_node_is_a_reason_and_safe_mode_is_told(server: Served, services: StandIns) -> None:
    services.described |= {
        "model_sources": {
            "remote.remote": {
                "helper_nodes": {"embedding": {"url": "http://it", "healthy": False}, "reranking": {"healthy": True}}
            }
        },
        "state": {"safe_mode": True},
    }

    answer = (await server.ask("GET", "/admin/health")).json()

    assert answer["safe_mode"] is True
    assert answer["reason"] == "helper node embedding is not healthy"
    assert answer["helpers"]["embedding"] == {"url": "http://it", "healthy": False, "circuit_state": "closed"}


async def test_the_memory_of_engines_on_a_gpu_is_added_up(server: Served, services: StandIns) -> None:
    reading = {"active_bytes": GB, "peak_bytes": 2 * GB, "cache_bytes": GB // 2}
    for status in (LOADED, ON_DISK):
        services.models.statuses[status.info.id] = evolve(status, details={"details": {"memory": reading}})

    answer = (await server.ask("GET", "/admin/health")).json()

    assert answer["metal"] == {"active_memory_gb": 2.0, "peak_memory_gb": 4.0, "cache_memory_gb": 1.0}


async def test_the_inside_is_shown_engine_by_engine_and_queue_by_queue(server: Served, services: StandIns) -> None:
    beating = {"step_age_s": 0.25, "pending": 2, "missed_beats": 1, "details": {}}
    services.models.statuses["org/big"] = evolve(LOADED, details=beating)
    services.models.statuses["away"] = evolve(
        LOADED, info=evolve(LOADED.info, id="away"), state=ModelState.LOADING, reason="the worker is wedged"
    )
    services.described |= {
        "scheduler": {"waiting": 3, "oldest_wait_s": 1.5},
        "guards": [{"guard": "breaker", "targets": {"org/big": {"state": "half_open", "failures": 3}}}],
    }
    sample = {"cpu_celsius": 44.0, "gpu_celsius": None, "power_watts": 8.5}
    services.health.answers["admin.thermal"] = Health(ok=True, detail="44 °C", facts=sample)

    answer = (await server.ask("GET", "/admin/health")).json()

    engine = answer["engines"]["org/big"]
    assert (engine["state"], engine["step_age_sec"], engine["pending"], engine["missed_beats"]) == ("ready", 0.25, 2, 1)
    away = answer["engines"]["away"]
    assert (away["state"], away["reason"], away["step_age_sec"]) == ("loading", "the worker is wedged", None)
    assert answer["breakers"] == {"org/big": "half_open"}
    assert answer["queues"] == {"waiting": 3, "oldest_wait_s": 1.5}
    assert answer["thermal"] == sample
