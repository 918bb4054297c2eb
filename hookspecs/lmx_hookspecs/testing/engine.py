"""What holds for engines of both levels."""

from lmx_hookspecs.engines import EngineDescription
from lmx_hookspecs.testing.expectation import expect


def check_description(description: EngineDescription, at_best: frozenset[str], least_context: int = 1) -> None:
    """What an engine says of itself is possible, and no more than its spec lists."""
    expect(isinstance(description, EngineDescription), f"describe() returned {description!r}")
    beyond = sorted(description.capabilities - at_best)
    expect(not beyond, f"the engine claims {beyond}, which its spec does not")
    expect(description.context_length >= least_context, f"the context is {description.context_length} tokens long")
    expect(description.memory_bytes >= 0 and description.max_rows > 0, f"describe() returned {description}")
