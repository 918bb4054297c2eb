"""Many ways to say one wording: other frames, synonyms, dropped words, case, politeness, typing errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phrases import (
    FILLERS,
    HOW_LEAD,
    LEADS,
    MORE_ACTION_FRAMES,
    MORE_TOPIC_FRAMES,
    ORDERS,
    PREFIXES,
    REPLACEMENTS,
    REQUESTS,
    SUFFIXES,
    WHAT_LEAD,
    WHAT_LEADS,
)
from wordings import Fact, frame_topic

if TYPE_CHECKING:
    import random


def paraphrase(rng: random.Random, fact: Fact) -> str:
    """One wording of `fact`: as written about a third of the time."""
    text = _choose(rng, fact)
    if rng.random() < 0.3:
        return text
    if not fact.plain:
        text = _swap_lead(rng, text) if rng.random() < 0.3 else text
        text = _swap_synonyms(rng, text) if rng.random() < 0.55 else text
        text = _drop_fillers(rng, text) if rng.random() < 0.2 else text
    text = _ask_for(rng, text) if rng.random() < 0.3 else text
    text = _wrap(rng, text, plain=fact.plain)
    return _restyle(rng, text)


def _choose(rng: random.Random, fact: Fact) -> str:
    framed = len(fact.actions) + len(fact.topics)
    if not framed or rng.random() < 0.5:
        return rng.choice(fact.written)
    if rng.randrange(framed) < len(fact.actions):
        return _capitalised(rng.choice(MORE_ACTION_FRAMES).format(rng.choice(fact.actions)))
    topic = rng.choice(fact.topics)
    return _capitalised(frame_topic(rng.choice(MORE_TOPIC_FRAMES), topic))


def _capitalised(text: str) -> str:
    return text if text.startswith("lmx") else text[:1].upper() + text[1:]


def _ask_for(rng: random.Random, text: str) -> str:
    """An order ("Count to ten.") as a request ("Can you count to ten?")."""
    if text.split(maxsplit=1)[0].lower() not in ORDERS or text.endswith("?"):
        return text
    request = rng.choice(REQUESTS)
    mark = "?" if request.startswith(("Can", "Could", "Would")) else ""
    return request + text[:1].lower() + text[1:].rstrip(".") + mark


def _swap_lead(rng: random.Random, text: str) -> str:
    if HOW_LEAD.match(text):
        return HOW_LEAD.sub(rng.choice(LEADS), text)
    found = WHAT_LEAD.match(text)
    if found:
        return rng.choice(WHAT_LEADS[found[1]]) + text[found.end() :]
    return text


def _swap_synonyms(rng: random.Random, text: str) -> str:
    for pattern, others in rng.sample(REPLACEMENTS, len(REPLACEMENTS)):
        if rng.random() < 0.5 and pattern.search(text):
            text = pattern.sub(rng.choice(others), text, count=1)
    return _capitalised(text)


def _drop_fillers(rng: random.Random, text: str) -> str:
    kept = [w for w in text.split() if w.lower() not in FILLERS or rng.random() < 0.5]
    return " ".join(kept) or text


def _wrap(rng: random.Random, text: str, *, plain: bool) -> str:
    if rng.random() < 0.12:
        start = text if text.startswith(("I ", "LMX", "JSON", "GET", "RAG", "OK")) else text[:1].lower() + text[1:]
        text = rng.choice(PREFIXES) + start
    if rng.random() < 0.12 and not plain:
        mark = text[-1] if text[-1] in "?." else ""
        suffix = rng.choice(SUFFIXES)
        text = text + suffix if suffix[-1] in ".!" else text[: len(text) - len(mark)] + suffix + mark
    return text


def _restyle(rng: random.Random, text: str) -> str:
    if rng.random() < 0.2:
        text = text.lower()
    if rng.random() < 0.25:
        text = text.rstrip("?.!")
    elif rng.random() < 0.06:
        text = text.rstrip("?.") + rng.choice(("!", "??", " ?", "."))
    if rng.random() < 0.06 and len(text) > 8 and not any(c.isdigit() for c in text):
        text = _mistype(rng, text)
    return text


def _mistype(rng: random.Random, text: str) -> str:
    at = rng.randrange(1, len(text) - 2)
    if rng.random() < 0.5:
        return text[:at] + text[at + 1 :]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
