from collections.abc import Sequence

import pytest

from hub_support import request
from lmx_hookspecs.errors import InvalidRequest
from lmx_hub.api import HubFile
from lmx_hub.names import target_of
from lmx_hub.selection import select


def chosen(paths: str, repo_id: str = "org/name", **patterns: Sequence[str]) -> str:
    files = [HubFile(path, 1, "0" * 40) for path in paths.split()]
    return " ".join(file.path for file in select(files, target_of(repo_id), request(repo_id, **patterns)))


def test_weights_and_what_belongs_to_them_are_taken() -> None:
    paths = (
        "config.json chat_template.jinja merges.txt tokenizer.model model-00001-of-00002.safetensors "
        "model-00002-of-00002.safetensors"
    )

    assert chosen(f"{paths} README.md .gitattributes modeling_x.py pytorch_model.bin x.pt x.pth x.pkl LICENSE") == paths


@pytest.mark.parametrize(
    "double", ["name-f16.gguf", "onnx/model.onnx", "fp16/model.safetensors", "consolidated.safetensors"]
)
def test_the_same_weights_in_another_form_are_left_out(double: str) -> None:
    assert chosen(f"config.json model.safetensors {double}") == "config.json model.safetensors"


def test_weights_may_have_odd_names() -> None:
    assert chosen("config.json weights.00.safetensors") == "config.json weights.00.safetensors"


def test_the_only_gguf_is_taken() -> None:
    assert chosen("README.md name-Q8_0.gguf mmproj-f16.gguf") == "name-Q8_0.gguf"


def test_of_many_quantisations_the_usual_one_is_taken() -> None:
    assert chosen("a.Q2_K.gguf a.Q4_K_M.gguf a.Q8_0.gguf") == "a.Q4_K_M.gguf"


def test_all_parts_of_a_split_gguf_are_taken() -> None:
    parts = "Q4_K_M/a-Q4_K_M-00001-of-00002.gguf Q4_K_M/a-Q4_K_M-00002-of-00002.gguf"

    assert chosen(f"Q8_0/a-Q8_0-00001-of-00001.gguf {parts}") == parts


def test_without_a_usual_one_the_operator_has_to_choose() -> None:
    with pytest.raises(InvalidRequest, match=r"allow_patterns.*there are: a\.Q2_K\.gguf, b\.Q8_0\.gguf") as caught:
        chosen("b.Q8_0.gguf a.Q2_K.gguf")

    assert caught.value.param == "allow_patterns"


def test_one_gguf_can_be_asked_for_by_its_id() -> None:
    assert chosen("config.json a.Q2_K.gguf a.Q4_K_M.gguf", "org/name/a.Q2_K.gguf") == "config.json a.Q2_K.gguf"
    with pytest.raises(InvalidRequest, match=r"has no GGUF model b\.gguf; there is: a\.gguf"):
        chosen("a.gguf", "org/name/b.gguf")


def test_a_quantisation_can_be_asked_for_by_its_name() -> None:
    assert chosen("config.json a.Q2_K.gguf a.Q4_K_M.gguf", "org/name:q2_k") == "config.json a.Q2_K.gguf"
    assert chosen("model.safetensors a-Q8_0.gguf", "org/name:Q8_0") == "a-Q8_0.gguf"
    with pytest.raises(InvalidRequest, match=r"has no GGUF model Q5_0; there is: a\.Q2_K\.gguf"):
        chosen("a.Q2_K.gguf", "org/name:Q5_0")
    with pytest.raises(InvalidRequest, match="not the name of a repository"):
        chosen("a.gguf", "org/name/a.gguf:Q4_0")


def test_the_nearest_quantisation_is_taken_where_the_usual_one_is_missing() -> None:
    assert chosen("a.Q8_0.gguf a.Q5_K_M.gguf a.Q2_K.gguf") == "a.Q5_K_M.gguf"


def test_patterns_of_the_request_win() -> None:
    paths = "config.json model.safetensors a.gguf sub/x.bin modeling.py"

    assert chosen(paths, allow_patterns=["*.gguf", "*.json"]) == "config.json a.gguf"
    assert chosen(paths + " sub/y.json", allow_patterns=["sub/"]) == "sub/y.json"
    assert chosen(paths, ignore_patterns=["*.safetensors"]) == "config.json a.gguf"
    assert (
        chosen(paths, allow_patterns=["*"], ignore_patterns=["*.py", "sub/*"]) == "config.json model.safetensors a.gguf"
    )


def test_what_may_hold_code_is_never_fetched() -> None:
    assert chosen("config.json modeling.py sub/x.bin", allow_patterns=["*"]) == "config.json"
    assert chosen("config.json sub/x.BIN", allow_patterns=["*", "*.bin"], ignore_patterns=["sub/"]) == "config.json"


@pytest.mark.parametrize("pattern", ["*.py", "modeling.py", "*.BIN", "sub/x.BIN"])
def test_a_pattern_that_names_what_may_hold_code_is_refused_with_the_reason(pattern: str) -> None:
    with pytest.raises(InvalidRequest, match="files that may hold code, pickles among them, are never") as caught:
        chosen("config.json modeling.py sub/x.BIN", allow_patterns=["*.json", pattern])

    assert caught.value.param == "allow_patterns"


def test_patterns_that_match_nothing_are_refused() -> None:
    with pytest.raises(
        InvalidRequest, match=r"no file of org/name matches the patterns; there is: config\.json"
    ) as caught:
        chosen("config.json", allow_patterns=["*.gguf"])

    assert caught.value.param == "allow_patterns"


def test_a_repository_without_weights_that_open_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="has no weights as safetensors or GGUF"):
        chosen("config.json pytorch_model.bin")
