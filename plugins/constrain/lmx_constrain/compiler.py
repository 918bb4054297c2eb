"""Compiles constraints, and keeps the last ones: agents send the same schema with every request."""

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import define, field
from llguidance import LLMatcher, LLParserLimits

from lmx_constrain.closing import LONGEST, Closing
from lmx_constrain.dead_ends import dead_end
from lmx_constrain.grammars import Grammar, grammar_of
from lmx_constrain.judging import judge_of
from lmx_constrain.masks import GrammarMask, first_line
from lmx_constrain.vocabulary import Vocabulary
from lmx_hookspecs import CompiledConstraint, Constraint
from lmx_hookspecs.errors import InvalidRequest

MOST_KEPT = 64
LIMITS = LLParserLimits(
    verbose_errors=False, step_max_items=20_000, step_lexer_fuel=100_000, initial_lexer_fuel=100_000
)
"""For one mask: about two milliseconds. A grammar that needs more ends its row, and so does one of which a single text,
written out, has some ten thousands of characters: each of its masks would take as long as it is."""


@define(eq=False)
class GrammarCompiler:
    """A ConstraintCompiler for one vocabulary."""

    _vocabulary: Vocabulary
    _closing: Closing = field(init=False)
    _kept: "OrderedDict[str, CompiledConstraint]" = field(factory=OrderedDict, init=False)

    def __attrs_post_init__(self) -> None:
        self._closing = Closing(self._vocabulary)

    def compile(self, constraint: Constraint) -> CompiledConstraint:
        """Raises InvalidRequest for a source that cannot be enforced."""
        name = _name_of(constraint)
        compiled = self._kept.pop(name, None) or self._compiled(constraint)
        self._kept[name] = compiled
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return compiled

    def _compiled(self, constraint: Constraint) -> CompiledConstraint:
        grammar = grammar_of(constraint, self._vocabulary.ll)
        matcher = self._matcher(grammar)
        matcher.compute_bitmask()  # what lets no answer begin, such as a rule of itself alone, shows it only here
        if matcher.is_error():
            reason = first_line(matcher.get_error())
            raise InvalidRequest(f"{constraint.param}: no answer can be begun: {reason}", param=constraint.param)
        way = self._closing.path(matcher, limit=LONGEST)
        if way is None:
            self._check_ends(constraint, grammar)
            matcher = self._matcher(grammar)  # the search may have used up what all copies of a matcher share
        return CompiledConstraint(
            mask=self._masks(matcher, way),
            warnings=[_about(left_out) for left_out in grammar.left_out],
            flaw_of=_judge(constraint, grammar),
        )

    def _matcher(self, grammar: Grammar) -> LLMatcher:
        return LLMatcher(self._vocabulary.ll, grammar.text, log_level=0, limits=LIMITS)

    def _check_ends(self, constraint: Constraint, grammar: Grammar) -> None:
        reason = dead_end(self._matcher(grammar))
        if reason is not None:
            raise InvalidRequest(
                f"{constraint.param}: no answer can be ended: {reason}; give what repeats itself an end",
                param=constraint.param,
            )

    def _masks(self, matcher: LLMatcher, way: Sequence[int] | None) -> Callable[[int], GrammarMask]:
        whole = None if way is None else len(way)

        def mask(max_tokens: int) -> GrammarMask:
            return GrammarMask(matcher.deep_copy(), self._vocabulary, self._closing, max_tokens, whole)

        return mask


def _judge(constraint: Constraint, grammar: Grammar) -> Callable[[str], str | None] | None:
    return partial(judge_of, constraint.source) if grammar.left_out else None


def _about(left_out: str) -> str:
    return f"the schema is not enforced as a whole ({left_out}); the answer was checked afterwards"


def _name_of(constraint: Constraint) -> str:
    parts: list[Any] = [constraint.kind, constraint.strict, constraint.source, constraint.otherwise]
    try:
        return json.dumps(parts)  # in the order of its keys, which is that of the answer's
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"{constraint.param}: cannot be read: {error}", param=constraint.param) from error
