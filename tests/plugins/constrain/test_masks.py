"""What the masks let through, drawn at random from them: no model is needed to break a schema that can be broken."""

import json
import random

import pytest
from jsonschema import Draft202012Validator

from lmx_constrain.compiler import GrammarCompiler
from lmx_constrain.vocabulary import vocabulary_of
from lmx_echo.byte_tokenizer import END, ByteTokenizer
from lmx_hookspecs import Constraint, TokenMask
from lmx_hookspecs.errors import InvalidRequest
from schema_corpus import corpus

TOKENIZER = ByteTokenizer()


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    return GrammarCompiler(vocabulary_of(TOKENIZER))


def allowed(mask: TokenMask) -> list[int]:
    bits = mask.allowed()
    assert bits is not None
    return [token for token in range(8 * len(bits)) if bits[token // 8] >> (token % 8) & 1]


def drawn(mask: TokenMask, rng: random.Random, max_tokens: int) -> tuple[str, bool]:
    """A text of tokens drawn from the mask, and whether it came to its end by itself."""
    tokens: list[int] = []
    for _ in range(max_tokens):
        token = rng.choice(allowed(mask))
        mask.accept(token)
        if token == END:
            return TOKENIZER.decode(tokens), True
        tokens.append(token)
    return TOKENIZER.decode(tokens), allowed(mask) == [END]


def text_of(compiler: GrammarCompiler, constraint: Constraint, seed: int = 0, max_tokens: int = 400) -> str:
    text, ended = drawn(compiler.compile(constraint).mask(max_tokens), random.Random(seed), max_tokens)
    assert ended, text
    return text


@pytest.mark.parametrize("number", range(200))
def test_whatever_is_drawn_satisfies_its_schema(compiler: GrammarCompiler, number: int) -> None:
    schema = corpus()[number]

    answer = json.loads(text_of(compiler, Constraint(kind="json_schema", source=schema), seed=number))

    Draft202012Validator(schema).validate(answer)


def test_the_corpus_has_two_hundred_schemas_all_of_them_valid_and_different() -> None:
    schemas = corpus()

    for schema in schemas:
        Draft202012Validator.check_schema(schema)
    assert len({json.dumps(schema) for schema in schemas}) == 200


@pytest.mark.parametrize("max_tokens", [2, 5, 17, 60, 200])
def test_an_object_is_complete_however_few_tokens_it_may_have(compiler: GrammarCompiler, max_tokens: int) -> None:
    for seed in range(20):
        answer = json.loads(text_of(compiler, Constraint(kind="json_object"), seed=seed, max_tokens=max_tokens))

        assert isinstance(answer, dict)


def test_a_schema_that_needs_more_than_there_is_leaves_the_answer_cut_off(compiler: GrammarCompiler) -> None:
    schema = {"type": "string", "minLength": 50}

    text, ended = drawn(compiler.compile(Constraint(kind="json_schema", source=schema)).mask(20), random.Random(1), 20)

    assert not ended
    assert text.startswith('"')


def test_a_grammar_in_lark_or_in_gbnf_is_followed(compiler: GrammarCompiler) -> None:
    for grammar in ('start: "yes" | "no"', 'root ::= "yes" | "no"'):
        assert text_of(compiler, Constraint(kind="grammar", source=grammar)) in {"yes", "no"}


def test_an_expression_and_a_choice_are_followed(compiler: GrammarCompiler) -> None:
    assert text_of(compiler, Constraint(kind="regex", source="[0-9]{3}-x")).endswith("-x")
    assert text_of(compiler, Constraint(kind="choice", source=["a.b", "(c"])) in {"a.b", "(c"}


def test_a_token_that_is_not_allowed_ends_the_row_and_says_why(compiler: GrammarCompiler) -> None:
    mask = compiler.compile(Constraint(kind="choice", source=["yes"])).mask(10)

    mask.accept(ord("n"))

    assert allowed(mask) == [END]
    assert mask.failure is not None
    assert "constraint" in mask.failure


def test_a_way_to_the_end_that_asks_for_too_much_leaves_the_masks_as_they_are(compiler: GrammarCompiler) -> None:
    mask = compiler.compile(Constraint(kind="regex", source="[a-z]{40}(a?){500}a{500}")).mask(1000)

    for _ in range(39):
        assert allowed(mask) == list(b"abcdefghijklmnopqrstuvwxyz")
        mask.accept(ord("a"))
    assert mask.failure is None


def test_a_mask_that_asks_for_too_much_later_on_ends_its_row(compiler: GrammarCompiler) -> None:
    mask = compiler.compile(Constraint(kind="regex", source="[a-z]{40}(a?){500}a{500}")).mask(1000)

    for _ in range(42):
        mask.allowed()
        mask.accept(ord("a"))

    assert mask.failure is not None
    assert allowed(mask) == [END]


@pytest.mark.parametrize("size", [200_000, 60_000])
def test_a_text_so_long_that_each_mask_would_take_long_is_refused(compiler: GrammarCompiler, size: int) -> None:
    with pytest.raises(InvalidRequest, match="no answer can be ended"):
        compiler.compile(Constraint(kind="choice", source=["x" * size]))


def test_masks_of_one_constraint_do_not_know_of_each_other(compiler: GrammarCompiler) -> None:
    compiled = compiler.compile(Constraint(kind="choice", source=["ab", "cd"]))
    first, second = compiled.mask(100), compiled.mask(100)

    first.accept(ord("a"))

    assert allowed(first) == [ord("b")]
    assert allowed(second) == [ord("a"), ord("c")]
