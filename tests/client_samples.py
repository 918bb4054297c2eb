"""What all clients ask the built-in models: a question, a tool that answers it, and an object of a fixed shape."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

CHAT = "lmx-tiny"
EMBED = "lmx-tiny-embed"
LENGTH = 256
"""Numbers in a vector of EMBED."""
HELP = "How do I list the plugins?"
HELP_ANSWER = "lmx plugins list"
QUESTION = "What is the weather in Paris?"
RESULT = '{"temperature": 21, "condition": "sunny"}'
CAT, KITTEN, MONEY = "The cat sleeps on the sofa.", "A kitten naps on a couch.", "Interest rates rise."


class Report(BaseModel):
    """The weather of a city."""

    model_config = ConfigDict(extra="forbid")

    city: str = Field(max_length=12)
    sky: Literal["sunny", "cloudy"]
    degrees: int = Field(ge=-50, le=60)


def get_weather(city: str) -> str:
    """Get the current weather of a city"""
    return RESULT if city else "no such city"


def alike(one: list[float], other: list[float]) -> float:
    """The cosine of two vectors of length one."""
    return sum(a * b for a, b in zip(one, other, strict=True))
