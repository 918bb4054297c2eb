"""Sequences of llama.cpp's KV cache by number: handed out, shared, cut, and their cells counted."""

from collections.abc import Iterable

from attrs import define, field

from lmx_gguf.cells import Cells
from lmx_gguf.llama_context import LlamaContext


@define(eq=False)
class Sequences:
    """All sequences of one context."""

    context: LlamaContext
    cells: Cells = field(factory=Cells, init=False)
    _free: list[int] = field(init=False)

    @_free.default
    def _all(self) -> list[int]:
        return list(reversed(range(self.context.shape.sequences)))

    @property
    def any_free(self) -> bool:
        """Whether another one can be taken."""
        return bool(self._free)

    def take(self, source: int | None = None, length: int = 0) -> int:
        """A new one, empty or with the first tokens of another."""
        sequence = self._free.pop()
        if source is not None and length:
            self.context.copy(source, sequence, length)
            self.cells.fork(source, sequence, length)
        return sequence

    def cut(self, sequence: int, length: int) -> None:
        """Keep its first tokens."""
        self.context.cut(sequence, length)
        self.cells.cut(sequence, length)

    def drop(self, sequence: int) -> None:
        """Give one back, with its cells."""
        self.context.cut(sequence, 0)
        self.cells.drop(sequence)
        self._free.append(sequence)

    def drop_all(self, sequences: Iterable[int]) -> None:
        """Give several back."""
        for sequence in list(sequences):
            self.drop(sequence)
