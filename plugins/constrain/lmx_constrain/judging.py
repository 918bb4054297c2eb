"""What is wrong with an answer, by the whole of its schema."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from attrs import define
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.validators import extend
from referencing.exceptions import Unresolvable

from lmx_hookspecs import Constraint
from lmx_hookspecs.constraints import FlawOf
from lmx_hookspecs.errors import InvalidRequest

WITHOUT_PATTERNS = {"pattern": None, "patternProperties": None}
"""The mask sees to them; Python's expressions can take for ever."""
DEEPEST = 50
"""References within references; far above it, Python's own limit ends the process in jsonschema's native parts."""


def judge_for(constraint: Constraint) -> FlawOf:
    """For a constraint of JSON; raises InvalidRequest where its schema is none."""
    schema = {"type": "object"} if constraint.kind == "json_object" else constraint.source
    try:
        Draft202012Validator.check_schema(schema)
    except (SchemaError, RecursionError) as error:
        reason = error.message if isinstance(error, SchemaError) else "it is nested too deeply"
        raise InvalidRequest(
            f"{constraint.param}: the schema cannot be used: {reason}", param=constraint.param
        ) from error
    return partial(judge_of, schema)


def judge_of(schema: Any, text: str) -> str | None:
    """Why the text does not satisfy the schema; None where it does."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"the answer is no JSON: {error}"
    own = {**WITHOUT_PATTERNS, "$ref": _Following().follow}
    judge = extend(Draft202012Validator, own)  # type: ignore[no-untyped-call]  # its stubs end there
    try:
        flaw = best_match(judge(schema).iter_errors(answer))
    except (SchemaError, Unresolvable, RecursionError) as error:
        return f"the answer could not be checked: {error}"
    if flaw is None:
        return None
    return f"the answer does not satisfy the schema at {flaw.json_path}: {flaw.message}"


@define
class _Following:
    """Follows references, but not in a circle."""

    _depth: int = 0

    def follow(self, validator: Any, reference: Any, instance: Any, schema: Any) -> Iterator[Any]:
        """Jsonschema's `$ref`; raises RecursionError."""
        if self._depth >= DEEPEST:
            raise RecursionError(f"its references are more than {DEEPEST} deep")
        self._depth += 1
        try:
            yield from Draft202012Validator.VALIDATORS["$ref"](validator, reference, instance, schema)
        finally:
            self._depth -= 1
