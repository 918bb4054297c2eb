"""The engine on a model of seven tokens."""

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import lmx_static
import lmx_tiny
from lmx_hookspecs import Capability, EmbeddingRequest, Embeddings, GenerationRequest, ModelInfo, Requires
from lmx_hookspecs.errors import ContextLengthExceeded, EngineFailed, InvalidRequest, UnsupportedParameter
from lmx_hookspecs.testing import check_embedding_engine, check_plugin
from lmx_static.engine import StaticEngine, opened
from lmx_static.inputs import CHARS_A_PART, parts
from static_support import write_model


async def embed(model: ModelInfo, *inputs: str | Sequence[int], **fields: Any) -> Embeddings:
    return await opened(model).embed(EmbeddingRequest(model="small", inputs=inputs, **fields))


def test_the_plugin_keeps_the_contract() -> None:
    offers = check_plugin(lmx_static)

    (spec,) = offers["lmx_backends"]
    assert (spec.name, spec.level, spec.isolation, spec.formats) == (
        "static",
        "text",
        "process",
        frozenset({"static-embedding"}),
    )
    assert offers["lmx_requires"] == (Requires(modules=("numpy", "tokenizers"), extra="embed"),)


async def test_texts_and_token_ids_give_the_same_vectors_in_their_order(model: ModelInfo) -> None:
    made = await embed(model, "ONE twos", [3], "three", [1, 2, 5])

    first, ids, word, same = made.vectors
    assert first == same
    assert ids == word
    assert first != ids
    assert made.prompt_tokens == 3 + 1 + 1 + 3


async def test_special_tokens_in_a_text_are_text(model: ModelInfo) -> None:
    made = await embed(model, "[UNK]")

    assert made.prompt_tokens == 3  # a bracket, a word, a bracket


async def test_what_is_not_known_has_a_vector_too(model: ModelInfo) -> None:
    made = await embed(model, "\N{GRINNING FACE}", "x" * 200)

    assert [math.hypot(*vector) for vector in made.vectors] == pytest.approx([1, 1])


async def test_dimensions_shorten_and_renormalise(model: ModelInfo) -> None:
    made = await embed(model, "one two", dimensions=1)
    whole = await embed(model, "one two", dimensions=3)

    assert made.vectors == [[1.0]]
    assert whole.vectors == (await embed(model, "one two")).vectors


@pytest.mark.parametrize("dimensions", [0, 4, 2**70])
async def test_dimensions_that_the_model_does_not_have_are_refused(model: ModelInfo, dimensions: int) -> None:
    with pytest.raises(InvalidRequest, match="this model gives 1 to 3") as refused:
        await embed(model, "one", dimensions=dimensions)

    assert refused.value.param == "dimensions"


async def test_vectors_that_are_not_ordered_have_one_length(tmp_path: Path) -> None:
    model = write_model(tmp_path, matryoshka=False)

    with pytest.raises(UnsupportedParameter, match="have 3 dimensions") as refused:
        await embed(model, "one", dimensions=2)

    assert refused.value.param == "dimensions"
    assert len((await embed(model, "one", dimensions=3)).vectors[0]) == 3


@pytest.mark.parametrize("bad", ["", " \n", []])
async def test_an_input_without_tokens_is_refused(model: ModelInfo, bad: Any) -> None:
    with pytest.raises(InvalidRequest, match="has no tokens; send text") as refused:
        await embed(model, "one", bad)

    assert (refused.value.code, refused.value.param) == ("invalid_input", "input")


@pytest.mark.parametrize("stranger", [-1, 7, 2**70])
async def test_a_token_that_there_is_not_is_named(model: ModelInfo, stranger: int) -> None:
    with pytest.raises(InvalidRequest, match=f"there is no token {stranger}; .* 0 to 6") as refused:
        await embed(model, [1, stranger])

    assert refused.value.param == "input"


@pytest.mark.parametrize(
    ("long", "told"),
    [
        ("one " * 9, "the input 'one one one one one one '… has 9 tokens; this model embeds up to 8 tokens at once"),
        ([1] * 9, "an input of token ids has 9 tokens"),
        ("y" * 600, "has 600 characters; at most 512 are read"),
    ],
)
async def test_an_input_beyond_the_limit_is_refused_and_not_cut(model: ModelInfo, long: Any, told: str) -> None:
    with pytest.raises(ContextLengthExceeded) as refused:
        await embed(model, "one", long)

    assert told in refused.value.message
    assert refused.value.param == "input"
    assert (await embed(model, "one " * 8)).prompt_tokens == 8


async def test_others_get_their_turn_while_a_large_request_runs(model: ModelInfo) -> None:
    engine = opened(model)
    texts = ["one two three four"] * (CHARS_A_PART // 4)
    large = asyncio.create_task(engine.embed(EmbeddingRequest(model="small", inputs=texts)))
    await asyncio.sleep(0)

    small = await engine.embed(EmbeddingRequest(model="small", inputs=["one"]))

    assert not large.done()
    assert small.prompt_tokens == 1
    assert len((await large).vectors) == len(texts)


async def test_a_request_that_is_cancelled_ends_at_its_next_part(model: ModelInfo) -> None:
    texts = ["one two three four"] * (CHARS_A_PART // 4)
    task = asyncio.create_task(embed(model, *texts))
    await asyncio.sleep(0)

    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()


def test_parts_hold_every_input_once_in_order() -> None:
    inputs: list[str | list[int]] = [*("x" * (CHARS_A_PART // 2 + place) for place in range(5)), [1, 2], "y"]

    cut = [*parts(inputs)]

    assert [given for part in cut for given in part] == inputs
    assert [len(part) for part in cut] == [2, 2, 3]
    assert [*parts([])] == []


async def test_it_says_what_it_is_and_generates_nothing(model: ModelInfo) -> None:
    engine = opened(model)

    described = engine.describe()

    assert described.capabilities == {Capability.EMBED, Capability.TOKEN_PROMPTS}
    assert described.context_length == 8
    assert described.memory_bytes > 0
    assert described.details == {"dimensions": 3, "matryoshka": True, "vocab_size": 7, "dtype": "int8"}
    with pytest.raises(UnsupportedParameter, match="only embeds"):
        await anext(engine.generate(GenerationRequest(model="small")))
    await engine.close()


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_model_that_is_damaged_is_not_opened(model: ModelInfo, name: str) -> None:
    assert model.path
    path = model.path / name
    path.write_bytes(path.read_bytes()[:-3])

    with pytest.raises(EngineFailed, match=r"model 'small' cannot be opened: .*; get its files again"):
        opened(model)


def test_a_tokenizer_with_more_tokens_than_vectors_is_refused(model: ModelInfo) -> None:
    assert model.path
    path = model.path / "tokenizer.json"
    path.write_text(path.read_text().replace('"zero": 6', '"zero": 6, "more": 7'))

    with pytest.raises(EngineFailed, match="8 tokens have 7 vectors"):
        opened(model)


def test_the_engine_keeps_the_contract() -> None:
    (spec,) = lmx_static.lmx_backends()
    folder = Path(lmx_tiny.__file__).parent / "models" / "lmx-tiny-embed"

    check_embedding_engine(spec, ModelInfo(id="lmx-tiny-embed", format="static-embedding", path=folder))


def test_an_engine_is_opened_by_the_recipe(model: ModelInfo) -> None:
    (spec,) = lmx_static.lmx_backends()

    assert isinstance(spec.load(None, model), StaticEngine)  # type: ignore[arg-type]  # it wants nothing of its context
