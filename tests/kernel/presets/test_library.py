from pathlib import Path

import pytest

from kernel_support import Log
from lmx.presets import PresetLibrary
from lmx_hookspecs.errors import ModelNotFound

EARLIER = {
    "code-assistant": "memory_estimate_gb: 18",
    "glm-4-flash": "memory_estimate_gb: 15",
    "glm-4": "memory_estimate_gb: 200\n  kv_bits: 8\n  speculative: {draft_model: org/glm-4-flash, num_tokens: 5}",
    "kimi-k2": "memory_estimate_gb: 440\n  kv_bits: 8\n  kv_group_size: 64",
    "minimax-m2": "memory_estimate_gb: 129\n  scheduler: {max_num_seqs: 64, cache_memory_percent: 0.2}",
    "qwen3-30b-uncensored": "memory_estimate_gb: 15\n  max_concurrent: 4",
    "reasoning": "memory_estimate_gb: 18\n  prefix_cache: yes\n  speculative: null",
}
"""The presets that shipped with the earlier system, and the settings that they made."""


def write(folder: Path, file: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / file).write_text(text)


async def test_the_presets_of_the_earlier_system_all_load(tmp_path: Path) -> None:
    for name, performance in EARLIER.items():
        write(tmp_path, f"{name}.yaml", f"name: {name}\nmodel: org/{name}\nperformance:\n  {performance}\n")
    library = PresetLibrary(tmp_path, log=Log())

    presets = await library.reload()

    assert [preset.name for preset in presets] == sorted(EARLIER)
    assert library.skipped() == {}
    assert library.performance_of("org/kimi-k2") == {"memory_estimate_gb": 440.0, "kv_bits": 8, "kv_group_size": 64}


async def test_what_is_left_out_of_a_preset_is_logged(tmp_path: Path) -> None:
    log = Log()
    write(tmp_path, "a.yaml", "name: a\nmodel: m\nperformance: {cache_memory_percent: 0.2}\n")

    await PresetLibrary(tmp_path, log=log).reload()

    assert [line["file"] for line in log.named("preset_setting_dropped")] == ["a.yaml"]


async def test_a_bad_file_is_skipped_and_listed_and_logged(tmp_path: Path) -> None:
    log = Log()
    write(tmp_path, "bad.yaml", "name: [\n")
    write(tmp_path, "good.yml", "name: good\nmodel: m\n")
    write(tmp_path, "nameless.yaml", "model: m\n")
    write(tmp_path, "notes.txt", "not a preset\n")
    write(tmp_path, ".hidden.yaml", "name: [\n")
    library = PresetLibrary(tmp_path, log=log)

    presets = await library.reload()

    assert [preset.name for preset in presets] == ["good"]
    assert sorted(library.skipped()) == ["bad.yaml", "nameless.yaml"]
    assert [line["file"] for line in log.named("preset_skipped")] == ["bad.yaml", "nameless.yaml"]


async def test_of_two_presets_with_one_name_the_later_file_counts(tmp_path: Path) -> None:
    write(tmp_path, "1.yaml", "name: twice\nmodel: first\n")
    write(tmp_path, "2.yaml", "name: twice\nmodel: second\n")
    library = PresetLibrary(tmp_path, log=Log())

    await library.reload()

    assert library.get("twice").model == "second"
    assert "2.yaml" in library.skipped()["1.yaml"]


async def test_a_reload_sees_what_came_and_went(tmp_path: Path) -> None:
    library = PresetLibrary(tmp_path, log=Log())
    write(tmp_path, "old.yaml", "name: old\nmodel: m\nrouting_alias: chat\n")
    await library.reload()
    (tmp_path / "old.yaml").unlink()
    write(tmp_path, "new.yaml", "name: new\nmodel: n\nrouting_alias: code\n")

    presets = await library.reload()

    assert [preset.name for preset in presets] == ["new"]
    assert library.aliases() == {"code": ["n"]}


@pytest.mark.parametrize("enabled", [True, False])
async def test_no_folder_and_a_switched_off_one_hold_nothing(tmp_path: Path, enabled: bool) -> None:
    write(tmp_path / "there", "a.yaml", "name: a\nmodel: m\n")
    folder = tmp_path / ("missing" if enabled else "there")

    assert await PresetLibrary(folder, enabled=enabled, log=Log()).reload() == []
    assert await PresetLibrary(log=Log()).reload() == []


async def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    library = PresetLibrary(file, log=Log())

    await library.reload()

    assert "cannot be listed" in library.skipped()[str(file)]


async def test_presets_say_what_to_load_and_how(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "name: a\nmodel: m\nauto_load: true\nperformance: {kv_bits: 4, pinned: true}\n")
    write(tmp_path, "b.yaml", "name: b\nmodel: m\nauto_load: true\nperformance: {kv_bits: 8}\n")
    write(tmp_path, "c.yaml", "name: c\nmodel: other\nperformance: {mode: single}\n")
    library = PresetLibrary(tmp_path, log=Log())

    await library.reload()

    assert library.auto_load() == ["m"]
    assert library.performance_of("m") == {"kv_bits": 8, "pinned": True}
    assert library.performance_of("nobody") == {}


async def test_an_unknown_preset_is_no_model_and_the_nearest_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "name: reasoning\nmodel: m\n")
    library = PresetLibrary(tmp_path, log=Log())
    await library.reload()

    with pytest.raises(ModelNotFound, match=r"'preset:reasonin', did you mean 'preset:reasoning'\?"):
        library.named("preset:reasonin")
    with pytest.raises(ModelNotFound, match="there are preset:reasoning"):
        library.get("zzz")
    with pytest.raises(ModelNotFound, match="5000 characters"):
        library.get("x" * 5000)
    with pytest.raises(ModelNotFound, match="there is none"):
        PresetLibrary().get("a")


async def test_a_name_without_the_prefix_means_no_preset(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "name: a\nmodel: m\n")
    library = PresetLibrary(tmp_path, log=Log())
    await library.reload()

    found = library.named("preset:a")

    assert found is not None
    assert found.name == "a"
    assert library.named("a") is None
