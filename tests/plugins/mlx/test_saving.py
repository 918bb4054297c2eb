import threading
from pathlib import Path

from cache_file_support import file_of, files, plain
from lmx_mlx import cache_files
from lmx_mlx.disk_cache import DiskCache
from lmx_mlx.prefix_cache import PrefixCache
from lmx_mlx.saving import SETTLED_S, DiskTier
from step_engine_support import Log


def test_many_writers_and_evictors_leave_only_whole_files(tmp_path: Path) -> None:
    def work(number: int) -> None:
        disk = DiskCache(root=tmp_path / "shared", identity="same", max_bytes=60_000, log=Log())
        disk.open()
        for round_ in range(12):
            disk.store(file_of([number, round_ % 3, *range(98)], identity="same"))
            disk.settle(10)
            assert not disk.busy
            disk.fetch([number, round_ % 3, *range(98), 1], longer_than=0, largest_bytes=1e9)
            failures.extend(event for event, _ in disk.log.events)  # type: ignore[attr-defined]

    failures: list[str] = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    kept = files(tmp_path / "shared")
    assert failures == []
    assert kept
    for path in kept:
        cache_files.read(path, "same")
    assert sum(path.stat().st_size for path in kept) <= 60_000


def test_an_entry_is_saved_once_it_has_stayed_a_while(tmp_path: Path) -> None:
    now = [100.0]
    memory = PrefixCache(max_bytes=1 << 20)
    disk = DiskCache(root=tmp_path / "r", identity="i", max_bytes=1 << 20, log=Log())
    disk.open()
    tier = DiskTier(memory=memory, disk=disk, clock=lambda: now[0])
    memory.put(range(100), [plain(100)])

    tier.work()
    before = disk.busy, disk.written
    now[0] += SETTLED_S + 1
    tier.work()
    tier.work()
    disk.settle(10)

    assert before == (False, 0)
    assert not disk.busy
    assert disk.written == 1
    now[0] += SETTLED_S + 1
    tier.work()
    assert tier._packing is None
    tier.close()
