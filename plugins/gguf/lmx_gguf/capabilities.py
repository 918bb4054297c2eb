"""What a GGUF engine can do at best, and with a given model."""

from lmx_hookspecs import Capability

GENERATION: frozenset[str] = frozenset(
    {
        Capability.CHAT,
        Capability.COMPLETION,
        Capability.TOKEN_PROMPTS,
        Capability.CHOICES,
        Capability.STOP,
        Capability.TEMPERATURE,
        Capability.TOP_P,
        Capability.TOP_K,
        Capability.MIN_P,
        Capability.REPETITION_PENALTY,
        Capability.PRESENCE_PENALTY,
        Capability.FREQUENCY_PENALTY,
        Capability.LOGIT_BIAS,
        Capability.SEED,
        Capability.LOGPROBS,
        Capability.MASKS,
        Capability.ECHO,
        Capability.NUM_CTX,
        Capability.TEMPLATE_ARGUMENTS,
        Capability.TOOLS,
        Capability.TOOL_CHOICE,
        Capability.REASONING_EFFORT,
        Capability.THINKING_BUDGET,
        Capability.CONTEXT_POLICY,
        Capability.RESPONSE_FORMAT,
        Capability.GRAMMAR,
        Capability.REGEX,
        Capability.CHOICE,
        Capability.BATCHING,
        Capability.PREFIX_CACHE,
    }
)
EMBEDDING: frozenset[str] = frozenset({Capability.EMBED, Capability.TOKEN_PROMPTS})
CAPABILITIES = GENERATION | EMBEDDING


def generation_capabilities(*, chat: bool, batching: bool, prefix_cache: bool) -> frozenset[str]:
    """Those of a model that generates, once it is loaded."""
    lacking: set[str] = set()
    if not chat:
        lacking |= {Capability.CHAT, Capability.TEMPLATE_ARGUMENTS, Capability.CONTEXT_POLICY}
    if not batching:
        lacking.add(Capability.BATCHING)
    if not prefix_cache:
        lacking.add(Capability.PREFIX_CACHE)
    return GENERATION - lacking
