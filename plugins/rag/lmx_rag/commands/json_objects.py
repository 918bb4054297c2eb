"""JSON objects as arguments of commands."""

import json
from argparse import ArgumentTypeError
from collections.abc import Mapping
from typing import Any


def json_object(text: str) -> Mapping[str, Any]:
    """An argument's type; raises ArgumentTypeError for everything else."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ArgumentTypeError(f"that is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ArgumentTypeError('must be a JSON object, such as {"year": 2024}')
    return value
