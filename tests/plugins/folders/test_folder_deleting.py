import os
from pathlib import Path

import pytest

from lmx_folders.source import FolderSource
from lmx_hookspecs import DeletableSource
from lmx_hookspecs.errors import Conflict, InvalidRequest, ModelNotFound
from model_folders import context_of, gguf_file, safetensors_model

CONFIG_BYTES = len('{"model_type": "llama"}')


@pytest.fixture
def source(tmp_path: Path) -> FolderSource:
    """A source over `tmp_path`."""
    return FolderSource(context_of(tmp_path))


def ids(source: FolderSource) -> list[str]:
    return sorted(model.id for model in source.models())


def test_a_folder_model_goes_with_its_folder(source: FolderSource, tmp_path: Path) -> None:
    safetensors_model(tmp_path / "org" / "name", size_bytes=100)
    (tmp_path / "org" / "name" / "original").mkdir()
    (tmp_path / "org" / "name" / "original" / "notes.txt").write_bytes(bytes(7))
    safetensors_model(tmp_path / "org" / "other")

    freed_bytes = source.delete("org/name")

    assert isinstance(source, DeletableSource)
    assert freed_bytes == 100 + 7 + CONFIG_BYTES
    assert ids(source) == ["org/other"]
    assert [path.name for path in tmp_path.iterdir()] == ["org"]
    assert [path.name for path in (tmp_path / "org").iterdir()] == ["other"]


def test_what_was_quantised_here_can_be_deleted_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMX_HOME", str(tmp_path))
    safetensors_model(tmp_path / "quantized" / "org--name-4bit")
    source = FolderSource(context_of())

    source.delete("org--name-4bit")

    assert ids(source) == []
    assert (tmp_path / "quantized").is_dir()


def test_a_gguf_model_goes_alone(source: FolderSource, tmp_path: Path) -> None:
    gguf_file(tmp_path / "repo" / "a.Q4.gguf", size_bytes=30)
    gguf_file(tmp_path / "repo" / "a.Q8.gguf")
    (tmp_path / "repo" / "README.md").write_text("theirs")

    freed_bytes = source.delete("repo/a.Q4.gguf")

    assert freed_bytes == 30
    assert sorted(path.name for path in (tmp_path / "repo").iterdir()) == ["README.md", "a.Q8.gguf"]
    assert ids(source) == ["repo/a.Q8.gguf"]


def test_a_split_gguf_model_goes_with_all_its_parts(source: FolderSource, tmp_path: Path) -> None:
    for part in (1, 2, 3):
        gguf_file(tmp_path / f"big-0000{part}-of-00003.gguf", size_bytes=part)
    gguf_file(tmp_path / "big-00001-of-00001.gguf")

    freed_bytes = source.delete("big-00001-of-00003.gguf")

    assert freed_bytes == 1 + 2 + 3
    assert ids(source) == ["big-00001-of-00001.gguf"]


def test_only_bytes_that_nobody_else_holds_count_as_freed(source: FolderSource, tmp_path: Path) -> None:
    folder = safetensors_model(tmp_path / "name", size_bytes=100)
    (tmp_path / "elsewhere").write_bytes(bytes(1000))
    (folder / "shared").hardlink_to(tmp_path / "elsewhere")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "twice").write_bytes(bytes(50))
    (folder / "again").hardlink_to(folder / "twice")

    freed_bytes = source.delete("name")

    assert freed_bytes == 100 + 50 + CONFIG_BYTES
    assert (tmp_path / "elsewhere").stat().st_size == 1000


def test_a_configured_folder_that_is_a_model_stays(tmp_path: Path) -> None:
    folder = safetensors_model(tmp_path / "mine")
    source = FolderSource(context_of(folder))

    with pytest.raises(Conflict, match="is a model folder itself"):
        source.delete("mine")

    assert ids(source) == ["mine"]


