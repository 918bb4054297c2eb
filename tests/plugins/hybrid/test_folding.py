"""Texts and queries in scripts of all kinds, folded to one spelling."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_hookspecs.retrieval import CollectionSettings, Search
from lmx_hookspecs.testing import FakeContext
from lmx_hybrid.analysis import PLAIN, VERSION, analyzer, prepared, prepared_query
from lmx_hybrid.folding import folded
from store_support import DIMENSIONS, NAME, SETTINGS, document, opened

pytest.importorskip("tantivy")

TWO_SPELLINGS = {
    "the start of a Korean word": ("서울에서 만나요", "서울"),
    "the middle of a Korean word": ("한국어검색엔진", "검색"),
    "a single Hangul syllable": ("물 한 잔", "물"),
    "Hangul in parts": (unicodedata.normalize("NFD", "서울에서"), "서울"),
    "Greek capitals, themselves": ("ΣΟΦΟΣ ΑΝΘΡΩΠΟΣ", "ΣΟΦΟΣ"),
    "Greek capitals for small letters": ("σοφός", "ΣΟΦΟΣ"),
    "small Greek letters for capitals": ("ΣΟΦΟΣ", "σοφός"),
    "Greek with old accents": ("ἐν ἀρχῇ ἦν ὁ λόγος", "αρχη"),
    "pointed Hebrew for bare": ("שָׁלוֹם עולם", "שלום"),
    "bare Hebrew for pointed": ("שלום עולם", "שָׁלוֹם"),
    "Arabic without vowel signs": ("كِتَابٌ جديد", "كتاب"),
    "Arabic with vowel signs": ("كتاب جديد", "كِتَابٌ"),
    "Arabic that is stretched": ("مكتـــبة", "مكتبة"),
    "Arabic with hamza": ("أحمد", "احمد"),
    "a Turkish capital": ("İstanbul güzel", "istanbul"),
    "a Turkish capital, itself": ("İstanbul güzel", "İstanbul"),
    "German capitals": ("straße", "STRASSE"),
    "a capital sharp s": ("GROẞ", "groß"),
    "an accent of its own": ("e\u0301cole", "école"),
    "an accent that no letter has": ("m\u0303 sound", "m"),
    "Russian with stress": ("\u0434\u0432\u043e\u0301\u0440", "двор"),
    "Russian io": ("ёлка", "елка"),
    "Hindi before a danda": ("नमस्ते दुनिया।", "दुनिया"),
    "Thai": ("ภาษาไทยง่าย", "ไทย"),
    "half-width kana": ("ｶﾞｲﾄﾞ", "ガイド"),
    "Han with a variant": ("葛\U000e0100飾区", "葛飾"),
    "Tibetan": ("ངའི་མིང་", "མིང"),
    "Georgian capitals": ("ქართული", "ᲥᲐᲠᲗᲣᲚᲘ"),
    "a soft hyphen": ("Donau\u00addampfer", "donaudampfer"),
    "ligatures": ("ﬁnance", "finance"),
}
OTHER_WORDS = {
    "a dakuten": ("ハハ", "ババ"),
    "Hindi vowels": ("की", "का"),
    "Thai vowels": ("กี", "กู"),
    "short i": ("мой", "мои"),
    "another syllable of Hangul": ("서울", "부산"),
}


@pytest.mark.parametrize("languages", [["en"], ["el", "ar", "ru", "tr", "de"]])
@pytest.mark.parametrize(("text", "query"), TWO_SPELLINGS.values(), ids=TWO_SPELLINGS)
async def test_a_word_is_found_however_it_is_written(
    tmp_path: Path, text: str, query: str, languages: list[str]
) -> None:
    settings = CollectionSettings(embedding_model="m", dimensions=DIMENSIONS, languages=languages)
    async with opened(tmp_path) as store:
        await store.ingest(NAME, settings, [document("it", text), document("other", "something else")])

        found = (await store.search(NAME, Search(text=query, mode="keyword"))).hits
        assert [hit.document_id for hit in found] == ["it"]


@pytest.mark.parametrize(("text", "query"), OTHER_WORDS.values(), ids=OTHER_WORDS)
def test_marks_that_make_another_word_stay(text: str, query: str) -> None:
    assert not set(prepared(text).split()) & set(prepared_query(query).split())


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_folded_stays_as_it_is(text: str) -> None:
    once = folded(text)

    assert folded(once) == once


@given(st.text(st.characters(categories=["Lu", "Ll"], max_codepoint=0x1EFF, exclude_characters="\u0131")))
def test_a_text_finds_itself_in_capitals(text: str) -> None:
    """But for the dotless i, and for old Greek, in which capitals have the iota beside them."""
    terms = analyzer(PLAIN).analyze

    assert terms(prepared(text.upper())) == terms(prepared(text))


async def test_an_index_of_an_earlier_analysis_is_made_anew(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("d", "서울에서")])
        assert (await store.search(NAME, Search(text="서울", mode="keyword"))).hits
    state = next((tmp_path / "indexes").glob("*-words.json"))
    written = json.loads(state.read_text())
    del written["analysis"]  # as in files that were written before it was numbered
    state.write_text(json.dumps(written))
    context = FakeContext()

    async with opened(tmp_path, context=context) as store:
        assert (await store.search(NAME, Search(text="서울", mode="keyword"))).hits
    assert [facts["reason"] for _, _, facts in context.log.lines] == ["another version of the analysis made it"]
    assert json.loads(state.read_text())["analysis"] == VERSION
