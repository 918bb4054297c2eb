"""Short prompts whose answer repeats part of the prompt: they teach what function arguments need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tool_dialogues import CITIES, Message

if TYPE_CHECKING:
    import random

WORDS = (
    *CITIES,
    "red",
    "green",
    "blue",
    "apple",
    "lamp",
    "river",
    "house",
    "cat",
    "dog",
    "tree",
    "hello",
    "world",
    "one",
    "two",
    "three",
    "model",
    "plugin",
    "server",
    "yes",
    "no",
    "night",
    "day",
    "sun",
    "moon",
    "stone",
    "bird",
    "fish",
    "music",
    "paper",
    "coffee",
    "table",
    "green tea",
    "good luck",
)
REPEAT = (
    "Repeat after me: {}",
    "Repeat: {}",
    "Echo: {}",
    "Repeat the words {}",
    "Say exactly: {}",
    "Please repeat: {}",
    "repeat after me: {}",
    "Repeat this: {}",
    "Echo {}",
    "Repeat {}",
    "Can you repeat: {}",
    "Please say exactly: {}",
)
COUNT = (
    "Count to {}",
    "Count to {}.",
    "Count from 1 to {}",
    "Count from 1 to {}.",
    "Please count to {}",
    "Count up to {}",
    "Numbers from 1 to {}",
    "Can you count to {}?",
)
LARGEST = 25


def copying(rng: random.Random) -> list[Message]:
    """Questions and answers: mostly words to repeat, sometimes numbers to count."""
    messages: list[Message] = []
    for _ in range(rng.choice((1, 2, 3))):
        question, answer = _counting(rng) if rng.random() < 0.12 else _repeating(rng)
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return messages


def _counting(rng: random.Random) -> tuple[str, str]:
    last = rng.randint(2, LARGEST)
    return rng.choice(COUNT).format(last), ", ".join(str(i) for i in range(1, last + 1))


def _repeating(rng: random.Random) -> tuple[str, str]:
    answer = " ".join(_word(rng) for _ in range(rng.choice((1, 1, 2, 3, 4, 5))))
    return rng.choice(REPEAT).format(answer), answer


def _word(rng: random.Random) -> str:
    return rng.choice(WORDS) if rng.random() < 0.7 else str(rng.randrange(1000))
