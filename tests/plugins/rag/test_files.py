from pathlib import Path

import pytest

from lmx_hookspecs.errors import Conflict, NotFound
from lmx_rag.commands.files import Selection, SourceFile, files_below, gone


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.md", "b.txt", "deep/c.md", "deep/old/d.md", ".hidden/e.md", ".f.md"):
        file = tmp_path / "folder" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path / "folder"


def names(folder: Path, **patterns: list[str]) -> list[str]:
    return [file.path.relative_to(folder).as_posix() for file in files_below([folder], Selection(**patterns))]


def test_a_folder_gives_all_its_files_but_hidden_ones(folder: Path) -> None:
    assert names(folder) == ["a.md", "b.txt", "deep/c.md", "deep/old/d.md"]


def test_a_link_out_of_the_folder_is_left_out_and_one_within_it_taken(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("nobody asked for this")
    (folder / "out.md").symlink_to(tmp_path / "secret")
    (folder / "within.md").symlink_to(folder / "a.md")

    assert names(folder, globs=["out.md", "within.md"]) == ["within.md"]


def test_globs_choose_by_name_or_path_and_excludes_take_whole_folders_out(folder: Path) -> None:
    assert names(folder, globs=["*.md"]) == ["a.md", "deep/c.md", "deep/old/d.md"]
    assert names(folder, globs=["deep/*"], excludes=["old"]) == ["deep/c.md"]


def test_a_file_that_is_named_is_taken_whatever_the_patterns_say_and_only_once(folder: Path) -> None:
    found = files_below([folder / ".f.md", folder / ".f.md"], Selection(globs=["*.txt"]))

    assert [file.path for file in found] == [folder / ".f.md"]


def test_what_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nothing at .*nowhere"):
        files_below([tmp_path / "nowhere"], Selection())


def test_documents_are_called_after_their_folder_whether_it_is_given_or_a_file_of_it(folder: Path) -> None:
    of_folder, of_file = (files_below([path], Selection(globs=["*.md"])) for path in (folder, folder / "a.md"))

    assert [file.id for file in of_folder][:2] == ["folder/a.md", "folder/deep/c.md"]
    assert [file.id for file in of_file] == ["folder/a.md"]


def test_two_folders_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "folder"
    other.mkdir(parents=True)
    (other / "a.md").write_text("another a")

    with pytest.raises(Conflict, match=r"both be the document folder/a\.md"):
        files_below([folder, other], Selection())


def test_the_fingerprint_changes_with_the_content_and_with_how_it_is_cut(folder: Path) -> None:
    file = SourceFile(path=folder / "a.md", id="a")
    first, other_way = file.fingerprint({"chunk_size": "64"}), file.fingerprint({"chunk_size": "128"})
    file.path.write_text("other")

    assert len({first, other_way, file.fingerprint({"chunk_size": "64"})}) == 3


def test_gone_are_documents_from_below_the_folder_whose_file_is_not_there(folder: Path) -> None:
    sources = {"here": folder / "a.md", "gone": folder / "x.md", "elsewhere": folder.parent / "x.md"}
    documents = [{"id": name, "metadata": {"source": str(path)}} for name, path in sources.items()]

    assert gone([*documents, {"id": "by hand", "metadata": {}}], [folder]) == ["gone"]


def test_nothing_is_gone_from_a_folder_that_is_not_there_itself(tmp_path: Path) -> None:
    missing = tmp_path / "unmounted"

    assert gone([{"id": "x", "metadata": {"source": str(missing / "x")}}], [missing]) == []
