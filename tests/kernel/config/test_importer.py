"""From an Opta-LMX configuration to ours, with an account of every key."""

from pathlib import Path
from typing import Any

import pytest

import lmx_remote
from lmx.config import complaints, read
from lmx.config.importer import Import, convert, hand_over_rag_store, import_presets, read_old, write
from lmx.config.legacy import KEYS
from lmx.config.merge import nested, plain, wrap
from lmx_hookspecs.errors import ConfigError, Conflict

OLD = """\
server: {host: 127.0.0.1, port: 1234, workers: 4, websocket_enabled: yes}
models:
  models_directory: /srv/models
  warmup_on_load: on
  kv_bits: 8
  gguf_gpu_layers: -1
  inference_timeout_sec: 5
memory: {max_memory_percent: 90}
routing:
  aliases: {code: [a, b], chat: []}
helper_nodes:
  embedding: {url: "http://x", model: m}
stack_presets: {big: {roles: {code: a}}, odd: {roles: [a]}}
backends: {studio: {url: "http://y"}, odd: {url: "http://z", roles: [code]}}
"""
SPECS = {"remote": lmx_remote.lmx_config()}


def complaint(key: tuple[str, ...], value: Any) -> str | None:
    problems = complaints(nested(key, wrap(value, "")), SPECS, SPECS)
    return "; ".join(problem.message for problem in problems) or None


def converted(tmp_path: Path, text: str) -> Import:
    file = tmp_path / "old.yaml"
    file.write_text(text, encoding="utf-8")
    return convert(read_old(file), complaint)


def fates(result: Import) -> dict[str, tuple[str, str, str]]:
    return {outcome.key: (outcome.fate, outcome.to, outcome.reason) for outcome in result.outcomes}


def test_every_key_is_kept_renamed_or_dropped_with_the_reason(tmp_path: Path) -> None:
    result = converted(tmp_path, OLD)

    assert fates(result) == {
        "server.host": ("kept", "server.host", ""),
        "server.port": ("kept", "server.port", ""),
        "server.workers": ("dropped", "", "must be 1: one kernel owns the machine; scale with nodes"),
        "server.websocket_enabled": ("kept", "server.websocket_enabled", ""),
        "models.models_directory": ("renamed", "models.directories", "a list now"),
        "models.warmup_on_load": ("kept", "models.warmup_on_load", ""),
        "models.kv_bits": ("kept", "models.kv_bits", ""),
        "models.gguf_gpu_layers": ("dropped", "", "comes with a later version"),
        "models.inference_timeout_sec": ("dropped", "", "must be between 10 and 3600"),
        "memory.max_memory_percent": ("kept", "memory.max_memory_percent", ""),
        "routing.aliases": ("kept", "routing.aliases", ""),
        "helper_nodes.embedding": ("kept", "helper_nodes.embedding", ""),
        "stack_presets.big": (
            "kept",
            "stack_presets.big",
            "only shown by the earlier system; can be activated now",
        ),
        "stack_presets.odd.roles": ("dropped", "", "must be a mapping, got a list"),
        "backends.studio": ("kept", "backends.studio", "only shown by the earlier system; takes traffic now"),
        "backends.odd.url": ("dropped", "", "must be one of: chat, completion, embedding, rerank"),
        "backends.odd.roles": ("dropped", "", "must be one of: chat, completion, embedding, rerank"),
    }


def test_what_is_written_is_a_valid_configuration_and_loses_nothing(tmp_path: Path) -> None:
    result = converted(tmp_path, OLD)

    files = write(result, tmp_path / "new", source=tmp_path / "old.yaml", force=False)

    data = plain(read(tmp_path / "new", {}).root)
    assert complaints(read(tmp_path / "new", {}).root, SPECS, SPECS) == []
    assert data["models"] == {"directories": ["/srv/models"], "warmup_on_load": True, "kv_bits": 8}
    assert data["memory"] == {"max_memory_percent": 90}
    assert data["stack_presets"] == {"big": {"roles": {"code": "a"}}}
    assert data["helper_nodes"] == {"embedding": {"url": "http://x", "model": "m"}}
    assert data["backends"] == {"studio": {"url": "http://y"}}
    assert data["routing"] == {"aliases": {"code": ["a", "b"], "chat": []}}
    assert [file.name for file in files] == [
        "00-server.yaml",
        "10-models.yaml",
        "20-plugins.yaml",
        "90-imported-later.yaml",
    ]
    left = "\n".join(line[2:] for line in files[-1].read_text(encoding="utf-8").splitlines()[2:])
    (tmp_path / "left.yaml").write_text(left, encoding="utf-8")
    assert read_old(tmp_path / "left.yaml") == result.left
    assert {file.stat().st_mode & 0o077 for file in files} == {0}


def test_a_file_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    result = converted(tmp_path, "server: {port: 1}")
    target = tmp_path / "00-server.yaml"
    target.write_text("mine", encoding="utf-8")

    with pytest.raises(Conflict, match=r"already there: .*00-server.yaml; choose another --output, or --force"):
        write(result, tmp_path, source=Path("old.yaml"), force=False)

    assert target.read_text(encoding="utf-8") == "mine"
    write(result, tmp_path, source=Path("old.yaml"), force=True)
    assert "port: 1" in target.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    result = converted(tmp_path, "server: {port: 1}")

    with pytest.raises(ConfigError, match="cannot be written"):
        write(result, tmp_path / "old.yaml" / "sub", source=Path("old.yaml"), force=False)


