"""Fields that no endpoint here gives a meaning to: harmless ones pass, the rest is refused or reported."""

from collections.abc import Mapping
from typing import Any

from lmx_hookspecs import Request
from lmx_hookspecs.unsupported import EMPTY, dropped

WITHOUT_EFFECT = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "user",
    }
)
"""Accepted with any value: they describe the request, not the answer."""
NEUTRAL: Mapping[str, Any] = {
    "add_generation_prompt": True,
    "best_of": 1,
    "cache_prompt": True,
    "length_penalty": 1,
    "modalities": ["text"],
    "n": 1,
    "repeat_penalty": 1,
    "skip_special_tokens": True,
    "typical_p": 1,
    "verbosity": "medium",
}
"""The value with which a field of the OpenAI API, or of another local server, asks for nothing special."""


def check_unknown(request: Request) -> list[str]:
    """Warnings about fields that are dropped for a lenient client; raises UnsupportedParameter for anybody else."""
    refused = (name for name, value in request.unknown.items() if not is_neutral(name, value))
    return dropped(refused, lenient=request.lenient)


def is_neutral(name: str, value: Any) -> bool:
    """Whether leaving the field out changes nothing."""
    return name in WITHOUT_EFFECT or value in EMPTY or (name in NEUTRAL and value == NEUTRAL[name])
