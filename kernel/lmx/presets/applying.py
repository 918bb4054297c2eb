"""What a preset adds to a request."""

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from lmx.names import PRESET
from lmx_hookspecs import GenerationRequest, Message, Preset

OWN_FIELDS: Mapping[str, Any] = {
    "max_tokens": None,
    "stop": (),
    "response_format": None,
    "num_ctx": None,
    "context_policy": "error",
}
"""Parameters that are fields of the request itself, and what they are where it leaves them open."""


def applied(preset: Preset, request: GenerationRequest) -> tuple[GenerationRequest, list[str]]:
    """The request with the preset's values wherever it leaves something open, and what could not be used."""
    filled = _with_parameters(preset.parameters, request)
    if filled.messages is not None:
        return _with_prompt(preset, filled), []
    unused = [name for name in ("system_prompt", "chat_template") if getattr(preset, name) is not None]
    reason = "a completion has no messages"
    return filled, [f"{name} of {PRESET}{preset.name} was left out: {reason}" for name in unused]


def _with_parameters(parameters: Mapping[str, Any], request: GenerationRequest) -> GenerationRequest:
    drawn = {name: value for name, value in parameters.items() if name in request.open_sampling}
    own = {
        name: parameters[name]
        for name, unset in OWN_FIELDS.items()
        if name in parameters and _open(request, name, unset)
    }
    if own.get("response_format", {}).get("type") == "text":
        del own["response_format"]
    return evolve(
        request,
        **own,
        sampling=evolve(request.sampling, **drawn),
        open_sampling=request.open_sampling - drawn.keys(),
    )


def _open(request: GenerationRequest, name: str, unset: Any) -> bool:
    value = getattr(request, name)
    return name not in request.explicit and (tuple(value) == unset if name == "stop" else value == unset)


def _with_prompt(preset: Preset, request: GenerationRequest) -> GenerationRequest:
    messages = list(request.messages or ())
    if preset.system_prompt is not None and not any(message.role in ("system", "developer") for message in messages):
        messages.insert(0, Message(role="system", content=preset.system_prompt))
    return evolve(request, messages=messages, chat_template=preset.chat_template or request.chat_template)
