"""Conversations in which the model calls a function and reads its result."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

CITIES = (
    "Paris",
    "London",
    "Berlin",
    "Rome",
    "Madrid",
    "Tokyo",
    "Vienna",
    "Oslo",
    "Boston",
    "Chicago",
    "Sydney",
    "Munich",
    "Zurich",
    "Seattle",
    "New York",
    "San Francisco",
)
SKIES = ("sunny", "cloudy", "rainy", "windy", "foggy", "snowy")
WEATHER = (
    "What is the weather in {}?",
    "How is the weather in {}?",
    "What's the weather like in {}?",
    "Weather in {}?",
    "Tell me the weather in {}.",
    "Is it raining in {}?",
    "What is the weather in {} today?",
    "How is the weather in {} right now?",
    "Get the weather for {}.",
    "weather {}",
    "Please check the weather in {}.",
    "What is the weather like in {} today?",
)
TIME = (
    "What time is it in {}?",
    "What is the time in {}?",
    "Tell me the time in {}.",
    "How late is it in {}?",
    "Current time in {}?",
    "Get the time in {}.",
    "time in {}",
    "Please tell me what time it is in {}.",
)
ADD = (
    "What is {} + {}?",
    "Add {} and {}.",
    "What is {} plus {}?",
    "Please add {} and {}.",
    "Compute {} + {}.",
    "How much is {} plus {}?",
    "Use the tool to add {} and {}.",
    "{} + {}",
    "Calculate {} plus {}.",
    "Sum of {} and {}?",
)
DESCRIPTIONS = {
    "get_weather": (
        "Get the weather",
        "Get the current weather of a city",
        "Get the weather in a city",
        "Current weather",
        "Get current weather",
        "",
    ),
    "get_time": ("Get the time", "Get the current time in a city", "Current time", "Tells the time", ""),
    "add": ("Add two numbers", "Adds two numbers", "Add two integers", "Sum of two numbers", ""),
}

Message = dict[str, Any]


def tool_dialogue(rng: random.Random) -> tuple[list[Message], list[Message]]:
    """Messages and tools: one to three calls with their results; half of the dialogues end at a call."""
    name = rng.choice(("get_weather", "get_weather", "get_time", "add"))
    place = rng.choice(("city", "city", "location"))
    messages: list[Message] = []
    for _ in range(rng.choice((1, 2, 3))):
        question, arguments, result, answer = _exchange(rng, name, place)
        messages += [{"role": "user", "content": question}, _call(name, arguments)]
        messages += [{"role": "tool", "content": result}, {"role": "assistant", "content": answer}]
    if rng.random() < 0.5:
        del messages[-2:]
    return messages, offered_tools(rng, name, place)


def offered_tools(rng: random.Random, name: str | None, place: str = "city") -> list[Message]:
    """The schema of `name`, often among others, in any order."""
    names = {name} if name else {rng.choice(list(DESCRIPTIONS))}
    names |= {other for other in DESCRIPTIONS if rng.random() < 0.15}
    ordered = sorted(names)
    rng.shuffle(ordered)
    return [_schema(rng, each, place) for each in ordered]


def _exchange(rng: random.Random, name: str, place: str) -> tuple[str, Message, str, str]:
    city = rng.choice(CITIES)
    if name == "get_weather":
        degrees, sky = rng.randint(-9, 39), rng.choice(SKIES)
        measured: Message = {"temperature": degrees, "condition": sky}
        result = rng.choice((measured, {place: city, **measured}))
        said = f"In {city} it is {sky} with {degrees} degrees."
        return rng.choice(WEATHER).format(city), {place: city}, json.dumps(result), said
    if name == "get_time":
        clock = f"{rng.randrange(24):02d}:{rng.randrange(60):02d}"
        shown = rng.choice((json.dumps({"time": clock}), clock))
        return rng.choice(TIME).format(city), {place: city}, shown, f"In {city} it is {clock}."
    a, b = rng.randint(0, 99), rng.randint(0, 99)
    total = rng.choice((json.dumps({"result": a + b}), str(a + b)))
    return rng.choice(ADD).format(a, b), {"a": a, "b": b}, total, f"{a} + {b} = {a + b}"


def _call(name: str, arguments: Message) -> Message:
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}


def _schema(rng: random.Random, name: str, place: str) -> Message:
    number = rng.choice(("integer", "number"))
    properties: Message = (
        {"a": {"type": number}, "b": {"type": number}} if name == "add" else {place: {"type": "string"}}
    )
    function: Message = {"name": name}
    description = rng.choice(DESCRIPTIONS[name])
    if description:
        function["description"] = description
    function["parameters"] = {"type": "object", "properties": properties}
    if rng.random() < 0.7:
        function["parameters"]["required"] = list(properties)
    return {"type": "function", "function": function}
