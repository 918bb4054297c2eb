"""The published table from request field to the capability a backend needs to honour it."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import evolve, fields, fields_dict

from lmx_hookspecs.generation import GenerationRequest, Sampling


class Capability(StrEnum):
    """What a backend may be able to do. A spec lists what its engine can do at best, `ready` what this model can."""

    CHAT = "chat"
    COMPLETION = "completion"
    TOKEN_PROMPTS = "token_prompts"  # noqa: S105  a capability, not a secret
    CHOICES = "choices"
    STOP = "stop"
    TEMPERATURE = "temperature"
    TOP_P = "top_p"
    TOP_K = "top_k"
    MIN_P = "min_p"
    REPETITION_PENALTY = "repetition_penalty"
    PRESENCE_PENALTY = "presence_penalty"
    FREQUENCY_PENALTY = "frequency_penalty"
    LOGIT_BIAS = "logit_bias"
    SEED = "seed"
    LOGPROBS = "logprobs"
    ECHO = "echo"
    SUFFIX = "suffix"
    NUM_CTX = "num_ctx"
    CONTEXT_POLICY = "context_policy"
    TEMPLATE_ARGUMENTS = "chat_template_kwargs"
    TOOLS = "tools"
    TOOL_CHOICE = "tool_choice"
    REASONING_EFFORT = "reasoning_effort"
    RESPONSE_FORMAT = "response_format"
    THINKING_BUDGET = "thinking_budget"
    GRAMMAR = "grammar"
    REGEX = "regex"
    CHOICE = "choice"
    MASKS = "token_masks"
    VISION = "vision"
    BATCHING = "batching"
    PREFIX_CACHE = "prefix_cache"
    EMBED = "embed"
    RERANK = "rerank"


FIELD_CAPABILITIES: Mapping[str, Capability] = {
    "messages": Capability.CHAT,
    "prompts": Capability.COMPLETION,
    "n": Capability.CHOICES,
    "stop": Capability.STOP,
    "temperature": Capability.TEMPERATURE,
    "top_p": Capability.TOP_P,
    "top_k": Capability.TOP_K,
    "min_p": Capability.MIN_P,
    "repetition_penalty": Capability.REPETITION_PENALTY,
    "presence_penalty": Capability.PRESENCE_PENALTY,
    "frequency_penalty": Capability.FREQUENCY_PENALTY,
    "logit_bias": Capability.LOGIT_BIAS,
    "seed": Capability.SEED,
    "logprobs": Capability.LOGPROBS,
    "echo": Capability.ECHO,
    "suffix": Capability.SUFFIX,
    "num_ctx": Capability.NUM_CTX,
    "context_policy": Capability.CONTEXT_POLICY,
    "chat_template_kwargs": Capability.TEMPLATE_ARGUMENTS,
    "chat_template": Capability.TEMPLATE_ARGUMENTS,
    "tools": Capability.TOOLS,
    "tool_choice": Capability.TOOL_CHOICE,
    "parallel_tool_calls": Capability.TOOLS,
    "reasoning_effort": Capability.REASONING_EFFORT,
    "thinking_budget": Capability.THINKING_BUDGET,
    "response_format": Capability.RESPONSE_FORMAT,
    "grammar": Capability.GRAMMAR,
    "regex": Capability.REGEX,
    "choice": Capability.CHOICE,
}

INDISPENSABLE = frozenset({"messages", "prompts"})

_NEUTRAL = GenerationRequest(model="")
_NEUTRAL_FIELDS = tuple((name, getattr(_NEUTRAL, name)) for name in FIELD_CAPABILITIES if hasattr(_NEUTRAL, name))
_NEUTRAL_SAMPLING = tuple((field.name, getattr(_NEUTRAL.sampling, field.name)) for field in fields(Sampling))


def used_fields(request: GenerationRequest) -> frozenset[str]:
    """The fields of `FIELD_CAPABILITIES` whose value differs from the neutral default."""
    own = [name for name, neutral in _NEUTRAL_FIELDS if getattr(request, name) != neutral]
    drawn = [name for name, neutral in _NEUTRAL_SAMPLING if getattr(request.sampling, name) != neutral]
    return frozenset([*own, *drawn])


def without_fields(request: GenerationRequest, names: Iterable[str]) -> GenerationRequest:
    """The same request with each named field at its neutral default."""
    neutral = GenerationRequest(model=request.model)
    dropped = set(names)
    drawn = {name: getattr(neutral.sampling, name) for name in dropped & fields_dict(Sampling).keys()}
    own = {name: getattr(neutral, name) for name in dropped - drawn.keys()}
    return evolve(request, sampling=evolve(request.sampling, **drawn), **own)
