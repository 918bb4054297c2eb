"""Tokens of many rows for one call of llama.cpp: its batch structure over NumPy arrays, filled anew for each step."""

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp
import numpy as np
from attrs import define, field


@define(eq=False)
class Batch:
    """At most `capacity` tokens; each belongs to one sequence."""

    capacity: int
    size: int = field(default=0, init=False)
    outputs: int = field(default=0, init=False)
    """Tokens whose logits are asked for; they come in the order in which they were added."""
    _tokens: Any = field(init=False)
    _positions: Any = field(init=False)
    _sequences: Any = field(init=False)
    _wanted: Any = field(init=False)
    _structure: Any = field(init=False)
    _owned: Sequence[Any] = field(init=False)
    """Arrays that the structure points to."""

    def __attrs_post_init__(self) -> None:
        self._tokens, self._positions, self._sequences = (np.zeros(self.capacity, np.int32) for _ in range(3))
        self._wanted = np.zeros(self.capacity, np.int8)
        counts = np.ones(self.capacity, np.int32)
        # One pointer per token, each to its one entry among the sequences.
        pointers = self._sequences.ctypes.data + np.arange(self.capacity, dtype=np.uintp) * self._sequences.itemsize
        self._owned = (counts, pointers)
        self._structure = llama_cpp.llama_batch(
            n_tokens=0,
            token=_pointer(self._tokens, ctypes.c_int32),
            embd=None,
            pos=_pointer(self._positions, ctypes.c_int32),
            n_seq_id=_pointer(counts, ctypes.c_int32),
            seq_id=ctypes.cast(pointers.ctypes.data, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
            logits=_pointer(self._wanted, ctypes.c_int8),
        )

    @property
    def structure(self) -> Any:
        """For llama.cpp."""
        self._structure.n_tokens = self.size
        return self._structure

    def clear(self) -> None:
        """Begin again."""
        self.size = self.outputs = 0

    def add(self, sequence: int, tokens: Sequence[int], position: int, outputs: int) -> int:
        """The next tokens of a sequence, with logits for the last `outputs`; returns the place of the first of those.

        Raises ValueError where it does not fit.
        """
        count = len(tokens)
        begin, end = self.size, self.size + count
        if end > self.capacity:
            raise ValueError(f"a batch of {self.capacity} tokens cannot take {end}")
        self._tokens[begin:end] = tokens
        self._positions[begin:end] = range(position, position + count) if count < 8 else np.arange(count) + position
        self._sequences[begin:end] = sequence
        self._wanted[begin:end] = 0
        self._wanted[end - outputs : end] = 1
        first = self.outputs
        self.size, self.outputs = end, first + outputs
        return first


def _pointer(array: Any, kind: Any) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(kind))
