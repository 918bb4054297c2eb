"""Which cells of llama.cpp's KV cache are taken: sequences share those of a common beginning.

llama.cpp tells nobody how many cells are free, and a batch that finds none is a failure of all its rows. So they are
counted here, exactly: a sequence is a chain of parts, a fork has the same parts as far as it goes along, and a part
takes as many cells as the sequence that holds most of it.
"""

from collections.abc import Iterable

from attrs import define, field


@define(eq=False)
class Part:
    """Cells in a row, and how many of them each sequence has, from the first on."""

    held: dict[int, int]

    @property
    def size(self) -> int:
        """Cells that it takes."""
        return max(self.held.values(), default=0)


@define(eq=False)
class Cells:
    """The chains of all sequences."""

    used: int = field(default=0, init=False)
    """Cells that are taken."""
    _chains: dict[int, list[Part]] = field(factory=dict, init=False)

    def fork(self, source: int, target: int, length: int) -> None:
        """The new sequence `target` shares the first cells of `source`."""
        chain = []
        for part in self._chains[source]:
            if length <= 0:
                break
            part.held[target] = min(length, part.held[source])
            length -= part.held[target]
            chain.append(part)
        self._chains[target] = chain

    def extend(self, sequence: int, count: int) -> None:
        """So many more of its own; a sequence begins with its first."""
        chain = self._chains.setdefault(sequence, [])
        if chain and len(chain[-1].held) == 1:
            chain[-1].held[sequence] += count
        else:
            chain.append(Part({sequence: count}))
        self.used += count

    def cut(self, sequence: int, length: int) -> None:
        """Keep its first cells only."""
        kept = []
        for part in self._chains[sequence]:
            before, held = part.size, min(length, part.held[sequence])
            if held > 0:
                part.held[sequence] = held
                kept.append(part)
            else:
                del part.held[sequence]
            self.used -= before - part.size
            length -= held
        self._chains[sequence] = kept

    def drop(self, sequence: int) -> None:
        """Forget a sequence, if there is one."""
        if sequence in self._chains:
            self.cut(sequence, 0)
            del self._chains[sequence]

    def used_by(self, sequences: Iterable[int]) -> int:
        """Cells that stay taken once all other sequences are gone."""
        sizes: dict[int, int] = {}
        for sequence in sequences:
            for part in self._chains.get(sequence, ()):
                sizes[id(part)] = max(sizes.get(id(part), 0), part.held[sequence])
        return sum(sizes.values())
