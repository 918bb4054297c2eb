import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cache_file_support import SUFFIX, files
from lmx_mlx import cache_files
from lmx_mlx.config import MlxConfig
from lmx_mlx.disk_room import make_room
from lmx_mlx.engine import MlxEngine
from lmx_mlx.fingerprint import identity_of
from mlx_support import SHAPE, engine_of, prompt_of, request_of, write_model
from step_engine_support import Log, drain, run

ON = MlxConfig(prefix_cache_disk_bytes=1 << 30)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LMX_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "prefix-caches"


def disk_facts(engine: MlxEngine) -> dict[str, Any]:
    facts = engine.describe().details["cache"]["disk"]
    assert isinstance(facts, dict)
    return facts


def events(engine: MlxEngine) -> list[str]:
    assert isinstance(engine.log, Log)
    return [event for event, _ in engine.log.events]


@pytest.mark.parametrize("settings", [{}, {"kv_bits": 8}, {"prompt_lookup": True}])
def test_a_prompt_goes_on_where_it_was_before_the_restart(tmp_path: Path, settings: dict[str, Any]) -> None:
    folder = write_model(tmp_path / "model", shape={**SHAPE, "head_dim": 64})
    first = engine_of(folder, config=ON, **settings)
    (answer,) = run(first, [request_of(prompt_of(200), max_tokens=20)])
    turn = [*prompt_of(200), *answer.tokens, *prompt_of(9, seed=2)]
    first.close()

    second = engine_of(folder, config=ON, **settings)
    (warm,) = run(second, [request_of(turn, max_tokens=20)])
    (cold,) = run(engine_of(folder, **settings), [request_of(turn, max_tokens=20)])

    assert warm.cached_tokens >= 219
    assert warm.tokens == cold.tokens
    assert (disk_facts(second)["hits"], disk_facts(second)["entries"]) == (1, 1)
    assert second.describe().details["cache"]["hits"] == 1


def test_nothing_is_written_unless_it_is_asked_for(model_folder: Path, home: Path) -> None:
    engine = engine_of(model_folder)
    run(engine, [request_of(prompt_of(200), max_tokens=4)])
    engine.trim()
    engine.close()

    assert not home.exists()
    assert engine.describe().details["cache"]["disk"] is None


def test_an_idle_engine_saves_what_it_has(model_folder: Path, home: Path) -> None:
    engine = engine_of(model_folder, config=ON)
    run(engine, [request_of(prompt_of(200), max_tokens=4)])

    engine.trim()

    assert len(files(home)) == 1
    assert disk_facts(engine)["written"] == 1
    assert disk_facts(engine)["bytes"] == files(home)[0].stat().st_size == disk_facts(engine)["total_bytes"]
    assert home.stat().st_mode & 0o077 == 0


def test_a_longer_conversation_replaces_its_own_beginning_on_disk(model_folder: Path, home: Path) -> None:
    prompt = prompt_of(100)
    for _ in range(2):
        engine = engine_of(model_folder, config=ON)
        (answer,) = run(engine, [request_of(prompt, max_tokens=10)])
        prompt = [*prompt, *answer.tokens, *prompt_of(20, seed=2)]
        engine.close()

    (kept,) = files(home)
    assert len(cache_files.read_head(kept, kept.parent.name).tokens) == 140


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content.__setitem__(len(content) - 5000, content[-5000] ^ 1), "its checksum is wrong"),
        (lambda content: content.__delitem__(slice(-4000, None)), "an array is cut off"),
        (lambda content: content.__delitem__(slice(None)), "no header"),
        (lambda content: content.__setitem__(slice(0, 64), os.urandom(64)), "header"),
        (lambda content: content.__setitem__(60, content[60] ^ 1), "."),
    ],
)
def test_a_damaged_file_is_dropped_with_a_line_in_the_log(
    model_folder: Path, home: Path, damage: Callable[[bytearray], None], reason: str
) -> None:
    engine = engine_of(model_folder, config=ON)
    (expected,) = run(engine, [request_of(prompt_of(200), max_tokens=6)])
    engine.close()
    (path,) = files(home)
    content = bytearray(path.read_bytes())
    damage(content)
    path.write_bytes(content)

    engine = engine_of(model_folder, config=ON)
    (result,) = run(engine, [request_of(prompt_of(200), max_tokens=6)])

    assert (result.tokens, result.cached_tokens) == (expected.tokens, 0)
    assert not path.exists()
    assert disk_facts(engine)["dropped"] == 1
    assert isinstance(engine.log, Log)
    (facts,) = [facts for event, facts in engine.log.events if event == "prefix_cache_file_dropped"]
    assert reason in facts["reason"] or reason == "."


def test_a_file_of_another_model_is_dropped(model_folder: Path, tmp_path: Path, home: Path) -> None:
    other = engine_of(write_model(tmp_path / "other", shape={**SHAPE, "rms_norm_eps": 1e-6}), config=ON)
    run(other, [request_of(prompt_of(200), max_tokens=6)])
    other.close()
    (theirs,) = files(home)
    folder = Path(disk_facts(engine_of(model_folder, config=ON))["folder"])
    theirs.rename(folder / theirs.name)

    engine = engine_of(model_folder, config=ON)
    (result,) = run(engine, [request_of(prompt_of(200), max_tokens=6)])

    assert theirs.parent != folder
    assert "prefix_cache_file_dropped" in events(engine)
    assert files(home) == []
    assert result.cached_tokens == 0
    assert result.tokens == run(engine_of(model_folder), [request_of(prompt_of(200), max_tokens=6)])[0].tokens


