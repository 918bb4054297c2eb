from pathlib import Path

import pytest

import lmx_hub
from lmx_hookspecs.errors import ModelNotFound
from lmx_hookspecs.testing import check_model_source, check_plugin
from lmx_hub.environment import cache_directory
from lmx_hub.source import HubSource
from model_folders import context_of, gguf_file, safetensors_model


def cached(cache: Path, repository: str, commit: str = "c0ffee", reference: str | None = None) -> Path:
    """A repository as huggingface_hub leaves it: blobs, a snapshot that links to them, a reference."""
    folder = cache / repository
    real = safetensors_model(folder / "blobs")
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for blob in real.iterdir():
        (snapshot / blob.name).symlink_to(Path("../../blobs") / blob.name)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(reference or commit)
    return snapshot


def source(cache: Path) -> HubSource:
    return HubSource(context_of(), cache)


def test_the_plugin_keeps_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(tmp_path, "models--org--name")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    offers = check_plugin(lmx_hub)

    (spec,), (job,) = offers["lmx_model_sources"], offers["lmx_jobs"]
    opened = spec.open(context_of())
    check_model_source(opened)
    assert [model.id for model in opened.models()] == ["org/name"]
    assert spec.downloader(context_of()).job == job.name


def test_a_cached_repository_is_a_model_by_its_name(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, "models--org--name")
    cached(tmp_path, "models--gpt2")
    cached(tmp_path, "datasets--org--data")

    models = source(tmp_path).models()

    assert [(model.id, model.source) for model in models] == [("gpt2", "hub"), ("org/name", "hub")]
    assert models[1].path == snapshot
    assert models[1].size_bytes == 10


def test_the_snapshot_of_main_counts(tmp_path: Path) -> None:
    cached(tmp_path, "models--org--name", commit="old")
    wanted = cached(tmp_path, "models--org--name", commit="new")

    (model,) = source(tmp_path).models()

    assert model.path == wanted


@pytest.mark.parametrize("reference", ["gone", "..", "../../other", "", "a\nb"])
def test_without_a_usable_reference_the_newest_snapshot_counts(tmp_path: Path, reference: str) -> None:
    snapshot = cached(tmp_path, "models--org--name")
    (tmp_path / "models--org--name" / "refs" / "main").write_text(reference)

    (model,) = source(tmp_path).models()

    assert model.path == snapshot


def test_gguf_files_of_a_repository_are_models(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--org--quants" / "snapshots" / "c0ffee"
    gguf_file(snapshot / "small.gguf")

    assert [model.id for model in source(tmp_path).models()] == ["org/quants/small.gguf"]


def test_a_download_that_is_not_complete_is_left_out(tmp_path: Path) -> None:
    cached(tmp_path, "models--org--partial")
    (tmp_path / "models--org--partial" / "blobs" / "model.safetensors").unlink()
    (tmp_path / "models--org--empty").mkdir()

    assert source(tmp_path).models() == []


def test_a_link_out_of_the_repository_is_not_followed(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, "models--org--name")
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").symlink_to(secret)

    assert source(tmp_path).models() == []


def test_a_model_with_remote_code_is_marked(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, "models--org--coded")
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").write_text('{"auto_map": {"AutoModel": "modeling.Model"}}')

    assert [model.details["remote_code"] for model in source(tmp_path).models()] == [True]


def test_a_repository_may_lie_on_another_disk(tmp_path: Path) -> None:
    cached(tmp_path / "other-disk", "models--org--name")
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "models--org--name").symlink_to(tmp_path / "other-disk" / "models--org--name")

    assert [model.id for model in source(cache).models()] == ["org/name"]


def test_without_a_cache_there_is_nothing(tmp_path: Path) -> None:
    assert source(tmp_path / "missing").models() == []


def test_a_cache_in_the_home_of_nobody_is_empty() -> None:
    assert source(cache_directory({"HF_HUB_CACHE": "~no-such-user/x"})).models() == []


def test_gguf_files_in_folders_are_models_too(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--org--quants" / "snapshots" / "c0ffee"
    gguf_file(snapshot / "Q8_0" / "big-00001-of-00002.gguf")
    gguf_file(snapshot / "Q8_0" / "big-00002-of-00002.gguf")
    safetensors_model(snapshot / "text_encoder")

    assert [model.id for model in source(tmp_path).models()] == ["org/quants/Q8_0/big-00001-of-00002.gguf"]


@pytest.mark.parametrize(
    ("names", "meant"), [(["x.gguf"], "x.gguf"), (["a.Q4_K_M.gguf", "a.Q8_0.gguf"], "a.Q4_K_M.gguf")]
)
def test_a_repository_stands_for_its_usual_gguf(tmp_path: Path, names: list[str], meant: str) -> None:
    snapshot = tmp_path / "models--org--quants" / "snapshots" / "c0ffee"
    for name in names:
        gguf_file(snapshot / name)

    found = source(tmp_path).find("org/quants")

    assert found is not None
    assert (found.id, found.path) == ("org/quants", snapshot / meant)


def test_a_quantisation_of_a_repository_is_found_and_deleted_alone(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--org--quants" / "snapshots" / "c0ffee"
    for name in ("a.Q4_K_M.gguf", "a.Q8_0.gguf"):
        gguf_file(snapshot / name)
    opened = source(tmp_path)

    found = opened.find("org/quants:q8_0")
    assert found is not None
    assert found.path == snapshot / "a.Q8_0.gguf"
    assert opened.find("org/quants:Q5_0") is None

    opened.delete("org/quants:Q8_0")
    assert [info.id for info in opened.models()] == ["org/quants/a.Q4_K_M.gguf"]
    with pytest.raises(ModelNotFound):
        opened.delete("org/quants:Q8_0")


def test_a_repository_of_several_ggufs_stands_for_none(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--org--quants" / "snapshots" / "c0ffee"
    gguf_file(snapshot / "a.gguf")
    gguf_file(snapshot / "b.gguf")

    assert source(tmp_path).find("org/quants") is None


def test_a_model_that_has_just_come_is_found_at_once(tmp_path: Path) -> None:
    opened = source(tmp_path)
    before = opened.find("org/name")
    cached(tmp_path, "models--org--name")

    found = opened.find("org/name")

    assert before is None
    assert found is not None


def test_the_name_of_an_organisation_stands_for_no_model(tmp_path: Path) -> None:
    cached(tmp_path, "models--org--name")
    gguf_file(tmp_path / "models--other--quants" / "snapshots" / "c0ffee" / "Q8_0" / "x.gguf")
    opened = source(tmp_path)

    assert [opened.find(name) for name in ("org", "other", "other/quants/Q8_0", "x" * 5000, "o/" + "é" * 300)] == [
        None
    ] * 5


def test_asking_for_a_repository_without_models_does_not_scan_the_disk_each_time(tmp_path: Path) -> None:
    (tmp_path / "models--org--half" / "snapshots" / "c0ffee").mkdir(parents=True)
    opened = source(tmp_path)
    opened.find("org/half")
    listing = opened._listing

    again = opened.find("org/half")

    assert again is None
    assert opened._listing is listing