def test_a_model_that_holds_another_configured_folder_stays(tmp_path: Path) -> None:
    (safetensors_model(tmp_path / "outer") / "inner").mkdir()
    source = FolderSource(context_of(tmp_path, tmp_path / "outer" / "inner"))

    with pytest.raises(Conflict, match="or holds one"):
        source.delete("outer")

    assert (tmp_path / "outer" / "inner").is_dir()


@pytest.mark.parametrize("other", ["inner", "a/b/c/d/too-deep-to-be-listed", ".hidden"])
def test_a_folder_with_another_model_in_it_stays_until_that_one_is_gone(
    source: FolderSource, tmp_path: Path, other: str
) -> None:
    outer = safetensors_model(tmp_path / "outer")
    safetensors_model(outer / other)

    with pytest.raises(Conflict, match="also holds"):
        source.delete("outer")

    assert (outer / other / "model.safetensors").exists()
    assert "outer" in ids(source)


def test_a_gguf_file_beside_a_folder_model_is_deleted_first(source: FolderSource, tmp_path: Path) -> None:
    gguf_file(safetensors_model(tmp_path / "name") / "name.gguf")

    with pytest.raises(Conflict, match=r"also holds name\.gguf; delete that model first"):
        source.delete("name")
    source.delete("name/name.gguf")
    source.delete("name")

    assert not (tmp_path / "name").exists()


@pytest.mark.parametrize("model_id", ["alias", "linked/name", "alias.gguf"])
def test_a_model_behind_a_link_is_deleted_where_it_is(source: FolderSource, tmp_path: Path, model_id: str) -> None:
    safetensors_model(tmp_path / "real" / "name")
    (tmp_path / "alias").symlink_to(tmp_path / "real" / "name")
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "alias.gguf").symlink_to(gguf_file(tmp_path / "real.gguf"))

    with pytest.raises(Conflict, match="is a link to"):
        source.delete(model_id)

    assert {"real/name", "real.gguf"} <= set(ids(source))


def test_a_link_out_of_the_folder_leads_to_nothing_that_is_deleted(tmp_path: Path) -> None:
    outside = safetensors_model(tmp_path / "outside")
    folder = safetensors_model(tmp_path / "models" / "name")
    (folder / "link").symlink_to(outside)
    (tmp_path / "models" / "sly").symlink_to(outside)
    source = FolderSource(context_of(tmp_path / "models"))

    with pytest.raises(InvalidRequest, match="leads out of"):
        source.delete("sly")
    source.delete("name")

    assert (outside / "model.safetensors").exists()


def test_a_configured_folder_may_be_a_link(tmp_path: Path) -> None:
    safetensors_model(tmp_path / "real" / "name")
    (tmp_path / "models").symlink_to(tmp_path / "real")
    source = FolderSource(context_of(tmp_path / "models"))

    source.delete("name")

    assert list((tmp_path / "real").iterdir()) == []


@pytest.mark.parametrize("model_id", ["../name", "/etc", "..", "a/../name", "~root"])
def test_what_could_be_no_id_is_refused(source: FolderSource, tmp_path: Path, model_id: str) -> None:
    safetensors_model(tmp_path / "name")

    with pytest.raises(InvalidRequest):
        source.delete(model_id)

    assert ids(source) == ["name"]


def test_what_is_not_there_is_not_found(source: FolderSource) -> None:
    with pytest.raises(ModelNotFound):
        source.delete("none")


def test_what_a_deletion_left_that_was_cut_short_goes_with_the_next(source: FolderSource, tmp_path: Path) -> None:
    safetensors_model(tmp_path / "name")
    safetensors_model(tmp_path / ".deleted.lmx-x1" / "half")

    listed = ids(source)
    source.delete("name")

    assert listed == ["name"]
    assert list(tmp_path.iterdir()) == []


def test_a_failure_of_the_disk_is_a_conflict_and_the_model_stays(
    source: FolderSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "operation not permitted")

    safetensors_model(tmp_path / "name")
    monkeypatch.setattr(os, "rename", refuse)

    with pytest.raises(Conflict, match="operation not permitted; check who owns"):
        source.delete("name")

    assert ids(source) == ["name"]
