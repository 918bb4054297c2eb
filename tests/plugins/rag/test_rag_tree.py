import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmx_rag.tree import look


def ids(root: Path) -> list[str]:
    return sorted(look(root, 100).files)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "notes"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "a.md").write_text("a")
    (folder / "deep" / "er" / "ä b.txt").write_text("b")
    return folder


def test_files_are_called_after_the_folder_and_their_path_below_it(root: Path) -> None:
    assert ids(root) == ["notes/a.md", "notes/deep/er/ä b.txt"]


def test_hidden_files_and_folders_are_left_out(root: Path) -> None:
    (root / ".hidden").touch()
    (root / ".git").mkdir()
    (root / ".git" / "config").touch()

    assert len(ids(root)) == 2


def test_links_are_followed_to_files_within_the_folder_only(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret.txt"
    outside.touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    (root / "within").symlink_to(root / "a.md")
    (root / "without").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path / "other")
    (root / "up").symlink_to(root)
    (root / "nowhere").symlink_to(root / "gone")
    (root / "self").symlink_to(root / "self")

    assert ids(root) == ["notes/a.md", "notes/deep/er/ä b.txt", "notes/within"]


def test_what_is_no_regular_file_is_left_out(root: Path) -> None:
    os.mkfifo(root / "pipe")

    assert len(ids(root)) == 2


def test_a_change_is_seen(root: Path) -> None:
    before = look(root, 100).files["notes/a.md"]

    (root / "a.md").write_text("longer")

    assert look(root, 100).files["notes/a.md"] != before


def test_names_that_are_no_unicode_are_counted_and_left_out(root: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(root) + b"/\xff.txt")).touch()
    except OSError:
        pytest.skip("this file system takes no such name")

    tree = look(root, 100)

    assert (len(tree.files), tree.unnameable, tree.complete) == (2, 1, True)


def test_a_tree_of_more_files_than_wanted_is_known_to_be_incomplete(root: Path) -> None:
    tree = look(root, 1)

    assert (len(tree.files), tree.complete) == (1, False)


@pytest.mark.parametrize(
    ("error", "complete"), [(PermissionError(13, "no"), False), (FileNotFoundError(2, "no"), True)]
)
def test_a_part_that_cannot_be_read_makes_a_tree_incomplete_and_one_that_went_away_does_not(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, complete: bool
) -> None:
    walk = os.walk

    def walk_less(place: Path, onerror: Callable[[OSError], None]) -> Iterator[tuple[str, list[str], list[str]]]:
        onerror(error)
        yield next(walk(str(place)))

    monkeypatch.setattr(os, "walk", walk_less)

    tree = look(root, 100)

    assert (list(tree.files), tree.complete) == (["notes/a.md"], complete)
