"""Contexts by a tokenizer that counts words and line ends; and many seeds."""

import random

import pytest
from attrs import define, field

from lmx.retrieval.assembly import MOST_TRIES, Assembled, Candidate, Count, assembled


def count(text: str) -> int:
    """Tokens that do not add up: a line end behind a word is one with it."""
    return len(text.replace("\n", " \n ").split(" ")) if text else 0


def words(text: str) -> int:
    """Tokens that add up."""
    return len(text.split())


@define
class Counting:
    """A count that keeps what it was asked for."""

    count: Count
    texts: list[str] = field(factory=list)

    def __call__(self, text: str) -> int:
        self.texts.append(text)
        return self.count(text)

    @property
    def whole(self) -> int:
        """How often several parts were counted as one."""
        return sum(text.startswith("[1]") and "[2]" in text for text in self.texts)


def candidate(text: str, score: float = 1.0, *, document: str = "a", index: int = 0, start: int = 0) -> Candidate:
    return Candidate(
        collection="c",
        document_id=document,
        document_title="",
        index=index,
        text=text,
        start=start,
        end=start + len(text),
        score=score,
    )


def cut(text: str, size: int, overlap: int, document: str = "a") -> list[Candidate]:
    """A document in overlapping chunks."""
    starts = range(0, max(1, len(text) - overlap), size - overlap)
    return [
        candidate(text[start : start + size], document=document, index=index, start=start)
        for index, start in enumerate(starts)
    ]


def test_the_best_comes_first_under_its_number() -> None:
    made = assembled([candidate("sea", 2.0), candidate("roof", 1.0, document="b")], 100, count)

    assert made.text == "[1] a\nsea\n\n[2] b\nroof"
    assert made.tokens == count(made.text)


def test_what_is_too_large_is_skipped_and_what_follows_is_not() -> None:
    large = candidate("word " * 100, 2.0)

    made = assembled([large, candidate("sea", 1.0, document="b")], 20, count)

    assert made.text == "[1] b\nsea"
    assert made.skipped == 1


def test_neighbours_become_one_without_what_they_share() -> None:
    text = "one two three four five six"
    first, second, third = cut(text, 12, 4)[:3]

    made = assembled([second, first, third], 100, count)

    assert made.text == f"[1] a\n{text[: third.end]}"
    assert [chunk.index for chunk in made.parts[0].chunks] == [0, 1, 2]


def test_chunks_of_different_documents_are_no_neighbours() -> None:
    made = assembled([candidate("one"), candidate("two", document="b", index=1, start=3)], 100, count)

    assert len(made.parts) == 2


def test_what_says_the_same_is_left_out() -> None:
    small, same, large = candidate("the sea"), candidate(" the sea\n", document="b"), candidate("by the sea it is")

    made = assembled([small, same, large], 100, count)

    assert [part.text for part in made.parts] == [large.text]
    assert made.duplicates == 2


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("art", "The party started."),
        ("art", "art_nouveau"),
        ("1", "in 2010"),
        ("cafe", "cafe\u0301"),
        ("東京", "東京の検索エンジン"),
    ],
)
@pytest.mark.parametrize("best_first", [True, False])
def test_a_part_of_a_word_is_no_duplicate(short: str, long: str, best_first: bool) -> None:
    found = [candidate(short, 2.0, document="s"), candidate(long, 1.0, document="l")]

    made = assembled(found if best_first else found[::-1], 100, count)

    assert {part.text for part in made.parts} == {short, long}
    assert made.duplicates == 0


def test_a_word_that_stands_there_behind_a_longer_one_is_a_duplicate() -> None:
    made = assembled([candidate("The party is art.", 2.0), candidate("art", 1.0, document="b")], 100, count)

    assert (len(made.parts), made.duplicates) == (1, 1)


def test_a_chunk_within_another_one_of_its_document_is_a_duplicate_wherever_it_ends() -> None:
    whole, middle = candidate("seaside", 2.0), candidate("asi", 1.0, start=2)

    assert assembled([whole, middle], 100, count).duplicates == 1