def test_keys_that_the_earlier_system_never_had_are_told_apart(tmp_path: Path) -> None:
    result = converted(tmp_path, "servr: {port: 1}\nserver: {prot: 1}\nfoo: {}\nlogging:\nrag: []\n")

    assert {key: reason for key, (_, _, reason) in fates(result).items()} == {
        "servr.port": "unknown key",
        "server.prot": "unknown key, did you mean 'port'?",
        "foo": "unknown section",
        "logging": "holds no keys",
        "rag": "holds no keys",
    }


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("models: {default_model: a}\nrouting: {default_model: b}", {"routing.default_model"}),
        ("models: {default_model: a}\nrouting: {default_model: a}", {"models.default_model", "routing.default_model"}),
        ("models: {default_model: a}", {"models.default_model"}),
    ],
)
def test_the_default_model_that_had_an_effect_wins(tmp_path: Path, text: str, kept: set[str]) -> None:
    result = converted(tmp_path, text)

    assert {key for key, (fate, _, _) in fates(result).items() if fate == "kept"} == kept


def test_every_new_key_exists() -> None:
    kernel_keys = [fate.to for fate in KEYS.values() if fate.to is not None and fate.to[0] != "plugins"]

    unknown = [key for key in kernel_keys if "unknown" in (complaint(key, object()) or "")]

    assert unknown == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a\n", "must hold sections"),
        (b"", "is empty"),
        (b"a: [\n", "old.yaml:2: "),
        (b"\xff\xfe", "is not UTF-8 text"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "old.yaml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=message):
        read_old(file)


def test_a_draft_model_becomes_a_setting_of_the_models_that_are_named(tmp_path: Path) -> None:
    models = "{default_model: big, auto_load: [big, other, small], speculative_model: small, speculative_num_tokens: 5}"
    result = converted(tmp_path, f"models: {models}")

    write(result, tmp_path / "new", source=Path("old.yaml"), force=False)

    root = read(tmp_path / "new", {}).root
    assert complaints(root, SPECS, SPECS) == []
    drafting = {"draft_model": "small", "num_draft_tokens": 5}
    assert plain(root)["models"]["settings"] == {"big": drafting, "other": drafting}
    assert fates(result)["models.speculative_model"] == (
        "renamed",
        "models.settings.big.draft_model, models.settings.other.draft_model",
        "a setting of each model now",
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("models: {speculative_model: small}", "no model is named that it drafts for; set models.settings.<id>."),
        ("models: {default_model: big, speculative_model: null}", "says nothing without a speculative_model"),
    ],
)
def test_a_draft_model_for_nobody_is_left_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    result = converted(tmp_path, text)

    assert fates(result)["models.speculative_model"][0] == "dropped"
    assert fates(result)["models.speculative_model"][2].startswith(reason)
    assert result.left["models"].keys() == {"speculative_model"}


def test_draft_tokens_out_of_range_are_left_with_the_reason(tmp_path: Path) -> None:
    result = converted(tmp_path, "models: {default_model: big, speculative_model: small, speculative_num_tokens: 40}")

    assert fates(result)["models.speculative_num_tokens"] == ("dropped", "", "must be between 1 and 16")
    assert result.taken["models"]["settings"] == {"big": {"draft_model": "small"}}


def test_presets_are_copied_and_what_is_none_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "presets"
    folder.mkdir()
    (folder / "code.yml").write_text("name: code\nmodel: m\n", encoding="utf-8")
    (folder / "draft.yaml").write_text("name: d\nmodel: m\nperformance: {cache_memory_percent: 1}", "utf-8")
    (folder / "bad.yaml").write_text("[", encoding="utf-8")
    (folder / "nameless.yaml").write_text("model: m", encoding="utf-8")
    old = {"presets": {"directory": str(folder), "enabled": False}}

    result = convert(old, complaint)
    import_presets(old, result)
    files = write(result, tmp_path / "new", source=Path("old.yaml"), force=False)

    written = {str(file.relative_to(tmp_path / "new")): file.read_text(encoding="utf-8") for file in files}
    told = {key: (fate, reason) for key, (fate, _, reason) in fates(result).items()}
    assert written.keys() == {"10-models.yaml", "presets/code.yml", "presets/draft.yaml"}
    assert written["presets/code.yml"] == "name: code\nmodel: m\n"
    assert "directory" not in written["10-models.yaml"]
    assert told["presets.enabled"] == ("kept", "")
    assert told["presets.directory"] == ("renamed", "its presets are copied there, beside the configuration")
    assert told["presets/code.yml"] == ("kept", "copied")
    assert told["presets/draft.yaml"][1].startswith("copied; ")
    assert told["presets/bad.yaml"][0] == "dropped"
    assert told["presets/bad.yaml"][1].startswith(f"{folder}/bad.yaml:")
    assert told["presets/nameless.yaml"] == ("dropped", f"{folder}/nameless.yaml:1: name: is required")


@pytest.mark.parametrize("directory", ["gone", None])
def test_a_presets_folder_that_is_gone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: str | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    result = Import()

    import_presets({"presets": {"directory": directory and str(tmp_path / directory)}}, result)

    place = tmp_path / (directory or ".opta-lmx/presets")
    assert fates(result) == {"presets.directory": ("dropped", "", f"there is no folder {place}")}


def test_the_rag_store_is_copied_to_where_the_server_takes_it_in(tmp_path: Path) -> None:
    store = tmp_path / "rag-store.json"
    store.write_text("{}", encoding="utf-8")
    result = Import()

    hand_over_rag_store({"rag": {"persist_path": str(store)}}, result, tmp_path / "rag")
    hand_over_rag_store({"rag": {"persist_path": str(tmp_path / "gone")}}, result, tmp_path / "rag")

    (outcome,) = result.outcomes
    copied = tmp_path / "rag" / "to-import" / "rag-store.json"
    assert (outcome.key, outcome.fate, outcome.to) == (str(store), "kept", str(copied))
    assert copied.read_text(encoding="utf-8") == "{}"
    assert store.is_file()
