from pathlib import Path

import pytest

from fake_hub import FakeHub
from hub_support import MODEL, WEIGHTS, Reports, context, request
from lmx_hookspecs import DeletableSource
from lmx_hookspecs.errors import Conflict, InvalidRequest, ModelNotFound
from lmx_hub.cache import CachedRepository
from lmx_hub.job import download
from lmx_hub.source import HubSource

QUANTS = {"a.Q4_K_M.gguf": WEIGHTS, "a.Q8_0.gguf": WEIGHTS + b"8", "config.json": b"{}"}


@pytest.fixture
def source(hub: FakeHub, cache: Path) -> HubSource:
    """A source over a cache with org/name and two files of org/quants."""
    hub.put("org/quants", QUANTS)
    download(context(), request(), Reports())
    download(context(), request("org/quants", allow_patterns=["*"]), Reports())
    return HubSource(context(), cache)


def blob_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "blobs").iterdir())


def test_all_revisions_go_and_blobs_are_counted_once(source: HubSource, hub: FakeHub, cache: Path) -> None:
    hub.put("org/name", {**MODEL, "config.json": b'{"model_type": "qwen3"}'})
    download(context(), request(), Reports())
    folder = cache / "models--org--name"
    expected = blob_bytes(folder)

    freed = source.delete("org/name")

    assert isinstance(source, DeletableSource)
    assert freed == expected + 40  # and refs/main
    assert not folder.exists()
    assert sorted(path.name for path in cache.iterdir()) == [".locks", "models--org--quants"]
    assert source.find("org/name") is None


def test_one_gguf_goes_and_the_others_stay(source: HubSource) -> None:
    freed = source.delete("org/quants/a.Q8_0.gguf")

    assert freed == len(WEIGHTS) + 1
    assert [model.id for model in source.models()] == ["org/name", "org/quants/a.Q4_K_M.gguf"]


def test_with_the_last_gguf_goes_the_repository(source: HubSource, cache: Path) -> None:
    source.delete("org/quants/a.Q8_0.gguf")
    source.delete("org/quants/a.Q4_K_M.gguf")

    assert not (cache / "models--org--quants").exists()


def test_half_a_download_can_be_deleted(source: HubSource, cache: Path) -> None:
    blobs = cache / "models--org--half" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "0123.lmx.incomplete").write_bytes(b"half")

    assert source.delete("org/half") == 4


@pytest.mark.parametrize("model_id", ["org/other", "org/quants/b.gguf"])
def test_what_is_not_there_is_not_found(source: HubSource, model_id: str) -> None:
    with pytest.raises(ModelNotFound):
        source.delete(model_id)


@pytest.mark.parametrize("model_id", ["../name", "/etc", "..", "org/../x", "org/quants/../a.gguf"])
def test_nothing_outside_the_cache_is_touched(source: HubSource, model_id: str) -> None:
    with pytest.raises(InvalidRequest):
        source.delete(model_id)


def test_a_repository_that_is_linked_from_elsewhere_is_left_alone(source: HubSource, cache: Path) -> None:
    elsewhere = cache.parent / "elsewhere"
    (cache / "models--org--name").rename(elsewhere)
    (cache / "models--org--name").symlink_to(elsewhere)

    with pytest.raises(Conflict, match="leads out of the cache"):
        source.delete("org/name")
    assert (elsewhere / "refs" / "main").is_file()


def test_a_repository_that_is_being_downloaded_is_left_alone(source: HubSource, cache: Path) -> None:
    with CachedRepository(cache, "org/name").locked(lambda: False), pytest.raises(Conflict, match="another process"):
        source.delete("org/name")
    assert source.find("org/name") is not None


def test_what_an_interrupted_deletion_left_is_swept_up(source: HubSource, cache: Path) -> None:
    (cache / "models--org--name").rename(cache / ".deleted.lmx")

    source.delete("org/quants")

    assert [path.name for path in cache.iterdir()] == [".locks"]
