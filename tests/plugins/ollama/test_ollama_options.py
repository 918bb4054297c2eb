from typing import Any

import pytest

from lmx_hookspecs.errors import InvalidRequest, UnsupportedParameter
from lmx_ollama.options import options_of


def test_every_option_finds_its_field() -> None:
    options = options_of(
        {
            "num_predict": 5,
            "num_ctx": 2048,
            "temperature": 0.5,
            "top_k": 3,
            "top_p": 0.9,
            "min_p": 0.1,
            "repeat_penalty": 1.1,
            "presence_penalty": 1,
            "frequency_penalty": -1,
            "seed": 7,
            "stop": ["a", "b"],
        },
        lenient=False,
    )

    assert options.sampling == {
        "temperature": 0.5,
        "top_k": 3,
        "top_p": 0.9,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "presence_penalty": 1.0,
        "frequency_penalty": -1.0,
        "seed": 7,
    }
    assert (options.max_tokens, options.num_ctx, options.stop) == (5, 2048, ("a", "b"))


@pytest.mark.parametrize("unlimited", [-1, -2, None])
def test_a_negative_num_predict_is_what_is_left(unlimited: int | None) -> None:
    assert options_of({"num_predict": unlimited}, lenient=False).max_tokens is None


def test_what_only_concerns_llama_cpp_and_neutral_values_pass() -> None:
    assert options_of({"num_thread": 8, "use_mmap": True, "mirostat": 0, "tfs_z": 1.0}, lenient=False).warnings == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("temperature", 3),
        ("temperature", True),
        ("temperature", float("nan")),
        ("top_k", 1.5),
        ("seed", "x"),
        ("num_predict", 0),
        ("num_predict", 1.5),
        ("num_ctx", 0),
        ("repeat_last_n", -2),
        ("repeat_last_n", True),
        ("stop", [""]),
        ("stop", ["a"] * 65),
        ("stop", {"a": 1}),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(option: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        options_of({option: value}, lenient=False)

    assert refused.value.param == f"options.{option}"


def test_what_penalties_look_back_on_is_all_or_nothing() -> None:
    penalties = {"repeat_penalty": 1.3, "presence_penalty": 0.5}

    whole = options_of({**penalties, "repeat_last_n": -1}, lenient=False)
    none = options_of({**penalties, "repeat_last_n": 0}, lenient=False)
    without = options_of({"repeat_last_n": 64, "repeat_penalty": 1.0}, lenient=False)

    assert whole.sampling == {"repetition_penalty": 1.3, "presence_penalty": 0.5}
    assert none.sampling == {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    assert (without.sampling, without.warnings) == ({"repetition_penalty": 1.0}, [])


def test_a_number_of_tokens_for_penalties_to_look_back_on_is_refused_or_reported() -> None:
    asked = {"repeat_penalty": 1.3, "repeat_last_n": 64}

    with pytest.raises(UnsupportedParameter, match="repeat_last_n"):
        options_of(asked, lenient=False)

    assert options_of(asked, lenient=True).warnings == ["options.repeat_last_n was dropped: it is not supported"]


def test_a_dozen_stop_strings_and_a_num_predict_beyond_all_contexts_pass() -> None:
    options = options_of({"stop": [f"<{n}>" for n in range(12)], "num_predict": 10**30}, lenient=False)

    assert (len(options.stop), options.max_tokens) == (12, 2**31)


def test_an_unknown_option_is_refused_or_reported() -> None:
    with pytest.raises(UnsupportedParameter):
        options_of({"mirostat": 2}, lenient=False)

    assert options_of({"mirostat": 2}, lenient=True).warnings == ["options.mirostat was dropped: it is not supported"]
