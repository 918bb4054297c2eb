"""A request as one target can honour it."""

from typing import Any

from attrs import evolve

from lmx_hookspecs import GenerationRequest, ModelInfo, used_fields, without_fields
from lmx_hookspecs.capabilities import FIELD_CAPABILITIES, INDISPENSABLE, Capability
from lmx_hookspecs.errors import UnsupportedParameter

WIRE_NAMES = {"prompts": "prompt"}
"""Fields that clients know by another name."""


def with_defaults_of(request: GenerationRequest, info: ModelInfo) -> GenerationRequest:
    """The request with the model's own sampling defaults where the client left a field open."""
    wanted: dict[str, Any] = {name: value for name, value in info.sampling.items() if name in request.open_sampling}
    return evolve(request, sampling=evolve(request.sampling, **wanted)) if wanted else request


def fit(request: GenerationRequest, capabilities: frozenset[str], warnings: list[str]) -> GenerationRequest:
    """The request as this backend can honour it: raises UnsupportedParameter, or drops and warns when lenient."""
    needs = {name: FIELD_CAPABILITIES[name] for name in used_fields(request)}
    if any(not isinstance(prompt, str) for prompt in request.prompts):
        needs["prompts"] = Capability.TOKEN_PROMPTS
    missing = sorted(name for name, capability in needs.items() if capability not in capabilities)
    if not missing:
        return request
    spared = missing if request.lenient else request.dispensable
    refused = [name for name in missing if name in INDISPENSABLE or name not in spared]
    if refused:
        param = WIRE_NAMES.get(refused[0], refused[0])
        raise UnsupportedParameter(
            f"{param!r} is not supported by model {request.model!r}; leave it out, or send "
            "the header X-LMX-Lenient: 1 to have it dropped",
            param=param,
        )
    warnings.extend(f"{name} was dropped: the model's backend does not support it" for name in missing)
    return without_fields(request, missing)
