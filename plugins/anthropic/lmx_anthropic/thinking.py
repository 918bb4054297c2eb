"""How much the model is to think, in the words that templates and engines have for it."""

from collections.abc import Mapping
from typing import Any

from lmx_anthropic.unknown import Unsupported
from lmx_hookspecs.errors import InvalidRequest

TYPES = ("enabled", "adaptive", "disabled")
FIELDS = frozenset({"type", "budget_tokens", "display"})
DISPLAYS = (None, "summarized", "omitted")
SWITCHED_ON: Mapping[str, Any] = {"enable_thinking": True, "thinking": True}
"""What templates call the switch; one that has none does not look."""
EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "xhigh"}
OUTPUT_FIELDS = frozenset({"effort", "format"})


def thinking_fields(
    thinking: Mapping[str, Any] | None, max_tokens: int | None, unsupported: Unsupported
) -> dict[str, Any]:
    """Fields of the generation. All of them may be dropped: a model that cannot think does not exceed any budget.

    `adaptive` leaves it to the model, which is what it does by itself.
    """
    if thinking is None:
        return {}
    kind = thinking.get("type")
    if kind not in TYPES:
        raise InvalidRequest(f"thinking.type must be one of {', '.join(TYPES)}", param="thinking.type")
    unsupported.check(thinking, FIELDS, "thinking")
    if thinking.get("display") not in DISPLAYS:
        raise InvalidRequest("thinking.display must be summarized or omitted", param="thinking.display")
    if kind == "enabled":
        return {
            "thinking_budget": _budget(thinking.get("budget_tokens"), max_tokens),
            "chat_template_kwargs": SWITCHED_ON,
            "dispensable": frozenset({"thinking_budget", "chat_template_kwargs"}),
        }
    if kind == "disabled":
        return {"reasoning_effort": "none", "dispensable": frozenset({"reasoning_effort"})}
    return {}


def is_shown(thinking: Mapping[str, Any] | None) -> bool:
    """Whether the answer holds the text of what the model thought."""
    return (thinking or {}).get("display") != "omitted"


def output_fields(config: Mapping[str, Any] | None, unsupported: Unsupported) -> dict[str, Any]:
    """Fields of the generation that `output_config` asks for; raises InvalidRequest."""
    if config is None:
        return {}
    unsupported.check(config, OUTPUT_FIELDS, "output_config")
    fields: dict[str, Any] = {}
    effort, shape = config.get("effort"), config.get("format")
    if effort is not None:
        if not isinstance(effort, str) or effort not in EFFORTS:
            raise InvalidRequest(
                f"output_config.effort must be one of {', '.join(EFFORTS)}", param="output_config.effort"
            )
        fields |= {"reasoning_effort": EFFORTS[effort], "dispensable": frozenset({"reasoning_effort"})}
    if shape is not None:
        fields["response_format"] = _response_format(shape)
    return fields


def _response_format(shape: Any) -> Mapping[str, Any]:
    if not isinstance(shape, Mapping) or shape.get("type") != "json_schema" or "schema" not in shape:
        raise InvalidRequest(
            "output_config.format must be of type json_schema, with a schema", param="output_config.format"
        )
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": shape["schema"], "strict": True}}


def _budget(budget: Any, max_tokens: int | None) -> int:
    if type(budget) is not int or budget < 1:
        raise InvalidRequest(
            "thinking.budget_tokens must be a number of tokens, at least 1", param="thinking.budget_tokens"
        )
    if max_tokens is not None and budget >= max_tokens:
        raise InvalidRequest(
            f"thinking.budget_tokens is {budget} and max_tokens {max_tokens}; the budget must be below it",
            param="thinking.budget_tokens",
        )
    return budget
