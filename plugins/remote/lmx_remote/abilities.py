"""What a node's models can do, as far as a request can ask for it."""

from collections.abc import Collection, Iterable, Mapping

from lmx_hookspecs import Capability
from lmx_remote.config import Role

OF_ROLE: Mapping[Role, Capability] = {
    "chat": Capability.CHAT,
    "completion": Capability.COMPLETION,
    "embedding": Capability.EMBED,
    "rerank": Capability.RERANK,
}
ASSUMED = frozenset(
    {
        Capability.CHOICES,
        Capability.STOP,
        Capability.TEMPERATURE,
        Capability.TOP_P,
        Capability.PRESENCE_PENALTY,
        Capability.FREQUENCY_PENALTY,
        Capability.LOGIT_BIAS,
        Capability.SEED,
        Capability.LOGPROBS,
        Capability.TOOLS,
        Capability.TOOL_CHOICE,
        Capability.RESPONSE_FORMAT,
        Capability.TOKEN_PROMPTS,
    }
)
"""What OpenAI's own API has, apart from `echo` and `suffix`, which most servers have not."""


def abilities(roles: Collection[Role], fields: Iterable[Capability]) -> frozenset[str]:
    """By the roles, chat and completion where there are none, and the request fields that are honoured."""
    return frozenset({*(OF_ROLE[role] for role in roles or ("chat", "completion")), *fields})
