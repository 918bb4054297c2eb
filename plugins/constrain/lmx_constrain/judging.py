"""What is wrong with an answer, by the whole of its schema."""

import json
from functools import partial
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.validators import extend
from referencing.exceptions import Unresolvable

from lmx_hookspecs import Constraint
from lmx_hookspecs.constraints import FlawOf
from lmx_hookspecs.errors import InvalidRequest

WITHOUT_PATTERNS = {"pattern": None, "patternProperties": None}
"""The mask sees to them; Python's expressions can take for ever."""


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
    judge = extend(Draft202012Validator, WITHOUT_PATTERNS)  # type: ignore[no-untyped-call]  # its stubs end there
    try:
        flaw = best_match(judge(schema).iter_errors(answer))
    except (SchemaError, Unresolvable, RecursionError) as error:
        return f"the answer could not be checked: {error}"
    if flaw is None:
        return None
    return f"the answer does not satisfy the schema at {flaw.json_path}: {flaw.message}"
