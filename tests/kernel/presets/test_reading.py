from pathlib import Path

import pytest

from lmx.presets.reading import BadPreset, read_preset

SHIPPED = Path(__file__).parents[3] / "config.d" / "presets"


def written(folder: Path, text: str) -> Path:
    file = folder / "preset.yaml"
    file.write_text(text)
    return file


def test_everything_that_a_preset_may_hold_is_read(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        name: glm-4
        description: the big one
        model: org/glm-4
        parameters: {temperature: 1, stop: END, max_tokens: 100, response_format: {type: json_object}, seed: null}
        system_prompt: Be brief.
        routing_alias: chat
        auto_load: true
        performance: {kv_bits: 8, scheduler: {max_num_seqs: 16}}
        chat_template: "{{ messages }}"
        """,
    )

    preset, notes = read_preset(file)

    assert (preset.name, preset.model, preset.routing_alias, preset.auto_load) == ("glm-4", "org/glm-4", "chat", True)
    assert preset.parameters == {
        "temperature": 1.0,
        "stop": ["END"],
        "max_tokens": 100,
        "response_format": {"type": "json_object"},
    }
    assert preset.performance == {"kv_bits": 8, "max_concurrent_requests": 16}
    assert (preset.chat_template, preset.file, notes) == ("{{ messages }}", file, [])


def test_booleans_of_an_earlier_yaml_are_booleans_where_one_belongs_and_text_elsewhere(tmp_path: Path) -> None:
    file = written(tmp_path, "name: n\nmodel: m\nauto_load: Yes\nsystem_prompt: no\nperformance: {prefix_cache: off}\n")

    preset, _ = read_preset(file)

    assert (preset.auto_load, preset.system_prompt) == (True, "no")
    assert preset.performance == {"prefix_cache_enabled": False}


def test_null_is_not_set(tmp_path: Path) -> None:
    file = written(tmp_path, "name: n\nmodel: m\nparameters:\nsystem_prompt: null\nperformance: {speculative: null}\n")

    preset, _ = read_preset(file)

    assert (preset.parameters, preset.system_prompt, preset.performance) == ({}, None, {})


def test_a_draft_model_is_kept_by_its_name_here(tmp_path: Path) -> None:
    file = written(
        tmp_path, "name: n\nmodel: m\nperformance: {kv_bits: 8, speculative: {draft_model: d, num_tokens: 5}}\n"
    )

    preset, notes = read_preset(file)

    assert preset.performance == {"kv_bits": 8, "draft_model": "d", "num_draft_tokens": 5}
    assert notes == []


def test_what_no_engine_honours_is_left_out_and_told(tmp_path: Path) -> None:
    file = written(tmp_path, "name: n\nmodel: m\nperformance: {kv_bits: 8, cache_memory_percent: 0.2}\n")

    preset, notes = read_preset(file)

    assert preset.performance == {"kv_bits": 8}
    assert len(notes) == 1
    assert "cache_memory_percent" in notes[0]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("name: [", 1, "flow"),
        ("- name: n\n", 1, "must hold keys"),
        ("", 1, "must hold keys"),
        ("model: m\n", 1, "name: is required"),
        ("name: n\n", 1, "model: is required"),
        ("name: a b\nmodel: m\n", 1, "white space"),
        ("name: a/b\nmodel: m\n", 1, "slashes"),
        ("name: 4\nmodel: m\n", 1, "write it in quotes"),
        ("name: n\nmodel: preset:other\n", 2, "not another preset"),
        ("name: n\nmodel: m\nparamters: {}\n", 3, "did you mean 'parameters'"),
        ("name: n\nmodel: m\nparameters:\n  temprature: 1\n", 4, "did you mean 'temperature'"),
        ("name: n\nmodel: m\nparameters:\n  top_p: 1\n  temperature: 3\n", 5, "between 0 and 2"),
        ("name: n\nmodel: m\nparameters:\n  num_ctx: 511\n", 4, "between 512 and 131072"),
        ("name: n\nmodel: m\nparameters:\n  stop: [a, '']\n", 4, "not empty"),
        ("name: n\nmodel: m\nparameters:\n  response_format: {type: xml}\n", 4, "json_object"),
        ("name: n\nmodel: m\nauto_load: maybe\n", 3, "true or false"),
        ("name: n\nmodel: auto\nauto_load: true\n", 3, "a model of its own"),
        ("name: n\nmodel: auto\nrouting_alias: chat\n", 3, "a model of its own"),
        ("name: n\nmodel: m\nrouting_alias: auto\n", 3, "neither auto nor a preset"),
        ("name: n\nmodel: m\nperformance:\n  kv_bits: 3\n", 4, "4, 8"),
        ("name: n\nmodel: m\nperformance:\n  scheduler:\n    max_seqs: 3\n", 5, "did you mean"),
        ("name: n\nname: n\nmodel: m\n", 2, "duplicate key"),
    ],
)
def test_what_is_no_preset_is_told_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    file = written(tmp_path, text)

    with pytest.raises(BadPreset) as caught:
        read_preset(file)

    assert str(caught.value).startswith(f"{file}:{line}: ")
    assert words in str(caught.value)


def test_a_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "preset.yaml"
    file.write_bytes(b"name: n\nmodel: \xff\n")

    with pytest.raises(BadPreset, match=r"preset\.yaml:2: is not UTF-8"):
        read_preset(file)


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.yaml")), ids=lambda file: file.name)
def test_the_shipped_examples_are_presets_that_load_nothing_by_themselves(file: Path) -> None:
    preset, notes = read_preset(file)

    assert preset.name == file.stem
    assert (preset.auto_load, notes) == (False, [])
