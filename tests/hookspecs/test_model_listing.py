"""Listings of models: kept for a while, and looked at again where something is missing."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attrs import define, field

from lmx_hookspecs import ModelInfo
from lmx_hookspecs.model_files import Listing, ReadFolder, look
from model_folders import safetensors_model


@define(eq=False)
class Shelf:
    """A Listing of the folders in a root, with a clock that is set by hand and a count of what was scanned."""

    root: Path
    now_s: float = 0.0
    scans: int = 0
    skipped: list[tuple[Path, str]] = field(factory=list)
    listing: Listing = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.listing = Listing(
            "shelf", self.scan, lambda path, reason: self.skipped.append((path, reason)), clock=lambda: self.now_s
        )

    def scan(self, read: ReadFolder) -> Iterator[ModelInfo]:
        self.scans += 1
        for path in sorted(self.root.iterdir()):
            yield from read(look(path, self.root), path.name)


def test_a_listing_is_scanned_again_only_when_it_has_aged(tmp_path: Path) -> None:
    safetensors_model(tmp_path / "one")
    shelf = Shelf(tmp_path)
    first = shelf.listing.by_id()
    safetensors_model(tmp_path / "two")

    shelf.now_s = 1.9
    assert shelf.listing.by_id() is first
    shelf.now_s = 2.1

    assert sorted(shelf.listing.by_id()) == ["one", "two"]
    assert shelf.scans == 2


def test_a_folder_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    safetensors_model(tmp_path / "same")
    safetensors_model(tmp_path / "changing")
    shelf = Shelf(tmp_path)
    before = shelf.listing.by_id()
    safetensors_model(tmp_path / "changing", size_bytes=99)

    shelf.now_s = 10.0
    after = shelf.listing.by_id()

    assert after["same"] is before["same"]
    assert after["changing"].size_bytes == 99


def test_a_model_that_is_gone_is_no_longer_listed(tmp_path: Path) -> None:
    folder = safetensors_model(tmp_path / "one")
    shelf = Shelf(tmp_path)
    assert list(shelf.listing.by_id()) == ["one"]
    (folder / "model.safetensors").unlink()

    shelf.now_s = 10.0

    assert shelf.listing.by_id() == {}


def test_an_unknown_id_is_looked_for_again_but_not_at_once(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.listing.by_id()
    safetensors_model(tmp_path / "new")

    at_once = shelf.listing.find("new")
    shelf.now_s += 0.5
    soon = shelf.listing.find("new")

    assert at_once is None
    assert soon is not None
    assert shelf.scans == 2


def test_whoever_asks_while_another_looks_again_finds_what_that_one_found(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.listing.by_id()
    safetensors_model(tmp_path / "new")
    shelf.now_s += 0.5
    waiting = threading.Barrier(8, timeout=10)

    def find(_: int) -> ModelInfo | None:
        waiting.wait()
        return shelf.listing.find("new")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(find, range(8)))

    assert None not in found
    assert shelf.scans == 2


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "\ud800", "[" * 100_000, '{"architectures": 5}'])
def test_a_configuration_that_is_odd_is_skipped_with_its_reason(tmp_path: Path, text: str) -> None:
    safetensors_model(tmp_path / "broken")
    (tmp_path / "broken" / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    shelf = Shelf(tmp_path)

    assert shelf.listing.by_id() == {}

    assert [path for path, _ in shelf.skipped] == [tmp_path / "broken"]
