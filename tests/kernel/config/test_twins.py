"""The two spellings of the default model."""

from pathlib import Path
from typing import Any

import pytest

from lmx.config import Flag, complaints, read
from lmx.config.merge import find, plain


def both(folder: Path, environment: dict[str, str] | None = None, flags: dict[str, Any] | None = None) -> list[Any]:
    root = read(folder, environment or {}, flags).root
    values = [find(root, (section, "default_model")) for section in ("models", "routing")]
    return [None if value is None else plain(value) for value in values]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("models: {default_model: a}", ["a", "a"]),
        ("routing: {default_model: a}\nmodels:", ["a", "a"]),
        ("routing: {default_model: a}\nmodels: {default_model: null}", ["a", "a"]),
        ("routing: {default_model: null}", [None, None]),
        ("server: {port: 1}", [None, None]),
        ("models: {default_model: a}\nrouting: {default_model: b}", ["a", "b"]),
    ],
)
def test_either_spelling_sets_both(tmp_path: Path, text: str, values: list[str | None]) -> None:
    (tmp_path / "00.yaml").write_text(text, encoding="utf-8")

    assert both(tmp_path) == values


def test_a_variable_or_a_flag_beats_either_spelling_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "00.yaml").write_text("routing: {default_model: a}", encoding="utf-8")

    by_variable = both(tmp_path, {"LMX_MODELS__DEFAULT_MODEL": "b"})
    by_flag = both(tmp_path, {"LMX_MODELS__DEFAULT_MODEL": "b"}, {"routing.default_model": Flag("--model", "c")})

    assert (by_variable, by_flag) == (["b", "b"], ["c", "c"])


def test_a_section_that_is_no_mapping_stays_for_validation_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "00.yaml").write_text("routing: [x]\nmodels: {default_model: a}", encoding="utf-8")

    problems = complaints(read(tmp_path, {}).root, {}, ())

    assert [problem.where for problem in problems] == ["routing"]
