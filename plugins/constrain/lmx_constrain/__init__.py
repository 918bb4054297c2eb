"""Plugin `constrain`: answers that follow a schema, a grammar or an expression, by masks over tokens. Hooks only."""

from collections.abc import Sequence
from typing import get_args

from lmx_hookspecs import Constraint, ConstraintCompiler, ConstraintKind, ConstraintSpec, Requires, Tokenizer, hookimpl
from lmx_hookspecs.constraints import FlawOf


@hookimpl
def lmx_requires() -> Sequence[Requires]:
    """llguidance, which computes the masks, and jsonschema, which checks what no mask can."""
    return [Requires(modules=("llguidance", "jsonschema"), extra="constrain")]


@hookimpl
def lmx_constraints() -> Sequence[ConstraintSpec]:
    """Every kind of constraint, for any engine that applies masks."""
    return [ConstraintSpec(name="llguidance", kinds=frozenset(get_args(ConstraintKind)), open=_open, judge=_judge)]


def _judge(constraint: Constraint) -> FlawOf:
    from lmx_constrain.judging import judge_for

    return judge_for(constraint)


def _open(tokenizer: Tokenizer) -> ConstraintCompiler:
    from lmx_constrain.compiler import GrammarCompiler
    from lmx_constrain.vocabulary import vocabulary_of

    return GrammarCompiler(vocabulary_of(tokenizer))
