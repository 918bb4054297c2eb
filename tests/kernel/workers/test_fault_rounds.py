"""Workers killed again and again: `pytest -m slow`; LMX_SLOW_COUNT sets how many rounds."""

import asyncio
import os
import random
import signal
from contextlib import aclosing

import psutil
import pytest

from lmx_hookspecs.errors import EngineFailed
from worker_support import SETTINGS, Started, chat, running, text_of

ROUNDS = int(os.environ.get("LMX_SLOW_COUNT", "20"))
TEXT = "one two three four five six seven eight nine ten"


async def read_and_kill(started: Started, pieces_before: int) -> str:
    """Stream an answer, and kill the worker under it."""
    text = ""
    async with aclosing(started.engine.generate(chat(TEXT))) as pieces:
        async for piece in pieces:
            text += piece.text
            pieces_before -= 1
            if not pieces_before:
                os.kill(started.pid, signal.SIGKILL)
    return text


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["echo-process", "echo-tokens"])
async def test_no_answer_is_ever_wrong_and_nothing_leaks(backend: str) -> None:
    chance = random.Random(7)
    settings = SETTINGS(quarantine_after=10**6)
    open_files = []
    async with running(backend, settings=settings, tokens_per_second=100) as started:
        for _ in range(ROUNDS):
            answers = await asyncio.gather(
                read_and_kill(started, chance.randint(1, 9)),
                *(text_of(started, chat(TEXT)) for _ in range(3)),
                *(text_of(started, chat(TEXT, stream=False)) for _ in range(3)),
                return_exceptions=True,
            )
            open_files.append(psutil.Process().num_fds())

            assert all(answer == TEXT or isinstance(answer, EngineFailed) for answer in answers[:4])
            assert answers[4:] == [TEXT] * 3

    assert open_files[-1] <= open_files[0]
