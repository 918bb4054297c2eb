"""A dialect's parser must give the same for every split of the text, lose nothing, and stay linear.

Its properties are tried with Hypothesis, which a plugin's own tests bring along: `pip install hypothesis`.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from types import FrameType
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from lmx_hookspecs.constraints import DialectSpec, Parsed, ParserRequest
from lmx_hookspecs.testing.expectation import expect

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

WORDS = ("Hello", " ", "\n", "{", "}", "[", '"name"', '": "', ",", "\\", "1", "ß€😀", "<", "|", "a=b")
EXAMPLES = 40
FEEDS = 40
PLACES = 4
GROWTH = 4
MOST_GROWTH = 6.0
"""Four times the text may take this many times the work; a parser that looks through it again and again takes 16."""


@frozen(kw_only=True)
class DialectSample:
    """An answer as a model writes it, and what it says: `calls` are names and arguments."""

    raw: str
    text: str = ""
    reasoning: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    request: ParserRequest = field(factory=ParserRequest)


@frozen
class Reading:
    """What a parser made of an answer, its fragments put together."""

    text: str
    reasoning: str
    calls: Sequence[tuple[str, str]]
    """Names, and arguments as they were written."""
    warnings: Sequence[str]
    ids: Sequence[str]


def read_dialect(spec: DialectSpec, request: ParserRequest, chunks: Iterable[str]) -> Reading:
    """Feed an answer to a fresh parser."""
    parser = spec.parser(request)
    return _put_together([*(parser.feed(chunk) for chunk in chunks), parser.finish()])


def check_dialect(spec: DialectSpec, samples: Sequence[DialectSample]) -> None:
    """Read the samples, then what Hypothesis makes of their parts: split anywhere, cut off, mixed up."""
    expect(bool(samples), f"dialect {spec.name}: no samples")
    for sample in samples:
        for stream in (False, True):
            _check_sample(spec, evolve(sample, request=evolve(sample.request, stream=stream)))
    _check_mixtures(spec, samples)
    _check_bytes(spec, samples)
    for sample in samples:
        _check_work(spec, sample)


def _check_sample(spec: DialectSpec, sample: DialectSample) -> None:
    whole = read_dialect(spec, sample.request, [sample.raw])
    calls = [(name, json.loads(arguments)) for name, arguments in whole.calls]
    expect(calls == [*map(tuple, sample.calls)], f"{sample.raw!r} gave the calls {calls}")
    expect(whole.text == sample.text, f"{sample.raw!r} gave the text {whole.text!r}")
    expect(whole.reasoning == sample.reasoning, f"{sample.raw!r} gave the reasoning {whole.reasoning!r}")
    expect(not whole.warnings, f"{sample.raw!r} gave the warnings {whole.warnings}")
    for end in range(1, len(sample.raw)):
        _check_split(spec, sample.request, [sample.raw[:end], sample.raw[end:]], whole)
    _check_split(spec, sample.request, [*sample.raw], whole)


def _check_split(spec: DialectSpec, request: ParserRequest, chunks: Sequence[str], whole: Reading) -> None:
    split = read_dialect(spec, request, chunks)
    expect(
        evolve(split, ids=()) == evolve(whole, ids=()), f"{chunks!r} gave {split}, but in one piece it gives {whole}"
    )


def _check_mixtures(spec: DialectSpec, samples: Sequence[DialectSample]) -> None:
    from hypothesis import strategies

    requests = [evolve(sample.request, stream=stream) for sample in samples for stream in (False, True)]
    slices = [sample.raw[at : at + 12] for sample in samples for at in range(0, len(sample.raw), 12)]
    fragments = [tag[:end] for tag in spec.tags for end in (1, len(tag) - 1)]
    parts = strategies.sampled_from([*spec.tags, *fragments, *slices, *WORDS, *(sample.raw for sample in samples)])

    def check(mixture: list[str], request: ParserRequest, cuts: list[int]) -> None:
        raw = "".join(mixture)
        whole = read_dialect(spec, request, [raw])
        _check_split(spec, request, _cut(raw, cuts), whole)
        if request.reasoning != "off":
            _check_free_of_tags(spec, whole)
        if not request.stream:
            _check_calls(whole)

    _try(check, strategies.lists(parts, max_size=12), strategies.sampled_from(requests), _cuts())


def _check_bytes(spec: DialectSpec, samples: Sequence[DialectSample]) -> None:
    """Where no call can be meant, everything comes back apart from tags and white space."""
    from hypothesis import strategies

    request = evolve(samples[0].request, tools=())
    fragments = [f"{tag[:-1]}·" for tag in spec.tags]
    parts = strategies.sampled_from([*spec.tags, *fragments, "Hello", "·", " ", "\n", "1", "ß€😀"])
    tags = re.compile("|".join(map(re.escape, spec.tags)) or "(?!)")

    def check(mixture: list[str], cuts: list[int]) -> None:
        raw = "".join(mixture)
        given = read_dialect(spec, request, _cut(raw, cuts))
        lost = Counter("".join(tags.sub("", raw).split())) - Counter("".join((given.text + given.reasoning).split()))
        expect(not lost, f"{raw!r} lost {dict(lost)}: {given}")
        expect(not given.calls, f"without tools {raw!r} gave {given.calls}")

    _try(check, strategies.lists(parts, max_size=12), _cuts())


def _check_free_of_tags(spec: DialectSpec, reading: Reading) -> None:
    found = [tag for tag in spec.tags if tag in reading.text]
    expect(not found, f"the tags {found} are in the text {reading.text!r}")


def _check_calls(reading: Reading) -> None:
    for name, arguments in reading.calls:
        expect(isinstance(json.loads(arguments), dict), f"{name} was called with {arguments!r}")
    expect(len(set(reading.ids)) == len(reading.calls), f"ids of calls are {reading.ids}")
    expect(all(call_id.startswith("call_") for call_id in reading.ids), f"ids of calls are {reading.ids}")


def _check_work(spec: DialectSpec, sample: DialectSample) -> None:
    """Text that goes on and on, from every place of the sample at which it may do so."""
    for end in {len(sample.raw) * part // PLACES for part in range(1, PLACES + 1)}:
        for filling in ("x", " ", "<"):
            chunks = [sample.raw[:end], *[filling * 16] * FEEDS]
            less = _work(spec, sample.request, chunks)
            more = _work(spec, sample.request, [*chunks, *[filling * 16] * (FEEDS * (GROWTH - 1))])
            expect(
                more < less * MOST_GROWTH,
                f"{GROWTH} times as much {filling!r} behind {sample.raw[:end]!r} is {more / less:.1f} times the work",
            )


def _work(spec: DialectSpec, request: ParserRequest, chunks: Sequence[str]) -> int:
    """Characters that functions have in hand: in their variables, and in the attributes of what they belong to."""
    work = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal work
        if event == "call":
            owner = frame.f_locals.get("self")
            held = [*frame.f_locals.values(), *_attributes(owner)]
            work += 1 + sum(len(value) for value in held if isinstance(value, str))
        elif event == "c_call" and isinstance(getattr(argument, "__self__", None), str):
            work += len(argument.__self__)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        read_dialect(spec, request, chunks)
    finally:
        sys.setprofile(before)
    return work


def _attributes(owner: Any) -> Iterable[Any]:
    slots = (name for cls in type(owner).__mro__ for name in getattr(cls, "__slots__", ()))
    return [*getattr(owner, "__dict__", {}).values(), *(getattr(owner, name, None) for name in slots)]


def _put_together(parts: Sequence[Parsed]) -> Reading:
    calls: dict[int, tuple[str, str, list[str]]] = {}
    for delta in (delta for part in parts for delta in part.tool_calls):
        if delta.index not in calls:
            expect(bool(delta.id and delta.name), f"a call begins with {delta}, without its id or name")
            expect(delta.index == len(calls), f"call {delta.index} comes after {len(calls)} others")
            calls[delta.index] = (delta.id or "", delta.name or "", [])
        else:
            expect(delta.id is None and delta.name is None, f"the id or name comes again in {delta}")
        calls[delta.index][2].append(delta.arguments)
    return Reading(
        text="".join(part.text for part in parts),
        reasoning="".join(part.reasoning for part in parts),
        calls=tuple((name, "".join(arguments)) for _, name, arguments in calls.values()),
        warnings=tuple(sorted(warning for part in parts for warning in part.warnings)),
        ids=tuple(call_id for call_id, _, _ in calls.values()),
    )


def _cut(raw: str, cuts: Sequence[int]) -> list[str]:
    places = sorted({cut % (len(raw) + 1) for cut in cuts} | {0, len(raw)})
    return [raw[begin:end] for begin, end in pairwise(places)]


def _cuts() -> "SearchStrategy[list[int]]":
    from hypothesis import strategies

    return strategies.lists(strategies.integers(0, 10_000), max_size=20)


def _try(check: Callable[..., None], *strategies: Any) -> None:
    from hypothesis import given, settings

    decorated: Any = given(*strategies)
    bounded: Any = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    bounded(decorated(check))()
