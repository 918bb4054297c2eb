"""What an MLX engine can do at best, and with a given model."""

from lmx_hookspecs import Capability

CAPABILITIES: frozenset[str] = frozenset(
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
        Capability.ECHO,
        Capability.NUM_CTX,
        Capability.CONTEXT_POLICY,
        Capability.TEMPLATE_ARGUMENTS,
        Capability.MASKS,
        Capability.TOOLS,
        Capability.TOOL_CHOICE,
        Capability.REASONING_EFFORT,
        Capability.THINKING_BUDGET,
        Capability.RESPONSE_FORMAT,
        Capability.GRAMMAR,
        Capability.REGEX,
        Capability.CHOICE,
        Capability.BATCHING,
        Capability.PREFIX_CACHE,
        Capability.EMBED,
    }
)


def capabilities_of(*, chat: bool, batching: bool, prefix_cache: bool) -> frozenset[str]:
    """Those that a model that makes text has once it is loaded."""
    lacking: set[str] = {Capability.EMBED}
    if not chat:
        lacking |= {Capability.CHAT, Capability.TEMPLATE_ARGUMENTS, Capability.CONTEXT_POLICY}
    if not batching:
        lacking.add(Capability.BATCHING)
    if not prefix_cache:
        lacking.add(Capability.PREFIX_CACHE)
    return CAPABILITIES - lacking
