from pathlib import Path

import pytest

import lmx_folders
from lmx_folders.source import FolderSource
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.testing import check_model_source, check_plugin
from model_folders import context_of, gguf_file, safetensors_model


def ids(*directories: Path) -> list[str]:
    return [model.id for model in FolderSource(context_of(*directories)).models()]


def test_the_plugin_keeps_the_contract(tmp_path: Path) -> None:
    safetensors_model(tmp_path / "org" / "name")

    offers = check_plugin(lmx_folders)

    (spec,) = offers["lmx_model_sources"]
    check_model_source(spec.open(context_of(tmp_path)))


def test_ids_are_paths_below_the_folder(tmp_path: Path) -> None:
    safetensors_model(tmp_path / "plain")
    safetensors_model(tmp_path / "org" / "name")
    gguf_file(tmp_path / "top.gguf")
    gguf_file(tmp_path / "org" / "repo" / "deep.gguf")

    assert sorted(ids(tmp_path)) == ["org/name", "org/repo/deep.gguf", "plain", "top.gguf"]


def test_a_configured_folder_may_itself_be_a_model(tmp_path: Path) -> None:
    safetensors_model(tmp_path / "my-model")

    assert ids(tmp_path / "my-model") == ["my-model"]


def test_folders_below_the_third_level_are_not_searched(tmp_path: Path) -> None:
    safetensors_model(tmp_path / "a" / "b" / "c")
    safetensors_model(tmp_path / "a" / "b" / "d" / "e")

    assert ids(tmp_path) == ["a/b/c"]


def test_hidden_folders_and_hub_caches_are_left_alone(tmp_path: Path) -> None:
    safetensors_model(tmp_path / ".cache" / "name")
    safetensors_model(tmp_path / "models--org--name" / "snapshots" / "abc")

    assert ids(tmp_path) == []


def test_a_missing_folder_offers_nothing(tmp_path: Path) -> None:
    assert ids(tmp_path / "missing") == []


def test_the_first_of_two_folders_wins_where_both_have_an_id(tmp_path: Path) -> None:
    first = safetensors_model(tmp_path / "one" / "same")
    safetensors_model(tmp_path / "two" / "same")
    source = FolderSource(context_of(tmp_path / "one", tmp_path / "two"))

    model = source.find("same")

    assert model is not None
    assert model.path == first
    assert len(source.models()) == 1


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(safetensors_model(tmp_path / "real"))

    assert ids(tmp_path) == ["alias", "real"]


def test_a_link_out_of_the_folder_is_refused_with_advice(tmp_path: Path) -> None:
    folder, outside = tmp_path / "models", safetensors_model(tmp_path / "outside")
    folder.mkdir()
    (folder / "sly").symlink_to(outside)
    source = FolderSource(context_of(folder))

    with pytest.raises(InvalidRequest, match=r"add the folder that it points to to models\.directories"):
        source.find("sly")

    assert source.models() == []


def test_weights_that_are_linked_from_outside_do_not_count(tmp_path: Path) -> None:
    folder = safetensors_model(tmp_path / "models" / "name")
    (folder / "model.safetensors").rename(tmp_path / "weights")
    (folder / "model.safetensors").symlink_to(tmp_path / "weights")

    assert ids(tmp_path / "models") == []


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    safetensors_model(tmp_path / "name")
    (tmp_path / "circle").symlink_to(tmp_path)

    found = ids(tmp_path)

    assert "name" in found
    assert len(found) <= 4


@pytest.mark.parametrize("model_id", ["org/unknown", "x" * 10_000, "\ud800", "\U0001f600"])
def test_an_unknown_id_is_not_found(tmp_path: Path, model_id: str) -> None:
    assert FolderSource(context_of(tmp_path)).find(model_id) is None


def test_an_impossible_id_is_refused(tmp_path: Path) -> None:
    source = FolderSource(context_of(tmp_path))

    with pytest.raises(InvalidRequest, match="is not a model id"):
        source.find("../../etc/passwd")


def test_a_model_with_remote_code_is_marked(tmp_path: Path) -> None:
    safetensors_model(tmp_path / "coded", auto_map={"AutoModel": "modeling.Model"})
    source = FolderSource(context_of(tmp_path))

    assert [model.details["remote_code"] for model in source.models()] == [True]


def test_a_broken_model_is_skipped_and_the_log_says_why(tmp_path: Path) -> None:
    safetensors_model(tmp_path / "good")
    (safetensors_model(tmp_path / "broken") / "config.json").write_text("{")
    context = context_of(tmp_path)

    models = FolderSource(context).models()

    assert [model.id for model in models] == ["good"]
    ((level, event, facts),) = context.log.lines
    assert (level, event, facts["path"]) == ("warning", "model_folder_skipped", str(tmp_path / "broken"))
