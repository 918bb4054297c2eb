"""What is wrong with an answer, by the whole of its schema. The schema is a client's: nothing in it may cost much."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from attrs import define
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.validators import extend, validator_for
from referencing import Registry

from lmx_constrain.limits import MAX_SOURCE_CHARS, is_too_deep
from lmx_hookspecs import Constraint
from lmx_hookspecs.constraints import FlawOf
from lmx_hookspecs.errors import InvalidRequest

PATTERNS = frozenset({"pattern", "patternProperties"})
"""Not checked: the mask sees to those that it can reach, and Python's expressions can take for ever."""
BESIDE_PATTERNS = frozenset({"additionalProperties", "unevaluatedProperties"})
"""They look at the patterns that stand beside them."""
REFERENCES = frozenset({"$ref", "$dynamicRef"})
MOST_CHECKS = 20_000
"""Keywords that are looked at for one answer: less than half a second."""
DEEPEST = 50
"""References within references; far above it, Python's own limit ends the process in jsonschema's native parts."""

Check = Callable[..., Iterator[Any] | None]


class TooMuch(Exception):
    """The schema asks for more than an answer is checked for."""


def judge_for(constraint: Constraint) -> FlawOf:
    """For a constraint of JSON; raises InvalidRequest where its schema is none. To be called off the event loop."""
    schema = {"type": "object"} if constraint.kind == "json_object" else constraint.source
    if not isinstance(schema, Mapping | bool):
        raise _unusable(constraint, "it must be a JSON object")
    if is_too_deep(schema) or len(json.dumps(schema)) > MAX_SOURCE_CHARS:
        raise _unusable(constraint, f"it is nested too deeply, or longer than {MAX_SOURCE_CHARS} characters")
    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)  # type: ignore[arg-type]  # or a bool
    except SchemaError as error:
        raise _unusable(constraint, error.message) from error
    return partial(judge_of, schema)


def judge_of(schema: Any, text: str) -> str | None:
    """Why the text does not satisfy the schema; None where it does. Whatever the schema is, it raises nothing."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"the answer is no JSON: {error}"
    try:
        known = validator_for(schema, default=Draft202012Validator)
        judge = extend(known, _Budget().bounded(known.VALIDATORS))  # type: ignore[no-untyped-call]  # stubs end there
        flaw = best_match(judge(schema, registry=Registry()).iter_errors(answer))  # a registry that fetches nothing
    except Exception as error:  # a schema that nobody has checked can make jsonschema raise anything
        return f"the answer could not be checked: {error}"
    if flaw is None:
        return None
    return f"the answer does not satisfy the schema at {flaw.json_path}: {flaw.message}"


@define
class _Budget:
    """Counts the keywords that are looked at, and the references that are followed within each other."""

    _left: int = MOST_CHECKS
    _depth: int = 0

    def bounded(self, checks: Mapping[str, Check]) -> dict[str, Check]:
        """The same checks within the budget, and none for patterns."""
        return {name: partial(self._check, name, check) for name, check in checks.items()}

    def _check(self, name: str, check: Check, *told: Any) -> Iterator[Any]:
        """`told` is what jsonschema tells a check: validator, value, instance and schema."""
        self._left -= 1
        if self._left < 0:
            raise TooMuch(f"its schema asks for more than {MOST_CHECKS} checks")
        if name in PATTERNS or (name in BESIDE_PATTERNS and "patternProperties" in told[-1]):
            return
        self._depth += name in REFERENCES
        try:
            if self._depth > DEEPEST:
                raise TooMuch(f"its references are more than {DEEPEST} deep")
            yield from check(*told) or ()
        finally:
            self._depth -= name in REFERENCES


def _unusable(constraint: Constraint, reason: str) -> InvalidRequest:
    return InvalidRequest(f"{constraint.param}: the schema cannot be used: {reason}", param=constraint.param)
