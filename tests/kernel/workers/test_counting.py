"""Prompts counted by real engines, in a worker and on the kernel's loop."""

from collections.abc import Sequence

import pytest

from lmx_hookspecs import GenerationRequest, Message
from lmx_hookspecs.errors import InvalidRequest, Unavailable
from worker_support import not_started, pieces_of, running

CHAT = [Message(role="system", content="Be brief."), Message(role="user", content="Grüße an alle")]


def asked(messages: Sequence[Message] = CHAT) -> GenerationRequest:
    return GenerationRequest(model="m", messages=messages)


@pytest.mark.parametrize("name", ["echo", "echo-process", "echo-tokens"])
async def test_a_count_is_what_the_usage_of_the_answer_says(name: str) -> None:
    async with running(name) as started:
        counted = await started.engine.count_tokens(asked())
        pieces = await pieces_of(started, asked())

    usage = pieces[-1].usage
    assert usage is not None
    assert counted == usage.prompt_tokens > 0


async def test_a_prompt_longer_than_the_context_can_be_counted() -> None:
    async with running("echo-tokens", context_length=10) as started:
        assert await started.engine.count_tokens(asked()) > 10


async def test_a_prompt_that_cannot_be_made_cannot_be_counted() -> None:
    async with running("echo-tokens") as started:
        with pytest.raises(InvalidRequest, match="no tokens"):
            await started.engine.count_tokens(GenerationRequest(model="m", prompts=[""]))


async def test_a_stopped_engine_counts_nothing() -> None:
    with pytest.raises(Unavailable):
        await not_started("echo-process").engine.count_tokens(asked())
