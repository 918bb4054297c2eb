"""Guesses from what a row has said already, and from a smaller model."""

from collections.abc import Mapping, Sequence

from attrs import define, field

from lmx_gguf.batch import Batch
from lmx_gguf.llama_context import LlamaContext
from lmx_gguf.rows import Row

LONGEST_NGRAM, SHORTEST_NGRAM = 3, 2
CATCH_UP_TOKENS = 256
"""Tokens that a draft model reads at most before a step, of all rows together: reading must not hold them up."""
FEW_TOKENS = 4
"""Missing tokens that are read together with the first guess."""


@define(eq=False)
class Ngrams:
    """Where each short run of tokens of a row last ended, looked up in constant time."""

    _read: int = field(default=0, init=False)
    _ends: dict[tuple[int, ...], int] = field(factory=dict, init=False)

    def continuation(self, tokens: Sequence[int], count: int) -> Sequence[int]:
        """What came after the last tokens when they came before; empty where they have not."""
        self._learn(tokens)
        for length in range(LONGEST_NGRAM, SHORTEST_NGRAM - 1, -1):
            end = self._ends.get(tuple(tokens[-length:]))
            if end is not None:
                return tokens[end : end + count]
        return ()

    def _learn(self, tokens: Sequence[int]) -> None:
        """The run at the very end is left out: it is what is looked for."""
        for end in range(max(self._read, SHORTEST_NGRAM), len(tokens)):
            for length in range(SHORTEST_NGRAM, min(LONGEST_NGRAM, end) + 1):
                self._ends[tuple(tokens[end - length : end])] = end
        self._read = len(tokens)


@define(eq=False)
class PromptLookup:
    """Answers often repeat what the prompt says (Saxena 2023, https://github.com/apoorvumang/prompt-lookup-decoding)."""

    kind: str = field(default="prompt_lookup", init=False)
    _ngrams: dict[int, Ngrams] = field(factory=dict, init=False)
    """By sequence."""

    def draft(self, rows: Sequence[Row], count: int) -> Mapping[int, Sequence[int]]:
        """What followed the last tokens of each row earlier in it."""
        found = {row.id: self._of(row).continuation(row.tokens, count) for row in rows}
        return {row: tokens for row, tokens in found.items() if tokens}

    def forget(self, sequence: int) -> None:
        """The row that had this sequence is gone."""
        self._ngrams.pop(sequence, None)

    def _of(self, row: Row) -> Ngrams:
        return self._ngrams.setdefault(-1 if row.sequence is None else row.sequence, Ngrams())


@define(eq=False)
class Held:
    """Tokens of a row in the draft model's cache; the first `sure` of them are the row's, guesses may follow."""

    tokens: list[int] = field(factory=list)
    sure: int = 0

    def agree(self, tokens: Sequence[int]) -> int:
        """How many are those of the row, its last one not counted: that one is left to compute."""
        end = min(len(self.tokens), len(tokens) - 1)
        self.sure = min(self.sure, end)
        while self.sure < end and self.tokens[self.sure] == tokens[self.sure]:
            self.sure += 1
        return self.sure


@define(eq=False)
class DraftModel:
    """A smaller model with the same vocabulary, which keeps the rows' tokens in a KV cache of its own."""

    context: LlamaContext
    kind: str = field(default="draft_model", init=False)
    _held: dict[int, Held] = field(factory=dict, init=False)
    """By sequence."""
    _batch: Batch = field(init=False)

    @_batch.default
    def _empty(self) -> Batch:
        return Batch(self.context.shape.batch_tokens)

    def draft(self, rows: Sequence[Row], count: int) -> Mapping[int, Sequence[int]]:
        """Its likeliest tokens for each row whose text it has read by now."""
        self._leave_room(rows, count)
        ready = self._catch_up(rows)
        guesses: dict[int, list[int]] = {row.id: [] for row in ready}
        for _ in range(count if ready else 0):
            self._batch.clear()
            for row in ready:
                self._read(row, [*row.tokens, *guesses[row.id]], outputs=1)
            self.context.decode(self._batch)
            likeliest = self.context.logits(len(ready)).argmax(axis=1).tolist()
            for row, token in zip(ready, likeliest, strict=True):
                guesses[row.id].append(token)
        return guesses

    def forget(self, sequence: int) -> None:
        """The row that had this sequence is gone."""
        if self._held.pop(sequence, None):
            self.context.cut(sequence, 0)

    def _leave_room(self, rows: Sequence[Row], count: int) -> None:
        """Its sequences share no cells: where rows that share theirs do not fit, it begins anew, and then gives up."""
        wanted = {_sequence(row): len(row.tokens) + count for row in rows}
        held = {sequence: len(held.tokens) for sequence, held in self._held.items()}
        if sum({**held, **wanted}.values()) > self.context.cells:
            self._held.clear()
            self.context.clear()

    def _catch_up(self, rows: Sequence[Row]) -> list[Row]:
        """Read what it lacks of the rows; those of which only a few tokens are left."""
        self._batch.clear()
        left, ready = min(CATCH_UP_TOKENS, self._batch.capacity), []
        for row in rows:
            if len(row.tokens) + CATCH_UP_TOKENS > self.context.cells // len(rows):
                continue
            missing = len(row.tokens) - 1 - len(self._agreeing(row))
            reads = min(missing, left) if missing > FEW_TOKENS else 0
            if reads:
                self._read(row, row.tokens[: len(row.tokens) - 1 - missing + reads], outputs=0)
                left -= reads
            if missing - reads <= FEW_TOKENS:
                ready.append(row)
        if self._batch.size:
            self.context.decode(self._batch)
        return ready

    def _agreeing(self, row: Row) -> list[int]:
        """What it holds of the row, once the guesses that proved wrong are gone."""
        held = self._held.setdefault(_sequence(row), Held())
        length = held.agree(row.tokens)
        if length < len(held.tokens):
            self.context.cut(_sequence(row), length)
            del held.tokens[length:]
        return held.tokens

    def _read(self, row: Row, tokens: Sequence[int], outputs: int) -> None:
        held = self._held[_sequence(row)].tokens
        self._batch.add(_sequence(row), tokens[len(held) :], len(held), outputs)
        held.extend(tokens[len(held) :])


def _sequence(row: Row) -> int:
    return -1 if row.sequence is None else row.sequence
