from pathlib import Path

import pytest

from fake_hub import FakeHub
from hub_support import FETCHED, MODEL, WEIGHTS, Reports, context, request, snapshot_files
from lmx_hub.api import HubFile
from lmx_hub.cache import CachedRepository
from lmx_hub.job import download
from lmx_hub.source import HubSource

COMMIT = "c" * 40
CONFIG = HubFile("config.json", 2, "a" * 40)
WEIGHT = HubFile("model.safetensors", 3, "b" * 40, "d" * 64)
NESTED = HubFile("Q4/x.gguf", 3, "b" * 40, "e" * 64)


@pytest.fixture
def repository(tmp_path: Path) -> CachedRepository:
    """A repository of which all blobs are there."""
    repository = CachedRepository(tmp_path, "org/name")
    for file in (CONFIG, WEIGHT, NESTED):
        repository.blob(file).parent.mkdir(parents=True, exist_ok=True)
        repository.blob(file).write_bytes(b"{}" if file is CONFIG else b"abc")
    return repository


def test_a_snapshot_links_to_its_blobs(repository: CachedRepository) -> None:
    path = repository.publish(COMMIT, "main", [WEIGHT, CONFIG, NESTED])

    assert snapshot_files(path) == {"Q4/x.gguf": b"abc", "config.json": b"{}", "model.safetensors": b"abc"}
    assert (path / "config.json").readlink() == Path("../../blobs") / ("a" * 40)
    assert (path / "Q4" / "x.gguf").readlink() == Path("../../../blobs") / ("e" * 64)
    assert (repository.folder / "refs" / "main").read_text() == COMMIT


def test_a_snapshot_that_is_there_grows(repository: CachedRepository) -> None:
    repository.publish(COMMIT, "main", [CONFIG])

    path = repository.publish(COMMIT, "v1/tag", [CONFIG, WEIGHT])

    assert sorted(snapshot_files(path)) == ["config.json", "model.safetensors"]
    assert (repository.folder / "refs" / "v1" / "tag").read_text() == COMMIT


def test_a_snapshot_that_was_cut_short_is_made_anew(repository: CachedRepository) -> None:
    hidden = repository.folder / f".{COMMIT}.lmx"
    hidden.mkdir()
    (hidden / "stray.safetensors").write_bytes(b"")

    path = repository.publish(COMMIT, None, [CONFIG, WEIGHT])

    assert sorted(snapshot_files(path)) == ["config.json", "model.safetensors"]
    assert not hidden.exists()


@pytest.mark.usefixtures("hub")
def test_huggingface_hub_finds_what_we_downloaded(cache: Path) -> None:
    hugging_face = pytest.importorskip("huggingface_hub")
    path = download(context(), request(), Reports())["path"]

    found = hugging_face.snapshot_download("org/name", cache_dir=cache, local_files_only=True)
    (repository,) = hugging_face.scan_cache_dir(cache).repos

    assert found == path
    assert repository.repo_id == "org/name"
    assert repository.nb_files == len(FETCHED)


def test_what_huggingface_hub_downloaded_is_not_fetched_again(hub: FakeHub, cache: Path) -> None:
    hugging_face = pytest.importorskip("huggingface_hub")
    hugging_face.snapshot_download(
        "org/name", cache_dir=cache, endpoint=hub.url, allow_patterns=["*.safetensors"], token=False
    )
    assert HubSource(context(), cache).models() == []
    hub.requests.clear()
    reports = Reports()

    path = Path(download(context(), request(), reports)["path"])

    assert snapshot_files(path) == {name: MODEL[name] for name in FETCHED}
    assert hub.asked_for("model.safetensors") == []
    assert reports.facts[0]["downloaded_bytes"] >= len(WEIGHTS)
