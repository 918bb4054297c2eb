import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("tree_sitter_language_pack")

from document_samples import MARKDOWN, PROSE, PYTHON, counters
from lmx_documents.chunkers import CHUNKERS
from lmx_hookspecs import ChunkerSpec, CutOptions
from lmx_hookspecs.testing import check_chunker, check_cut

COUNTERS = counters()
NASTY = st.text(st.characters(codec="utf-8"), max_size=300)
LONG = st.builds(
    lambda text, times: text * times,
    st.text(st.sampled_from(" \n\tab日語。😀\u0301\u200d#`~=-.\r"), max_size=40),
    st.integers(1, 60),
)
OPTIONS = st.builds(
    lambda size, share, language: CutOptions(size=size, overlap=int(size * share), language=language),
    st.integers(8, 100),
    st.floats(0, 0.9),
    st.sampled_from(["", "python", "rust"]),
)


@pytest.mark.parametrize("counter", COUNTERS)
@pytest.mark.parametrize("spec", CHUNKERS, ids=lambda spec: spec.name)
def test_each_chunker_keeps_the_contract(spec: ChunkerSpec, counter: str) -> None:
    check_chunker(spec, [PROSE, MARKDOWN, PYTHON], COUNTERS[counter], language="python")


@pytest.mark.parametrize("counter", COUNTERS)
@pytest.mark.parametrize("spec", CHUNKERS, ids=lambda spec: spec.name)
@settings(max_examples=60, deadline=None)
@given(text=NASTY | LONG, options=OPTIONS)
def test_nothing_is_lost_of_any_text(spec: ChunkerSpec, counter: str, text: str, options: CutOptions) -> None:
    check_cut(spec, text, COUNTERS[counter], options)


@pytest.mark.parametrize("spec", CHUNKERS, ids=lambda spec: spec.name)
def test_nothing_comes_of_a_text_of_nothing(spec: ChunkerSpec) -> None:
    for text in ("", " \n\t\u2003", "\r\n" * 1_000):
        assert not spec.cut(text, COUNTERS["words"], CutOptions(size=8, overlap=2))


@pytest.mark.parametrize("spec", CHUNKERS, ids=lambda spec: spec.name)
def test_a_text_that_fits_is_one_chunk(spec: ChunkerSpec) -> None:
    (span,) = spec.cut("  A title\n\nand a text.\n", COUNTERS["words"], CutOptions(size=8, overlap=2))

    assert (span.start, span.end, span.fresh) == (0, 23, 0)
