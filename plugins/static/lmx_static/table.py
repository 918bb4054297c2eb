"""The arithmetic: the vectors of a text's tokens, each with its weight, are added up and brought to length one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

SMALLEST = np.finfo(np.float32).tiny
"""A sum that vanishes becomes zeros and not NaN."""


@frozen(eq=False)
class Table:
    """A vector for every token, in int8; `scales` hold what to multiply each with, the token's weight included."""

    embeddings: NDArray[np.int8]
    scales: NDArray[np.float32]

    def __attrs_post_init__(self) -> None:
        if self.embeddings.ndim != 2 or not self.embeddings.size or self.scales.shape != self.embeddings.shape[:1]:
            raise ValueError(f"{self.embeddings.shape} embeddings and {self.scales.shape} scales make no table")
        if not np.isfinite(self.scales).all():
            raise ValueError("a scale is not a number")

    @property
    def rows(self) -> int:
        """How many tokens there are."""
        return len(self.embeddings)

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return len(self.embeddings[0])

    def embed(self, inputs: Sequence[Sequence[int]], dimensions: int | None = None) -> NDArray[np.float32]:
        """One vector of length one per input; no input is empty, and every id is a row.

        The columns are principal components, the strongest first, so the first `dimensions` are the best ones.
        """
        sums = np.stack([self._sum(np.asarray(one, dtype=np.intp)) for one in inputs])[:, :dimensions]
        norms = np.sqrt(np.einsum("ij,ij->i", sums, sums))
        return np.asarray(sums / np.maximum(norms, SMALLEST)[:, None], dtype=np.float32)

    def _sum(self, ids: NDArray[np.intp]) -> NDArray[np.float32]:
        """Of the tokens' vectors: one product of a row with a matrix, which is far faster than adding up slices."""
        summed: NDArray[np.float32] = self.scales[ids] @ self.embeddings.take(ids, axis=0).astype(np.float32)
        return summed


def table_of(tensors: Mapping[str, NDArray[Any]]) -> Table:
    """The table that a file of weights holds; raises ValueError where it holds something else."""
    try:
        return Table(tensors["embeddings"], tensors["scales"])
    except KeyError as missing:
        raise ValueError(f"the weights hold no tensor {missing}; this is no static embedding") from None
