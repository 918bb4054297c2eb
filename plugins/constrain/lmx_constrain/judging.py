"""What is wrong with an answer, by the whole of its schema."""

import json
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.validators import extend
from referencing.exceptions import Unresolvable

WITHOUT_PATTERNS = {"pattern": None, "patternProperties": None}
"""The mask sees to them; Python's expressions can take for ever."""


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
