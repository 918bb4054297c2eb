from typing import Any

import pytest

from kernel_support import GB, Log, backend, info
from lmx.models.estimate import Estimate, estimated, gb
from lmx_hookspecs import MemoryNeed, ModelInfo
from lmx_hookspecs.errors import InvalidRequest

NEED = MemoryNeed(weight_bytes=4 * GB, kv_bytes_per_token=1000)


def spec(need: MemoryNeed | None = NEED, isolation: Any = "process") -> Any:
    return backend(isolation=isolation, memory_need=None if need is None else lambda _info: need).spec


@pytest.mark.parametrize(
    ("model", "kv_bytes"),
    [
        (info("m"), 4 * 4096 * 1000),
        (info("m", context_length=1024), 4 * 1024 * 1000),
        (info("m", context_length=131_072), 4 * 4096 * 1000),
        (info("m", context_length=1024, settings={"context_length": 512}), 4 * 512 * 1000),
        (info("m", settings={"kv_budget_gb": 2.5}), 2_500_000_000),
    ],
)
async def test_an_estimate_is_weights_with_what_engines_add_kv_caches_and_the_worker(
    model: ModelInfo, kv_bytes: int
) -> None:
    estimate = await estimated(spec(), model, Log())

    assert estimate == Estimate(weight_bytes=4 * GB, kv_bytes=kv_bytes, worker_bytes=120_000_000)
    assert estimate.total_bytes == 4_600_000_000 + kv_bytes + 120_000_000


async def test_an_engine_in_the_kernel_has_no_worker_to_pay_for() -> None:
    estimate = await estimated(spec(isolation="inline"), info("m", size_bytes=7), Log())

    assert estimate.worker_bytes == 0


async def test_a_backend_that_knows_nothing_is_reckoned_by_the_size_on_disk() -> None:
    estimate = await estimated(spec(None), info("m", size_bytes=2 * GB), Log())

    assert estimate.total_bytes == 2_300_000_000 + 120_000_000


async def test_a_backend_that_cannot_tell_is_reckoned_by_the_size_on_disk_and_logged() -> None:
    def broken(_info: ModelInfo) -> MemoryNeed:
        raise ValueError("no header")

    log = Log()

    estimate = await estimated(backend(memory_need=broken).spec, info("m", size_bytes=2 * GB), log)

    assert estimate.weight_bytes == 2 * GB
    assert [facts["model"] for facts in log.named("memory_need_failed")] == ["m"]


async def test_a_stated_estimate_takes_the_place_of_all_others() -> None:
    estimate = await estimated(spec(), info("m", settings={"memory_estimate_gb": 30}), Log())

    assert estimate.total_bytes == 30 * GB
    assert str(estimate) == "30.0 GB (its memory_estimate_gb)"


def test_once_loaded_it_counts_with_what_it_took_and_all_that_its_kv_caches_may_take() -> None:
    estimate = Estimate(weight_bytes=4 * GB, kv_bytes=GB, worker_bytes=120_000_000)

    assert estimate.settled_bytes(4 * GB) == 5 * GB


def test_kv_caches_that_were_allocated_with_the_load_count_once() -> None:
    estimate = Estimate(weight_bytes=4 * GB, kv_bytes=GB, kv_is_measured=True)

    assert estimate.settled_bytes(5 * GB) == 5 * GB


def test_what_was_stated_stays_and_so_does_the_estimate_of_an_engine_that_measures_nothing() -> None:
    assert Estimate(stated_bytes=8 * GB).settled_bytes(3 * GB) == 8 * GB
    assert Estimate(weight_bytes=2 * GB).settled_bytes(0) == 2_300_000_000


def test_the_parts_of_an_estimate_can_be_read() -> None:
    estimate = Estimate(weight_bytes=4 * GB, kv_bytes=16_384_000, worker_bytes=120_000_000)

    assert str(estimate) == "4.7 GB (weights 4.0 GB x 1.15 + KV caches 0.016 GB + worker 0.12 GB)"


@pytest.mark.parametrize(("size_bytes", "text"), [(0, "0 GB"), (17_100_000, "0.017 GB"), (5_230_000_000, "5.2 GB")])
def test_sizes_are_gb_of_a_billion_bytes(size_bytes: int, text: str) -> None:
    assert gb(size_bytes) == text


@pytest.mark.parametrize("stated_gb", [0, -1, 100_001, 1.7e308, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["memory_estimate_gb", "kv_budget_gb"])
async def test_what_no_machine_has_is_refused_by_the_name_of_the_setting(name: str, stated_gb: float) -> None:
    with pytest.raises(InvalidRequest, match=name):
        await estimated(spec(), info("m", settings={name: stated_gb}), Log())