def test_what_takes_the_place_of_a_better_one_keeps_its_own_score() -> None:
    short, other, long = (
        candidate(text, 3.0 - at, document=text) for at, text in enumerate(["art", "sea", "It is art."])
    )

    made = assembled([short, other, long], 100, count)

    assert [(part.text, part.best.score) for part in made.parts] == [("It is art.", 1.0), ("sea", 2.0)]
    assert made.duplicates == 1


def test_what_stands_in_a_text_that_does_not_fit_is_there_all_the_same() -> None:
    short, long = candidate("sea", document="b"), candidate("sea " * 100)

    for found in ([short, long], [long, short]):
        made = assembled(found, 20, count)

        assert (made.text, made.skipped, made.duplicates) == ("[1] b\nsea", 1, 0)


def test_a_budget_for_nothing_gives_nothing() -> None:
    made = assembled([candidate("sea")], 1, count)

    assert (made.text, made.tokens, made.parts, made.skipped) == ("", 0, [], 1)


@pytest.mark.parametrize("tokens", [count, words])
@pytest.mark.parametrize("budget", range(240, 272))
def test_what_does_not_fit_has_the_text_counted_a_few_times_at_most(tokens: Count, budget: int) -> None:
    counting = Counting(tokens)
    found = [candidate(f"{'word ' * 20}{name}", document=str(name)) for name in range(500)]

    made = assembled(found, budget, counting)

    assert made.skipped > 480
    assert counting.whole <= MOST_TRIES + 6
    assert len(counting.texts) - counting.whole == len(found), "each chunk once"


def test_what_fits_because_tokens_do_not_add_up_is_in() -> None:
    found = [candidate(f"sea {name}", document=str(name)) for name in range(20)]
    whole = assembled(found, 1000, count)

    made = assembled(found, whole.tokens, count)

    assert (made.skipped, made.tokens) == (0, whole.tokens)
    assert whole.tokens < sum_of_parts(whole)


def sum_of_parts(made: Assembled) -> int:
    """As if each was counted by itself, with what divides it from the one before."""
    first, *others = made.text.split("\n\n")
    return count(first) + sum(count(f"\n\n{other}") for other in others)


def test_a_chunk_that_holds_others_has_no_other_part_counted_anew() -> None:
    counting = Counting(count)
    small = [candidate(f"word{name}", document=str(name)) for name in range(50)]
    large = [candidate(f"word{name} {'and so on ' * 90}", document=f"large {name}") for name in range(50)]

    made = assembled([*small, *large], 450, counting)

    assert (len(made.parts), made.skipped) == (50, 50)
    assert len(counting.texts) - counting.whole == 100


@pytest.mark.parametrize("seed", range(40))
def test_every_context_holds_its_promises(seed: int) -> None:
    chance = random.Random(seed)
    words = [" ".join(chance.choices("abcdefgh", k=chance.randint(3, 60))) for _ in range(4)]
    size = chance.randint(6, 30)
    chunks = [one for name, text in zip("wxyz", words, strict=True) for one in cut(text, size, size // 3, name)]
    found = sorted(chance.sample(chunks, k=len(chunks) // 2 + 1), key=lambda _: chance.random())
    budget = chance.randint(1, 120)

    made = assembled(found, budget, count)

    assert made.tokens == count(made.text) <= budget
    assert sum(len(part.chunks) for part in made.parts) + made.skipped + made.duplicates == len(found)
    assert_restored(made, dict(zip("wxyz", words, strict=True)))


def assert_restored(made: Assembled, documents: dict[str, str]) -> None:
    """Each part is what its document says there, once, and stands in the text under its number."""
    for number, part in enumerate(made.parts, 1):
        document = documents[part.chunks[0].document_id]
        assert part.text == document[part.chunks[0].start : part.chunks[-1].end]
        assert f"[{number}] {part.chunks[0].document_id}\n{part.text.strip()}" in made.text
