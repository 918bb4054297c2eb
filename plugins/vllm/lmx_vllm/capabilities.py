"""What a vllm-mlx engine can do at best, and with a given model."""

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
        Capability.NUM_CTX,
        Capability.TEMPLATE_ARGUMENTS,
        Capability.BATCHING,
        Capability.PREFIX_CACHE,
    }
)


def capabilities_of(*, chat: bool, batching: bool, prefix_cache: bool) -> frozenset[str]:
    """Those that this model has once it is loaded."""
    lacking: set[str] = set()
    if not chat:
        lacking |= {Capability.CHAT, Capability.TEMPLATE_ARGUMENTS}
    if not batching:
        lacking.add(Capability.BATCHING)
    if not prefix_cache:
        lacking.add(Capability.PREFIX_CACHE)
    return CAPABILITIES - lacking
