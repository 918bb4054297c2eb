"""Facts with their trained and held-out wordings, as written in `facts/*.yaml`."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
from ruamel.yaml import YAML

FOLDER = Path(__file__).parent / "facts"
ACTION_FRAMES = ("How do I {}?", "I want to {}.")
TOPIC_FRAMES = ("What {be} {}?", "Explain {}.")


@attrs.frozen
class Fact:
    """One answer, the wordings that train it, and the wordings that only test it."""

    id: str
    answer: str
    written: tuple[str, ...]
    held_out: tuple[str, ...]
    actions: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    plain: bool = False
    weight: int = 1

    @property
    def trained(self) -> tuple[str, ...]:
        """The written wordings and the two simplest frames of each action and topic."""
        framed = [frame.format(a) for a in self.actions for frame in ACTION_FRAMES]
        framed += [frame_topic(frame, t) for t in self.topics for frame in TOPIC_FRAMES]
        return (*self.written, *framed)


def frame_topic(frame: str, topic: str) -> str:
    """The topic in the frame, with "is" or "are"."""
    last = topic.rsplit(maxsplit=1)[-1]
    plural = last.endswith("s") and not last.endswith(("ss", "us", "is")) and last.islower() and "_" not in last
    return frame.format(topic, be="are" if plural else "is")


def normalised(wording: str) -> str:
    """Lower case without punctuation: two wordings that differ only in these count as one."""
    return " ".join(re.findall(r"[a-z0-9_.+*]*[a-z0-9_+*]", wording.lower()))


def load_facts(folder: Path = FOLDER) -> list[Fact]:
    """All facts, file by file in name order."""
    yaml = YAML(typ="safe", pure=True)
    return [_fact(entry) for path in sorted(folder.glob("*.yaml")) for entry in yaml.load(path)]


def _fact(entry: dict[str, object]) -> Fact:
    def listed(key: str) -> tuple[str, ...]:
        values = entry.get(key, [])
        return tuple(str(value) for value in values) if isinstance(values, list) else ()

    return Fact(
        id=str(entry["id"]),
        answer=_answer(entry),
        written=listed("trained"),
        held_out=listed("held_out"),
        actions=listed("actions"),
        topics=listed("topics"),
        plain=bool(entry.get("plain", False)),
        weight=int(str(entry.get("repeat", 1))),
    )


def _answer(entry: dict[str, object]) -> str:
    if "count_to" in entry:
        return ", ".join(str(i) for i in range(1, int(str(entry["count_to"])) + 1))
    return str(entry["answer"]).strip()


def check(facts: list[Fact]) -> list[str]:
    """Every wording that two facts share, or that stands in both lists."""
    owner: dict[str, str] = {}
    problems = []
    for fact in facts:
        for wording in fact.trained:
            first = owner.setdefault(normalised(wording), fact.id)
            if first != fact.id:
                problems.append(f"{wording!r} is trained for {first} and {fact.id}")
        if len(fact.trained) < 12:
            problems.append(f"{fact.id} has fewer than 12 wordings")
    for fact in facts:
        problems += [f"{w!r} of {fact.id} is trained" for w in fact.held_out if normalised(w) in owner]
    return problems


if __name__ == "__main__":
    FACTS = load_facts()
    print("\n".join(check(FACTS)))
    print(len(FACTS), sum(len(f.trained) for f in FACTS), sum(len(f.held_out) for f in FACTS))
