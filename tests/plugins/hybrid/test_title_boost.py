from pathlib import Path

import pytest

pytest.importorskip("tantivy")

from lmx_hybrid.damage import DamagedIndexError
from lmx_hybrid.text_index import TextIndex

HEAP_BYTES = 15_000_000
FILLER = [(number, f"topic {number}", f"why do we talk about thing number {number}") for number in range(10, 60)]


def opened(directory: Path, title_boost: int) -> TextIndex:
    return TextIndex.open(directory, ["en"], title_boost, HEAP_BYTES)


def best(index: TextIndex, text: str) -> list[int]:
    return [chunk for chunk, _ in index.search(text, 2)]


def test_words_of_a_title_count_more_than_those_of_a_text(tmp_path: Path) -> None:
    index = opened(tmp_path / "index", 3)
    index.add([*FILLER, (1, "volcanoes", "what melts below the ground"), (2, "the ground", "what volcanoes do to it")])
    index.commit()

    assert best(index, "volcanoes") == [1, 2]
    index.release()


def test_without_a_boost_titles_are_not_searched(tmp_path: Path) -> None:
    index = opened(tmp_path / "index", 0)
    index.add([(1, "volcanoes", "what melts"), (2, "ground", "what volcanoes do")])
    index.commit()

    assert best(index, "volcanoes") == [2]
    index.release()


def test_a_word_that_is_frequent_in_texts_does_not_become_rare_in_titles(tmp_path: Path) -> None:
    index = opened(tmp_path / "index", 2)
    index.add([*FILLER, (1, "why we", "nothing of interest"), (2, "", "floats are rounded, since bits are few")])
    index.commit()

    assert best(index, "why do we get rounded floats")[0] == 2
    index.release()


def test_an_index_that_was_made_with_another_boost_is_to_be_made_again(tmp_path: Path) -> None:
    index = opened(tmp_path / "index", 2)
    index.add(FILLER)
    index.release()

    with pytest.raises(DamagedIndexError):
        opened(tmp_path / "index", 3)
