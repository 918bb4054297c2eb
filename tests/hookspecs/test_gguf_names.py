"""Which GGUF file a repository's name means."""

import pytest

from lmx_hookspecs import ModelInfo
from lmx_hookspecs.gguf_names import PREFERRED, choose_gguf, gguf_meant, quantisation_of


@pytest.mark.parametrize(
    ("file", "quantisation"),
    [
        ("Llama-3.2-1B-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("tinyllama.Q8_0.gguf", "Q8_0"),
        ("qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf", "Q4_K_M"),
        ("Q4_K_M/x-Q4_K_M-00001-of-00003.gguf", "Q4_K_M"),
        ("gemma-3-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("model-IQ3_XXS.gguf", "IQ3_XXS"),
        ("model-BF16.gguf", "BF16"),
        ("model.f16.gguf", "F16"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("model-Q4_0_4_4.gguf", None),
        ("lmx-tiny.gguf", None),
        ("Q4KM-story.gguf", None),
    ],
)
def test_names_tell_the_quantisation(file: str, quantisation: str | None) -> None:
    assert quantisation_of(file) == quantisation


@pytest.mark.parametrize("name", PREFERRED)
def test_every_preferred_name_is_one_that_files_have(name: str) -> None:
    assert quantisation_of(f"a-{name}.gguf") == name


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["whatever.gguf"], "whatever.gguf"),
        (["a-Q8_0.gguf", "a-Q4_K_M.gguf", "a-F16.gguf"], "a-Q4_K_M.gguf"),
        (["a-Q8_0.gguf", "a-Q4_K_S.gguf"], "a-Q4_K_S.gguf"),
        (["a-Q2_K.gguf", "a-Q6_K.gguf", "a-F16.gguf"], "a-Q6_K.gguf"),
        (["a-F16.gguf", "a-Q3_K_M.gguf"], "a-Q3_K_M.gguf"),
        (["a-Q4_K_M.gguf", "b-Q4_K_M.gguf"], None),
        (["a-Q4_K_M.gguf", "b-Q8_0.gguf"], None),
        (["a.gguf", "b.gguf"], None),
        ([], None),
    ],
)
def test_of_one_model_the_usual_quantisation_is_meant(files: list[str], chosen: str | None) -> None:
    assert choose_gguf(files) == chosen


def test_a_quantisation_is_chosen_by_its_name_in_any_case() -> None:
    files = ["a-Q4_K_M.gguf", "a-UD-Q4_K_XL.gguf", "b-Q8_0.gguf", "a-Q8_0.gguf"]

    assert choose_gguf(files, "q4_k_m") == "a-Q4_K_M.gguf"
    assert choose_gguf(files, "Q4_K_XL") == "a-UD-Q4_K_XL.gguf"
    assert choose_gguf(files, "ud-q4_k_xl") == "a-UD-Q4_K_XL.gguf"
    assert choose_gguf(files, "Q8_0") is None
    assert choose_gguf(files, "Q5_0") is None


def test_names_of_repositories_stand_for_files_in_them() -> None:
    keys = ["org/a/a-Q8_0.gguf", "org/a/a-Q4_K_M.gguf", "org/b/Q6_K/b-Q6_K-00001-of-00002.gguf", "org/c/sub/c.gguf"]
    known = {key: ModelInfo(id=key, format="gguf", source=key) for key in keys}

    def meant(model_id: str) -> str | None:
        found = gguf_meant(model_id, known)
        assert found is None or found.id == model_id
        return None if found is None else found.source

    assert meant("org/a:Q8_0") == keys[0]
    assert meant("org/a") == keys[1]
    assert meant("org/b") == meant("org/b:q6_k") == keys[2]
    assert meant("org/c") is None
    assert meant("org") is None
    assert meant("org/a:Q8_0:x") is None
