import json

import pytest

from lmx.state.document import BadState, Document, LoadedModel, decode, encode
from lmx_hookspecs import LoadOptions


def test_what_was_encoded_comes_back() -> None:
    document = Document(
        clean=False,
        pid=7,
        url="http://127.0.0.1:1234",
        unclean_starts=(1.5,),
        loaded_models=(LoadedModel(id="org/m", keep_alive_s=0.0, pinned=True, performance={"kv_bits": 8}),),
        quarantined={"bad": "it died three times"},
        downloads=({"repo_id": "org/big"},),
        active_stack="evening",
    )

    assert decode(encode(document)) == document


def test_a_model_is_loaded_again_as_it_was() -> None:
    model = LoadedModel(id="m", keep_alive_s=5.0, pinned=False, performance={"kv_bits": 4}, context_length=512)

    assert model.options() == LoadOptions(
        keep_alive_s=5.0, pinned=False, performance={"kv_bits": 4}, context_length=512
    )


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "is not JSON"),
        (b'{"version": 1, "cle', "is not JSON"),
        (b"[]", "version None"),
        (b'{"version": 2}', "version 2, and this LMX reads version 1"),
        (b'{"version": 1, "pid": "seven"}', "pid"),
        (b'{"version": 1, "loaded_models": [{}]}', "loaded_models"),
    ],
)
def test_what_cannot_be_read_says_why(raw: bytes, told: str) -> None:
    with pytest.raises(BadState, match=told.replace("[", r"\[")):
        decode(raw)


def test_keys_that_are_not_known_are_passed_over() -> None:
    assert decode(json.dumps({"version": 1, "pid": 3, "added_later": True}).encode()).pid == 3