def test_other_weights_number_formats_and_adapters_are_others(model_folder: Path, tmp_path: Path) -> None:
    copy = write_model(tmp_path / "copy")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    plain = identity_of([copy], {"kv_bits": None})

    assert plain == identity_of([model_folder], {"kv_bits": None})
    assert plain != identity_of([copy], {"kv_bits": 8})
    assert plain != identity_of([copy, adapter], {"kv_bits": None})
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert plain != identity_of([copy], {"kv_bits": None})


def test_the_least_recently_used_files_go_when_the_bytes_run_out(model_folder: Path, home: Path) -> None:
    engine = engine_of(model_folder, config=ON)
    run(engine, [request_of(prompt_of(200, seed=seed), max_tokens=1) for seed in range(4)])
    engine.close()
    for age, path in enumerate(files(home)):
        os.utime(path, (1000 - age, 1000 - age))
    size_bytes = files(home)[0].stat().st_size
    used = files(home)[1]
    os.utime(used)

    deleted, left_bytes = make_room(home, int(2.5 * size_bytes), SUFFIX)

    assert deleted == 2
    assert left_bytes == sum(path.stat().st_size for path in files(home)) <= 2.5 * size_bytes
    assert used in files(home)
    assert len(files(home)) == 2


def test_the_bound_holds_for_what_is_written(model_folder: Path, home: Path) -> None:
    engine = engine_of(model_folder, config=MlxConfig(prefix_cache_disk_bytes=300_000))

    for seed in range(5):
        run(engine, [request_of(prompt_of(250, seed=seed), max_tokens=1)])
        engine.trim()

    assert 0 < sum(path.stat().st_size for path in files(home)) <= 300_000
    assert disk_facts(engine)["evictions"] == 5 - len(files(home))
    assert disk_facts(engine)["entries"] == len(files(home))


def test_an_entry_larger_than_the_bound_is_not_written(model_folder: Path, home: Path) -> None:
    engine = engine_of(model_folder, config=MlxConfig(prefix_cache_disk_bytes=70_000))

    run(engine, [request_of(prompt_of(250), max_tokens=1)])
    engine.trim()

    assert files(home) == []
    assert disk_facts(engine)["written"] == 0


def test_a_half_written_file_of_a_dead_worker_is_swept_and_a_young_one_left(model_folder: Path, home: Path) -> None:
    folder = home / "0123"
    folder.mkdir(parents=True)
    old, young = folder / f".a{SUFFIX}.1.partial", folder / f".b{SUFFIX}.2.partial"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))

    engine_of(model_folder, config=ON)

    assert [path.exists() for path in (old, young)] == [False, True]


def test_two_workers_share_the_folder(model_folder: Path, home: Path) -> None:
    engines = [engine_of(model_folder, config=ON) for _ in range(2)]
    prompts = [prompt_of(200, seed=seed) for seed in range(2)]
    for engine, prompt in zip(engines, prompts, strict=True):
        run(engine, [request_of(prompt, max_tokens=2)])
        engine.trim()

    crossed = [run(engine, [request_of(prompts[1 - n], max_tokens=2)])[0] for n, engine in enumerate(engines)]

    assert [result.cached_tokens for result in crossed] == [199, 199]
    assert len(files(home)) == 2


def test_a_file_that_another_worker_deletes_before_it_is_read_is_a_miss(model_folder: Path, home: Path) -> None:
    engine, may_read = engine_of(model_folder, config=ON), threading.Event()
    run(engine, [request_of(prompt_of(200), max_tokens=2)])
    engine.trim()
    assert engine.prefix_cache is not None
    assert engine.disk is not None
    engine.prefix_cache.clear()
    engine.disk.disk._threads.submit(may_read.wait)
    engine.add(1, request_of(prompt_of(200), max_tokens=2))
    waiting = engine.step(), engine.describe().details["queued"]
    files(home)[0].unlink()

    may_read.set()
    pieces = drain(engine)

    assert waiting == ((), 1)
    assert [piece.cached_tokens for piece in pieces] == [0, 0]
    assert "prefix_cache_file_dropped" not in events(engine)


def test_other_rows_go_on_while_a_file_is_read(model_folder: Path) -> None:
    engine, may_read = engine_of(model_folder, config=ON), threading.Event()
    run(engine, [request_of(prompt_of(200), max_tokens=2)])
    engine.trim()
    assert engine.prefix_cache is not None
    assert engine.disk is not None
    engine.prefix_cache.clear()
    engine.disk.disk._threads.submit(may_read.wait)
    engine.add(1, request_of(prompt_of(200), max_tokens=2))
    engine.add(2, request_of(prompt_of(20, seed=3), max_tokens=4))

    meanwhile = [piece for _ in range(12) for piece in engine.step()]
    may_read.set()
    pieces = drain(engine)

    assert [piece.id for piece in meanwhile] == [2, 2, 2, 2]
    assert [(piece.id, piece.cached_tokens) for piece in pieces] == [(1, 199), (1, 0)]


def test_a_folder_that_cannot_be_made_leaves_the_model_running(model_folder: Path, home: Path) -> None:
    home.parent.mkdir(parents=True)
    home.write_text("a file in its place")

    engine = engine_of(model_folder, config=ON)

    assert events(engine) == ["prefix_cache_has_no_folder"]
    assert len(run(engine, [request_of(prompt_of(70), max_tokens=2)])[0].tokens) == 2


def test_a_write_that_fails_is_told_and_hurts_nobody(model_folder: Path) -> None:
    engine = engine_of(model_folder, config=ON)
    run(engine, [request_of(prompt_of(70), max_tokens=2)])
    folder = Path(disk_facts(engine)["folder"])
    folder.rmdir()
    folder.write_text("a file in its place")

    engine.trim()

    assert "prefix_cache_not_written" in events(engine)
    assert len(run(engine, [request_of(prompt_of(70), max_tokens=2)])[0].tokens) == 2
