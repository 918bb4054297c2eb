import pytest

from dialect_samples import ASKED, SAMPLES, spec
from lmx_dialects.catalogue import DIALECTS
from lmx_hookspecs.testing import check_dialect, read_dialect


@pytest.mark.parametrize("name", [dialect.name for dialect in DIALECTS])
def test_every_dialect_keeps_the_contract(name: str) -> None:
    check_dialect(spec(name), SAMPLES[name])


@pytest.mark.parametrize("name", [dialect.name for dialect in DIALECTS])
def test_an_answer_cut_anywhere_has_no_tag_in_its_text_and_tells_of_half_a_tag_at_its_end(name: str) -> None:
    dialect = spec(name)
    untold, broken = [], 0
    for sample in (some for some in SAMPLES[name] if some.request.reasoning != "off"):
        for end in range(len(sample.raw)):
            read = read_dialect(dialect, sample.request, [*sample.raw[:end]])
            assert not [tag for tag in dialect.tags if tag in read.text]
            half = any(read.text.endswith(tag[:length]) for tag in dialect.tags for length in range(3, len(tag)))
            broken += half
            if half != any("where a tag may begin" in warning for warning in read.warnings):
                untold.append((sample.raw[:end], read))

    assert untold == []
    assert broken


@pytest.mark.parametrize("end", ["<", "</", "a <b", "<tools"])
def test_what_an_answer_ends_in_is_text_where_no_tag_begins(end: str) -> None:
    read = read_dialect(spec("hermes"), ASKED, [f"See {end}"])

    assert (read.text, read.warnings) == (f"See {end}", ())
